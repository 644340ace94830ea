/* prices_test.c - what a million tokens of a model cost: how it is written, and read. */
#include "check.h"

#include "base/settings.h"

static struct buf mistakes = { .limit = 1 << 20 };

static struct settings *load_priced(const char *prompt, const char *completion)
{
    char text[300];

    snprintf(text, sizeof text,
             "providers: [{name: e, kind: echo}]\nmodels:\n- name: m\n  targets: [{provider: e}]\n"
             "  prompt_price: %s\n  completion_price: %s\n",
             prompt, completion);
    buf_clear(&mistakes);
    check_write_conf(str_of(text));
    return settings_load("conf.yaml", NULL, &mistakes);
}

TEST(a_price_is_read_in_millionths)
{
    static const struct {
        const char *price;
        uint64_t    millionths;
    } rows[] = {
        { "0", 0 },
        { "000", 0 },
        { "0.0", 0 },
        { "1", 1000000 },
        { "15", 15000000 },
        { "015", 15000000 },
        { "0.15", 150000 },
        { "0.150", 150000 },
        { "2.50", 2500000 },
        { "10.000001", 10000001 },
        { "0.000001", 1 },
        { "123.456789", 123456789 },
        { "999999999", 999999999000000 },
        { "999999999.999999", 999999999999999 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct settings             *s = load_priced(rows[i].price, "7.5");
        const struct model_settings *m;

        check_that(s != NULL, "%s", rows[i].price);
        m = s->models.items;
        check_same(m->prompt_price, str_of(rows[i].price));
        check_that(settings_price(m->prompt_price) == rows[i].millionths, "%s", rows[i].price);
        check_that(settings_price(m->completion_price) == 7500000, "%s", rows[i].price);
        settings_free(s);
    }
}

TEST(without_a_price_it_costs_nothing)
{
    static const char            text[] = "providers: [{name: e, kind: echo}]\n"
                                          "models: [{name: m, targets: [{provider: e}]}]\n";
    struct settings             *s;
    const struct model_settings *m;

    buf_clear(&mistakes);
    check_write_conf(str_of(text));
    s = settings_load("conf.yaml", NULL, &mistakes);
    assert_non_null(s);
    m = s->models.items;
    check_str(m->prompt_price, "0");
    check_str(m->completion_price, "0");
    assert_int_equal(settings_price(m->prompt_price), 0);
    settings_free(s);
}

/* A text in the file, and how a mistake shows it. */
TEST(what_is_no_price_is_told)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        { "cheap", "cheap" },
        { "-1", "-1" },
        { "+1", "+1" },
        { ".5", ".5" },
        { "1.", "1." },
        { ".", "." },
        { "''", "" },
        { "1.2.3", "1.2.3" },
        { "'1,5'", "1,5" },
        { "1e3", "1e3" },
        { "0x10", "0x10" },
        { "$1", "$1" },
        { "'1 '", "1 " },
        { "' 1'", " 1" },
        { "0.1234567", "0.1234567" },
        { "1000000000", "1000000000" },
        { "99999999999999999999", "99999999999999999999" },
    };
    char want[300];

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_that(!load_priced(rows[i].text, "1"), "%s", rows[i].text);
        snprintf(want, sizeof want,
                 "conf.yaml:5: models[0].prompt_price: expects a price (0.15), not \"%s\"\n",
                 rows[i].shown);
        check_same(buf_str(&mistakes), str_of(want));

        check_that(!load_priced("1", rows[i].text), "%s", rows[i].text);
        snprintf(want, sizeof want,
                 "conf.yaml:6: models[0].completion_price: expects a price (0.60), not \"%s\"\n",
                 rows[i].shown);
        check_same(buf_str(&mistakes), str_of(want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_price_is_read_in_millionths),
        cmocka_unit_test(without_a_price_it_costs_nothing),
        cmocka_unit_test(what_is_no_price_is_told),
    };
    int failed = cmocka_run_group_tests(tests, check_scratch_begin, check_scratch_end);

    buf_release(&mistakes);
    return failed;
}
