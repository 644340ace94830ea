#include "check.h"

#include "api/assistant_answer.h"
#include "api/assistant_question.h"

static struct assistant_wish    wish;
static struct assistant_problem problem;

/* NULL: refused, and then there is a problem. */
static struct question *ask(const char *body)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(str_of(body), &why);
    struct question *q;

    check_that(doc, "%s: %s", body, why);
    problem = (struct assistant_problem){ "", "" };
    q = assistant_read_question(json_root(doc), 1024, &wish, &problem);
    json_free(doc); /* a question owns what it holds  */
    return q;
}

static struct question *good(const char *body)
{
    struct question *q = ask(body);

    check_that(q, "%s: %s %s", body, problem.field, problem.reason);
    return q;
}

TEST(the_least_question_is_read)
{
    struct question *q = good("{\"message\":\" 你好 😀 \"}");

    assert_int_equal(q->n_messages, 1);
    assert_int_equal(q->messages[0].role, ROLE_USER);
    check_str(q->messages[0].text, " 你好 😀 ");
    assert_int_equal(q->max_tokens, 1024);
    check_str(q->options, ",\"max_tokens\":1024,\"temperature\":0.7");
    assert_int_equal(wish.type, ASSISTANT_AUTO);
    assert_int_equal(wish.session.n + wish.model.n, 0);
    question_free(q);
}

TEST(null_is_absent_and_the_unknown_is_let_through)
{
    struct question *q =
        good("{\"message\":\"a\",\"session_id\":null,\"max_tokens\":null,\"temperature\":null,"
             "\"model_type\":null,\"preferred_model\":null,\"stream\":null,\"context\":null,"
             "\"model\":null,\"plugins\":[1]}");

    check_str(q->options, ",\"max_tokens\":1024,\"temperature\":0.7");
    question_free(q);
}

TEST(numbers_are_kept_as_they_came)
{
    static const struct {
        const char *members, *options;
    } rows[] = {
        { "\"temperature\":0", ",\"max_tokens\":1024,\"temperature\":0" },
        { "\"temperature\":0.0", ",\"max_tokens\":1024,\"temperature\":0.0" },
        { "\"temperature\":2", ",\"max_tokens\":1024,\"temperature\":2" },
        { "\"max_tokens\":1", ",\"max_tokens\":1,\"temperature\":0.7" },
        { "\"max_tokens\":99999999999", ",\"max_tokens\":99999999999,\"temperature\":0.7" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char             body[200];
        struct question *q;

        snprintf(body, sizeof body, "{\"message\":\"a\",%s}", rows[i].members);
        q = good(body);
        check_text(q->options, rows[i].options);
        question_free(q);
    }
}

TEST(what_is_preferred)
{
    static const struct {
        const char *members, *model;
        int         type;
    } rows[] = {
        { "\"preferred_model\":\"m\"", "m", ASSISTANT_AUTO },
        { "\"model\":\"m\"", "m", ASSISTANT_AUTO },
        { "\"model\":\"m\",\"preferred_model\":\"n\"", "n", ASSISTANT_AUTO },
        { "\"model\":\"m\",\"preferred_model\":\"\"", "m", ASSISTANT_AUTO },
        { "\"preferred_model\":\"auto\"", "", ASSISTANT_AUTO },
        { "\"preferred_model\":\"local\"", "", ASSISTANT_LOCAL },
        { "\"model\":\"cloud\"", "", ASSISTANT_CLOUD },
        { "\"model_type\":\"local_small\"", "", ASSISTANT_LOCAL },
        { "\"model_type\":\"cloud_large\"", "", ASSISTANT_CLOUD },
        { "\"model_type\":\"plugin\"", "", ASSISTANT_PLUGIN },
        { "\"model_type\":\"auto_select\"", "", ASSISTANT_AUTO },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char             body[200];
        struct question *q;

        snprintf(body, sizeof body, "{\"message\":\"a\",%s}", rows[i].members);
        q = good(body);
        check_that((int)wish.type == rows[i].type, "%s", body);
        check_text(wish.model, rows[i].model);
        question_free(q);
    }
}

TEST(the_field_that_is_wrong_is_named)
{
    static const struct {
        const char *body, *field;
    } rows[] = {
        { "[]", "body" },
        { "\"message\"", "body" },
        { "{}", "message" },
        { "{\"message\":null}", "message" },
        { "{\"message\":[]}", "message" },
        { "{\"message\":\"\"}", "message" },
        { "{\"message\":\"\\r\\n\\t \"}", "message" },
        { "{\"message\":\"a\",\"session_id\":1}", "session_id" },
        { "{\"message\":\"a\",\"session_id\":\"\\u0001\"}", "session_id" },
        { "{\"message\":\"a\",\"session_id\":\"\\u007f\"}", "session_id" },
        { "{\"message\":\"a\",\"max_tokens\":0}", "max_tokens" },
        { "{\"message\":\"a\",\"max_tokens\":-1}", "max_tokens" },
        { "{\"message\":\"a\",\"max_tokens\":1.5}", "max_tokens" },
        { "{\"message\":\"a\",\"max_tokens\":true}", "max_tokens" },
        { "{\"message\":\"a\",\"temperature\":-0.01}", "temperature" },
        { "{\"message\":\"a\",\"temperature\":2.01}", "temperature" },
        { "{\"message\":\"a\",\"temperature\":1e300}", "temperature" },
        { "{\"message\":\"a\",\"model_type\":\"\"}", "model_type" },
        { "{\"message\":\"a\",\"model_type\":\"LOCAL_SMALL\"}", "model_type" },
        { "{\"message\":\"a\",\"preferred_model\":{}}", "preferred_model" },
        { "{\"message\":\"a\",\"stream\":1}", "stream" },
        { "{\"message\":\"a\",\"context\":\"x\"}", "context" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_null(ask(rows[i].body));
        check_text(str_of(problem.field), rows[i].field);
        assert_true(strlen(problem.reason) > 0);
    }
}

/* Characters, not bytes. */
static void check_length(const char *format, size_t n, const char *field)
{
    struct buf       text = BUF(1 << 20), body = BUF(1 << 20);
    struct question *q;

    while (n--)
        buf_lit(&text, "字");
    buf_add_char(&text, '\0');
    buf_addf(&body, "{\"message\":\"%s\",\"session_id\":\"%s\"}", *format == 'm' ? text.p : "a",
             *format == 's' ? text.p : "a");
    buf_add_char(&body, '\0');
    q = ask(body.p);
    check_text(str_of(problem.field), field);
    assert_int_equal(q == NULL, *field != '\0');
    if (q)
        question_free(q);
    buf_release(&text);
    buf_release(&body);
}

TEST(lengths_have_their_borders)
{
    check_length("message", 10000, "");
    check_length("message", 10001, "message");
    check_length("session", 200, "");
    check_length("session", 201, "session_id");
}

TEST(a_problem_is_told_in_both_forms)
{
    struct assistant_problem p = { "max_tokens", "必须 \"x\"" }, whole = { "body", "x" };
    struct buf               out = BUF(8192);

    assistant_write_problem(&p, 1700000000000000, &out);
    check_buf(&out, "{\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":\"请求参数无效\","
                    "\"details\":{\"field\":\"max_tokens\",\"reason\":\"必须 \\\"x\\\"\"}},"
                    "\"detail\":[{\"type\":\"value_error\",\"loc\":[\"body\",\"max_tokens\"],"
                    "\"msg\":\"必须 \\\"x\\\"\"}],"
                    "\"timestamp\":\"2023-11-14T22:13:20.000000+00:00\"}");
    buf_clear(&out);
    assistant_write_problem(&whole, 0, &out);
    check_that(memmem(out.p, out.n, "\"loc\":[\"body\"]", 14), "%.*s", STR_ARG(buf_str(&out)));
    buf_release(&out);
}

TEST(only_its_own_paths_get_its_refusals)
{
    static const char *const its[] = { "/api/v1/chat", "/api/v1/chat/stream", "/api/v1/tasks/1",
                                       "/api/v1/sessions/a/history", "/api/v1/memory/query" };
    static const char *const others[] = { "/api/v1/models",
                                          "/api/v1/chat/completions",
                                          "/api/v1/chat/dialogue/list",
                                          "/v1/chat/completions",
                                          "/api/v1/chats",
                                          "" };

    for (size_t i = 0; i < COUNT(its); i++)
        check_that(assistant_is_path(str_of(its[i])), "%s", its[i]);
    for (size_t i = 0; i < COUNT(others); i++)
        check_that(!assistant_is_path(str_of(others[i])), "%s", others[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_question_is_read),
        cmocka_unit_test(null_is_absent_and_the_unknown_is_let_through),
        cmocka_unit_test(numbers_are_kept_as_they_came),
        cmocka_unit_test(what_is_preferred),
        cmocka_unit_test(the_field_that_is_wrong_is_named),
        cmocka_unit_test(lengths_have_their_borders),
        cmocka_unit_test(a_problem_is_told_in_both_forms),
        cmocka_unit_test(only_its_own_paths_get_its_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
