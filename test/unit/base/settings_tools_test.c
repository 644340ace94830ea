#include "check.h"

#include "base/clock.h"
#include "base/settings.h"

static struct buf mistakes = { .limit = 1 << 20 };

static struct settings *load(const char *tool)
{
    static const char *const nothing[] = { NULL };
    char                     file[2000];

    buf_clear(&mistakes);
    snprintf(file, sizeof file, "tools:\n- {name: t, description: d, %s}\n", tool);
    check_write_conf(str_of(file));
    return settings_load("conf.yaml", nothing, &mistakes);
}

static void check_good(const char *tool)
{
    struct settings *s = load(tool);

    check_that(s, "%s: %.*s", tool, STR_ARG(buf_str(&mistakes)));
    settings_free(s);
}

static void check_bad(const char *tool, const char *words)
{
    struct settings *s = load(tool);

    check_that(!s, "%s is taken", tool);
    check_that(check_has(buf_str(&mistakes), str_of(words)), "%s: %.*s", tool,
               STR_ARG(buf_str(&mistakes)));
}

static const char *const bad_urls[] = {
    "example.com",
    "/path",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "data:text/plain,x",
    "HTTP://example.com/",
    "https://",
    "https:///path",
    "https://{host}/",
    "https://{tenant}.example.com/",
    "https://example.com{path}",
    "https://example.com:{port}/",
    "{scheme}://example.com/",
    "http{s}://example.com/",
    "https://{user}@example.com/",
    "https://user:password@example.com/",
    "https://user@example.com/",
    "https://example.com#@127.0.0.1/",
    "https://example.com/#part",
    "https://example.com\\\\@127.0.0.1/",
    "https://example.com/a\\\\b",
    "https://example.com/a b",
    "https://example.com/a\\tb",
    "https://example.com/a\\r\\nx-key: 1",
    "https://example.com./",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://[fe80::1%25eth0]/",
    "https://[::1/",
    "https://b\xc3\xbc"
    "cher.example/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:/",
    "https://example.com/{",
    "https://example.com/}",
    "https://example.com/{}",
    "https://example.com/{a{b}}",
    "https://example.com/{a/b}",
    "https://example.com/{a?b}",
    "https://example.com/../{a}",
    "https://example.com/./{a}",
    "https://example.com/{a}/..",
    "https://example.com/\\\"",
    "https://example.com/<{a}>",
};

TEST(urls_have_a_plain_host_and_arguments_behind_it)
{
    static const char *const good[] = {
        "http://example.com",
        "https://example.com/",
        "https://example.com:8443/city/{name}",
        "https://example.com/{a}/{b}.json?q={c}&x=%20y",
        "https://example.com?q={q}",
        "https://example.com/a..b/.well-known/x",
        "https://8.8.8.8/{x}",
        "https://[2606:4700::1111]:443/{x}",
    };
    char tool[500];

    for (size_t i = 0; i < COUNT(good); i++) {
        snprintf(tool, sizeof tool, "url: \"%s\"", good[i]);
        check_good(tool);
    }
    for (size_t i = 0; i < COUNT(bad_urls); i++) {
        snprintf(tool, sizeof tool, "url: \"%s\"", bad_urls[i]);
        check_bad(tool, "tools[0].url: ");
    }
}

TEST(a_private_address_is_let_in_by_its_name)
{
    static const char words[] =
        "tools[0].name: the url's address is not public: let it in with allow";

    check_bad("url: \"http://127.0.0.1:8080/x\"", words);
    check_bad("url: \"http://169.254.169.254/latest\"", words);
    check_bad("url: \"http://[::1]/\"", words);
    check_bad("url: \"http://[::ffff:127.0.0.1]/\"", words);
    check_bad("url: \"http://10.0.0.7/\", allow: [10.0.0.70, 10.0.0.0/8]", words);
    check_good("url: \"http://127.0.0.1:8080/x\", allow: [127.0.0.1]");
    check_good("url: \"http://[::1]/\", allow: [\"::1\"]");
    check_good("url: \"http://[::1]/\", allow: [\"[::1]\"]");
    check_good("url: \"http://tools.internal/\"");         /* its address is looked at later */
}

TEST(fields_that_frame_a_request_are_ours)
{
    check_good("url: \"https://example.com/\", headers: [\"Authorization: Bearer x\"]");
    check_good("url: \"https://example.com/\", headers: [\"Hosts: x\", \"Accept: text/plain\"]");
    check_bad("url: \"https://example.com/\", headers: [\"Host: a\"]", "tools[0].headers");
    check_bad("url: \"https://example.com/\", headers: [\"content-length: 1\"]",
              "tools[0].headers");
    check_bad("url: \"https://example.com/\", headers: [\"Transfer-Encoding: chunked\"]",
              "tools[0].headers");
    check_bad("url: \"https://example.com/\", headers: [\"Connection: close\"]",
              "tools[0].headers");
    check_bad("url: \"https://example.com/\", headers: [\"Accept-Encoding: gzip\"]",
              "tools[0].headers");
    check_bad("url: \"https://example.com/\", headers: [\"Host : a\"]", "tools[0].headers");
    check_bad("url: \"https://example.com/\", headers: [\"X-Operation-ID: a\"]",
              "tools[0].headers");
}

#define WITH_KEYS "}\ndialects: {session: {service_keys: [k]}"

TEST(what_goes_on_is_a_web_service_and_somebody_may_complete_it)
{
    static const char url[] = "url: \"https://example.com/\", ";
    char              tool[200];
    static const struct {
        const char *more, *words;             /* NULL: it is good               */
    } rows[] = {
        { "background: true" WITH_KEYS, NULL },
        { "background: true, operation_ttl: 1s" WITH_KEYS, NULL },
        { "background: true, operation_ttl: 7d" WITH_KEYS, "tools[0].operation_ttl: " },
        { "background: true, operation_ttl: 168h" WITH_KEYS, NULL },
        { "background: true, operation_ttl: 999ms" WITH_KEYS, "tools[0].operation_ttl: " },
        { "background: true, operation_ttl: 169h" WITH_KEYS, "tools[0].operation_ttl: " },
        { "background: maybe" WITH_KEYS, "tools[0].background: " },
        { "background: true", "tools[0].background: nobody could complete its operations" },
        { "kind: mcp, background: true" WITH_KEYS, "tools[0].background: an MCP server's tools" },
        { "background: false", NULL },
        { "kind: mcp, background: false", NULL },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(tool, sizeof tool, "%s%s", url, rows[i].more);
        if (rows[i].words)
            check_bad(tool, rows[i].words);
        else
            check_good(tool);
    }
}

/* ---- of tenants --------------------------------------------------------------------------- */

static struct arena arena;

static bool bring(const struct conf_given *given, size_t n, struct tool_settings *out)
{
    struct conf_load load = { .arena = &arena, .file = "tool add", .mistakes = &mistakes };

    buf_clear(&mistakes);
    arena_release(&arena);
    return settings_read_tenant_tool(&load, given, n, out);
}

TEST(what_a_tenant_brings_is_otherwise_as_in_the_settings)
{
    static const struct conf_given given[] = {
        { .name = "name", .called = "NAME", .text = STR_INIT("t") },
        { .name = "url", .called = "--url", .text = STR_INIT("https://example.com/{a}") },
    };
    struct tool_settings t = { .line = 0 };

    check_that(bring(given, 2, &t), "%.*s", STR_ARG(buf_str(&mistakes)));
    check_str(t.name, "t");
    check_str(t.url, "https://example.com/{a}");
    check_str(t.parameters, "{\"type\":\"object\",\"properties\":{}}");
    assert_int_equal(t.kind, TOOL_HTTP);
    assert_int_equal(t.method, TOOL_GET);
    assert_int_equal(t.timeout, 120 * CLOCK_S);
    assert_int_equal(t.max_output_bytes, 100 << 10);
    assert_int_equal(t.headers.n + t.allow.n + t.ca_file.n, 0);
    arena_release(&arena);
}

TEST(a_tenants_mistakes_are_told_in_his_words_and_without_secrets)
{
    static struct str        fields[] = { STR_INIT("X-Key: a,b"), STR_INIT("a secret") };
    static struct conf_given given[] = {
        { .name = "name", .called = "NAME", .text = STR_INIT("now") },
        { .name = "url", .called = "--url", .text = STR_INIT("http://10.0.0.1/") },
        { .name = "timeout", .called = "--timeout", .text = STR_INIT("soon") },
        { .name = "headers", .called = "--header", .texts = { fields, 2 } },
    };
    struct tool_settings t = { .line = 0 };

    assert_false(bring(given, COUNT(given), &t));
    check_buf(&mistakes,
              "tool add: --timeout: expects a time such as 500ms, 10s or 5m, not \"soon\"\n"
              "tool add: --header: expects header fields (X-Key: ...), not what is there\n"
              "tool add: NAME: \"now\" is a tool of our own already\n"
              "tool add: --url: its address is not public\n");
    check_str(t.headers.items[0], "X-Key: a,b");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_have_a_plain_host_and_arguments_behind_it),
        cmocka_unit_test(a_private_address_is_let_in_by_its_name),
        cmocka_unit_test(fields_that_frame_a_request_are_ours),
        cmocka_unit_test(what_goes_on_is_a_web_service_and_somebody_may_complete_it),
        cmocka_unit_test(what_a_tenant_brings_is_otherwise_as_in_the_settings),
        cmocka_unit_test(a_tenants_mistakes_are_told_in_his_words_and_without_secrets),
    };
    int failed = cmocka_run_group_tests(tests, check_scratch_begin, check_scratch_end);

    buf_release(&mistakes);
    return failed;
}
