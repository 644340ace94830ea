/* The bytes of DB-GPT's answers. They were written from the protocol, not taken from a run. */
#include "check.h"

#include "api/dbgpt_answer.h"
#include "api/dbgpt_dialect.h"
#include "turn/sink.h"

#define ID "chatcmpl-12345678-1234-1234-9234-123456789012"

static struct buf out = { .limit = 1 << 20 };

static struct dbgpt_state *begin(bool is_incremental)
{
    struct dbgpt_state *s = dbgpt_state_new(STR("m \"x\""), STR("uid"));

    buf_clear(&out);
    s->is_incremental = is_incremental;
    snprintf(s->id, sizeof s->id, "%s", ID);
    s->created = 1700000000;
    return s;
}

static void tell(struct dbgpt_state *s, enum event_type type, struct str text)
{
    struct event ev = { .type = type, .text = text, .fault = FAULT_CUT };

    assert_true(dbgpt_dialect.speaks(s, &ev) || type != EVENT_DELTA);
    dbgpt_dialect.write_event(s, &ev, &out);
}

static void end(struct dbgpt_state *s)
{
    dbgpt_dialect.release(s);
}

#define CHUNK(delta)                                                                               \
    "data: {\"id\": \"" ID "\", \"model\": \"m \\\"x\\\"\", \"choices\": [{\"index\": 0, "           \
    "\"delta\": {\"role\": \"assistant\", \"content\": " delta "}}]}\n\n"

TEST(a_stream)
{
    struct dbgpt_state *s = begin(true);

    tell(s, EVENT_START, STR(""));
    tell(s, EVENT_REASONING, STR("hm"));
    tell(s, EVENT_DELTA, STR("你\n"));
    tell(s, EVENT_DELTA, STR("\"👍🏽\""));
    tell(s, EVENT_USAGE, STR(""));
    tell(s, EVENT_FINISH, STR(""));
    check_buf(&out, CHUNK("\"你\\n\"") CHUNK("\"\\\"👍🏽\\\"\"") "data: [DONE]\n\n");
    end(s);
}

/* What ends a line for Python, and for nobody else. */
TEST(a_stream_that_is_read_by_lines)
{
    struct dbgpt_state *s = begin(true);

    tell(s, EVENT_DELTA, STR("\u2028a\xc2\x85\u2029"));
    tell(s, EVENT_DELTA, STR("\u2027\u202a\xc2\x84"));
    check_buf(&out, CHUNK("\"\\u2028a\\u0085\\u2029\"") CHUNK("\"\u2027\u202a\xc2\x84\""));
    end(s);
}

TEST(a_stream_that_fails)
{
    struct dbgpt_state *s = begin(true);

    tell(s, EVENT_DELTA, STR("a"));
    tell(s, EVENT_ERROR, STR("not for the client"));
    check_buf(&out, CHUNK("\"a\"") CHUNK("\"**LLMServer Generate Error, Please CheckErrorInfo.**: "
                                         "the model service broke off its answer (error_code: "
                                         "1)\"") "data: [DONE]\n\n");
    end(s);
}

TEST(the_text_so_far)
{
    struct dbgpt_state *s = begin(false);

    tell(s, EVENT_DELTA, STR("a\n"));
    tell(s, EVENT_REASONING, STR("hm"));
    tell(s, EVENT_DELTA, STR("\rb"));
    tell(s, EVENT_FINISH, STR(""));
    check_buf(&out, "data: a\\n\n\ndata: a\\n\\rb\n\n");
    end(s);
}

#define OBJECT(text, reasoning)                                                                    \
    "data: {\"id\": \"" ID "\", \"model\": \"m \\\"x\\\"\", \"choices\": [{\"index\": 0, "           \
    "\"message\": {\"role\": \"assistant\", \"content\": " text                                    \
    ", \"reasoning_content\": " reasoning "}}], \"usage\": {\"prompt_tokens\": 0, "                \
    "\"total_tokens\": 0, \"completion_tokens\": 0}}\n\n"

TEST(the_text_so_far_in_objects)
{
    struct dbgpt_state *s = begin(false);

    s->has_objects = true;
    tell(s, EVENT_DELTA, STR("a"));
    tell(s, EVENT_REASONING, STR("hm"));
    tell(s, EVENT_DELTA, STR("b"));
    tell(s, EVENT_FINISH, STR(""));
    check_buf(&out, OBJECT("\"a\"", "null") OBJECT("\"a\"", "\"hm\"") OBJECT("\"ab\"", "\"hm\""));
    end(s);
}

TEST(the_head_waits_for_the_first_word)
{
    static const struct {
        enum event_type type;
        const char     *text;
        bool            speaks;
    } rows[] = {
        { EVENT_START, "x", false },     { EVENT_REASONING, "x", false },
        { EVENT_TOOL_CALL, "x", false }, { EVENT_CITATION, "x", false },
        { EVENT_USAGE, "x", false },     { EVENT_DELTA, "", false },
        { EVENT_DELTA, "x", true },      { EVENT_FINISH, "", true },
        { EVENT_ERROR, "", true },
    };
    struct dbgpt_state *s = begin(true);

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct event ev = { .type = rows[i].type, .text = str_of(rows[i].text) };

        check_that(dbgpt_dialect.speaks(s, &ev) == rows[i].speaks, "row %zu", i);
    }
    end(s);
}

static void whole(struct whole_answer a)
{
    struct dbgpt_state *s = begin(true);

    dbgpt_whole_dialect.write_whole(s, &a, &out);
    end(s);
}

#define WHOLE(text, reason, usage)                                                                 \
    "{\"id\":\"uid\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"m \\\"x\\\"\","  \
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":" text              \
    "},\"finish_reason\":" reason "}],\"usage\":{" usage "}}"

TEST(a_whole_answer)
{
    whole((struct whole_answer){ .text = STR("a&quot;b&quo;\ufffd你\u00ef\n&quot;"),
                                 .usage = { 3, 4 } });
    check_buf(&out, WHOLE("\"a\\\"b&quo;你\u00ef\\n\\\"\"", "\"stop\"",
                          "\"prompt_tokens\":3,\"total_tokens\":7,\"completion_tokens\":4"));
    whole((struct whole_answer){ .text = STR("a"), .finish = FINISH_LENGTH });
    check_buf(&out, WHOLE("\"a\"", "\"length\"",
                          "\"prompt_tokens\":0,\"total_tokens\":0,\"completion_tokens\":0"));
    whole((struct whole_answer){ .text = STR("a"), .finish = FINISH_CONTENT_FILTER });
    check_buf(&out, WHOLE("\"a\"", "null",
                          "\"prompt_tokens\":0,\"total_tokens\":0,\"completion_tokens\":0"));
}

TEST(what_people_are_shown_of_an_end)
{
    static const struct {
        const char *text;
        enum fault  fault;
        const char *view;
    } rows[] = {
        { "a", FAULT_NONE, "a" },
        { "a", FAULT_STOPPED, "a" },
        { "a", FAULT_CLIENT_GONE, "a" },
        { "", FAULT_UNREACHABLE,
          "<span style='color:red'>ERROR!</span> Model server error!code=1, error msg is the model "
          "service could not be reached" },
        { "a", FAULT_SHUTDOWN,
          "a\n\n<span style='color:red'>ERROR!</span> Model server error!code=1, error msg is the "
          "service is restarting; please ask again" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&out);
        dbgpt_write_view(str_of(rows[i].text), rows[i].fault, &out);
        check_text(buf_str(&out), rows[i].view);
    }
}

TEST(ids_are_the_same_for_the_same_turn)
{
    struct turn_facts   facts = { .id = STR("turn"), .at = 1700000000999999 };
    struct dbgpt_state *a = begin(true), *b = begin(true);

    dbgpt_dialect.begin(a, &facts, 0);
    dbgpt_dialect.begin(b, &facts, 5);
    assert_string_equal(a->id, b->id);
    assert_int_equal(strlen(a->id), strlen(ID));
    assert_int_equal(a->id[23], '1');
    assert_int_equal(a->created, 1700000000);
    end(a);
    end(b);
}

#define BOTH(code, msg, e)                                                                         \
    "{\"success\":false,\"err_code\":\"" code "\",\"err_msg\":\"" msg                              \
    "\",\"data\":null,\"detail\":{\"error\":" e "},\"error\":" e "}"
#define INNER(message, code)                                                                       \
    "{\"message\":\"" message "\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"" code \
    "\"}"

TEST(errors)
{
    buf_clear(&out);
    dbgpt_write_refusal(&out, 401, "nobody is told why");
    check_buf(&out, BOTH("401",
                         "{'error': {'message': '', 'type': 'invalid_request_error', 'param': "
                         "None, 'code': 'invalid_api_key'}}",
                         INNER("", "invalid_api_key")));
    buf_clear(&out);
    dbgpt_write_raised(&out, 400, "it's \\ 你\n", "x");
    check_buf(&out, BOTH("400",
                         "{'error': {'message': \\\"it's \\\\\\\\ 你\\\\n\\\", 'type': "
                         "'invalid_request_error', 'param': None, 'code': 'x'}}",
                         INNER("it's \\\\ 你\\n", "x")));
    buf_clear(&out);
    dbgpt_write_failed(&out, "E0003", STR("no"), "gone");
    check_buf(&out, BOTH("E0003", "no", INNER("no", "gone")));
}

TEST(limits_keep_their_status_and_models_do_not)
{
    assert_int_equal(dbgpt_dialect.fault_status(FAULT_RATE_LIMITED), 429);
    assert_int_equal(dbgpt_dialect.fault_status(FAULT_USED_UP), 429);
    assert_int_equal(dbgpt_dialect.fault_status(FAULT_KEY_REUSED), 422);
    assert_int_equal(dbgpt_dialect.fault_status(FAULT_SERVICE_BUSY), 400);
    assert_int_equal(dbgpt_dialect.fault_status(FAULT_CUT), 400);
    buf_clear(&out);
    dbgpt_dialect.write_fault(FAULT_CUT, &out);
    assert_true(str_starts(buf_str(&out), STR("{\"success\":false,\"err_code\":\"E0003\",")));
    buf_clear(&out);
    dbgpt_dialect.write_fault(FAULT_RATE_LIMITED, &out);
    assert_true(str_starts(buf_str(&out), STR("{\"success\":false,\"err_code\":\"429\",")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream),
        cmocka_unit_test(a_stream_that_is_read_by_lines),
        cmocka_unit_test(a_stream_that_fails),
        cmocka_unit_test(the_text_so_far),
        cmocka_unit_test(the_text_so_far_in_objects),
        cmocka_unit_test(the_head_waits_for_the_first_word),
        cmocka_unit_test(a_whole_answer),
        cmocka_unit_test(what_people_are_shown_of_an_end),
        cmocka_unit_test(ids_are_the_same_for_the_same_turn),
        cmocka_unit_test(errors),
        cmocka_unit_test(limits_keep_their_status_and_models_do_not),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_release(&out);
    return failed;
}
