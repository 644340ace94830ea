#include "check.h"

#include "tool/tool.h"

static void check_cut(size_t limit, struct str output, struct str want)
{
    struct tool t = { .output_limit = limit };
    struct buf  out = BUF(1000);

    tool_cut(&t, output, &out);
    check_same(buf_str(&out), want);
    buf_release(&out);
}

TEST(an_output_is_cut_between_characters)
{
    check_cut(10, STR(""), STR(""));
    check_cut(3, STR("abc"), STR("abc"));
    check_cut(3, STR("abcd"), STR("abc\n[cut: the rest is too long]"));
    check_cut(4, STR("a\xe4\xbd\xa0\xe5\xa5\xbd"),
              STR("a\xe4\xbd\xa0\n[cut: the rest is too long]"));
    check_cut(2, STR("\xe4\xbd\xa0"), STR("\n[cut: the rest is too long]"));
}

TEST(what_no_database_keeps_is_another_sign)
{
    check_cut(10, (struct str){ "\0", 1 }, STR("\xef\xbf\xbd"));
    check_cut(10, (struct str){ "a\0\0b", 4 },
              STR("a\xef\xbf\xbd\xef\xbf\xbd"
                  "b"));
    check_cut(2, (struct str){ "a\0b", 3 }, STR("a\xef\xbf\xbd\n[cut: the rest is too long]"));
}

TEST(names_are_what_every_service_takes)
{
    char long_name[TOOL_NAME_MAX + 1];

    for (size_t i = 0; i < sizeof long_name; i++)
        long_name[i] = 'a';
    assert_true(tool_name_is_good(STR("get_Weather-2")));
    assert_true(tool_name_is_good((struct str){ long_name, TOOL_NAME_MAX }));
    assert_false(tool_name_is_good((struct str){ long_name, TOOL_NAME_MAX + 1 }));
    assert_false(tool_name_is_good(STR("")));
    assert_false(tool_name_is_good(STR("a.b")));
    assert_false(tool_name_is_good(STR("a b")));
    assert_false(tool_name_is_good(STR("\xc3\xa4")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_output_is_cut_between_characters),
        cmocka_unit_test(what_no_database_keeps_is_another_sign),
        cmocka_unit_test(names_are_what_every_service_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
