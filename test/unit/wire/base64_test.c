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

/* ---- for addresses --------------------------------------------------------- */

static const struct {
    struct str bytes, text;
} url_pairs[] = {
    { STR_INIT(""), STR_INIT("") },
    { STR_INIT("f"), STR_INIT("Zg") },
    { STR_INIT("fo"), STR_INIT("Zm8") },
    { STR_INIT("foo"), STR_INIT("Zm9v") },
    { STR_INIT("foob"), STR_INIT("Zm9vYg") },
    { STR_INIT("fooba"), STR_INIT("Zm9vYmE") },
    { STR_INIT("foobar"), STR_INIT("Zm9vYmFy") },
    { STR_INIT("\0"), STR_INIT("AA") },
    { STR_INIT("\xff\xff\xff"), STR_INIT("____") },
    { STR_INIT("\xfb\xef\xbe"), STR_INIT("----") },
    { STR_INIT("\x03\xec\xff\xe0\xc1"), STR_INIT("A-z_4ME") },       /* RFC 7515, C */
};

TEST(for_addresses_both_ways_without_padding)
{
    struct buf out = BUF(100);

    for (size_t i = 0; i < COUNT(url_pairs); i++) {
        buf_clear(&out);
        base64url_encode(url_pairs[i].bytes, &out);
        check_same(buf_str(&out), url_pairs[i].text);
        buf_clear(&out);
        check_that(base64url_decode(url_pairs[i].text, &out), "%s", url_pairs[i].text.p);
        check_same(buf_str(&out), url_pairs[i].bytes);
    }
    buf_release(&out);
}

/* Of all texts of two letters, one in sixteen is canonical; of three, one in four. */
TEST(for_addresses_every_byte_has_one_text_only)
{
    struct buf out = BUF(10), back = BUF(10);
    size_t     n_two = 0, n_three = 0;
    char       text[3] = "AAA";

    for (unsigned pair = 0; pair < 65536; pair++) {
        text[0] = (char)(pair >> 8);
        text[1] = (char)pair;
        for (size_t n = 2; n <= 3; n++) {
            buf_clear(&out);
            buf_clear(&back);
            if (!base64url_decode((struct str){ text, n }, &out))
                continue;
            base64url_encode(buf_str(&out), &back);
            check_same(buf_str(&back), ((struct str){ text, n }));
            *(n == 2 ? &n_two : &n_three) += 1;
        }
    }
    assert_int_equal(n_two, 256);
    assert_int_equal(n_three, 64 * 64);
    buf_release(&out);
    buf_release(&back);
}

TEST(for_addresses_padding_blanks_and_the_other_alphabet_are_refused)
{
    static const struct str rows[] = {
        STR_INIT("Zg=="),     STR_INIT("Zg="),    STR_INIT("="),        STR_INIT("===="),
        STR_INIT("Zm9vZ"),    STR_INIT("Z"),      STR_INIT("Zh"),       STR_INIT("Zm9"),
        STR_INIT("Zm9v "),    STR_INIT(" Zm9v"),  STR_INIT("Zm9v\n"),   STR_INIT("Zm+v"),
        STR_INIT("Zm/v"),     STR_INIT("Zm9v\0"), STR_INIT("Zm\0v"),    STR_INIT("Zm\xffv"),
        STR_INIT("Zm9v.Zm9"), STR_INIT("Zm.v"),   STR_INIT("Zm9vYg=="), STR_INIT("Zg==Zm9v"),
    };
    struct buf out = BUF(100);

    buf_lit(&out, "as it was");
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_that(!base64url_decode(rows[i], &out), "row %zu: %s", i, check_shown(rows[i]));
        check_buf(&out, "as it was");
    }
    buf_release(&out);
}

TEST(what_does_not_fit_is_over)
{
    struct buf out = BUF(8), exact = BUF(3);

    base64_encode(STR("foobarbaz"), &out);
    assert_true(out.over);
    base64url_encode(STR("fo"), &exact);
    assert_false(exact.over);
    base64url_encode(STR("f"), &exact);
    assert_true(exact.over);
    check_buf(&exact, "Zm8");
    buf_release(&out);
    buf_release(&exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_as_the_rfc_says),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(what_the_encoder_would_not_write_is_refused_and_adds_nothing),
        cmocka_unit_test(for_addresses_both_ways_without_padding),
        cmocka_unit_test(for_addresses_every_byte_has_one_text_only),
        cmocka_unit_test(for_addresses_padding_blanks_and_the_other_alphabet_are_refused),
        cmocka_unit_test(what_does_not_fit_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
