/* Answers as /ws/chat tells them: each event makes one message or none, and each is JSON. What
 * changes with the clock is cut out of them. */
#include "check.h"

#include "api/assistant_frames.h"
#include "base/clock.h"
#include "base/json.h"

#include <string.h>

enum { TEXT_MAX = 1 << 16 };

/* The value of that member is cut out, wherever it stands. */
static void cut(struct buf *text, const char *name)
{
    struct buf left = BUF(TEXT_MAX);
    char       member[40];
    char      *at = text->p, *end = text->p + text->n;
    int        n = snprintf(member, sizeof member, ",\"%s\":", name);

    for (char *p; (p = memmem(at, (size_t)(end - at), member, (size_t)n)); at = p) {
        buf_add(&left, (struct str){ at, (size_t)(p - at) });
        p += n;
        while (p < end && *p != ',' && *p != '}')
            p++;
    }
    buf_add(&left, (struct str){ at, (size_t)(end - at) });
    buf_release(text);
    *text = left;
}

static void check_frame(struct buf *frame, const char *expected)
{
    static const char *const changing[] = { "timestamp", "latency_ms", "response_time_ms" };
    const char              *why;
    struct json_doc         *doc = json_read(buf_str(frame), &why);

    assert_non_null(doc);
    json_free(doc);
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
        cut(frame, changing[i]);
    check_text(buf_str(frame), expected);
}

static struct assistant_frames *frames_of(bool streams)
{
    static const struct assistant_choice choice = { "cloud_large", "local_small",
                                                    STR_INIT("because \"so\""), "instead" };

    return assistant_frames_new(assistant_state_new(STR("s \"1\""), &choice), streams);
}

/* NULL: nothing is said of it. */
static void check_event(struct assistant_frames *f, struct event ev, const char *expected)
{
    struct buf out = BUF(TEXT_MAX);

    assistant_dialect_frames.write_event(f, &ev, &out);
    if (expected)
        check_frame(&out, expected);
    else
        assert_int_equal(out.n, 0);
    buf_release(&out);
}

#define WHOLE(text, model, why, tokens)                                                            \
    "{\"type\":\"ai_response\",\"data\":{\"content\":" text ",\"response\":" text                  \
    ",\"session_id\":\"s \\\"1\\\"\",\"model_used\":\"" model "\",\"reasoning\":\"" why            \
    "\",\"token_count\":" tokens ",\"tokens_used\":" tokens ",\"confidence\":null,\"error\":null"

static void tells_an_answer(void **state)
{
    struct assistant_frames *f = frames_of(true);

    (void)state;
    check_event(f, (struct event){ .type = EVENT_START }, NULL);
    check_event(f, (struct event){ .type = EVENT_REASONING, .text = STR("hm") }, NULL);
    check_event(f, (struct event){ .type = EVENT_DELTA, .text = STR("你\n") },
                "{\"type\":\"ai_chunk\",\"data\":{\"content\":\"你\\n\",\"session_id\":\"s "
                "\\\"1\\\"\",\"model_used\":\"cloud_large\"}}");
    check_event(f, (struct event){ .type = EVENT_DELTA, .text = STR("b") },
                "{\"type\":\"ai_chunk\",\"data\":{\"content\":\"b\",\"session_id\":\"s "
                "\\\"1\\\"\",\"model_used\":\"cloud_large\"}}");
    check_event(f, (struct event){ .type = EVENT_USAGE, .usage = { 3, 4 } }, NULL);
    check_event(f, (struct event){ .type = EVENT_FINISH },
                WHOLE("\"你\\nb\"", "cloud_large", "because \\\"so\\\"", "7") "}}");
    dialect_release(&assistant_dialect_frames, f);
}

static void tells_it_whole_only(void **state)
{
    struct assistant_frames *f = frames_of(false);

    (void)state;
    check_event(f, (struct event){ .type = EVENT_START, .stands_in = true }, NULL);
    check_event(f, (struct event){ .type = EVENT_DELTA, .text = STR("a") }, NULL);
    check_event(f, (struct event){ .type = EVENT_FINISH },
                WHOLE("\"a\"", "local_small", "instead", "1") "}}");
    dialect_release(&assistant_dialect_frames, f);
}

static void tells_what_there_is_of_a_stopped_one(void **state)
{
    struct assistant_frames *f = frames_of(false);

    (void)state;
    check_event(f, (struct event){ .type = EVENT_START }, NULL);
    check_event(f, (struct event){ .type = EVENT_DELTA, .text = STR("a") }, NULL);
    check_event(f, (struct event){ .type = EVENT_ERROR, .fault = FAULT_STOPPED },
                WHOLE("\"a\"", "cloud_large", "because \\\"so\\\"",
                      "1") ",\"stopped\":true,\"interrupted\":true}}");
    dialect_release(&assistant_dialect_frames, f);
}

static void tells_errors(void **state)
{
    struct assistant_frames *f = frames_of(true);
    struct event             cut_off = { .type = EVENT_ERROR, .fault = FAULT_CUT };
    struct event             limited = { .type = EVENT_ERROR, .fault = FAULT_RATE_LIMITED };

    (void)state;
    limited.advice.after = 11 * CLOCK_S + 1;
    check_event(f, limited,
                "{\"type\":\"error\",\"data\":{\"message\":\"消息处理失败\",\"code\":"
                "\"rate_limited\",\"error\":\"too many requests or tokens within a minute\","
                "\"content\":\"抱歉，处理您的请求时出现了错误。\",\"session_id\":\"s \\\"1\\\"\","
                "\"retry_after\":12}}");
    check_event(f, cut_off,
                "{\"type\":\"error\",\"data\":{\"message\":\"消息处理失败\",\"code\":\"cut\","
                "\"error\":\"the model service broke off its answer\",\"content\":"
                "\"抱歉，目前所有AI模型都不可用，请稍后重试。\",\"session_id\":\"s \\\"1\\\"\"}}");
    check_event(f, (struct event){ .type = EVENT_START }, NULL);
    check_event(f, cut_off,
                "{\"type\":\"error\",\"data\":{\"message\":\"消息处理失败\",\"code\":\"cut\","
                "\"error\":\"the model service broke off its answer\",\"content\":"
                "\"抱歉，处理您的请求时出现了错误。\",\"session_id\":\"s \\\"1\\\"\"}}");
    dialect_release(&assistant_dialect_frames, f);
}

static void writes_errors_of_its_own(void **state)
{
    struct buf out = BUF(TEXT_MAX);

    (void)state;
    assistant_frame_error(&out, STR("a \"b\""), "CODE");
    check_frame(&out, "{\"type\":\"error\",\"data\":{\"message\":\"a \\\"b\\\"\",\"code\":"
                      "\"CODE\"}}");
    buf_release(&out);
    out = BUF(TEXT_MAX);
    assistant_frame_error(&out, STR("c"), NULL);
    check_frame(&out, "{\"type\":\"error\",\"data\":{\"message\":\"c\"}}");
    buf_release(&out);
}

/* Where the output is full, nothing is written over its end. */
static void keeps_to_the_limit_of_its_output(void **state)
{
    struct assistant_frames *f = frames_of(true);
    struct event             last = { .type = EVENT_FINISH };

    (void)state;
    for (size_t limit = 0; limit < 600; limit++) {
        struct buf out = BUF(limit);

        assistant_dialect_frames.write_event(f, &last, &out);
        assert_true(out.over ? out.n <= limit : out.n > 300);
        buf_release(&out);
    }
    dialect_release(&assistant_dialect_frames, f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_an_answer),
        cmocka_unit_test(tells_it_whole_only),
        cmocka_unit_test(tells_what_there_is_of_a_stopped_one),
        cmocka_unit_test(tells_errors),
        cmocka_unit_test(writes_errors_of_its_own),
        cmocka_unit_test(keeps_to_the_limit_of_its_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
