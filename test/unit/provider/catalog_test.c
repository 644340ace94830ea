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

TEST(models_know_their_prices)
{
    struct catalog *c =
        catalog_new(load("providers: [{name: e, kind: echo}]\n"
                         "models:\n"
                         "- {name: dear, prompt_price: 2.5, completion_price: 10.000001,"
                         " targets: [{provider: e}]}\n"
                         "- {name: free, targets: [{provider: e}]}\n"));

    assert_int_equal(catalog_find(c, STR("dear"))->prompt_price, 2500000);
    assert_int_equal(catalog_find(c, STR("dear"))->completion_price, 10000001);
    assert_int_equal(catalog_find(c, STR("free"))->prompt_price, 0);
    assert_int_equal(catalog_find(c, STR("free"))->completion_price, 0);
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

/* ---- the ways to the providers ------------------------------------------------------------ */

enum { CONF_MAX = 1000 };

/* What is found wrong with one provider of these settings. */
static void check_mistakes(const char *provider, const char *want)
{
    struct buf       mistakes = BUF(10000);
    char             text[CONF_MAX];
    size_t           before = mem_live_bytes();
    struct settings *s;

    snprintf(text, sizeof text, "providers:\n- {name: fine, kind: echo}\n- {name: a, kind: %s}\n",
             provider);
    s = load(text);
    catalog_find_mistakes(s, "conf.yaml", &mistakes);
    check_text(buf_str(&mistakes), want);
    settings_free(s);
    buf_release(&mistakes);
    assert_int_equal(mem_live_bytes(), before);
}

TEST(addresses_that_can_be_read_are_no_mistake)
{
    static const char *const good[] = {
        "echo",
        "openai",
        "openai, base_url: 'http://h'",
        "openai, base_url: 'http://h:1/v1/'",
        "openai, base_url: 'http://127.0.0.1:65535'",
        "openai, base_url: 'http://[::1]:8080/v1'",
        "openai, base_url: 'http://[::1]'",
        "openai, base_url: 'http://h', proxy: 'http://p:3128'",
        "openai, base_url: 'http://h', proxy: 'http://p:3128/'",
        "openai, base_url: 'http://h', proxy: 'http://[::1]:3128'",
        "openai, base_url: 'http://h', proxy: 'http://user:password@p:3128'",
        "openai, base_url: 'http://h', proxy: 'http://user:p@ss:w/rd@[::1]:3128'",
        "openai, base_url: 'http://h', proxy: 'http://user@p'",
        "openai, base_url: 'http://h', ca_file: not-read-without-tls.pem",
    };

    for (size_t i = 0; i < COUNT(good); i++)
        check_mistakes(good[i], "");
}

TEST(others_are_told_with_their_line_and_member)
{
    static const char *const urls[] = { "http://h:0", "http://h:65536", "http://h:", "http://h:x",
                                        "http://a@h", "http://[::1",    "http://:80" };
    static const char *const proxies[] = { "http://p:0",    "http://p:65536", "http://p:3128/path",
                                           "http://u:p@",   "http://u:p@p:",  "http://u:p@:80",
                                           "http://@",      "http://u:p@h/x", "http://[::1",
                                           "http://a/b@c/d" };
    char                     text[CONF_MAX];

    for (size_t i = 0; i < COUNT(urls); i++) {
        snprintf(text, sizeof text, "openai, base_url: '%s'", urls[i]);
        check_mistakes(text, "conf.yaml:3: providers[1].base_url: this address cannot be read\n");
    }
    for (size_t i = 0; i < COUNT(proxies); i++) {
        snprintf(text, sizeof text, "openai, base_url: 'http://h', proxy: '%s'", proxies[i]);
        check_mistakes(text, "conf.yaml:3: providers[1].proxy: this address cannot be read\n");
    }
}

TEST(certificates_that_are_not_there_are_a_mistake)
{
    struct buf       mistakes = BUF(10000);
    struct settings *s = load("providers:\n- {name: a, kind: openai, base_url: 'https://h', "
                              "ca_file: no-such-file.pem}\n");

    catalog_find_mistakes(s, "conf.yaml", &mistakes);
    assert_true(check_has(buf_str(&mistakes), STR("conf.yaml:2: providers[0].ca_file: ")));
    assert_true(check_has(buf_str(&mistakes), STR("no-such-file.pem")));
    settings_free(s);
    buf_release(&mistakes);
}

TEST(what_comes_before_the_proxy_s_name_opens_it)
{
    static const struct {
        const char *proxy;
        struct str  host, credentials;
        uint16_t    port;
    } rows[] = {
        { "http://p:3128", STR_INIT("p"), STR_INIT(""), 3128 },
        { "http://p", STR_INIT("p"), STR_INIT(""), 80 },
        { "http://user:password@p:3128", STR_INIT("p"), STR_INIT("dXNlcjpwYXNzd29yZA=="), 3128 },
        { "http://user@p:1", STR_INIT("p"), STR_INIT("dXNlcg=="), 1 },
        { "http://user:@[::1]:8", STR_INIT("::1"), STR_INIT("dXNlcjo="), 8 },
        { "http://u:a@b/c:d@p:9", STR_INIT("p"), STR_INIT("dTphQGIvYzpk"), 9 },
    };
    char text[CONF_MAX];

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct catalog   *c;
        const struct way *w;

        snprintf(text, sizeof text,
                 "providers: [{name: a, kind: openai, base_url: 'http://h', proxy: '%s'}]\n",
                 rows[i].proxy);
        c = catalog_new(load(text));
        w = &c->providers[0].way;
        check_str(w->host, "h");
        check_same(w->proxy_host, rows[i].host);
        check_same(w->proxy_credentials, rows[i].credentials);
        assert_int_equal(w->proxy_port, rows[i].port);
        catalog_drop(c);
    }
}

/* ---- what outlives a generation ---------------------------------------------------------- */

TEST(a_standing_goes_on_in_the_next_catalog_with_its_limits)
{
    struct catalog *old = catalog_new(load(
        "providers: [{name: a, kind: echo, max_streams: 3, max_waiting: 7}]\n"
        "models: [{name: m, targets: [{provider: a, max_streams: 2}, {provider: a, model: n}]}]\n"));
    struct catalog *new;
    struct standing *one = old->models[0].targets[0].standing;
    struct standing *other = old->models[0].targets[1].standing;

    assert_ptr_not_equal(one, other);
    assert_int_equal(one->gate.max, 2);
    assert_int_equal(other->gate.max, UINT64_MAX);
    assert_int_equal(old->providers[0].standing->gate.max, 3);
    assert_int_equal(one->gate.max_waiting, 7);
    new = catalog_new(load("providers: [{name: a, kind: echo, max_waiting: 9}]\n"
                           "models: [{name: x, targets: [{provider: a, model: m}]}]\n"));
    assert_ptr_equal(new->models[0].targets[0].standing, one);
    assert_ptr_equal(new->providers[0].standing, old->providers[0].standing);
    assert_int_equal(one->gate.max, UINT64_MAX);
    assert_int_equal(one->gate.max_waiting, 9);
    one->failures = 4;
    catalog_drop(old);
    assert_int_equal(new->models[0].targets[0].standing->failures, 4);
    catalog_drop(new);
}

TEST(every_key_is_in_the_pool)
{
    struct catalog *c = catalog_new(
        load("providers:\n"
             "- {name: a, kind: openai, base_url: 'http://h', api_key: k1, more_keys: [k2, k3]}\n"
             "- {name: b, kind: openai, base_url: 'http://h'}\n"));

    assert_int_equal(c->providers[0].n_keys, 3);
    check_str(c->providers[0].keys[0].text, "k1");
    check_str(c->providers[0].keys[1].text, "k2");
    check_str(c->providers[0].keys[2].text, "k3");
    assert_int_equal(c->providers[1].n_keys, 1);
    check_str(c->providers[1].keys[0].text, "");
    catalog_drop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_know_their_targets_in_order),
        cmocka_unit_test(models_know_their_prices),
        cmocka_unit_test(providers_are_shared_between_models),
        cmocka_unit_test(a_name_must_be_exactly_right),
        cmocka_unit_test(it_is_from_now),
        cmocka_unit_test(there_may_be_nobody_to_ask),
        cmocka_unit_test(the_last_owner_frees_it_with_its_settings),
        cmocka_unit_test(addresses_that_can_be_read_are_no_mistake),
        cmocka_unit_test(others_are_told_with_their_line_and_member),
        cmocka_unit_test(certificates_that_are_not_there_are_a_mistake),
        cmocka_unit_test(what_comes_before_the_proxy_s_name_opens_it),
        cmocka_unit_test(a_standing_goes_on_in_the_next_catalog_with_its_limits),
        cmocka_unit_test(every_key_is_in_the_pool),
    };

    return cmocka_run_group_tests(tests, check_scratch_begin, check_scratch_end);
}
