#include "unit/provider/written.h"

#include "provider/messages.h"

#define CALLS(calls) "{\"role\":\"assistant\",\"content\":\"Well.\",\"tool_calls\":[" calls "]}"
#define CALL(id, name, arguments)                                                                  \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name                      \
    "\",\"arguments\":\"" arguments "\"}}"
#define RESULT(id, text) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" text "\"}"

/* All messages told, a line each. */
static void check_told(const char *messages, const char *want)
{
    struct buf          members = BUF(100000), line = BUF(1000), out = BUF(100000);
    struct question    *q;
    struct message_walk w;

    buf_addf(&members, "\"messages\":[%s]}%c", messages, 0);
    q = written_question(members.p);
    w = message_walk(q);
    while (message_walk_next(&w)) {
        buf_clear(&line);
        message_tell(&w, &line);
        buf_addf(&out, "%s|%.*s|", role_name(w.message->role), STR_ARG(buf_str(&line)));
    }
    check_text(buf_str(&out), want);
    question_free(q);
    buf_release(&members);
    buf_release(&line);
    buf_release(&out);
}

TEST(texts_are_told_as_they_are)
{
    check_told("{\"role\":\"system\",\"content\":\"Be\"},{\"role\":\"user\",\"content\":"
               "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}",
               "system|Be|user|ab|");
}

TEST(calls_and_results_are_told_with_the_tools_name)
{
    check_told(CALLS(CALL("1", "f", "{}") "," CALL("2", "g", "{\\\"x\\\":1}")) "," RESULT(
                   "2", "two") "," RESULT("1", "one"),
               "assistant|Well.\n[called f with {}]\n[called g with {\"x\":1}]|"
               "tool|[g returned two]|tool|[f returned one]|");
}

TEST(a_result_belongs_to_the_newest_calls)
{
    check_told(
        CALLS(CALL("1", "old", "")) "," CALLS(CALL(
            "1", "new", "")) ","
                             "{\"role\":\"user\",\"content\":\"?\"}," RESULT("1", "x") "," RESULT(
                                 "9", "y") ","
                                           "{\"role\":\"tool\",\"name\":\"n\",\"content\":\"z\"},"
                                           "{\"role\":\"tool\",\"content\":\"z\"}",
        "assistant|Well.\n[called old with ]|assistant|Well.\n[called new with ]|user|?|"
        "tool|[new returned x]|tool|[9 returned y]|tool|[n returned z]|tool|[ returned z]|");
}

TEST(functions_were_called_one_at_a_time)
{
    check_told("{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\","
               "\"arguments\":\"1\"}},{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}",
               "assistant|[called f with 1]|function|[f returned r]|");
}

TEST(calls_of_any_shape_are_survived)
{
    check_told(
        CALLS(
            "1,null,\"x\",{},{\"function\":7},{\"id\":1,\"function\":{\"name\":[]}}") ","
                                                                                      "{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":{\"id\":\"1\"}},"
                                                                                      "{\"role\":\"assistant\",\"content\":\"b\",\"tool_calls\":\"no\",\"function_call\":3}",
        "assistant|Well.\n[called  with ]\n[called  with ]\n[called  with ]\n[called  with ]"
        "\n[called  with ]\n[called  with ]|assistant|a|assistant|b\n[called  with ]|");
}

TEST(arguments_are_an_object_or_nothing)
{
    static const struct {
        struct str text, object;
    } rows[] = {
        { STR_INIT("{\"a\" : [1, {}]}"), STR_INIT("{\"a\":[1,{}]}") },
        { STR_INIT("{\"a\":\"\\ud83d\"}"), STR_INIT("{\"a\":\"\xef\xbf\xbd\"}") },
        { STR_INIT(""), STR_INIT("{}") },
        { { NULL, 0 }, STR_INIT("{}") },
        { STR_INIT("{\"a\":"), STR_INIT("{}") },
        { STR_INIT("[1]"), STR_INIT("{}") },
        { STR_INIT("null"), STR_INIT("{}") },
        { STR_INIT("\"{}\""), STR_INIT("{}") },
    };
    struct buf out = BUF(1000);

    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&out);
        tool_call_add_arguments(&(struct tool_call){ .arguments = rows[i].text }, &out);
        check_same(buf_str(&out), rows[i].object);
    }
    buf_release(&out);
}

TEST(data_urls_are_taken_apart)
{
    static const struct {
        struct str url, type, base64;
    } rows[] = {
        { STR_INIT("data:image/png;base64,AAAA"), STR_INIT("image/png"), STR_INIT("AAAA") },
        { STR_INIT("DATA:image/jpeg;name=a.jpg;BASE64,/9j/"), STR_INIT("image/jpeg"),
          STR_INIT("/9j/") },
        { .url = STR_INIT("") },
        { .url = { NULL, 0 } },
        { .url = STR_INIT("data") },
        { .url = STR_INIT(",") },
        { .url = STR_INIT("data:,") },
        { .url = STR_INIT("data:;base64,AAAA") },
        { .url = STR_INIT("data:image/png,AAAA") },
        { .url = STR_INIT("data:image/png;base64,") },
        { .url = STR_INIT("data:image/png;base64") },
        { .url = STR_INIT("https://host/a,b") },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str type, base64;
        bool       good = data_url_read(rows[i].url, &type, &base64);

        check_that(good == (rows[i].type.n > 0), "row %zu", i);
        if (good) {
            check_same(type, rows[i].type);
            check_same(base64, rows[i].base64);
        }
    }
}

static char shown[1000];

/* Writes down whose parts there were, and takes pictures from the web only. */
static bool takes_web(const struct message_walk *w, struct str picture)
{
    size_t n = strlen(shown);

    snprintf(shown + n, sizeof shown - n, "%zu:%.*s|", w->next, STR_ARG(picture));
    return str_starts(picture, STR("http"));
}

#define PICTURE(url) "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}"
#define PARTS(parts) "{\"role\":\"user\",\"content\":[" parts "]}"
#define SAY "{\"type\":\"text\",\"text\":\"a\"}"

TEST(parts_that_are_no_texts_are_taken_or_not)
{
    static const struct {
        const char *messages;
        bool        taken;
        const char *shown;
    } rows[] = {
        { "{\"role\":\"user\",\"content\":\"a\"}," PARTS(SAY "," SAY), true, "" },
        { PARTS(SAY) "," PARTS(PICTURE("http://h/1") "," SAY "," PICTURE("https://h/2")), true,
          "2:http://h/1|2:https://h/2|" },
        { PARTS(PICTURE("data:x")) "," PARTS(PICTURE("http://h/1")), false, "1:data:x|" },
        { PARTS(PICTURE("")), false, "1:|" },
        { PARTS("{\"type\":\"input_audio\",\"image_url\":\"http://h\"}"), false, "1:|" },
        { "{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}", true,
          "" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf       members = BUF(10000);
        struct question *q;

        shown[0] = '\0';
        buf_addf(&members, "\"messages\":[%s]}%c", rows[i].messages, 0);
        q = written_question(members.p);
        check_that(parts_are_taken(q, takes_web) == rows[i].taken, "row %zu", i);
        assert_string_equal(shown, rows[i].shown);
        question_free(q);
        buf_release(&members);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_told_as_they_are),
        cmocka_unit_test(calls_and_results_are_told_with_the_tools_name),
        cmocka_unit_test(a_result_belongs_to_the_newest_calls),
        cmocka_unit_test(functions_were_called_one_at_a_time),
        cmocka_unit_test(calls_of_any_shape_are_survived),
        cmocka_unit_test(arguments_are_an_object_or_nothing),
        cmocka_unit_test(data_urls_are_taken_apart),
        cmocka_unit_test(parts_that_are_no_texts_are_taken_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
