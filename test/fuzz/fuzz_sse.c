/* fuzz_sse.c - event streams: what goes in as text comes out as the same text.
 *
 * The first byte says what is tried: a data event, a comment, or an answer in OpenAI's
 * dialect. The answer's words are the pieces before the marks: before t a piece of the
 * thoughts, before a the arguments of a tool call, before n those of a new one, else a
 * delta. Everything is read back by a decoder of its own (events.c). */
#include "api/openai_dialect.h"
#include "base/json.h"
#include "base/mem.h"
#include "turn/sink.h"
#include "wire/sse.h"
#include "base/utf8.h"

#include "events.h"
#include "script.h"

#include <string.h>
#include <yyjson.h>

enum { TEXT_MAX = 1 << 22, WORDS_MAX = 4000 };

static struct events got;

/* What a line-based format can keep of a text: its lines. */
static void lines_of(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
            continue;
        buf_add_char(out, text.p[i] == '\r' ? '\n' : text.p[i]);
    }
}

/* A byte that belongs to no whole character becomes a question mark, as a source of
 * events (chat/event.h) may say whole characters only. */
static void clean(struct str text, struct buf *out)
{
    while (text.n) {
        size_t n = utf8_length(text);

        buf_add(out, n ? (struct str){ text.p, n } : STR("?"));
        text = str_from(text, n ? n : 1);
    }
}

/* ---- the writer of lines ------------------------------------------------------------- */

static void try_data(struct str text)
{
    struct buf out = BUF(TEXT_MAX), want = BUF(TEXT_MAX);

    lines_of(text, &want);
    sse_add_data(&out, STR("before"));
    sse_add_data(&out, text);
    sse_add_data(&out, STR("behind"));
    events_read(&got, buf_str(&out));
    MUST_SAY(got.n == 3 && got.comments == 0 && !got.strange && !got.torn, "%.*s",
             STR_ARG(buf_str(&out)));
    MUST(str_eq(events_data(&got, 0), STR("before")) &&
         str_eq(events_data(&got, 2), STR("behind")));
    MUST(str_eq(events_data(&got, 1), buf_str(&want)));
    events_release(&got);
    buf_release(&out);
    buf_release(&want);
}

static void try_comment(struct str text)
{
    struct buf out = BUF(TEXT_MAX);

    sse_add_data(&out, STR("before"));
    sse_add_comment(&out, text);
    sse_add_data(&out, STR("behind"));
    events_read(&got, buf_str(&out));
    MUST_SAY(got.n == 2 && got.comments > 0 && !got.strange && !got.torn, "%.*s",
             STR_ARG(buf_str(&out)));
    MUST(str_eq(events_data(&got, 0), STR("before")) &&
         str_eq(events_data(&got, 1), STR("behind")));
    events_release(&got);
    buf_release(&out);
}

/* ---- the dialect ---------------------------------------------------------------------- */

enum { SAID_TEXT, SAID_THOUGHTS, SAID_ARGUMENTS, SAID_KINDS };

struct answer {
    struct openai_state *state;
    struct buf           out;
    struct buf           said[SAID_KINDS];
    struct str           id, model;
    size_t               events;              /* how many of them must be there */
    size_t               calls;
    bool                 usage;
};

static void say(struct answer *a, struct event ev, size_t expected)
{
    openai_dialect.write_event(a->state, &ev, &a->out);
    a->events += expected;
    events_read(&got, buf_str(&a->out));      /* one call, so many whole events */
    MUST_SAY(got.n == a->events && !got.strange && !got.torn, "%zu events, not %zu", got.n,
             a->events);
    events_release(&got);
}

static struct event word(struct answer *a, char mark, struct str text)
{
    struct event ev = { .type = EVENT_DELTA, .text = text };

    if (mark == 't')
        ev.type = EVENT_REASONING;
    if (mark == 'n' || (mark == 'a' && a->calls)) {
        a->calls += mark == 'n';
        ev.type = EVENT_TOOL_CALL;
        ev.tool.index = a->calls - 1;
    }
    if (mark == 'n') {
        ev.tool.id = a->model;                /* any text that is not empty     */
        ev.tool.name = STR("f\n\"");
    }
    buf_add(&a->said[ev.type == EVENT_DELTA       ? SAID_TEXT
                     : ev.type == EVENT_REASONING ? SAID_THOUGHTS
                                                  : SAID_ARGUMENTS],
            text);
    return ev;
}

static void say_words(struct answer *a, struct str script)
{
    struct str text;
    char       mark;

    for (size_t i = 0; i < WORDS_MAX && script_next(&script, &text, &mark); i++) {
        struct buf   piece = BUF(TEXT_MAX);
        struct event ev;

        clean(text, &piece);
        ev = word(a, mark, buf_str(&piece));
        if (i < 8) {                          /* reading all of it back each time is slow */
            say(a, ev, 1);
        } else {
            openai_dialect.write_event(a->state, &ev, &a->out);
            a->events++;
        }
        buf_release(&piece);
    }
}

static yyjson_val *choice_of(yyjson_val *root)
{
    yyjson_val *choices = yyjson_obj_get(root, "choices");

    MUST(yyjson_arr_size(choices) == 1);
    MUST(yyjson_get_uint(yyjson_obj_get(yyjson_arr_get_first(choices), "index")) == 0);
    return yyjson_arr_get_first(choices);
}

static void check_identity(const struct answer *a, yyjson_val *root)
{
    MUST(yyjson_equals_strn(yyjson_obj_get(root, "id"), a->id.p, a->id.n));
    MUST(yyjson_equals_strn(yyjson_obj_get(root, "model"), a->model.p, a->model.n));
    MUST(yyjson_equals_str(yyjson_obj_get(root, "object"), "chat.completion.chunk"));
    MUST(yyjson_get_sint(yyjson_obj_get(root, "created")) == 1700000000);
}

static void hear(struct buf *heard, yyjson_val *v)
{
    buf_add(heard, (struct str){ yyjson_get_str(v), yyjson_is_str(v) ? yyjson_get_len(v) : 0 });
}

static void hear_call(struct buf *heard, yyjson_val *calls, size_t *n)
{
    yyjson_val *call = yyjson_arr_get_first(calls), *function = yyjson_obj_get(call, "function");
    bool        first = yyjson_obj_get(call, "id") != NULL;

    if (!calls)
        return;
    *n += first;
    MUST(yyjson_arr_size(calls) == 1 && yyjson_get_uint(yyjson_obj_get(call, "index")) == *n - 1);
    MUST(first == yyjson_equals_str(yyjson_obj_get(call, "type"), "function"));
    MUST(first == yyjson_equals_str(yyjson_obj_get(function, "name"), "f\n\""));
    MUST(yyjson_is_str(yyjson_obj_get(function, "arguments")));
    hear(heard, yyjson_obj_get(function, "arguments"));
}

/* Adds up what all words said and compares. */
static void check_stream(const struct answer *a)
{
    struct buf heard[SAID_KINDS] = { BUF(TEXT_MAX), BUF(TEXT_MAX), BUF(TEXT_MAX) };
    size_t     calls = 0;

    events_read(&got, buf_str(&a->out));
    for (size_t i = 0; i < got.n; i++) {
        struct str  data = events_data(&got, i);
        yyjson_doc *doc = yyjson_read(data.p, data.n, 0);
        yyjson_val *root = yyjson_doc_get_root(doc), *delta;

        MUST_SAY(doc, "%.*s", STR_ARG(data));
        check_identity(a, root);
        delta = yyjson_obj_get(choice_of(root), "delta");
        MUST((i == 0) == yyjson_equals_str(yyjson_obj_get(delta, "role"), "assistant"));
        MUST(i == 0 || yyjson_obj_size(delta) == 1);
        MUST(yyjson_is_null(yyjson_obj_get(choice_of(root), "finish_reason")));
        MUST(a->usage == yyjson_is_null(yyjson_obj_get(root, "usage")));
        hear(&heard[SAID_TEXT], yyjson_obj_get(delta, "content"));
        hear(&heard[SAID_THOUGHTS], yyjson_obj_get(delta, "reasoning_content"));
        hear_call(&heard[SAID_ARGUMENTS], yyjson_obj_get(delta, "tool_calls"), &calls);
        yyjson_doc_free(doc);
    }
    MUST(calls == a->calls);
    for (int k = 0; k < SAID_KINDS; k++) {
        MUST(str_eq(buf_str(&heard[k]), buf_str(&a->said[k])));
        buf_release(&heard[k]);
    }
    events_release(&got);
}

static void check_text(yyjson_val *v, const struct buf *want)
{
    MUST(yyjson_equals_strn(v, want->n ? want->p : "", want->n));
}

static void check_whole(const struct answer *a, enum finish finish)
{
    struct whole_tool_call call = { a->model, STR("f"), buf_str(&a->said[SAID_ARGUMENTS]) };
    struct whole_answer    whole = { .text = buf_str(&a->said[SAID_TEXT]),
                                     .reasoning = buf_str(&a->said[SAID_THOUGHTS]),
                                     .tool_calls = &call,
                                     .n_tool_calls = a->calls > 0,
                                     .usage = { 3, 4 },
                                     .finish = finish };
    struct buf             out = BUF(TEXT_MAX);
    yyjson_doc            *doc;
    yyjson_val            *root, *message, *calls;

    openai_dialect.write_whole(a->state, &whole, &out);
    doc = yyjson_read(out.p, out.n, 0);
    MUST_SAY(doc, "%.*s", STR_ARG(buf_str(&out)));
    root = yyjson_doc_get_root(doc);
    message = yyjson_obj_get(choice_of(root), "message");
    calls = yyjson_obj_get(message, "tool_calls");
    MUST(yyjson_arr_size(calls) == whole.n_tool_calls);
    if (calls)
        check_text(
            yyjson_obj_get(yyjson_obj_get(yyjson_arr_get_first(calls), "function"), "arguments"),
            &a->said[SAID_ARGUMENTS]);
    if (whole.reasoning.n)
        check_text(yyjson_obj_get(message, "reasoning_content"), &a->said[SAID_THOUGHTS]);
    if (whole.text.n || !calls)
        check_text(yyjson_obj_get(message, "content"), &a->said[SAID_TEXT]);
    MUST(yyjson_get_uint(yyjson_obj_get(yyjson_obj_get(root, "usage"), "total_tokens")) == 7);
    yyjson_doc_free(doc);
    buf_release(&out);
}

/* flags: 1 usage is wanted, 2 a count comes, 4 ends with length, 8 ends with an error;
 * 16 the error comes first, 32 not a stream as well. */
static void try_answer(unsigned flags, struct str script)
{
    struct answer a = { .out = BUF(TEXT_MAX), .usage = flags & 1 };
    enum finish   finish = flags & 4 ? FINISH_LENGTH : FINISH_STOP;
    enum fault    fault = flags & 4 ? FAULT_TIMEOUT : FAULT_SHUTDOWN;
    struct buf    model = BUF(TEXT_MAX);
    struct str    head = { script.p, script.n < 8 ? script.n : 8 };

    for (int k = 0; k < SAID_KINDS; k++)
        a.said[k] = BUF(TEXT_MAX);
    clean(head, &model);
    buf_add_char(&model, 'm');
    a.id = STR("chatcmpl-fuzz");
    a.state = openai_state_new(buf_str(&model), a.usage);
    openai_dialect.begin(a.state, &(struct turn_facts){ .id = STR("fuzz"), .at = 1700000000000000 },
                         0);
    a.model = buf_str(&model);
    if (flags & 16) {
        say(&a, (struct event){ .type = EVENT_ERROR, .fault = fault }, 1);
    } else {
        say(&a, (struct event){ .type = EVENT_START }, 1);
        say_words(&a, script);
        check_stream(&a);
        if (flags & 2)
            say(&a, (struct event){ .type = EVENT_USAGE, .usage = { 3, 4 } }, 0);
        if (flags & 8)
            say(&a, (struct event){ .type = EVENT_ERROR, .fault = fault }, 1);
        else
            say(&a, (struct event){ .type = EVENT_FINISH, .finish = finish }, 2 + a.usage);
    }
    events_must_be_chat(buf_str(&a.out), true);
    if (flags & 32)
        check_whole(&a, finish);
    mem_free(a.state);
    buf_release(&a.out);
    for (int k = 0; k < SAID_KINDS; k++)
        buf_release(&a.said[k]);
    buf_release(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { (const char *)data, size };
    size_t     before = mem_live_bytes();

    if (size == 0)
        return 0;
    rest = str_from(rest, 1);
    if (data[0] == 'd')
        try_data(rest);
    else if (data[0] == 'c')
        try_comment(rest);
    else
        try_answer(data[0], rest);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
