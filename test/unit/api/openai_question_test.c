#include "check.h"

#include "api/openai_question.h"

static struct openai_wish    wish;
static struct openai_problem problem;

/* NULL: refused, and then there is a problem. */
static struct question *ask(struct str body)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(body, &why);
    struct question *q;

    if (!doc)
        fail_msg("%s: %s", check_shown(body), why);
    memset(&wish, 0, sizeof wish);
    memset(&problem, 0, sizeof problem);
    q = openai_read_question(json_root(doc), &wish, &problem);
    json_free(doc); /* a question owns what it holds  */
    return q;
}

static struct question *good(struct str body)
{
    struct question *q = ask(body);

    if (!q)
        fail_msg("%s: %s", check_shown(body), problem.message);
    return q;
}

#define HI               "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define BODY(more)       "{\"model\":\"m\"," HI more "}"
#define MESSAGES(list)   "{\"model\":\"m\",\"messages\":[" list "]}"
#define CONTENT(content) MESSAGES("{\"role\":\"user\",\"content\":" content "}")

TEST(the_least_question_is_read)
{
    struct question *q = good(STR(BODY("")));

    check_str(q->model, "m");
    assert_int_equal(q->n_messages, 1);
    assert_int_equal(q->messages[0].role, ROLE_USER);
    check_str(q->messages[0].text, "hi");
    assert_int_equal(q->max_tokens, 0);
    assert_false(wish.stream || wish.include_usage);
    question_free(q);
}

TEST(every_role_has_its_place)
{
    static const struct {
        const char *name;
        int         role; /* -1: any                        */
    } rows[] = {
        { "system", ROLE_SYSTEM }, { "user", ROLE_USER }, { "assistant", ROLE_ASSISTANT },
        { "tool", ROLE_TOOL },     { "developer", -1 },   { "function", -1 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf       b = BUF(200);
        struct question *q;

        buf_addf(&b, MESSAGES("{\"role\":\"%s\",\"content\":\"x\"}"), rows[i].name);
        q = good(buf_str(&b));
        if (rows[i].role >= 0)
            assert_int_equal(q->messages[0].role, rows[i].role);
        assert_true(q->messages[0].role != ROLE_USER || strcmp(rows[i].name, "user") == 0);
        question_free(q);
        buf_release(&b);
    }
}

TEST(messages_keep_their_order_and_text)
{
    struct question *q =
        good(STR(MESSAGES("{\"role\":\"system\",\"content\":\"be \\\"good\\\"\\n\"},"
                          "{\"role\":\"user\",\"content\":\"\xe4\xbd\xa0\\u597d\"},"
                          "{\"role\":\"assistant\",\"content\":\"\"},"
                          "{\"role\":\"user\",\"name\":\"x\",\"content\":\"last\"}")));

    assert_int_equal(q->n_messages, 4);
    check_str(q->messages[0].text, "be \"good\"\n");
    check_str(q->messages[1].text, "\xe4\xbd\xa0\xe5\xa5\xbd");
    check_str(q->messages[2].text, "");
    check_str(question_last_user_text(q), "last");
    question_free(q);
}

TEST(content_is_a_string_or_parts)
{
    static const struct {
        struct str body, text;
    } rows[] = {
        { STR_INIT(CONTENT("\"plain\"")), STR_INIT("plain") },
        { STR_INIT(CONTENT("\"\"")), STR_INIT("") },
        { STR_INIT(CONTENT("[]")), STR_INIT("") },
        { STR_INIT(CONTENT("[{\"type\":\"text\",\"text\":\"one\"}]")), STR_INIT("one") },
        { STR_INIT(CONTENT(
              "[{\"type\":\"text\",\"text\":\"one \"},{\"type\":\"text\",\"text\":\"two\"}]")),
          STR_INIT("one two") },
        { STR_INIT(CONTENT("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}},"
                           "{\"type\":\"text\",\"text\":\"a cat\",\"cache_control\":{}},"
                           "{\"type\":\"input_audio\"}]")),
          STR_INIT("a cat") },
        { STR_INIT(CONTENT("[{\"type\":\"text\",\"text\":\"\"}]")), STR_INIT("") },
        { STR_INIT(MESSAGES("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}")),
          STR_INIT("") },
        { STR_INIT(MESSAGES("{\"role\":\"assistant\",\"tool_calls\":[]}")), STR_INIT("") },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct question *q = good(rows[i].body);

        check_same(q->messages[0].text, rows[i].text);
        question_free(q);
    }
}

TEST(long_texts_and_many_messages_are_read)
{
    struct buf       b = BUF(1 << 22);
    struct question *q;

    buf_lit(&b, "{\"model\":\"m\",\"messages\":[");
    for (int i = 0; i < 500; i++)
        buf_addf(&b, "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"%01000d\"}]},",
                 i);
    buf_lit(&b, "{\"role\":\"user\",\"content\":\"end\"}]}");
    q = good(buf_str(&b));
    assert_int_equal(q->n_messages, 501);
    for (size_t i = 0; i < 500; i++)
        assert_int_equal(q->messages[i].text.n, 1000);
    check_str(question_last_user_text(q), "end");
    question_free(q);
    buf_release(&b);
}

TEST(null_is_absent_and_unknown_members_are_let_through)
{
    static const struct str rows[] = {
        STR_INIT(
            BODY(",\"stream\":null,\"stream_options\":null,\"n\":null,\"max_tokens\":null,"
                 "\"max_completion_tokens\":null,\"temperature\":null,\"stop\":null,\"tools\":null,"
                 "\"user\":null,\"store\":null")),
        STR_INIT(BODY(",\"stream_options\":{\"include_usage\":null}")),
        STR_INIT(BODY(",\"stream_options\":{\"x\":1}")),
        STR_INIT(BODY(",\"brand_new\":{\"x\":[1,2]},\"x\":1")),
        STR_INIT(BODY(
            ",\"temperature\":0,\"top_p\":0.5,\"n\":1,\"stop\":[\"a\",\"b\"],\"presence_penalty\":-2,"
            "\"frequency_penalty\":2.0,\"logit_bias\":{},\"logprobs\":false,\"top_logprobs\":0,"
            "\"seed\":-1,\"user\":\"u\",\"response_format\":{\"type\":\"text\"},\"tools\":[],"
            "\"tool_choice\":\"auto\",\"parallel_tool_calls\":true,\"functions\":[],"
            "\"function_call\":\"none\",\"reasoning_effort\":\"low\",\"metadata\":{},\"store\":false")),
        STR_INIT(BODY(",\"stop\":\"x\",\"tool_choice\":{},\"function_call\":{},\"n\":1.0")),
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct question *q = good(rows[i]);

        assert_false(wish.stream || wish.include_usage);
        assert_int_equal(q->max_tokens, 0);
        question_free(q);
    }
}

TEST(wishes_are_heard)
{
    question_free(good(STR(BODY(",\"stream\":true"))));
    assert_true(wish.stream && !wish.include_usage);
    question_free(good(STR(BODY(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"))));
    assert_true(wish.stream && wish.include_usage);
    question_free(
        good(STR(BODY(",\"stream\":false,\"stream_options\":{\"include_usage\":false}"))));
    assert_true(!wish.stream && !wish.include_usage);
}

TEST(the_limit_has_two_names_and_the_newer_wins)
{
    static const struct {
        struct str body;
        uint64_t   limit;
    } rows[] = {
        { STR_INIT(BODY(",\"max_tokens\":5")), 5 },
        { STR_INIT(BODY(",\"max_completion_tokens\":6")), 6 },
        { STR_INIT(BODY(",\"max_tokens\":5,\"max_completion_tokens\":6")), 6 },
        { STR_INIT(BODY(",\"max_completion_tokens\":6,\"max_tokens\":5")), 6 },
        { STR_INIT(BODY(",\"max_completion_tokens\":null,\"max_tokens\":5")), 5 },
        { STR_INIT(BODY(",\"max_tokens\":16.0")), 16 },
        { STR_INIT(BODY(",\"max_tokens\":1.6e1")), 16 },
        { STR_INIT(BODY(",\"max_tokens\":9007199254740991")), 9007199254740991 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct question *q = good(rows[i].body);

        check_that(q->max_tokens == rows[i].limit, "%s", rows[i].body.p);
        question_free(q);
    }
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void check_refused(struct str body, const char *param)
{
    struct question *q = ask(body);

    check_that(!q, "%s was read", check_shown(body));
    check_that(strcmp(problem.param, param) == 0, "%s: the param is \"%s\", not \"%s\"",
               check_shown(body), problem.param, param);
    check_that(problem.message[0] && (!param[0] || strstr(problem.message, param)),
               "%s: \"%s\" does not name \"%s\"", check_shown(body), problem.message, param);
}

static const struct {
    struct str  body;
    const char *param;
} refusals[] = {
    { STR_INIT("[]"), "" },
    { STR_INIT("\"x\""), "" },
    { STR_INIT("5"), "" },
    { STR_INIT("null"), "" },
    { STR_INIT("{}"), "model" },
    { STR_INIT("{" HI "}"), "model" },
    { STR_INIT("{\"model\":null," HI "}"), "model" },
    { STR_INIT("{\"model\":\"\"," HI "}"), "model" },
    { STR_INIT("{\"model\":5," HI "}"), "model" },
    { STR_INIT("{\"model\":[\"m\"]," HI "}"), "model" },
    { STR_INIT("{\"model\":\"m\"}"), "messages" },
    { STR_INIT("{\"model\":\"m\",\"messages\":null}"), "messages" },
    { STR_INIT("{\"model\":\"m\",\"messages\":[]}"), "messages" },
    { STR_INIT("{\"model\":\"m\",\"messages\":{}}"), "messages" },
    { STR_INIT("{\"model\":\"m\",\"messages\":\"hi\"}"), "messages" },
    { STR_INIT(MESSAGES("5")), "messages[0]" },
    { STR_INIT(MESSAGES("null")), "messages[0]" },
    { STR_INIT(MESSAGES("\"hi\"")), "messages[0]" },
    { STR_INIT(MESSAGES("[]")), "messages[0]" },
    { STR_INIT(MESSAGES("{\"role\":\"user\",\"content\":\"x\"},7")), "messages[1]" },
    { STR_INIT(MESSAGES("{}")), "messages[0].role" },
    { STR_INIT(MESSAGES("{\"content\":\"x\"}")), "messages[0].role" },
    { STR_INIT(MESSAGES("{\"role\":\"User\",\"content\":\"x\"}")), "messages[0].role" },
    { STR_INIT(MESSAGES("{\"role\":\"bot\",\"content\":\"x\"}")), "messages[0].role" },
    { STR_INIT(MESSAGES("{\"role\":\"\",\"content\":\"x\"}")), "messages[0].role" },
    { STR_INIT(MESSAGES("{\"role\":5,\"content\":\"x\"}")), "messages[0].role" },
    { STR_INIT(MESSAGES("{\"role\":\"user\"}")), "messages[0].content" },
    { STR_INIT(MESSAGES("{\"role\":\"user\",\"content\":null}")), "messages[0].content" },
    { STR_INIT(MESSAGES("{\"role\":\"system\",\"content\":null}")), "messages[0].content" },
    { STR_INIT(MESSAGES("{\"role\":\"tool\"}")), "messages[0].content" },
    { STR_INIT(CONTENT("5")), "messages[0].content" },
    { STR_INIT(CONTENT("true")), "messages[0].content" },
    { STR_INIT(CONTENT("{\"type\":\"text\",\"text\":\"x\"}")), "messages[0].content" },
    { STR_INIT(MESSAGES("{\"role\":\"assistant\",\"content\":5}")), "messages[0].content" },
    { STR_INIT(CONTENT("[5]")), "messages[0].content[0]" },
    { STR_INIT(CONTENT("[\"x\"]")), "messages[0].content[0]" },
    { STR_INIT(CONTENT("[null]")), "messages[0].content[0]" },
    { STR_INIT(CONTENT("[{}]")), "messages[0].content[0]" },
    { STR_INIT(CONTENT("[{\"text\":\"x\"}]")), "messages[0].content[0]" },
    { STR_INIT(CONTENT("[{\"type\":5}]")), "messages[0].content[0]" },
    { STR_INIT(CONTENT("[{\"type\":\"text\"}]")), "messages[0].content[0]" },
    { STR_INIT(CONTENT("[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":5}]")),
      "messages[0].content[1]" },
    { STR_INIT(BODY(",\"stream\":\"true\"")), "stream" },
    { STR_INIT(BODY(",\"stream\":1")), "stream" },
    { STR_INIT(BODY(",\"stream_options\":true")), "stream_options" },
    { STR_INIT(BODY(",\"stream_options\":{\"include_usage\":1}")), "stream_options.include_usage" },
    { STR_INIT(BODY(",\"n\":2")), "n" },
    { STR_INIT(BODY(",\"n\":0")), "n" },
    { STR_INIT(BODY(",\"n\":1.5")), "n" },
    { STR_INIT(BODY(",\"n\":\"1\"")), "n" },
    { STR_INIT(BODY(",\"max_tokens\":0")), "max_tokens" },
    { STR_INIT(BODY(",\"max_tokens\":-1")), "max_tokens" },
    { STR_INIT(BODY(",\"max_tokens\":1.5")), "max_tokens" },
    { STR_INIT(BODY(",\"max_tokens\":1e300")), "max_tokens" },
    { STR_INIT(BODY(",\"max_tokens\":\"5\"")), "max_tokens" },
    { STR_INIT(BODY(",\"max_tokens\":5,\"max_completion_tokens\":0")), "max_completion_tokens" },
    { STR_INIT(BODY(",\"max_completion_tokens\":[]")), "max_completion_tokens" },
    { STR_INIT(BODY(",\"temperature\":\"hot\"")), "temperature" },
    { STR_INIT(BODY(",\"top_p\":true")), "top_p" },
    { STR_INIT(BODY(",\"stop\":5")), "stop" },
    { STR_INIT(BODY(",\"presence_penalty\":{}")), "presence_penalty" },
    { STR_INIT(BODY(",\"frequency_penalty\":[]")), "frequency_penalty" },
    { STR_INIT(BODY(",\"logit_bias\":[]")), "logit_bias" },
    { STR_INIT(BODY(",\"logprobs\":5")), "logprobs" },
    { STR_INIT(BODY(",\"top_logprobs\":\"x\"")), "top_logprobs" },
    { STR_INIT(BODY(",\"seed\":\"x\"")), "seed" },
    { STR_INIT(BODY(",\"user\":5")), "user" },
    { STR_INIT(BODY(",\"response_format\":\"json\"")), "response_format" },
    { STR_INIT(BODY(",\"tools\":{}")), "tools" },
    { STR_INIT(BODY(",\"tool_choice\":5")), "tool_choice" },
    { STR_INIT(BODY(",\"parallel_tool_calls\":\"x\"")), "parallel_tool_calls" },
    { STR_INIT(BODY(",\"functions\":{}")), "functions" },
    { STR_INIT(BODY(",\"function_call\":[]")), "function_call" },
    { STR_INIT(BODY(",\"reasoning_effort\":5")), "reasoning_effort" },
    { STR_INIT(BODY(",\"metadata\":[]")), "metadata" },
    { STR_INIT(BODY(",\"store\":\"yes\"")), "store" },
};

TEST(what_cannot_be_answered_is_refused_with_its_place)
{
    for (size_t i = 0; i < COUNT(refusals); i++)
        check_refused(refusals[i].body, refusals[i].param);
}

/* As long as "user", "tool" and "system": a length without a text behind it. */
TEST(a_role_that_is_an_array_or_object_is_refused)
{
    check_refused(STR(MESSAGES("{\"role\":[1,2,3,4],\"content\":\"x\"}")), "messages[0].role");
    check_refused(STR(MESSAGES("{\"role\":[1,2,3,4,5,6],\"content\":\"x\"}")), "messages[0].role");
    check_refused(STR(MESSAGES("{\"role\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4},\"content\":\"x\"}")),
                  "messages[0].role");
}

TEST(questions_and_refusals_give_their_memory_back)
{
    size_t before = mem_live_bytes();

    question_free(good(STR(CONTENT("[{\"type\":\"text\",\"text\":\"one\"}]"))));
    assert_int_equal(mem_live_bytes(), before);
    check_refused(STR(CONTENT("[{\"type\":\"text\",\"text\":\"one\"},5]")),
                  "messages[0].content[1]");
    assert_int_equal(mem_live_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_question_is_read),
        cmocka_unit_test(every_role_has_its_place),
        cmocka_unit_test(messages_keep_their_order_and_text),
        cmocka_unit_test(content_is_a_string_or_parts),
        cmocka_unit_test(long_texts_and_many_messages_are_read),
        cmocka_unit_test(null_is_absent_and_unknown_members_are_let_through),
        cmocka_unit_test(wishes_are_heard),
        cmocka_unit_test(the_limit_has_two_names_and_the_newer_wins),
        cmocka_unit_test(what_cannot_be_answered_is_refused_with_its_place),
        cmocka_unit_test(questions_and_refusals_give_their_memory_back),
        cmocka_unit_test(a_role_that_is_an_array_or_object_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
