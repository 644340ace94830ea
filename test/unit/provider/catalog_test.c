#include "check.h"

#include "provider/catalog.h"

#include <time.h>

static struct settings *load(const char *text)
{
    struct buf       mistakes = BUF(10000);
    struct settings *s;

    check_write_conf(str_of(text));
    s = settings_load("conf.yaml", NULL, &mistakes);
    check_str(buf_str(&mistakes), "");
    buf_release(&mistakes);
    return s;
}

static const char *const conf =
    "providers:\n"
    "- {name: fast, kind: echo, tokens_per_second: 0}\n"
    "- {name: slow, kind: echo, tokens_per_second: 5}\n"
    "models:\n"
    "- {name: one, targets: [{provider: fast}]}\n"
    "- {name: org/two, targets: [{provider: slow, model: real}, {provider: fast}]}\n";

TEST(models_know_their_targets_in_order)
{
    struct catalog     *c = catalog_new(load(conf));
    const struct model *m = catalog_find(c, STR("org/two"));

    assert_int_equal(c->n_models, 2);
    check_str(m->name, "org/two");
    assert_int_equal(m->n_targets, 2);
    check_str(m->targets[0].provider->settings->name, "slow");
    assert_int_equal(m->targets[0].provider->settings->tokens_per_second, 5);
    check_str(m->targets[0].model, "real");
    check_str(m->targets[1].provider->settings->name, "fast");
    check_str(m->targets[1].model, "org/two");
    catalog_drop(c);
}

TEST(providers_are_shared_between_models)
{
    struct catalog  *c = catalog_new(load(conf));
    struct provider *fast = catalog_find(c, STR("one"))->targets[0].provider;

    assert_ptr_equal(fast, catalog_find(c, STR("org/two"))->targets[1].provider);
    assert_ptr_equal(fast->ops, &echo_provider);
    catalog_drop(c);
}

TEST(a_name_must_be_exactly_right)
{
    static const struct str others[] = { STR_INIT("ONE"), STR_INIT("on"), STR_INIT("one "),
                                         STR_INIT("two"), STR_INIT(""),   { NULL, 0 },
                                         STR_INIT("fast") };
    struct catalog         *c = catalog_new(load(conf));

    assert_non_null(catalog_find(c, STR("one")));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_null(catalog_find(c, others[i]));
    catalog_drop(c);
}

TEST(it_is_from_now)
{
    int64_t         before = (int64_t)time(NULL);
    struct catalog *c = catalog_new(load(conf));

    assert_true(c->created >= before - 1 && c->created <= (int64_t)time(NULL) + 1);
    catalog_drop(c);
}

TEST(there_may_be_nobody_to_ask)
{
    struct catalog *c = catalog_new(load("providers: [{name: a, kind: echo}]\n"));

    assert_int_equal(c->n_models, 0);
    assert_null(catalog_find(c, STR("a")));
    catalog_drop(c);
}

TEST(the_last_owner_frees_it_with_its_settings)
{
    size_t          before = mem_live_bytes();
    struct catalog *c = catalog_new(load(conf));

    assert_ptr_equal(catalog_retain(c), c);
    catalog_drop(c);
    check_str(catalog_find(c, STR("one"))->name, "one");
    catalog_retain(c);
    catalog_drop(c);
    assert_true(mem_live_bytes() > before);
    catalog_drop(c);
    assert_int_equal(mem_live_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_know_their_targets_in_order),
        cmocka_unit_test(providers_are_shared_between_models),
        cmocka_unit_test(a_name_must_be_exactly_right),
        cmocka_unit_test(it_is_from_now),
        cmocka_unit_test(there_may_be_nobody_to_ask),
        cmocka_unit_test(the_last_owner_frees_it_with_its_settings),
    };

    return cmocka_run_group_tests(tests, check_scratch_begin, check_scratch_end);
}
