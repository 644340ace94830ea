#include "base/half.h"

#include "base/json.h"
#include "check.h"

struct row {
    const char *pieces[3];                    /* JSON strings                   */
    struct str  want;
};

/* What they come to when one is told after the other. */
static void check_told(const struct row *row)
{
    uint16_t   held = 0;
    struct buf out = BUF(1000);

    for (size_t i = 0; i < COUNT(row->pieces) && row->pieces[i]; i++) {
        const char      *why;
        struct json_doc *doc = json_read_patiently(str_of(row->pieces[i]), &why);

        assert_non_null(doc);
        half_join(&held, json_str(json_root(doc)), &out);
        json_free(doc);
    }
    if (held)
        buf_add(&out, HALF_LOST);
    check_same(buf_str(&out), row->want);
    buf_release(&out);
}

TEST(two_halves_are_one_character)
{
    static const struct row rows[] = {
        { { "\"a\\ud83d\"", "\"\\ude00b\"" },
          STR_INIT("a\xf0\x9f\x98\x80"
                   "b") },
        { { "\"\\uD83D\"", "\"\"", "\"\\uDE00\"" }, STR_INIT("\xf0\x9f\x98\x80") },
        { { "\"\\ud800\"", "\"\\udc00\"" }, STR_INIT("\xf0\x90\x80\x80") },
        { { "\"\\udbff\"", "\"\\udfff\"" }, STR_INIT("\xf4\x8f\xbf\xbf") },
        { { "\"\\ud83d\"", "\"\\ude00\\ud83d\"", "\"\\ude01\"" },
          STR_INIT("\xf0\x9f\x98\x80\xf0\x9f\x98\x81") },
        { { "\"\\ud83d\"", "\"x\"" }, STR_INIT("\xef\xbf\xbdx") },
        { { "\"\\ud83d\"", "\"\\ud83d\"", "\"\\ude00\"" },
          STR_INIT("\xef\xbf\xbd\xf0\x9f\x98\x80") },
        { { "\"\\ude00\\ud83d\"", "\"\"" }, STR_INIT("\xef\xbf\xbd\xef\xbf\xbd") },
        { { "\"\\\\ud83d\\ud83d\"", "\"\\ude00\"" }, STR_INIT("\\ud83d\xf0\x9f\x98\x80") },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_told(&rows[i]);
}

TEST(other_characters_are_no_halves)
{
    static const char *const rows[] = {
        "", "a", "\xf0\x9f\x98\x80", "\xf4\x8f\xa0\x80", "\xf4\x8f", "\xf4\x8f\xbf\xbf", "\xf4",
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_false(half_is_in(str_of(rows[i])));
        assert_int_equal(half_cut_off(str_of(rows[i])).n, strlen(rows[i]));
    }
}

TEST(halves_at_the_end_can_be_cut_off)
{
    char text[2 + 2 * HALF_BYTES] = "ab";

    half_write(text + 2, 0xD83D);
    half_write(text + 2 + HALF_BYTES, 0xDE00);
    assert_true(half_is_in((struct str){ text, 2 + HALF_BYTES }));
    assert_false(half_is_in((struct str){ text, 1 + HALF_BYTES }));
    check_str(half_cut_off((struct str){ text, sizeof text }), "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_halves_are_one_character),
        cmocka_unit_test(other_characters_are_no_halves),
        cmocka_unit_test(halves_at_the_end_can_be_cut_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
