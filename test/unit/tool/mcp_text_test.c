/* mcp_text_test.c - what is said to MCP servers, and what is understood of them. */
#include "check.h"

#include "base/utf8.h"
#include "tool/mcp_list.h"
#include "tool/mcp_text.h"
#include "tool/tool.h"

enum { ROOM = 1 << 16 };

static struct json_doc *read_json(const char *text)
{
    const char      *why = "";
    struct json_doc *doc = json_read_patiently(str_of(text), &why);

    check_that(doc, "%s: %s", text, why);
    return doc;
}

/* ---- what we say ----------------------------------------------------------------------- */

TEST(a_question_of_each_flavour)
{
    struct buf out = BUF(ROOM);

    mcp_write(MCP_GREETED, 7, "tools/list", STR(""), &out);
    check_buf(&out, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\",\"params\":{}}");
    buf_clear(&out);
    mcp_write(MCP_GREETED, 0, "notifications/cancelled", STR("\"requestId\":7"), &out);
    check_buf(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                    "\"params\":{\"requestId\":7}}");
    buf_clear(&out);
    mcp_write(MCP_STATELESS, 8, "tools/call", STR("\"name\":\"x\""), &out);
    check_buf(&out,
              "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\",\"params\":{"
              "\"name\":\"x\",\"_meta\":{"
              "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
              "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"runnel\",\"version\":\"1\"},"
              "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");
    buf_release(&out);
}

TEST(replies_to_a_server)
{
    struct json_doc *ids = read_json("[\"a\\\"b\",7]");
    struct json_walk w = json_walk(json_root(ids));
    struct buf       out = BUF(ROOM);

    mcp_write_reply(json_walk_next(&w), STR("ping"), &out);
    check_buf(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\",\"result\":{}}");
    buf_clear(&out);
    mcp_write_reply(json_walk_next(&w), STR("roots/list"), &out);
    check_buf(&out, "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32601,"
                    "\"message\":\"this client has no such method\"}}");
    buf_release(&out);
    json_free(ids);
}

TEST(header_values)
{
    static const char *const rows[][2] = {
        { "files.read", "files.read" },
        { "two words", "two words" },
        { " spaced", "=?base64?IHNwYWNlZA==?=" },
        { "", "=?base64?\?=" },
        { "\xe5\xa5\xbd", "=?base64?5aW9?=" },
        { "a\r\nx: y", "=?base64?YQ0KeDogeQ==?=" },
        { "=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?=" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF(ROOM);

        mcp_add_field_value(str_of(rows[i][0]), &out);
        check_text(buf_str(&out), rows[i][1]);
        buf_release(&out);
    }
}

TEST(arguments_as_header_fields)
{
    struct str schema = STR("{\"type\":\"object\",\"properties\":{"
                            "\"region\":{\"type\":\"string\",\"x-mcp-header\":\"Region\"},"
                            "\"n\":{\"type\":\"integer\",\"x-mcp-header\":\"N\"},"
                            "\"on\":{\"type\":\"boolean\",\"x-mcp-header\":\"On\"},"
                            "\"list\":{\"type\":\"array\",\"x-mcp-header\":\"List\"},"
                            "\"bad\":{\"type\":\"string\",\"x-mcp-header\":\"a b:\\r\\n\"},"
                            "\"none\":{\"type\":\"string\",\"x-mcp-header\":\"None\"},"
                            "\"deep\":{\"type\":\"object\",\"properties\":{"
                            "\"x\":{\"type\":\"string\",\"x-mcp-header\":\"X\"}}}}}");
    struct buf out = BUF(ROOM);

    mcp_add_param_fields(schema,
                         STR("{\"region\":\"\\u597d\",\"n\":42,\"on\":false,\"list\":[1],"
                             "\"bad\":\"x\",\"none\":null,\"deep\":{\"x\":\"y\"}}"),
                         &out);
    check_buf(&out, "mcp-param-Region: =?base64?5aW9?=\r\nmcp-param-N: 42\r\n"
                    "mcp-param-On: false\r\nmcp-param-X: y\r\n");
    buf_clear(&out);
    mcp_add_param_fields(schema, STR("not JSON"), &out);
    check_buf(&out, "");
    buf_release(&out);
}

/* ---- what it says ---------------------------------------------------------------------- */

TEST(messages_and_whose_they_are)
{
    static const struct {
        const char   *text;
        enum mcp_kind kind;
        bool          by_id;
    } rows[] = {
        { "{\"id\":7,\"result\":{}}", MCP_RESULT, true },
        { "{\"id\":7,\"error\":{\"code\":-1,\"message\":\"no\"}}", MCP_ERROR, true },
        { "{\"id\":null,\"error\":{\"code\":-1,\"message\":\"no\"}}", MCP_ERROR, false },
        { "{\"error\":{\"code\":-1,\"message\":\"no\"}}", MCP_ERROR, false },
        { "{\"id\":8,\"error\":{\"code\":-1}}", MCP_NOISE, false },
        { "{\"id\":8,\"result\":{}}", MCP_NOISE, false },
        { "{\"id\":\"7\",\"result\":{}}", MCP_NOISE, false },
        { "{\"id\":7.5,\"result\":{}}", MCP_NOISE, false },
        { "{\"result\":{}}", MCP_NOISE, false },
        { "{\"id\":7,\"result\":\"x\"}", MCP_NOISE, true },
        { "{\"id\":7}", MCP_NOISE, true },
        { "{\"id\":1,\"method\":\"ping\"}", MCP_QUESTION, false },
        { "{\"method\":\"notifications/message\",\"params\":{}}", MCP_NOTICE, false },
        { "[]", MCP_NOISE, false },
        { "7", MCP_NOISE, false },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_doc   *doc = read_json(rows[i].text);
        struct mcp_message m = mcp_read(json_root(doc), 7);

        check_that(m.kind == rows[i].kind, "%s: kind %d", rows[i].text, m.kind);
        check_that(m.by_id == rows[i].by_id, "%s", rows[i].text);
        json_free(doc);
    }
}

TEST(an_output_in_words)
{
    static const char *const rows[][2] = {
        { "{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}",
          "a\nb" },
        { "{\"content\":[],\"structuredContent\":{\"n\":1}}", "{\"n\":1}" },
        { "{\"content\":[{\"type\":\"text\",\"text\":\"{}\"}],\"structuredContent\":{\"n\":1}}",
          "{}" },
        { "{\"content\":[{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"QUJD\"}],"
          "\"structuredContent\":{\"n\":1}}",
          "[an image, image/png, 3 bytes, not shown]\n{\"n\":1}" },
        { "{\"content\":[{\"type\":\"hologram\"}]}", "[something that cannot be shown]" },
        { "{\"content\":[7,null]}",
          "[something that cannot be shown]\n[something that cannot be shown]" },
        { "{\"content\":\"text\"}", "[it said nothing]" },
        { "{}", "[it said nothing]" },
        { "{\"content\":[{\"type\":\"text\",\"text\":\"a\\ud83d\"}]}", "a\xef\xbf\xbd" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_doc *doc = read_json(rows[i][0]);
        struct buf       out = BUF(ROOM);

        mcp_add_output(json_root(doc), &out);
        check_text(buf_str(&out), rows[i][1]);
        buf_release(&out);
        json_free(doc);
    }
}

/* ---- what was cut ---------------------------------------------------------------------- */

TEST(a_text_that_was_cut_is_json_again)
{
    static const char *const rows[][2] = {
        { "{\"a\":\"xy", "{\"a\":\"xy\"}" },
        { "{\"a\":\"x\\", "{\"a\":\"x\"}" },
        { "{\"a\":\"x\\u00", "{\"a\":\"x\"}" },
        { "{\"a\":\"x\xe5\xa5", "{\"a\":\"x\"}" },
        { "{\"a\":\"x\\\"y", "{\"a\":\"x\\\"y\"}" },
        { "{\"a\":[1,2", "{\"a\":[1]}" },
        { "{\"a\":[\"b", "{\"a\":[\"b\"]}" },
        { "{\"a\":[{\"b\":\"c\",\"d", "{\"a\":[{\"b\":\"c\"}]}" },
        { "{\"a\":[{\"b\":\"c\",\"d\":", "{\"a\":[{\"b\":\"c\"}]}" },
        { "{\"a\":[{\"b\":\"c\"}", "{\"a\":[{\"b\":\"c\"}]}" },
        { "{\"a\":\"}]\",\"b\":tr", "{\"a\":\"}]\"}" },
        { "{", "{}" },
        { "{\"a", "{}" },
        { "\"ab", "\"ab\"" },
        { "", "" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF(ROOM);

        mcp_mend(str_of(rows[i][0]), &out);
        check_text(buf_str(&out), rows[i][1]);
        buf_release(&out);
    }
}

TEST(wherever_it_is_cut)
{
    struct str  whole = STR(" {\"result\": {\"content\": [ {\"type\":\"text\", \"text\" : "
                             "\"q\\\"\\\\ \\u00e9\\ud83d\\ude00 \xe5\xa5\xbd [}\"}, {\"n\": -1.5e3, "
                             "\"b\":[true , null,[],{}]} ], \"isError\":false},\"id\":1} ");
    const char *why = "";

    for (size_t n = 2; n <= whole.n; n++) {
        struct buf       out = BUF(ROOM);
        char            *part = mem_copy(whole.p, n);
        struct json_doc *doc;

        mcp_mend((struct str){ part, n }, &out);
        doc = json_read_patiently(buf_str(&out), &why);
        check_that(doc, "%zu: %.*s: %s", n, STR_ARG(buf_str(&out)), why);
        json_free(doc);
        mem_free(part);
        buf_release(&out);
    }
}

/* ---- names and lists ------------------------------------------------------------------- */

static void check_name(const char *tool, bool marked, const char *want)
{
    struct buf out = BUF(ROOM);

    mcp_add_name(STR("files"), str_of(tool), marked, &out);
    check_text(buf_str(&out), want);
    assert_true(tool_name_is_good(buf_str(&out)));
    buf_release(&out);
}

TEST(names_for_models)
{
    check_name("read", false, "files__read");
    check_name("a.b/c d", false, "files__a_b_c_d");
    check_name("a.b", true, "files__a_b_2e7336dc");
    check_name("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false,
               "files__xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    check_name("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false,
               "files__xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_5ef8b2e5");
}

static void read_page(struct mcp_list *l, const char *text)
{
    struct json_doc *doc = read_json(text);

    mcp_list_read(l, json_root(doc), STR("s"), &(struct conf_texts){ NULL, 0 });
    json_free(doc);
}

TEST(a_list_in_pages)
{
    struct mcp_list l = { .n = 0 };

    read_page(&l, "{\"tools\":[{\"name\":\"a\",\"description\":\"d\",\"inputSchema\":"
                  "{\"type\":\"object\"}},{\"name\":\"b\"}],\"nextCursor\":\"2\",\"ttlMs\":60000}");
    check_str(l.cursor, "2");
    read_page(&l, "{\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\"}},"
                  "{\"name\":\"c\",\"title\":\"t\",\"inputSchema\":{\"type\":\"object\"}}]}");
    check_str(l.cursor, "");
    mcp_list_name(&l, STR("s"));
    assert_int_equal(l.n, 2);
    assert_int_equal(l.left_out, 2);
    assert_int_equal(l.max_age / 1000000, 60000);
    check_str(l.tools[0].name, "s__a");
    check_str(l.tools[0].description, "d");
    check_str(l.tools[0].parameters, "{\"type\":\"object\"}");
    check_str(l.tools[1].name, "s__c");
    check_str(l.tools[1].description, "t");
    mcp_list_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_of_each_flavour),
        cmocka_unit_test(replies_to_a_server),
        cmocka_unit_test(header_values),
        cmocka_unit_test(arguments_as_header_fields),
        cmocka_unit_test(messages_and_whose_they_are),
        cmocka_unit_test(an_output_in_words),
        cmocka_unit_test(a_text_that_was_cut_is_json_again),
        cmocka_unit_test(wherever_it_is_cut),
        cmocka_unit_test(names_for_models),
        cmocka_unit_test(a_list_in_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
