/* What it means is checked here; the exact bytes are for the golden tests. */
#include "check.h"

#include "api/openai_dialect.h"
#include "turn/sink.h"

static struct buf out = { .limit = 1 << 20 };

/* The JSON of the next SSE event in `*rest`; NULL: "[DONE]". Free it with json_free(). */
static struct json_doc *next_chunk(struct str *rest)
{
    const char      *why = "", *end = memmem(rest->p, rest->n, "\n\n", 2);
    struct str       data;
    struct json_doc *doc;

    assert_non_null(end);
    assert_true(str_starts(*rest, STR("data: ")));
    data = (struct str){ rest->p + 6, (size_t)(end - rest->p) - 6 };
    *rest = str_from(*rest, data.n + 8);
    if (str_eq(data, STR("[DONE]")))
        return NULL;
    doc = json_read(data, &why);
    check_that(doc, "%.*s: %s", STR_ARG(data), why);
    return doc;
}

static const struct json *choice_of(const struct json_doc *doc)
{
    struct json_walk w = json_walk(json_get(json_root(doc), "choices"));

    return json_walk_next(&w);
}

static int64_t number(const struct json *object, const char *name)
{
    int64_t n = -1;

    assert_true(json_int(json_get(object, name), &n));
    return n;
}

static void check_identity(const struct json_doc *doc, struct str object)
{
    const struct json *root = json_root(doc);

    check_str(json_str(json_get(root, "id")), "chatcmpl-1");
    check_same(json_str(json_get(root, "object")), object);
    check_str(json_str(json_get(root, "model")), "a \"model\"");
    assert_int_equal(number(root, "created"), 1700000000);
}

static struct openai_state *begin(bool include_usage)
{
    char                 model[] = "a \"model\"";
    struct openai_state *s = openai_state_new(str_of(model), include_usage);

    openai_dialect.begin(s, &(struct turn_facts){ .id = STR("1"), .at = 1700000000999999 }, 0);
    memset(model, 'x', sizeof model);
    buf_clear(&out);
    return s;
}

TEST(an_answer_is_named_after_its_turn)
{
    struct openai_state *s = begin(false);
    struct str           rest;
    struct json_doc     *doc;

    openai_dialect.begin(
        s, &(struct turn_facts){ .id = STR("abcdefghijklmnopqrstuvwx"), .at = 1700000001000000 },
        0);
    openai_dialect.write_event(s, &(struct event){ .type = EVENT_START }, &out);
    rest = buf_str(&out);
    doc = next_chunk(&rest);
    check_str(json_str(json_get(json_root(doc), "id")), "chatcmpl-abcdefghijklmnopqrstuvwx");
    assert_int_equal(number(json_root(doc), "created"), 1700000001);
    json_free(doc);
    mem_free(s);
}

static void write_all(struct openai_state *s, enum finish finish)
{
    static const struct event events[] = {
        { .type = EVENT_START },
        { .type = EVENT_DELTA, .text = STR_INIT("one\n\n\"two\"") },
        { .type = EVENT_DELTA, .text = STR_INIT("\xe4\xbd\xa0") },
        { .type = EVENT_USAGE, .usage = { 7, 2 } },
    };

    for (size_t i = 0; i < COUNT(events); i++)
        openai_dialect.write_event(s, &events[i], &out);
    openai_dialect.write_event(s, &(struct event){ .type = EVENT_FINISH, .finish = finish }, &out);
}

TEST(a_stream_is_role_content_finish_usage_done)
{
    for (int usage = 0; usage <= 1; usage++) {
        struct openai_state     *s = begin(usage);
        struct str               rest;
        static const char *const contents[] = { "", "one\n\n\"two\"", "\xe4\xbd\xa0", NULL };

        write_all(s, usage ? FINISH_LENGTH : FINISH_STOP);
        rest = buf_str(&out);
        for (int i = 0; i < 4; i++) {
            struct json_doc   *doc = next_chunk(&rest);
            const struct json *choice = choice_of(doc), *delta = json_get(choice, "delta");

            check_identity(doc, STR("chat.completion.chunk"));
            assert_int_equal(number(choice, "index"), 0);
            check_same(json_str(json_get(delta, "role")), i == 0 ? STR("assistant") : STR(""));
            check_same(json_str(json_get(delta, "content")), str_of(contents[i]));
            check_same(json_str(json_get(choice, "finish_reason")), i < 3   ? STR("")
                                                                    : usage ? STR("length")
                                                                            : STR("stop"));
            assert_null(json_get(json_root(doc), "usage"));
            json_free(doc);
        }
        if (usage) {
            struct json_doc   *doc = next_chunk(&rest);
            const struct json *u = json_get(json_root(doc), "usage");

            check_identity(doc, STR("chat.completion.chunk"));
            assert_int_equal(json_type(json_get(json_root(doc), "choices")), JSON_ARRAY);
            assert_int_equal(json_count(json_get(json_root(doc), "choices")), 0);
            assert_int_equal(number(u, "prompt_tokens"), 7);
            assert_int_equal(number(u, "completion_tokens"), 2);
            assert_int_equal(number(u, "total_tokens"), 9);
            json_free(doc);
        }
        assert_null(next_chunk(&rest));
        assert_int_equal(rest.n, 0);
        mem_free(s);
    }
}

TEST(with_usage_every_other_chunk_says_null)
{
    struct openai_state *s = begin(true);
    size_t               nulls = 0;

    write_all(s, FINISH_STOP);
    for (struct str rest = buf_str(&out); rest.n; rest = str_from(rest, 1))
        nulls += str_starts(rest, STR("\"usage\":null"));
    assert_int_equal(nulls, 4);
    mem_free(s);
    s = begin(false);
    write_all(s, FINISH_STOP);
    assert_false(check_has(buf_str(&out), STR("usage")));
    mem_free(s);
}

TEST(a_fault_in_a_stream_is_its_last_event)
{
    struct openai_state *s = begin(true);
    struct str           rest;
    struct json_doc     *doc;

    openai_dialect.write_event(s, &(struct event){ .type = EVENT_ERROR, .fault = FAULT_TIMEOUT },
                               &out);
    rest = buf_str(&out);
    doc = next_chunk(&rest);
    check_str(json_str(json_get(json_get(json_root(doc), "error"), "code")), "timeout");
    assert_int_equal(rest.n, 0);
    json_free(doc);
    mem_free(s);
}

TEST(a_whole_answer_has_text_finish_and_usage)
{
    struct openai_state *s = begin(false);
    struct json_doc     *doc;
    const struct json   *message;
    const char          *why;

    openai_dialect.write_whole(s,
                               &(struct whole_answer){ .text = STR("all of it\n\"\x01"),
                                                       .usage = { 3, 4 },
                                                       .finish = FINISH_LENGTH },
                               &out);
    assert_non_null(doc = json_read(buf_str(&out), &why));
    check_identity(doc, STR("chat.completion"));
    message = json_get(choice_of(doc), "message");
    check_str(json_str(json_get(message, "role")), "assistant");
    check_str(json_str(json_get(message, "content")), "all of it\n\"\x01");
    check_str(json_str(json_get(choice_of(doc), "finish_reason")), "length");
    assert_int_equal(number(json_get(json_root(doc), "usage"), "total_tokens"), 7);
    json_free(doc);
    mem_free(s);
}

TEST(errors_have_type_param_and_code)
{
    static const struct {
        int         status;
        const char *param, *code, *json;
    } rows[] = {
        { 400, NULL, NULL,
          "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}" },
        { 404, "model", "model_not_found",
          "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"invalid_request_error\",\"param\":\"model\","
          "\"code\":\"model_not_found\"}}" },
        { 429, NULL, NULL,
          "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"rate_limit_error\",\"param\":null,\"code\":null}}" },
        { 500, NULL, "x",
          "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"server_error\",\"param\":null,\"code\":\"x\"}}" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&out);
        openai_write_error(&out, rows[i].status, "a \"b\"", rows[i].param, rows[i].code);
        check_text(buf_str(&out), rows[i].json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_named_after_its_turn),
        cmocka_unit_test(a_stream_is_role_content_finish_usage_done),
        cmocka_unit_test(with_usage_every_other_chunk_says_null),
        cmocka_unit_test(a_fault_in_a_stream_is_its_last_event),
        cmocka_unit_test(a_whole_answer_has_text_finish_and_usage),
        cmocka_unit_test(errors_have_type_param_and_code),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_release(&out);
    return failed;
}
