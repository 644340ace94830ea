/* session_dialect_test.c - the parts of a UI message stream, in every order of events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/session_dialect.h"
#include "base/mem.h"
#include "turn/sink.h"

#include <stdio.h>
#include <string.h>

enum { LIMIT = 1 << 20, RUNS = 3000, STEPS_MAX = 40 };

/* ---- one telling ------------------------------------------------------------------------- */

static const struct event begun = { .type = EVENT_START };

static struct event text(enum event_type type, const char *t)
{
    return (struct event){ .type = type, .text = str_of(t) };
}

static struct event call(uint64_t index, const char *id, const char *name, const char *arguments)
{
    return (struct event){ .type = EVENT_TOOL_CALL,
                           .text = str_of(arguments),
                           .tool = { index, str_of(id), str_of(name), true, false } };
}

static struct event result(uint64_t index, const char *output, bool failed)
{
    return (struct event){ .type = EVENT_TOOL_RESULT,
                           .text = str_of(output),
                           .tool = { .index = index, .is_ours = true, .failed = failed } };
}

static struct event ended(enum fault fault)
{
    return (struct event){ .type = fault ? EVENT_ERROR : EVENT_FINISH, .fault = fault };
}

static void tell(const struct event *events, size_t n, struct buf *out)
{
    struct session_state *s = session_state_new();

    session_dialect.begin(s, &(struct turn_facts){ .id = STR("turn"), .answer = 7 }, 0);
    for (size_t i = 0; i < n; i++)
        session_dialect.write_event(s, &events[i], out);
    session_dialect.release(s);
}

static void expect(const struct event *events, size_t n, const char *want)
{
    struct buf out = BUF(LIMIT), whole = BUF(LIMIT);

    tell(events, n, &out);
    for (const char *p = want; *p;) {         /* a line of `want` is an event */
        size_t len = strcspn(p, "\n");

        if (*p != ':')
            buf_lit(&whole, "data: ");
        buf_add(&whole, (struct str){ p, len });
        buf_lit(&whole, "\n\n");
        p += len + (p[len] == '\n');
    }
    if (!str_eq(buf_str(&out), buf_str(&whole)))
        fail_msg("wanted\n%.*s\ncame\n%.*s", STR_ARG(buf_str(&whole)), STR_ARG(buf_str(&out)));
    buf_release(&out);
    buf_release(&whole);
}

#define EXPECT(want, ...)                                                                          \
    do {                                                                                           \
        const struct event all[] = { __VA_ARGS__ };                                                \
        expect(all, sizeof all / sizeof *all, want);                                               \
    } while (0)

#define START                                                                                      \
    "{\"type\":\"start\",\"messageId\":\"msg_7\"}\n"                                               \
    "{\"type\":\"start-step\"}\n"
#define FINISH                                                                                     \
    "{\"type\":\"finish-step\"}\n"                                                                 \
    "{\"type\":\"finish\"}\n"                                                                      \
    "[DONE]\n"

static void words(void **state)
{
    (void)state;
    EXPECT(START "{\"type\":\"text-start\",\"id\":\"t1\"}\n"
                 "{\"type\":\"text-delta\",\"id\":\"t1\",\"delta\":\"He\\n\"}\n"
                 "{\"type\":\"text-delta\",\"id\":\"t1\",\"delta\":\"你\\\"\"}\n"
                 "{\"type\":\"text-end\",\"id\":\"t1\"}\n" FINISH,
           begun, text(EVENT_DELTA, "He\n"), text(EVENT_DELTA, ""), text(EVENT_DELTA, "你\""),
           ended(FAULT_NONE));
    EXPECT(START FINISH, begun, ended(FAULT_NONE));
}

static void thoughts(void **state)
{
    (void)state;
    EXPECT(START "{\"type\":\"reasoning-start\",\"id\":\"r1\"}\n"
                 "{\"type\":\"reasoning-delta\",\"id\":\"r1\",\"delta\":\"hm\"}\n"
                 "{\"type\":\"reasoning-end\",\"id\":\"r1\"}\n"
                 "{\"type\":\"text-start\",\"id\":\"t2\"}\n"
                 "{\"type\":\"text-delta\",\"id\":\"t2\",\"delta\":\"a\"}\n"
                 "{\"type\":\"text-end\",\"id\":\"t2\"}\n"
                 "{\"type\":\"reasoning-start\",\"id\":\"r3\"}\n"
                 "{\"type\":\"reasoning-delta\",\"id\":\"r3\",\"delta\":\"b\"}\n"
                 "{\"type\":\"reasoning-end\",\"id\":\"r3\"}\n" FINISH,
           begun, text(EVENT_REASONING, "hm"), text(EVENT_DELTA, "a"), text(EVENT_REASONING, "b"),
           ended(FAULT_NONE));
}

static void tools(void **state)
{
    (void)state;
    EXPECT(
        START
        "{\"type\":\"text-start\",\"id\":\"t1\"}\n"
        "{\"type\":\"text-delta\",\"id\":\"t1\",\"delta\":\"wait\"}\n"
        "{\"type\":\"text-end\",\"id\":\"t1\"}\n"
        "{\"type\":\"tool-input-start\",\"toolCallId\":\"c1\",\"toolName\":\"f\"}\n"
        "{\"type\":\"tool-input-delta\",\"toolCallId\":\"c1\",\"inputTextDelta\":\"{\\\"a\\\"\"}\n"
        "{\"type\":\"tool-input-delta\",\"toolCallId\":\"c1\",\"inputTextDelta\":\": 1}\"}\n"
        "{\"type\":\"tool-input-start\",\"toolCallId\":\"c2\",\"toolName\":\"g\"}\n"
        "{\"type\":\"tool-input-available\",\"toolCallId\":\"c1\",\"toolName\":\"f\",\"input\":{\"a\":1}}\n"
        "{\"type\":\"tool-input-available\",\"toolCallId\":\"c2\",\"toolName\":\"g\",\"input\":{}}\n"
        "{\"type\":\"tool-output-available\",\"toolCallId\":\"c1\",\"output\":\"{\\\"x\\\":1}\"}\n"
        "{\"type\":\"tool-output-error\",\"toolCallId\":\"c2\",\"errorText\":\"no\"}\n"
        "{\"type\":\"finish-step\"}\n"
        "{\"type\":\"start-step\"}\n"
        "{\"type\":\"text-start\",\"id\":\"t2\"}\n"
        "{\"type\":\"text-delta\",\"id\":\"t2\",\"delta\":\"so\"}\n"
        ": usage {\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}\n"
        "{\"type\":\"text-end\",\"id\":\"t2\"}\n" FINISH,
        begun, text(EVENT_DELTA, "wait"), call(0, "c1", "f", "{\"a\""), call(0, "", "", ": 1}"),
        call(1, "c2", "g", ""), result(0, "{\"x\":1}", false), result(1, "no", true),
        (struct event){ .type = EVENT_ROUND }, text(EVENT_DELTA, "so"),
        (struct event){ .type = EVENT_USAGE, .usage = { 3, 2 } }, ended(FAULT_NONE));
}

static void calls_that_say_no_object(void **state)
{
    (void)state;
    EXPECT(
        START
        "{\"type\":\"tool-input-start\",\"toolCallId\":\"c\",\"toolName\":\"f\"}\n"
        "{\"type\":\"tool-input-delta\",\"toolCallId\":\"c\",\"inputTextDelta\":\"[1\"}\n"
        "{\"type\":\"tool-input-available\",\"toolCallId\":\"c\",\"toolName\":\"f\",\"input\":{}}\n"
        "{\"type\":\"tool-output-error\",\"toolCallId\":\"c\",\"errorText\":\"bad\"}\n" FINISH,
        begun, call(0, "c", "f", "[1"), result(0, "bad", true), ended(FAULT_NONE));
}

/* A result of a call that nobody made, or that has one, would end the stream for its reader. */
static void results_of_nothing(void **state)
{
    (void)state;
    EXPECT(
        START
        "{\"type\":\"tool-input-start\",\"toolCallId\":\"c\",\"toolName\":\"f\"}\n"
        "{\"type\":\"tool-input-available\",\"toolCallId\":\"c\",\"toolName\":\"f\",\"input\":{}}\n"
        "{\"type\":\"tool-output-available\",\"toolCallId\":\"c\",\"output\":\"1\"}\n" FINISH,
        begun, result(4, "x", false), call(0, "c", "f", ""), result(0, "1", false),
        result(0, "2", false), ended(FAULT_NONE));
}

static void sources(void **state)
{
    (void)state;
    EXPECT(
        START
        "{\"type\":\"source-url\",\"sourceId\":\"s1\",\"url\":\"http://a/\"}\n"
        "{\"type\":\"source-url\",\"sourceId\":\"s2\",\"url\":\"http://b/\",\"title\":\"B\"}\n"
        "{\"type\":\"source-document\",\"sourceId\":\"s3\",\"mediaType\":\"text/plain\",\"title\":\"d\"}\n" FINISH,
        begun, (struct event){ .type = EVENT_CITATION, .citation = { .url = STR("http://a/") } },
        (struct event){ .type = EVENT_CITATION,
                        .citation = { .url = STR("http://b/"), .title = STR("B") } },
        (struct event){ .type = EVENT_CITATION, .citation = { .id = STR("d") } },
        ended(FAULT_NONE));
}

static void bad_ends(void **state)
{
    (void)state;
    EXPECT(START "{\"type\":\"text-start\",\"id\":\"t1\"}\n"
                 "{\"type\":\"text-delta\",\"id\":\"t1\",\"delta\":\"a\"}\n"
                 "{\"type\":\"text-end\",\"id\":\"t1\"}\n"
                 "{\"type\":\"finish-step\"}\n"
                 "{\"type\":\"error\",\"errorText\":\"the model service broke off its answer\"}\n"
                 "{\"type\":\"finish\"}\n[DONE]\n",
           begun, text(EVENT_DELTA, "a"), ended(FAULT_CUT));
    EXPECT(START "{\"type\":\"finish-step\"}\n"
                 "{\"type\":\"error\",\"errorText\":\"the model service failed\"}\n"
                 "{\"type\":\"finish\"}\n[DONE]\n",
           ended(FAULT_SERVICE_FAILED));
    EXPECT(START
           "{\"type\":\"finish-step\"}\n{\"type\":\"abort\"}\n{\"type\":\"finish\"}\n[DONE]\n",
           begun, ended(FAULT_STOPPED));
}

/* ---- any order ------------------------------------------------------------------------------ */

static uint32_t pick(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

static struct event any_event(uint32_t *seed, uint64_t *n_calls)
{
    switch (pick(seed, 6)) {
    case 0: return text(EVENT_DELTA, "a");
    case 1: return text(EVENT_REASONING, "b");
    case 2: return call((*n_calls)++, "id", "name", "{}");
    case 3: return result(*n_calls ? *n_calls - 1 : 0, "r", pick(seed, 2));
    case 4: return (struct event){ .type = EVENT_ROUND };
    default: return (struct event){ .type = EVENT_CITATION, .citation = { .id = STR("d") } };
    }
}

/* What a reader holds against the order of parts. */
struct reader {
    char open[24];
    int  steps, tools, answers;
    bool finished;
};

static bool is_part(struct str part, const char *type)
{
    char head[64];

    snprintf(head, sizeof head, "data: {\"type\":\"%s\"", type);
    return str_starts(part, str_of(head));
}

static void read_text(struct reader *r, struct str part)
{
    static const char *const kinds[] = { "text", "reasoning" };
    char                     type[24], id[24];

    for (size_t i = 0; i < 2; i++) {
        const char *at = memmem(part.p, part.n, "\"id\":\"", 6);

        if (at)
            snprintf(id, sizeof id, "%.*s", (int)strcspn(at + 6, "\""), at + 6);
        snprintf(type, sizeof type, "%s-start", kinds[i]);
        if (is_part(part, type)) {
            assert_int_equal(r->open[0], 0);
            memcpy(r->open, id, sizeof id);
        }
        snprintf(type, sizeof type, "%s-delta", kinds[i]);
        if (is_part(part, type))
            assert_string_equal(r->open, id);
        snprintf(type, sizeof type, "%s-end", kinds[i]);
        if (is_part(part, type)) {
            assert_string_equal(r->open, id);
            r->open[0] = 0;
        }
    }
}

static void read_part(struct reader *r, struct str part)
{
    assert_false(r->finished && !str_eq(part, STR("data: [DONE]")));
    read_text(r, part);
    if (is_part(part, "start-step"))
        assert_int_equal(r->steps++, 0);
    if (is_part(part, "finish-step")) {
        assert_int_equal(r->steps--, 1);
        assert_int_equal(r->open[0], 0);
    }
    if (is_part(part, "tool-input-start"))
        r->tools++;
    if (is_part(part, "tool-output-available") || is_part(part, "tool-output-error"))
        assert_true(++r->answers <= r->tools);
    if (is_part(part, "finish"))
        r->finished = true;
}

static void any_order(void **state)
{
    (void)state;
    for (uint32_t run = 0; run < RUNS; run++) {
        struct event  events[STEPS_MAX];
        struct buf    out = BUF(LIMIT);
        struct reader r = { .steps = 0 };
        uint32_t      seed = run;
        uint64_t      n_calls = 0;
        size_t        n = 1 + pick(&seed, STEPS_MAX - 2);
        struct str    rest;

        events[0] = begun;
        for (size_t i = 1; i < n; i++)
            events[i] = any_event(&seed, &n_calls);
        events[n] = ended(pick(&seed, 3) ? FAULT_NONE : FAULT_CUT);
        tell(events, n + 1, &out);
        buf_add_char(&out, '\0');             /* ids are read as C reads them   */
        out.n--;
        for (rest = buf_str(&out); rest.n;) {
            const char *end = memmem(rest.p, rest.n, "\n\n", 2);

            assert_non_null(end);
            read_part(&r, (struct str){ rest.p, (size_t)(end - rest.p) });
            rest = str_from(rest, (size_t)(end - rest.p) + 2);
        }
        assert_true(r.finished && r.steps == 0);
        buf_release(&out);
    }
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static void names(void **state)
{
    (void)state;
    assert_int_equal(session_message_id(STR("msg_7")), 7);
    assert_int_equal(session_message_id(STR("msg_")), 0);
    assert_int_equal(session_message_id(STR("msg_99999999999999999999")), 0);
    assert_int_equal(session_message_id(STR("7")), 0);
}

static void refusals(void **state)
{
    struct buf out = BUF(LIMIT);

    (void)state;
    session_write_refusal(&out, "GET", STR("/a\""), 404, "not there");
    assert_true(str_eq(buf_str(&out),
                       STR("{\"message\":\"Failed to process GET /a\\\"\",\"detail\":\"not there\","
                           "\"hint\":\"Adjust the request and retry.\"}")));
    buf_clear(&out);
    session_write_nothing(&out);
    assert_true(str_starts(buf_str(&out), STR("data: {\"type\":\"start\"}\n\n")));
    buf_release(&out);
}

static int is_clean(void **state)
{
    (void)state;
    return mem_live_bytes() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(words, is_clean),
        cmocka_unit_test_teardown(thoughts, is_clean),
        cmocka_unit_test_teardown(tools, is_clean),
        cmocka_unit_test_teardown(calls_that_say_no_object, is_clean),
        cmocka_unit_test_teardown(results_of_nothing, is_clean),
        cmocka_unit_test_teardown(sources, is_clean),
        cmocka_unit_test_teardown(bad_ends, is_clean),
        cmocka_unit_test_teardown(any_order, is_clean),
        cmocka_unit_test_teardown(names, is_clean),
        cmocka_unit_test_teardown(refusals, is_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
