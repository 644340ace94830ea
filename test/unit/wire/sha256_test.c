/* sha256_test.c - digests that FIPS 180-4's examples and any other tool agree upon. */
#include "check.h"

#include "wire/sha256.h"

TEST(digests_are_what_the_standard_says)
{
    static const struct {
        struct str  text;
        const char *digest;
    } rows[] = {
        { { NULL, 0 }, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { STR_INIT("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { STR_INIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    char          text[SHA256_HEX_SIZE];
    unsigned char digest[SHA256_BYTES];

    for (size_t i = 0; i < COUNT(rows); i++) {
        sha256_hex(rows[i].text, text);
        assert_string_equal(text, rows[i].digest);
    }
    sha256(STR("abc"), digest);
    assert_int_equal(digest[0], 0xba);
    assert_int_equal(digest[31], 0xad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_what_the_standard_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
