#include "check.h"

#include "base/clock.h"
#include "base/settings.h"

static struct buf mistakes = { .limit = 1 << 20 };

/* NULL in place of the file: none. Free it with settings_free(). */
static struct settings *load(const char *file, const char *set)
{
    const char *const overrides[] = { set, NULL };

    buf_clear(&mistakes);
    if (file)
        check_write_conf(str_of(file));
    return settings_load(file ? "conf.yaml" : NULL, overrides, &mistakes);
}

static struct settings *good(const char *file, const char *set)
{
    struct settings *s = load(file, set);

    check_str(buf_str(&mistakes), "");
    assert_non_null(s);
    return s;
}

TEST(without_a_file_everything_has_its_default)
{
    struct settings *s = good(NULL, NULL);

    check_str(s->listen, "127.0.0.1:8080");
    assert_int_equal(s->log_level, 1);
    assert_int_equal(s->log_format, 0);
    assert_int_equal(s->http.max_connections, 10000);
    assert_int_equal(s->http.max_requests_per_connection, 10000);
    assert_int_equal(s->http.max_header_bytes, 16 << 10);
    assert_int_equal(s->http.max_headers, 100);
    assert_int_equal(s->http.max_uri_bytes, 8 << 10);
    assert_int_equal(s->http.max_body_bytes, 8 << 20);
    assert_int_equal(s->http.header_timeout, 10 * CLOCK_S);
    assert_int_equal(s->http.body_timeout, 60 * CLOCK_S);
    assert_int_equal(s->http.idle_timeout, 75 * CLOCK_S);
    assert_int_equal(s->http.write_timeout, 30 * CLOCK_S);
    assert_int_equal(s->http.linger_timeout, 5 * CLOCK_S);
    assert_int_equal(s->http.trusted_proxies.n, 0);
    check_str(s->http.request_id_header, "x-request-id");
    assert_int_equal(s->http.cors_origins.n, 0);
    assert_int_equal(s->stream.commit_after, 1 * CLOCK_S);
    assert_int_equal(s->stream.heartbeat, 15 * CLOCK_S);
    assert_int_equal(s->stream.queue_bytes, 64 << 10);
    assert_int_equal(s->turns.max_running, 10000);
    assert_int_equal(s->turns.max_waiting, 1000);
    assert_int_equal(s->turns.max_wait, 1 * CLOCK_S);
    assert_int_equal(s->turns.max_time, 600 * CLOCK_S);
    assert_int_equal(s->database.url.n, 0);
    assert_int_equal(s->database.connections, 4);
    assert_int_equal(s->database.max_waiting, 10000);
    assert_int_equal(s->database.connect_timeout, 3 * CLOCK_S);
    assert_true(s->database.prepares);
    assert_int_equal(s->access.jwt_algorithm, ACCESS_HS256);
    assert_int_equal(s->access.jwt_key.n, 0);
    check_str(s->access.jwt_tenant_claim, "tenant");
    assert_int_equal(s->access.keys.n, 0);
    assert_int_equal(s->access.new_accounts, ACCESS_PENDING);
    assert_int_equal(s->access.cache, 5 * CLOCK_S);
    assert_int_equal(s->access.max_failures, 60);
    check_str(s->xcx.wechat.app_id, "");
    check_str(s->xcx.wechat.base_url, "https://api.weixin.qq.com");
    check_str(s->xcx.wechat.tenant, "default");
    assert_int_equal(s->xcx.wechat.timeout, 5 * CLOCK_S);
    assert_int_equal(s->xcx.wechat.new_accounts, WECHAT_NEW_AS_ACCESS);
    assert_int_equal(s->xcx.wechat.token_lifetime, 7200 * CLOCK_S);
    assert_int_equal(s->xcx.wechat.refresh_lifetime, 30 * 86400 * CLOCK_S);
    assert_false(s->xcx.dev_login || s->xcx.content_check);
    assert_int_equal(s->xcx.content_check_failing, CONTENT_CHECK_FAILS_CLOSED);
    assert_int_equal(s->dbgpt.api_keys.n, 0);
    assert_int_equal(s->dbgpt.language, DBGPT_EN);
    assert_int_equal(s->dbgpt.incremental_form, DBGPT_TEXT);
    assert_true(s->dbgpt.stream_default && !s->dbgpt.extra_members);
    assert_int_equal(s->dbgpt.on_leave, LEAVING_DETACHES);
    assert_int_equal(s->drain_seconds, 25 * CLOCK_S);
    settings_free(s);
    settings_free(NULL);
}

static void check_echo(const struct settings *s)
{
    const struct provider_settings *p = s->providers.items;
    const struct model_settings    *m = s->models.items;
    const struct target_settings   *t;

    assert_int_equal(s->providers.n, 1);
    check_str(p->name, "echo");
    assert_int_equal(p->kind, PROVIDER_ECHO);
    assert_int_equal(p->tokens_per_second, 50);
    assert_int_equal(p->max_streams, 0);
    assert_int_equal(s->models.n, 1);
    check_str(m->name, "echo");
    assert_int_equal(m->targets.n, 1);
    t = m->targets.items;
    check_str(t->provider, "echo");
    assert_int_equal(t->model.n, 0);
}

TEST(settings_that_name_nobody_have_an_echo)
{
    static const char *const files[] = { NULL, "", "listen: 127.0.0.1:0\n",
                                         "providers: []\nmodels: []\n" };

    for (size_t i = 0; i < COUNT(files); i++) {
        struct settings *s = good(files[i], NULL);

        check_echo(s);
        settings_free(s);
    }
}

TEST(whoever_names_providers_or_models_gets_those_and_no_echo)
{
    struct settings *s = good("providers: [{name: echo, kind: echo}]\n", NULL);

    assert_int_equal(s->providers.n, 1);
    assert_int_equal(s->models.n, 0);
    settings_free(s);
    assert_null(load("models: [{name: m, targets: [{provider: echo}]}]\n", NULL));
    check_buf(&mistakes,
              "conf.yaml:1: models[0].targets[0].provider: there is no provider named \"echo\"\n");
}

TEST(everything_can_be_set_in_the_file)
{
    struct settings *s = good(
        "listen: '[::1]:0'\n"
        "log: {level: debug, format: json}\n"
        "http:\n"
        "  {max_connections: 1, max_requests_per_connection: 2, max_header_bytes: 2KiB, max_headers: 9,\n"
        "   max_uri_bytes: 100, max_body_bytes: 1MiB, header_timeout: 100ms, body_timeout: 2,\n"
        "   idle_timeout: 3s, write_timeout: 1m, linger_timeout: 10ms,\n"
        "   trusted_proxies: [10.0.0.0/8, '::1'], request_id_header: x-trace,\n"
        "   cors_origins: ['https://a.example', 'http://localhost:3000']}\n"
        "stream: {commit_after: 0, heartbeat: 1s, queue_bytes: 4KiB}\n"
        "turns: {max_running: 1, max_waiting: 0, max_wait: 0, max_time: 1h, max_answer_bytes: 1KiB}\n"
        "drain_seconds: 0\n"
        "providers: [{name: e, kind: echo, tokens_per_second: 0, max_streams: 5}]\n"
        "models:\n"
        "- {name: a/b, class: local_small, targets: [{provider: e}, {provider: e, model: real}]}\n"
        "- {name: c, targets: [{provider: e}]}\n",
        NULL);
    const struct model_settings  *m = s->models.items;
    const struct target_settings *t = m->targets.items;

    check_str(s->listen, "[::1]:0");
    assert_true(s->log_level == 0 && s->log_format == 1);
    assert_true(s->http.max_connections == 1 && s->http.max_requests_per_connection == 2);
    assert_true(s->http.max_header_bytes == 2048 && s->http.max_headers == 9);
    assert_true(s->http.max_uri_bytes == 100 && s->http.max_body_bytes == 1 << 20);
    assert_true(s->http.header_timeout == 100 * CLOCK_MS && s->http.body_timeout == 2 * CLOCK_S);
    assert_true(s->http.idle_timeout == 3 * CLOCK_S && s->http.write_timeout == 60 * CLOCK_S);
    assert_true(s->http.linger_timeout == 10 * CLOCK_MS);
    check_str(s->http.trusted_proxies.items[1], "::1");
    check_str(s->http.request_id_header, "x-trace");
    check_str(s->http.cors_origins.items[1], "http://localhost:3000");
    assert_true(s->stream.commit_after == 0 && s->stream.heartbeat == CLOCK_S);
    assert_true(s->stream.queue_bytes == 4096);
    assert_true(s->turns.max_running == 1 && s->turns.max_waiting == 0 && s->turns.max_wait == 0);
    assert_true(s->turns.max_time == 3600 * CLOCK_S && s->turns.max_answer_bytes == 1024);
    assert_int_equal(s->drain_seconds, 0);
    assert_int_equal(((const struct provider_settings *)s->providers.items)->tokens_per_second, 0);
    assert_int_equal(((const struct provider_settings *)s->providers.items)->max_streams, 5);
    assert_true(m[0].class == 0 && m[1].class == 3 && m[0].targets.n == 2);
    check_str(m[0].name, "a/b");
    check_str(t[1].model, "real");
    settings_free(s);
}

TEST(the_environment_has_a_name_for_every_setting_outside_lists)
{
    struct settings *s;

    setenv("RUNNEL_LISTEN", "127.0.0.1:1", 1);
    setenv("RUNNEL_LOG_LEVEL", "error", 1);
    setenv("RUNNEL_HTTP_IDLE_TIMEOUT", "7s", 1);
    setenv("RUNNEL_HTTP_TRUSTED_PROXIES", "10.0.0.1, ::1", 1);
    setenv("RUNNEL_STREAM_HEARTBEAT", "8s", 1);
    setenv("RUNNEL_TURNS_MAX_RUNNING", "9", 1);
    setenv("RUNNEL_DRAIN_SECONDS", "1", 1);
    s = load("http: {idle_timeout: 3s}\nlisten: 127.0.0.1:2\n", "listen=127.0.0.1:3");
    unsetenv("RUNNEL_LISTEN");
    unsetenv("RUNNEL_LOG_LEVEL");
    unsetenv("RUNNEL_HTTP_IDLE_TIMEOUT");
    unsetenv("RUNNEL_HTTP_TRUSTED_PROXIES");
    unsetenv("RUNNEL_STREAM_HEARTBEAT");
    unsetenv("RUNNEL_TURNS_MAX_RUNNING");
    unsetenv("RUNNEL_DRAIN_SECONDS");
    check_buf(&mistakes, "");
    check_str(s->listen, "127.0.0.1:3");
    assert_int_equal(s->log_level, 3);
    assert_int_equal(s->http.idle_timeout, 7 * CLOCK_S);
    check_str(s->http.trusted_proxies.items[1], "::1");
    assert_int_equal(s->stream.heartbeat, 8 * CLOCK_S);
    assert_int_equal(s->turns.max_running, 9);
    assert_int_equal(s->drain_seconds, CLOCK_S);
    settings_free(s);
}

TEST(each_mistake_is_told_and_nothing_is_loaded)
{
    static const struct {
        const char *file, *mistakes;
    } rows[] = {
        { "listen: localhost:80\n",
          "conf.yaml:1: listen: expects an address and port (127.0.0.1:8080, [::1]:8080), not "
          "\"localhost:80\"\n" },
        { "log:\n  level: verbose\n",
          "conf.yaml:2: log.level: \"verbose\" is not one of debug, info, warn, error\n" },
        { "http: {trusted_proxies: [10.0.0.0/33]}\n",
          "conf.yaml:1: http.trusted_proxies[0]: expects addresses or blocks (10.0.0.0/8, ::1), not "
          "\"10.0.0.0/33\"\n" },
        { "http: {request_id_header: X-Request-Id}\n",
          "conf.yaml:1: http.request_id_header: expects a header name in lower case, not "
          "\"X-Request-Id\"\n" },
        { "http: {cors_origins: ['*', 'https://a.example']}\n",
          "conf.yaml:1: http.cors_origins: \"*\" must stand alone\n" },
        { "http: {cors_origins: ['https://a.example', '*']}\n",
          "conf.yaml:1: http.cors_origins: \"*\" must stand alone\n" },
        { "http: {idle_timout: 5s}\n",
          "conf.yaml:1: http.idle_timout: there is no such setting\n" },
        { "providers:\n- {name: a, kind: echo}\n- {name: b, kind: echo}\n- {name: a, kind: echo}\n",
          "conf.yaml:4: providers[2].name: \"a\" is the name of providers[0] already\n" },
        { "providers:\n- {name: a}\n", "conf.yaml:2: providers[0].kind: is missing\n" },
        { "providers:\n- {kind: oracle, name: a}\n",
          "conf.yaml:2: providers[0].kind: \"oracle\" is not one of echo" },
        { "providers:\n- {name: 'a b', kind: echo}\n",
          "conf.yaml:2: providers[0].name: expects a name without spaces, not \"a b\"\n" },
        { "providers: [{name: e, kind: echo}]\nmodels:\n- {name: m, targets: [{provider: e}]}\n"
          "- name: m\n  targets: [{provider: e}]\n",
          "conf.yaml:4: models[1].name: \"m\" is the name of models[0] already\n" },
        { "providers: [{name: e, kind: echo}]\nmodels:\n- {name: m, targets: []}\n",
          "conf.yaml:3: models[0].targets: needs at least one\n" },
        { "providers: [{name: e, kind: echo}]\nmodels:\n- name: m\n",
          "conf.yaml:3: models[0].targets: is missing\n" },
        { "providers: [{name: e, kind: echo}]\nmodels:\n- name: m\n  targets:\n",
          "conf.yaml:3: models[0].targets: is missing\n" },
        { "providers: [{name: e, kind: echo}]\nmodels:\n- name: m\n  targets:\n  - provider: e\n"
          "  - provider: f\n",
          "conf.yaml:6: models[0].targets[1].provider: there is no provider named \"f\"\n" },
        { "providers: [{name: e, kind: echo}]\nmodels:\n- {name: m, targets: [{}]}\n",
          "conf.yaml:3: models[0].targets[0].provider: is missing\n" },
        { "drain_seconds: 2h\nturns: {max_running: 0}\n",
          "conf.yaml:1: drain_seconds: \"2h\" is out of range (0 to 1h)\n"
          "conf.yaml:2: turns.max_running: \"0\" is out of range (1 to 1000000)\n" },
        { "providers:\n- {name: a, kind: echo}\n- {name: a, kind: echo}\n- {kind: echo}\n"
          "models: [{name: m, targets: [{provider: b}]}]\nlog: {x: 1}\n",
          "conf.yaml:4: providers[2].name: is missing\n"
          "conf.yaml:6: log.x: there is no such setting\n"
          "conf.yaml:3: providers[1].name: \"a\" is the name of providers[0] already\n"
          "conf.yaml:5: models[0].targets[0].provider: there is no provider named \"b\"\n" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_null(load(rows[i].file, NULL));
        /* The kinds that follow "echo" are no business of this test. */
        if (mistakes.n && rows[i].mistakes[strlen(rows[i].mistakes) - 1] != '\n')
            mistakes.n =
                mistakes.n < strlen(rows[i].mistakes) ? mistakes.n : strlen(rows[i].mistakes);
        check_same(buf_str(&mistakes), str_of(rows[i].mistakes));
    }
}

/* What may be a secret is told without it. */
TEST(mistakes_in_secrets_do_not_show_them)
{
    static const struct {
        const char *file, *mistakes;
    } rows[] = {
        { "database: {url: sekret}\n",
          "conf.yaml:1: database.url: expects a connection string "
          "(postgresql://user:password@host/name), not what is there\n" },
        { "access: {keys: [good, 'sekret \xc3\xa9']}\n",
          "conf.yaml:1: access.keys[1]: expects visible ASCII, not what is there\n" },
        { "providers:\n- {name: a, kind: echo, api_key: 'sekret \xc3\xa9'}\n",
          "conf.yaml:2: providers[0].api_key: expects visible ASCII, not what is there\n" },
        { "access: {jwt_key_file: nowhere}\n",
          "conf.yaml: access.jwt_key_file: the file cannot be read: No such file or directory\n" },
        { "access: {jwt_key_file: .}\n",
          "conf.yaml: access.jwt_key_file: the file cannot be read: Is a directory\n" },
        { "access: {jwt_key_file: /dev/null}\n",
          "conf.yaml: access.jwt_key_file: the file cannot be read: it is empty\n" },
        { "access: {jwt_key_file: /dev/zero}\n",
          "conf.yaml: access.jwt_key_file: the file cannot be read: it is too large\n" },
        { "access: {jwt_key_file: conf.yaml, jwt_key: sekret}\n",
          "conf.yaml: access.jwt_key_file: access.jwt_key is given already\n" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_null(load(rows[i].file, NULL));
        check_same(buf_str(&mistakes), str_of(rows[i].mistakes));
    }
}

TEST(the_database_and_those_who_ask_are_what_they_must_be)
{
    static const struct {
        const char *set;
        bool        good;
    } rows[] = {
        { "database.url=postgresql:///runnel", true },
        { "database.url=postgres://u:p@h:5433/d?sslmode=require", true },
        { "database.url=host=h dbname=d", true },
        { "database.url=", true },
        { "database.url=mysql://h/d", false },
        { "database.connections=0", false },
        { "database.connections=101", false },
        { "database.prepares=false", true },
        { "database.prepares=no", false },
        { "access.jwt_algorithm=none", false },
        { "access.jwt_algorithm=ES256", true },
        { "access.jwt_tenant_claim=", false },
        { "access.new_accounts=approved", true },
        { "access.new_accounts=rejected", false },
        { "access.keys=a,b", true },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct settings *s = load(NULL, rows[i].set);

        check_that((s != NULL) == rows[i].good, "%s", rows[i].set);
        settings_free(s);
    }
}

/* The settings themselves are a file like any other. */
TEST(the_key_of_tokens_may_be_in_a_file)
{
    struct settings *s = good("access: {jwt_key_file: conf.yaml}\n\n", NULL);

    check_str(s->access.jwt_key, "access: {jwt_key_file: conf.yaml}");
    settings_free(s);
}

/* What a log-in needs, and who may not have the one for trying things out. */
#define SIGNS  "access: {jwt_key: 0123456789abcdef0123456789abcdef}\n"
#define KEEPS  "database: {url: \"postgresql:///x\"}\n"
#define WECHAT "dialects: {xcx: {wechat: {app_id: wx1, app_secret: s}}}\n"
#define DEV    "dialects: {xcx: {dev_login: true}}\n"
#define ABOUT  "conf.yaml: dialects.xcx."

TEST(a_log_in_has_what_it_needs)
{
    static const struct {
        const char *file, *mistakes;
    } rows[] = {
        { SIGNS KEEPS WECHAT, "" },
        { SIGNS KEEPS DEV, "" },
        { SIGNS KEEPS DEV "listen: 127.9.9.9:0\n", "" },
        { SIGNS KEEPS DEV "listen: \"[::1]:80\"\n", "" },
        { SIGNS KEEPS WECHAT "listen: 0.0.0.0:80\n", "" },
        { SIGNS KEEPS DEV "listen: 0.0.0.0:80\n",
          ABOUT "dev_login: anybody could log in as anybody: listen must be a loopback address for "
                "it\n" },
        { SIGNS KEEPS DEV "listen: \"[::]:80\"\n",
          ABOUT "dev_login: anybody could log in as anybody: listen must be a loopback address for "
                "it\n" },
        { KEEPS WECHAT,
          ABOUT "wechat.app_id: log-in signs tokens with access.jwt_key, which is empty\n" },
        { SIGNS DEV,
          ABOUT "dev_login: log-in keeps accounts in a database, and database.url is empty\n" },
        { "access: {jwt_key: k, jwt_algorithm: ES256}\n" KEEPS WECHAT,
          ABOUT "wechat.app_id: log-in signs tokens, which it can with access.jwt_algorithm HS256 "
                "only\n" },
        { SIGNS KEEPS "dialects: {xcx: {wechat: {app_id: wx1}}}\n",
          ABOUT "wechat.app_secret: it can't be empty with an app_id\n" },
        { SIGNS KEEPS "dialects: {xcx: {content_check: on}}\n",
          ABOUT "content_check: it asks WeChat, for which dialects.xcx.wechat needs an app_id\n" },
        { "dialects: {xcx: {wechat: {app_secret: \"a secret\"}}}\n",
          "conf.yaml:1: dialects.xcx.wechat.app_secret: expects up to 200 of visible ASCII, not "
          "what is there\n" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        settings_free(load(rows[i].file, NULL));
        check_text(buf_str(&mistakes), rows[i].mistakes);
    }
}

TEST(texts_are_what_they_must_be)
{
    static const struct {
        const char *set;
        bool        good;
    } rows[] = {
        { "listen=0.0.0.0:65535", true },
        { "listen=", false },
        { "http.request_id_header=x-trace-9", true },
        { "http.request_id_header=", false },
        { "http.request_id_header=x_y", false },
        { "http.request_id_header=x: y", false },
        { "http.request_id_header=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          true },
        { "http.request_id_header=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          false },
        { "http.cors_origins=*", true },
        { "http.cors_origins=https://a.example:8443", true },
        { "http.cors_origins=http://[::1]:80,https://b", true },
        { "http.cors_origins=https://", false },
        { "http.cors_origins=https://a.example/", false },
        { "http.cors_origins=ftp://a.example", false },
        { "http.cors_origins=a.example", false },
        { "http.cors_origins=https://a b", false },
        { "http.cors_origins=*,https://a.example", false },
        { "http.trusted_proxies=", true },
        { "http.trusted_proxies=10.0.0.1,fe80::/10", true },
        { "http.trusted_proxies=10.0.0.1:80", false },
        { "http.max_headers=1000", true },
        { "http.max_headers=1001", false },
        { "http.max_body_bytes=1GiB", true },
        { "http.max_body_bytes=1025MiB", false },
        { "stream.commit_after=0", true },
        { "stream.commit_after=25h", false },
        { "stream.heartbeat=9ms", false },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct settings *s = load(NULL, rows[i].set);

        check_that((s != NULL) == rows[i].good, "%s", rows[i].set);
        assert_int_equal(mistakes.n == 0, rows[i].good);
        settings_free(s);
    }
}

TEST(sessions_are_answered_by_models_that_are_there)
{
    static const char models[] = "providers: [{name: e, kind: echo}]\n"
                                 "models: [{name: m, targets: [{provider: e}]}]\n";
    static const struct {
        const char *set, *why;
    } rows[] = {
        { "dialects.session.model=m", NULL },
        { "dialects.session.model=auto", NULL },
        { "dialects.session.model=n", "dialects.session.model: there is no model named \"n\"" },
        { "dialects.session.title_model=m", NULL },
        { "dialects.session.title_model=auto",
          "dialects.session.title_model: there is no model named \"auto\"" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings *s = load(models, rows[i].set);

        check_that((s != NULL) == !rows[i].why, "%s", rows[i].set);
        check_that(!rows[i].why || check_has(buf_str(&mistakes), str_of(rows[i].why)), "%.*s",
                   STR_ARG(buf_str(&mistakes)));
        settings_free(s);
    }
}

TEST(settings_are_given_back_whole)
{
    size_t before;

    buf_release(&mistakes);
    before = mem_live_bytes();
    settings_free(good("providers: [{name: a, kind: echo}]\nhttp: {cors_origins: ['*']}\n", NULL));
    buf_release(&mistakes);
    assert_int_equal(mem_live_bytes(), before);
    assert_null(load("providers: [{name: a, kind: x}]\n", "listen=x"));
    buf_release(&mistakes);
    assert_int_equal(mem_live_bytes(), before);
}

/* Every setting that operators have been promised, and how its variable is called. */
static const char *const promised[] = {
    "listen",
    "log.level",
    "log.format",
    "http.max_connections",
    "http.max_requests_per_connection",
    "http.max_header_bytes",
    "http.max_headers",
    "http.max_uri_bytes",
    "http.max_body_bytes",
    "http.header_timeout",
    "http.body_timeout",
    "http.idle_timeout",
    "http.write_timeout",
    "http.linger_timeout",
    "http.trusted_proxies",
    "http.request_id_header",
    "http.cors_origins",
    "stream.commit_after",
    "stream.heartbeat",
    "stream.queue_bytes",
    "turns.max_running",
    "turns.max_waiting",
    "turns.max_wait",
    "turns.max_time",
    "database.url",
    "database.connections",
    "database.max_waiting",
    "database.connect_timeout",
    "database.prepares",
    "access.jwt_algorithm",
    "access.jwt_key",
    "access.jwt_key_file",
    "access.jwt_issuer",
    "access.jwt_audience",
    "access.jwt_tenant_claim",
    "access.keys",
    "access.new_accounts",
    "access.cache",
    "access.max_failures_per_minute",
    "dialects.xcx.wechat.app_id",
    "dialects.xcx.wechat.app_secret",
    "dialects.xcx.wechat.base_url",
    "dialects.xcx.wechat.ca_file",
    "dialects.xcx.wechat.timeout",
    "dialects.xcx.wechat.tenant",
    "dialects.xcx.wechat.new_accounts",
    "dialects.xcx.wechat.token_lifetime",
    "dialects.xcx.wechat.refresh_lifetime",
    "dialects.xcx.dev_login",
    "dialects.xcx.content_check",
    "dialects.xcx.content_check_failing",
    "drain_seconds",
    "providers",
    "providers[].name",
    "providers[].kind",
    "providers[].max_streams",
    "providers[].tokens_per_second",
    "models",
    "models[].name",
    "models[].class",
    "models[].targets",
    "models[].targets[].provider",
    "models[].targets[].model",
};

TEST(help_and_markdown_hold_every_setting)
{
    struct buf help = BUF(1 << 16), table = BUF(1 << 16);

    settings_write_help(&help);
    settings_write_markdown(&table);
    for (size_t i = 0; i < COUNT(promised); i++) {
        char row[100];

        snprintf(row, sizeof row, "\n  %s ", promised[i]);
        check_that(check_has(buf_str(&help), str_of(row)) || i == 0, "%s in the help", promised[i]);
        snprintf(row, sizeof row, "\n| `%s` |", promised[i]);
        check_that(check_has(buf_str(&table), str_of(row)), "%s in the table", promised[i]);
    }
    assert_true(str_starts(buf_str(&help), STR("  listen = 127.0.0.1:8080  (")));
    assert_true(check_has(buf_str(&table),
                          STR("| `http.idle_timeout` | `RUNNEL_HTTP_IDLE_TIMEOUT` | `75s` |")));
    assert_true(check_has(buf_str(&table), STR("| `providers[].name` |  |  |")));
    assert_false(help.over || table.over);
    buf_release(&help);
    buf_release(&table);
}

TEST(queries_stand_in_the_order_of_the_file)
{
    struct settings *s = good("dialects:\n xcx:\n  page_bytes: 1KiB\n  lookup_timeout: 300ms\n"
                              "  pages:\n  - {page: task-detail, sql: 'SELECT :page'}\n"
                              "  - page: '*'\n    sql: 'SELECT :user_id'\n"
                              "  cards: [{context: customer, type: record, sql: 'SELECT 1'}]\n"
                              "  names: [{context: task, sql: 'SELECT :context_ids'}]\n",
                              NULL);
    const struct lookup_settings *l = &s->xcx.lookups;
    const struct query_settings  *pages = l->pages.items, *card = l->cards.items;
    const struct query_settings  *name = l->names.items;

    assert_int_equal(l->page_bytes, 1024);
    assert_int_equal(l->timeout, 300 * CLOCK_MS);
    assert_int_equal(l->pages.n, 2);
    check_str(pages[0].of, "task-detail");
    check_str(pages[0].sql, "SELECT :page");
    check_str(pages[1].of, "*");
    assert_int_equal(pages[1].line, 7);
    assert_int_equal(l->cards.n, 1);
    check_str(card->of, "customer");
    check_str(card->type, "record");
    assert_int_equal(l->names.n, 1);
    check_str(name->of, "task");
    check_str(name->sql, "SELECT :context_ids");
    settings_free(s);

    s = good(NULL, NULL);
    assert_int_equal(s->xcx.lookups.pages.n, 0);
    assert_int_equal(s->xcx.lookups.page_bytes, 4096);
    assert_int_equal(s->xcx.lookups.timeout, 2 * CLOCK_S);
    settings_free(s);
}

TEST(a_query_out_of_the_environment_is_not_shown)
{
    setenv("TEST_QUERY", "SELECT :secret", 1);
    assert_null(load("dialects:\n xcx:\n  pages:\n  - page: a\n    sql: ${TEST_QUERY}\n", NULL));
    check_buf(&mistakes, "conf.yaml:5: dialects.xcx.pages[0].sql: the value of a variable will "
                         "not do\n");
    unsetenv("TEST_QUERY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_everything_has_its_default),
        cmocka_unit_test(settings_that_name_nobody_have_an_echo),
        cmocka_unit_test(whoever_names_providers_or_models_gets_those_and_no_echo),
        cmocka_unit_test(everything_can_be_set_in_the_file),
        cmocka_unit_test(the_environment_has_a_name_for_every_setting_outside_lists),
        cmocka_unit_test(each_mistake_is_told_and_nothing_is_loaded),
        cmocka_unit_test(mistakes_in_secrets_do_not_show_them),
        cmocka_unit_test(the_database_and_those_who_ask_are_what_they_must_be),
        cmocka_unit_test(the_key_of_tokens_may_be_in_a_file),
        cmocka_unit_test(a_log_in_has_what_it_needs),
        cmocka_unit_test(texts_are_what_they_must_be),
        cmocka_unit_test(sessions_are_answered_by_models_that_are_there),
        cmocka_unit_test(settings_are_given_back_whole),
        cmocka_unit_test(help_and_markdown_hold_every_setting),
        cmocka_unit_test(queries_stand_in_the_order_of_the_file),
        cmocka_unit_test(a_query_out_of_the_environment_is_not_shown),
    };
    int failed = cmocka_run_group_tests(tests, check_scratch_begin, check_scratch_end);

    buf_release(&mistakes);
    return failed;
}
