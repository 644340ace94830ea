#include "check.h"

#include "tool/calculator.h"

#include <math.h>

TEST(it_works_out_what_people_write)
{
    static const struct {
        const char *text;
        double      result;
    } rows[] = {
        { "1", 1 },
        { " 1.5e3 ", 1500 },
        { "2+3*4", 14 },
        { "(2+3)*4", 20 },
        { "2^3^2", 512 },
        { "-2^2", -4 },
        { "2^-1", 0.5 },
        { "2**10", 1024 },
        { "7 % 4", 3 },
        { "-7 % 4", -3 },
        { "10 / 4 / 5", 0.5 },
        { "1 - 2 - 3", -4 },
        { "--3", 3 },
        { "sqrt(16) + abs(-2)", 6 },
        { "2 * (3 + sqrt(16)) ^ 2", 98 },
        { "round(2.5) + floor(-1.5) + ceil(1.2)", 3 },
        { "log10(1000) + log2(8) + ln(e)", 7 },
        { "cos(pi) + sin(0) + tan(0) + exp(0)", 0 },
        { ".5 + 1.", 1.5 },
        { "1e-2*1E+2", 1 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *why;
        double      v = NAN;

        if (!calculate(str_of(rows[i].text), &v, &why))
            fail_msg("%s: %s", rows[i].text, why);
        assert_true(fabs(v - rows[i].result) < 1e-12);
    }
}

TEST(it_says_what_is_wrong)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "", "a number is missing" },
        { "1 +", "a number is missing" },
        { "1 2", "there is something behind the end" },
        { "(1", "a closing bracket is missing" },
        { "1)", "there is something behind the end" },
        { "1/0", "something is divided by zero" },
        { "5 % 0", "something is divided by zero" },
        { "x + 1", "there is a word that is neither a function nor a constant" },
        { "sqrt 4", "a function wants its argument in brackets" },
        { "sqrt(-1)", "the result is not a number, or too big" },
        { "10^400", "the result is not a number, or too big" },
        { "1..2", "a number cannot be read" },
        { "111111111111111111111111111111111111111111111111111111111111111111",
          "a number is too long" },
        { "1;2", "there is something behind the end" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *why = NULL;
        double      v;

        assert_false(calculate(str_of(rows[i].text), &v, &why));
        assert_string_equal(why, rows[i].why);
    }
}

TEST(depth_has_an_end)
{
    char        deep[4000];
    const char *why;
    double      v;

    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = '(';
    assert_false(calculate((struct str){ deep, sizeof deep }, &v, &why));
    assert_string_equal(why, "there are too many brackets within each other");
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = '-';
    assert_false(calculate((struct str){ deep, sizeof deep }, &v, &why));
    assert_string_equal(why, "there are too many signs");
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = "2^"[i % 2];
    assert_false(calculate((struct str){ deep, sizeof deep }, &v, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_works_out_what_people_write),
        cmocka_unit_test(it_says_what_is_wrong),
        cmocka_unit_test(depth_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
