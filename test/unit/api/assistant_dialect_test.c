/* What the assistant's clients read, byte for byte. */
#include "check.h"

#include "api/assistant_dialect.h"

static struct buf              out = { .limit = 1 << 20 };
static struct assistant_state *told;

#define WHY  "\"reasoning\": \"\xe4\xba\x91 \\\"x\\\"\""
#define HEAD ", \"session_id\": \"s \xf0\x9f\x98\x80\", \"model_used\": \"cloud_large\", " WHY
#define HEAD_INSTEAD                                                                               \
    ", \"session_id\": \"s \xf0\x9f\x98\x80\", \"model_used\": \"local_small\", "                  \
    "\"reasoning\": \"instead\""
#define NOBODY "抱歉，目前所有AI模型都不可用，请稍后重试。"
#define SORRY  "抱歉，处理您的请求时出现了错误。"

static int begin(void **unused)
{
    struct assistant_choice c = { .model_used = "cloud_large",
                                  .instead = "local_small",
                                  .reason = STR("\xe4\xba\x91 \"x\""),
                                  .reason_instead = "instead" };

    (void)unused;
    told = assistant_state_new(STR("s \xf0\x9f\x98\x80"), &c);
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    assistant_dialect_plain.release(told);
    buf_release(&out);
    return 0;
}

static void tell(struct event ev)
{
    assistant_dialect_plain.write_event(told, &ev, &out);
}

static void tell_delta(const char *text)
{
    tell((struct event){ .type = EVENT_DELTA, .text = str_of(text) });
}

TEST(a_good_answer)
{
    tell((struct event){ .type = EVENT_START });
    tell((struct event){ .type = EVENT_REASONING, .text = STR("hm") });
    check_buf(&out, "");
    tell_delta("你\n\"");
    tell((struct event){ .type = EVENT_USAGE, .usage = { 3, 4 } });
    tell((struct event){ .type = EVENT_FINISH });
    check_buf(&out, "data: {\"content\": \"你\\n\\\"\"" HEAD ", \"finished\": false}\n\n"
                    "data: {\"content\": \"\"" HEAD ", \"finished\": true, \"done\": true, "
                    "\"total_tokens\": 7, \"token_count\": 7}\n\n");
}

TEST(an_empty_one)
{
    tell((struct event){ .type = EVENT_START });
    tell((struct event){ .type = EVENT_FINISH });
    check_buf(&out, "data: {\"content\": \"\"" HEAD ", \"finished\": true, \"done\": true, "
                    "\"total_tokens\": 0, \"token_count\": 0}\n\n");
}

TEST(use_that_nobody_told_is_guessed)
{
    tell((struct event){ .type = EVENT_START });
    tell_delta("12345");
    buf_clear(&out);
    tell((struct event){ .type = EVENT_FINISH });
    check_buf(&out, "data: {\"content\": \"\"" HEAD ", \"finished\": true, \"done\": true, "
                    "\"total_tokens\": 2, \"token_count\": 2}\n\n");
}

TEST(a_marker_where_it_is_wanted)
{
    told->done_marker = true;
    tell((struct event){ .type = EVENT_START });
    tell((struct event){ .type = EVENT_FINISH });
    check_buf(&out, "data: {\"content\": \"\"" HEAD ", \"finished\": true, \"done\": true, "
                    "\"total_tokens\": 0, \"token_count\": 0}\n\ndata: [DONE]\n\n");
}

TEST(whoever_stands_in_is_named)
{
    tell((struct event){ .type = EVENT_START, .stands_in = true });
    tell_delta("a");
    check_buf(&out, "data: {\"content\": \"a\"" HEAD_INSTEAD ", \"finished\": false}\n\n");
}

TEST(nobody_answers)
{
    static const enum fault of_nobody[] = { FAULT_UNREACHABLE,    FAULT_CUT,
                                            FAULT_RESTING,        FAULT_PROVIDER_BUSY,
                                            FAULT_SERVICE_FAILED, FAULT_SERVICE_BUSY,
                                            FAULT_SERVICE_DENIED, FAULT_NO_FIRST_TOKEN };

    for (size_t i = 0; i < COUNT(of_nobody); i++) {
        struct buf want = BUF(1000);

        buf_clear(&out);
        tell((struct event){ .type = EVENT_ERROR, .fault = of_nobody[i] });
        buf_addf(&want,
                 "data: {\"content\": \"" NOBODY "\", \"session_id\": \"s \xf0\x9f\x98\x80\", "
                 "\"model_used\": \"local_small\", \"reasoning\": \"所有模型不可用\", "
                 "\"finished\": false, \"error\": \"%s\"}\n\n",
                 fault_text(of_nobody[i]));
        check_same(buf_str(&out), buf_str(&want));
        buf_release(&want);
    }
}

TEST(an_answer_that_broke_off_is_not_finished)
{
    tell((struct event){ .type = EVENT_START });
    tell_delta("half");
    buf_clear(&out);
    tell((struct event){ .type = EVENT_ERROR, .fault = FAULT_CUT });
    check_buf(&out, "data: {\"content\": \"" SORRY "\"" HEAD ", \"finished\": false, "
                    "\"error\": \"the model service broke off its answer\"}\n\n");
}

TEST(what_is_not_the_models_fault_is_not_said_of_them)
{
    tell((struct event){ .type = EVENT_ERROR, .fault = FAULT_NOT_ACCEPTED });
    check_that(memmem(out.p, out.n, SORRY, strlen(SORRY)), "%.*s", STR_ARG(buf_str(&out)));
}

/* ---- whole -------------------------------------------------------------------------------- */

static void check_whole(struct whole_answer a, const char *text, const char *model,
                        const char *reason, const char *error)
{
    const char        *why = "";
    struct json_doc   *doc;
    const struct json *root;
    int64_t            tokens = -1;

    assistant_dialect_plain.write_whole(told, &a, &out);
    doc = json_read(buf_str(&out), &why);
    check_that(doc, "%s", why);
    root = json_root(doc);
    check_text(json_str(json_get(root, "content")), text);
    check_text(json_str(json_get(root, "response")), text);
    check_text(json_str(json_get(root, "session_id")), "s \xf0\x9f\x98\x80");
    check_text(json_str(json_get(root, "model_used")), model);
    check_text(json_str(json_get(root, "reasoning")), reason);
    check_text(json_str(json_get(root, "error")), error);
    assert_int_equal(json_type(json_get(root, "error")), *error ? JSON_STRING : JSON_NONE);
    assert_true(json_int(json_get(root, "tokens_used"), &tokens));
    assert_int_equal(tokens, a.usage.prompt + a.usage.completion);
    json_free(doc);
}

TEST(a_whole_answer)
{
    check_whole((struct whole_answer){ .text = STR("好"), .usage = { 1, 2 }, .has_begun = true },
                "好", "cloud_large", "\xe4\xba\x91 \"x\"", "");
}

TEST(a_whole_answer_of_who_stands_in)
{
    check_whole(
        (struct whole_answer){
            .text = STR("a"), .usage = { 1, 2 }, .has_begun = true, .stands_in = true },
        "a", "local_small", "instead", "");
}

TEST(half_of_one_is_not_given_away)
{
    check_whole(
        (struct whole_answer){
            .text = STR("half"), .usage = { 1, 2 }, .fault = FAULT_CUT, .has_begun = true },
        "抱歉，处理您的请求时出现了错误，请稍后重试。", "local_small", "\xe4\xba\x91 \"x\"",
        "the model service broke off its answer");
}

TEST(none_of_nobody)
{
    check_whole((struct whole_answer){ .fault = FAULT_UNREACHABLE }, NOBODY, "local_small",
                "所有模型不可用", "the model service could not be reached");
}

TEST(both_types_of_a_stream_are_as_they_must_be)
{
    check_str(assistant_dialect_plain.stream_type, "text/plain; charset=utf-8");
    check_str(assistant_dialect_events.stream_type, "text/event-stream");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_good_answer),
        CASE(an_empty_one),
        CASE(use_that_nobody_told_is_guessed),
        CASE(a_marker_where_it_is_wanted),
        CASE(whoever_stands_in_is_named),
        CASE(nobody_answers),
        CASE(an_answer_that_broke_off_is_not_finished),
        CASE(what_is_not_the_models_fault_is_not_said_of_them),
        CASE(a_whole_answer),
        CASE(a_whole_answer_of_who_stands_in),
        CASE(half_of_one_is_not_given_away),
        CASE(none_of_nobody),
        CASE(both_types_of_a_stream_are_as_they_must_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
