#include "check.h"

#include "base/str.h"

static const struct str none = { NULL, 0 };

TEST(text_of_nothing_is_empty)
{
    assert_int_equal(str_of(NULL).n, 0);
    assert_int_equal(str_of("").n, 0);
    check_str(str_of("ab"), "ab");
}

TEST(the_rest_behind_a_place)
{
    check_str(str_from(STR("abc"), 0), "abc");
    check_str(str_from(STR("abc"), 2), "c");
    assert_int_equal(str_from(STR("abc"), 3).n, 0);
    assert_int_equal(str_from(STR("abc"), SIZE_MAX).n, 0);
    assert_int_equal(str_from(none, 0).n, 0);
}

TEST(trim_takes_spaces_and_tabs_from_both_ends_only)
{
    check_str(str_trim(STR(" \t a \tb\t ")), "a \tb");
    check_str(str_trim(STR("a")), "a");
    check_str(str_trim(STR("\na\r")), "\na\r");
    assert_int_equal(str_trim(STR(" \t ")).n, 0);
    assert_int_equal(str_trim(none).n, 0);
}

static const struct {
    struct str a, b;
    bool       same, same_nocase;
} pairs[] = {
    { STR_INIT("abc"), STR_INIT("abc"), true, true },
    { STR_INIT("aBc"), STR_INIT("AbC"), false, true },
    { STR_INIT("abc"), STR_INIT("ab"), false, false },
    { STR_INIT("a\0b"), STR_INIT("a\0b"), true, true },
    { STR_INIT("a\0b"), STR_INIT("a\0B"), false, true },
    { STR_INIT("a\0b"), STR_INIT("a\0c"), false, false },
    { STR_INIT("@[{"), STR_INIT("`{["), false, false },
    { STR_INIT("\xc4"), STR_INIT("\xe4"), false, false },
    { STR_INIT(""), { NULL, 0 }, true, true },
    { { NULL, 0 }, { NULL, 0 }, true, true },
    { STR_INIT("a"), { NULL, 0 }, false, false },
};

TEST(equality_minds_length_case_and_nul)
{
    for (size_t i = 0; i < COUNT(pairs); i++) {
        check_that(str_eq(pairs[i].a, pairs[i].b) == pairs[i].same, "row %zu", i);
        check_that(str_eq(pairs[i].b, pairs[i].a) == pairs[i].same, "row %zu", i);
    }
}

TEST(equality_in_any_case_minds_length_and_what_is_behind_a_nul)
{
    for (size_t i = 0; i < COUNT(pairs); i++)
        check_that(str_eq_nocase(pairs[i].a, pairs[i].b) == pairs[i].same_nocase, "row %zu", i);
}

TEST(a_text_starts_with_its_prefixes)
{
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("abc")));
    assert_true(str_starts(STR("abc"), none));
    assert_true(str_starts(none, none));
    assert_false(str_starts(STR("abc"), STR("abcd")));
    assert_false(str_starts(STR("abc"), STR("b")));
    assert_false(str_starts(none, STR("a")));
}

TEST(split_gives_every_piece_also_empty_ones)
{
    static const struct {
        struct str  text;
        const char *pieces; /* each in angle brackets         */
    } rows[] = {
        { STR_INIT("a,b,c"), "<a><b><c>" },
        { STR_INIT("a"), "<a>" },
        { STR_INIT("a,"), "<a><>" },
        { STR_INIT(",a"), "<><a>" },
        { STR_INIT(","), "<><>" },
        { STR_INIT(",,"), "<><><>" },
        { STR_INIT(""), "<>" },
        { { NULL, 0 }, "" },
        { STR_INIT(" a , b "), "< a >< b >" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf got = BUF(100);
        struct str rest = rows[i].text, piece;

        while (str_next(&rest, ',', &piece))
            buf_addf(&got, "<%.*s>", STR_ARG(piece));
        check_text(buf_str(&got), rows[i].pieces);
        assert_false(str_next(&rest, ',', &piece));
        buf_release(&got);
    }
}

TEST(digits_become_a_number_and_nothing_else_does)
{
    static const struct {
        struct str text;
        bool       good;
        uint64_t   value;
    } rows[] = {
        { STR_INIT("0"), true, 0 },
        { STR_INIT("007"), true, 7 },
        { STR_INIT("18446744073709551615"), true, UINT64_MAX },
        { STR_INIT("000018446744073709551615"), true, UINT64_MAX },
        { STR_INIT("18446744073709551616"), false, 0 },
        { STR_INIT("18446744073709551620"), false, 0 },
        { STR_INIT("99999999999999999999"), false, 0 },
        { STR_INIT("184467440737095516150"), false, 0 },
        { STR_INIT(""), false, 0 },
        { { NULL, 0 }, false, 0 },
        { STR_INIT("+1"), false, 0 },
        { STR_INIT("-1"), false, 0 },
        { STR_INIT(" 1"), false, 0 },
        { STR_INIT("1 "), false, 0 },
        { STR_INIT("1\0"), false, 0 },
        { STR_INIT("0x1"), false, 0 },
        { STR_INIT("1/"), false, 0 },
        { STR_INIT("1:"), false, 0 },
        { STR_INIT("\xb1"), false, 0 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t v = 4711;
        bool     good = str_to_u64(rows[i].text, &v);

        check_that(good == rows[i].good, "row %zu", i);
        check_that(v == (good ? rows[i].value : 4711), "row %zu: %llu", i, (unsigned long long)v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_nothing_is_empty),
        cmocka_unit_test(the_rest_behind_a_place),
        cmocka_unit_test(trim_takes_spaces_and_tabs_from_both_ends_only),
        cmocka_unit_test(equality_minds_length_case_and_nul),
        cmocka_unit_test(equality_in_any_case_minds_length_and_what_is_behind_a_nul),
        cmocka_unit_test(a_text_starts_with_its_prefixes),
        cmocka_unit_test(split_gives_every_piece_also_empty_ones),
        cmocka_unit_test(digits_become_a_number_and_nothing_else_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
