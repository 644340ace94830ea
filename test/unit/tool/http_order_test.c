#include "check.h"

#include "tool/http_order.h"

static struct buf url, body, why;

static bool written(const char *template, enum tool_method method, const char *parameters,
                    const char *arguments)
{
    struct http_order o = { .url = str_of(template),
                            .method = method,
                            .parameters = str_of(parameters) };

    buf_release(&url);
    buf_release(&body);
    buf_release(&why);
    url = BUF(200);
    body = BUF(200);
    why = BUF(500);
    return http_order_write(&o, str_of(arguments), &url, &body, &why);
}

static const char any[] = "{\"type\":\"object\"}";

TEST(arguments_go_where_the_template_says_and_nowhere_else)
{
    static const struct {
        const char *template, *arguments, *url;
    } rows[] = {
        { "https://h/c/{a}", "{\"a\":\"Berlin\"}", "https://h/c/Berlin" },
        { "https://h/{a}/{b}/{a}", "{\"a\":\"1\",\"b\":2}", "https://h/1/2/1" },
        { "https://h/{a}", "{\"a\":\"Z\xc3\xbcrich am See\"}", "https://h/Z%C3%BCrich%20am%20See" },
        { "https://h/{a}", "{\"a\":\"x/../y\\u002f\"}", NULL },
        { "https://h/{a}", "{\"a\":\"a/b\"}", "https://h/a%2Fb" },
        { "https://h/{a}", "{\"a\":\"@evil.example\"}", "https://h/%40evil.example" },
        { "https://h/{a}", "{\"a\":\"?x=1&y#z\"}", "https://h/%3Fx%3D1%26y%23z" },
        { "https://h/{a}", "{\"a\":\"{b}\",\"b\":1}", "https://h/%7Bb%7D?b=1" },
        { "https://h/{a}", "{\"a\":\"\\r\\nx-key: 1\"}", "https://h/%0D%0Ax-key%3A%201" },
        { "https://h/{a}", "{\"a\":\"%2e%2e\"}", "https://h/%252e%252e" },
        { "https://h/{a}", "{\"a\":\"-._~\"}", "https://h/-._~" },
        { "https://h/{a}", "{\"a\":\"...\"}", "https://h/..." },
        { "https://h/v{a}", "{\"a\":\"1..2\"}", "https://h/v1..2" },
        { "https://h/{a}", "{\"a\":true}", "https://h/true" },
        { "https://h/{a}", "{\"a\":-1.5}", "https://h/-1.5" },
        { "https://h/{a}", "{\"a\":[1,\"x\"]}", "https://h/%5B1%2C%22x%22%5D" },
        { "https://h/p", "{}", "https://h/p" },
        { "https://h/p", "", "https://h/p" },
        { "https://h/p", " ", "https://h/p" },
        { "https://h/p", "{\"q\":\"a b&c=d\",\"n\":3}", "https://h/p?q=a%20b%26c%3Dd&n=3" },
        { "https://h/p?k=v", "{\"q\":1}", "https://h/p?k=v&q=1" },
        { "https://h/p?q={q}", "{\"q\":\"..\"}", "https://h/p?q=.." },
        { "https://h/p?q={q}&z=1", "{\"q\":\"\",\"r\":[1]}", "https://h/p?q=&z=1&r=%5B1%5D" },
        { "https://h?q={q}", "{\"q\":\"a/../b\"}", "https://h?q=a%2F..%2Fb" },
        { "https://h/p", "{\"o\":{\"a\":[1,null]}}",
          "https://h/p?o=%7B%22a%22%3A%5B1%2Cnull%5D%7D" },
        { "https://h/p", "{\"gone\":null,\"q\":1}", "https://h/p?q=1" },
        { "https://h/p", "{\"a&b\":1}", "https://h/p?a%26b=1" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        bool good = written(rows[i].template, TOOL_GET, any, rows[i].arguments);

        check_that(good == (rows[i].url != NULL), "%s %s: %.*s", rows[i].template,
                   rows[i].arguments, STR_ARG(buf_str(&why)));
        if (good)
            check_text(buf_str(&url), rows[i].url);
        assert_int_equal(body.n, 0);
    }
    assert_true(written("https://h/p", TOOL_DELETE, any, "{\"id\":7}"));
    check_buf(&url, "https://h/p?id=7");
    assert_int_equal(body.n, 0);
}

TEST(what_the_template_does_not_take_is_the_body)
{
    static const enum tool_method methods[] = { TOOL_POST, TOOL_PUT, TOOL_PATCH };

    for (size_t i = 0; i < COUNT(methods); i++) {
        assert_true(written("https://h/{a}?x=1", methods[i], any,
                            "{\"a\":1,\"b\":\"\xc3\xbc\\\"\",\"c\":{\"d\":[null]},\"e\":null}"));
        check_buf(&url, "https://h/1?x=1");
        check_buf(&body, "{\"b\":\"\xc3\xbc\\\"\",\"c\":{\"d\":[null]},\"e\":null}");
    }
    assert_true(written("https://h/{a}", TOOL_POST, any, "{\"a\":1}"));
    check_buf(&body, "{}");
}

TEST(a_path_does_not_go_up)
{
    static const struct {
        const char *template, *arguments;
    } rows[] = {
        { "https://h/a/{x}", "{\"x\":\"..\"}" },
        { "https://h/a/{x}", "{\"x\":\".\"}" },
        { "https://h/a/{x}/b", "{\"x\":\"..\"}" },
        { "https://h/a/{x}", "{\"x\":\"../../admin\"}" },
        { "https://h/a/{x}", "{\"x\":\"b/..\"}" },
        { "https://h/a/{x}", "{\"x\":\"b/./c\"}" },
        { "https://h/a/{x}", "{\"x\":\"..\\\\admin\"}" },
        { "https://h/a/{x}", "{\"x\":\"b\\\\..\\\\c\"}" },
        { "https://h/a/{x}{y}", "{\"x\":\".\",\"y\":\".\"}" },
        { "https://h/a/.{x}", "{\"x\":\".\"}" },
        { "https://h/a/{x}?q=1", "{\"x\":\"..\"}" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_that(!written(rows[i].template, TOOL_GET, any, rows[i].arguments), "%s",
                   rows[i].arguments);
        assert_true(check_has(buf_str(&why), STR("\"..\"")));
    }
    assert_false(written("https://h/a/.{x}", TOOL_GET, any, "{\"x\":\".\"}"));
    check_buf(&why, "The argument \"x\" has \".\" or \"..\" between slashes.");
}

TEST(a_model_is_told_what_is_wrong)
{
    static const char schema[] = "{\"type\":\"object\",\"required\":[\"q\",7,\"n\"]}";
    static const struct {
        const char *template, *parameters, *arguments, *why;
    } rows[] = {
        { "https://h/{a}", any, "{}", "The argument \"a\" is missing." },
        { "https://h/{a}", any, "{\"a\":null}", "The argument \"a\" is missing." },
        { "https://h/{a}", any, "{\"A\":1}", "The argument \"a\" is missing." },
        { "https://h/{a}", any, "{\"a\":\"\"}", "The argument \"a\" is empty." },
        { "https://h/?q={a}", any, "{}", "The argument \"a\" is missing." },
        { "https://h/", schema, "{\"n\":1}", "The argument \"q\" is missing." },
        { "https://h/", schema, "{\"q\":1}", "The argument \"n\" is missing." },
        { "https://h/", schema, "{\"q\":null,\"n\":null}", NULL },
        { "https://h/", any, "[]", "The arguments are not a JSON object." },
        { "https://h/", any, "\"x\"", "The arguments are not a JSON object." },
        { "https://h/", any, "null", "The arguments are not a JSON object." },
        { "https://h/", "no schema", "{}", NULL },
    };
    char long_one[400] = "{\"a\":\"";

    for (size_t i = 0; i < COUNT(rows); i++) {
        bool good = written(rows[i].template, TOOL_GET, rows[i].parameters, rows[i].arguments);

        check_that(good == !rows[i].why, "%s %s", rows[i].template, rows[i].arguments);
        check_text(buf_str(&why), rows[i].why);
    }
    assert_false(written("https://h/", TOOL_GET, any, "{\"a\":"));
    assert_true(str_starts(buf_str(&why), STR("The arguments are not JSON: ")));
    assert_false(written("https://h/", TOOL_GET, any, "{\"a\":1,\"a\":2}"));
    assert_true(str_starts(buf_str(&why), STR("The arguments are not JSON: ")));
    memset(long_one + 6, 'x', 250);
    memcpy(long_one + 256, "\"}", 3);
    assert_false(written("https://h/", TOOL_GET, any, long_one));
    check_buf(&why, "The arguments are too long.");
    assert_false(written("https://h/", TOOL_POST, any, long_one));
    check_buf(&why, "The arguments are too long.");
    assert_false(written("https://h/{a}", TOOL_POST, any, long_one));
    check_buf(&why, "The arguments are too long.");
}

static int end(void **state)
{
    (void)state;
    buf_release(&url);
    buf_release(&body);
    buf_release(&why);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_go_where_the_template_says_and_nowhere_else),
        cmocka_unit_test(what_the_template_does_not_take_is_the_body),
        cmocka_unit_test(a_path_does_not_go_up),
        cmocka_unit_test(a_model_is_told_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
