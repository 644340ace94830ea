#include "check.h"

#include "wire/base64.h"

/* RFC 4648, section 10, and the letters at the end of the alphabet. */
static const struct {
    struct str bytes, text;
} pairs[] = {
    { STR_INIT(""), STR_INIT("") },
    { STR_INIT("f"), STR_INIT("Zg==") },
    { STR_INIT("fo"), STR_INIT("Zm8=") },
    { STR_INIT("foo"), STR_INIT("Zm9v") },
    { STR_INIT("foob"), STR_INIT("Zm9vYg==") },
    { STR_INIT("fooba"), STR_INIT("Zm9vYmE=") },
    { STR_INIT("foobar"), STR_INIT("Zm9vYmFy") },
    { STR_INIT("\0"), STR_INIT("AA==") },
    { STR_INIT("\xff\xff\xff"), STR_INIT("////") },
    { STR_INIT("\xfb\xef\xbe"), STR_INIT("++++") },
};

TEST(both_ways_as_the_rfc_says)
{
    struct buf out = BUF(100);

    for (size_t i = 0; i < COUNT(pairs); i++) {
        buf_clear(&out);
        base64_encode(pairs[i].bytes, &out);
        check_same(buf_str(&out), pairs[i].text);
        buf_clear(&out);
        check_that(base64_decode(pairs[i].text, &out), "%s", pairs[i].text.p);
        check_same(buf_str(&out), pairs[i].bytes);
    }
    buf_release(&out);
}

TEST(any_bytes_come_back)
{
    uint64_t   seed = 1;
    struct buf text = BUF(1000), back = BUF(1000);
    char       bytes[200];

    for (size_t n = 0; n <= sizeof bytes; n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)check_random(&seed);
        buf_clear(&text);
        buf_clear(&back);
        base64_encode((struct str){ bytes, n }, &text);
        assert_int_equal(text.n, (n + 2) / 3 * 4);
        check_that(base64_decode(buf_str(&text), &back), "%zu bytes", n);
        check_same(buf_str(&back), ((struct str){ bytes, n }));
    }
    buf_release(&text);
    buf_release(&back);
}

TEST(what_the_encoder_would_not_write_is_refused_and_adds_nothing)
{
    static const struct str rows[] = {
        STR_INIT("Zg"),
        STR_INIT("Zg="),
        STR_INIT("Z==="),
        STR_INIT("===="),
        STR_INIT("Zh=="),
        STR_INIT("Zm9="),
        STR_INIT("Zg==Zg=="),
        STR_INIT("Zm8=Zm9v"),
        STR_INIT("Zm9 "),
        STR_INIT("Zm9v\n"),
        STR_INIT("Zm9vYg==\r\n"),
        STR_INIT("Zm-v"),
        STR_INIT("Zm_v"),
        STR_INIT("Z\0\0v"),
        STR_INIT("Zm\xff"
                 "v"),
        STR_INIT("=m9v"),
        STR_INIT("Z=9v"),
        STR_INIT("Zm=v"),
        STR_INIT("Zm9vZm9"),
        STR_INIT("Zm9vZ=9v"),
    };
    struct buf out = BUF(100);

    buf_lit(&out, "as it was");
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_that(!base64_decode(rows[i], &out), "row %zu: %s", i, check_shown(rows[i]));
        check_buf(&out, "as it was");
    }
    buf_release(&out);
}

TEST(what_does_not_fit_is_over)
{
    struct buf out = BUF(8);

    base64_encode(STR("foobarbaz"), &out);
    assert_true(out.over);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_as_the_rfc_says),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(what_the_encoder_would_not_write_is_refused_and_adds_nothing),
        cmocka_unit_test(what_does_not_fit_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
