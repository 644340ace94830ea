#include "api/session_dialect.h"

#include "base/json.h"
#include "base/mem.h"
#include "turn/sink.h"
#include "wire/sse.h"

#include <stdio.h>

enum { ARGUMENTS_LIMIT = 64 << 20 };

/* ---- its life ------------------------------------------------------------------------------ */

struct session_state *session_state_new(void)
{
    return mem_new(sizeof(struct session_state));
}

static void release(void *state)
{
    struct session_state *s = state;

    for (size_t i = 0; i < s->n_calls; i++)
        buf_release(&s->calls[i].arguments);
    mem_free(s->calls);
    arena_release(&s->arena);
    mem_free(s);
}

static void begin(void *state, const struct turn_facts *facts, int64_t first)
{
    struct session_state *s = state;
    char                  name[32];

    (void)first;
    snprintf(name, sizeof name, SESSION_MESSAGE "%lld", (long long)facts->answer);
    s->message = arena_str(&s->arena, facts->answer ? str_of(name) : facts->id);
}

int64_t session_message_id(struct str name)
{
    struct str prefix = STR(SESSION_MESSAGE);
    uint64_t   n;

    if (!str_starts(name, prefix) || !str_to_u64(str_from(name, prefix.n), &n) || n > INT64_MAX)
        return 0;
    return (int64_t)n;
}

void session_add_fields(struct http_exchange *x)
{
    http_add_fields(x, STR("x-vercel-ai-ui-message-stream: v1\r\n"));
}

/* ---- pieces -------------------------------------------------------------------------------- */

#define PART(type) SSE_DATA "{\"type\":\"" type "\""
#define PLAIN(type) PART(type) "}" SSE_END

static void end_part(struct buf *out)
{
    buf_lit(out, "}" SSE_END);
}

static void add_member(const char *name, struct str text, struct buf *out)
{
    buf_addf(out, ",\"%s\":", name);
    json_add_str(out, text);
}

static const char *kind_of(const struct session_state *s)
{
    return s->open == SESSION_TEXT ? "text" : "reasoning";
}

static void write_own(const struct session_state *s, const char *what, struct buf *out)
{
    buf_addf(out, SSE_DATA "{\"type\":\"%s-%s\",\"id\":\"%c%llu\"", kind_of(s), what, *kind_of(s),
             (unsigned long long)s->n_texts);
}

static void shut(struct session_state *s, struct buf *out)
{
    if (!s->open)
        return;
    write_own(s, "end", out);
    end_part(out);
    s->open = SESSION_NOTHING;
}

static void write_start(struct session_state *s, struct buf *out)
{
    if (s->has_started)
        return;
    s->has_started = true;
    buf_lit(out, PART("start"));
    add_member("messageId", s->message, out);
    end_part(out);
    buf_lit(out, PLAIN("start-step"));
}

static void write_text(struct session_state *s, int kind, struct str text, struct buf *out)
{
    if (!text.n)
        return;
    if (s->open != (unsigned)kind) {
        shut(s, out);
        s->open = kind;
        s->n_texts++;
        write_own(s, "start", out);
        end_part(out);
    }
    write_own(s, "delta", out);
    add_member("delta", text, out);
    end_part(out);
}

/* ---- tools --------------------------------------------------------------------------------- */

static struct session_call *find_call(const struct session_state *s, const struct tool_piece *t)
{
    for (size_t i = 0; i < s->n_calls; i++)
        if (s->calls[i].index == t->index && s->calls[i].is_ours == t->is_ours)
            return &s->calls[i];
    return NULL;
}

static struct session_call *add_call(struct session_state *s, const struct tool_piece *t,
                                     struct buf *out)
{
    struct session_call *c;

    s->calls = mem_resize(s->calls, (s->n_calls + 1) * sizeof *s->calls);
    c = &s->calls[s->n_calls++];
    *c = (struct session_call){ .index = t->index,
                                .is_ours = t->is_ours,
                                .id = arena_str(&s->arena, t->id),
                                .name = arena_str(&s->arena, t->name),
                                .arguments = BUF(ARGUMENTS_LIMIT) };
    buf_lit(out, PART("tool-input-start"));
    add_member("toolCallId", c->id, out);
    add_member("toolName", c->name, out);
    end_part(out);
    return c;
}

static void write_call(struct session_state *s, const struct event *ev, struct buf *out)
{
    struct session_call *c = find_call(s, &ev->tool);

    shut(s, out);
    if (!c)
        c = add_call(s, &ev->tool, out);
    if (!ev->text.n)
        return;
    buf_add(&c->arguments, ev->text);
    buf_lit(out, PART("tool-input-delta"));
    add_member("toolCallId", c->id, out);
    add_member("inputTextDelta", ev->text, out);
    end_part(out);
}

/* Arguments that are no object are told as an empty one: what became of them the output says. */
static void add_input(const struct session_call *c, struct buf *out)
{
    const char      *why;
    struct json_doc *doc = json_read(buf_str(&c->arguments), &why);

    buf_lit(out, ",\"input\":");
    if (doc && json_type(json_root(doc)) == JSON_OBJECT)
        json_add_value(out, json_root(doc));
    else
        buf_lit(out, "{}");
    json_free(doc);
}

/* The inputs of a round are told together, in the order of its calls. */
static void write_inputs(struct session_state *s, struct buf *out)
{
    for (size_t i = 0; i < s->n_calls; i++) {
        struct session_call *c = &s->calls[i];

        if (c->is_told)
            continue;
        c->is_told = true;
        buf_lit(out, PART("tool-input-available"));
        add_member("toolCallId", c->id, out);
        add_member("toolName", c->name, out);
        add_input(c, out);
        end_part(out);
    }
}

/* Readers stop at the output of a call that they have not heard of, or heard of twice. */
static void write_result(struct session_state *s, const struct event *ev, struct buf *out)
{
    struct session_call *c = find_call(s, &ev->tool);

    shut(s, out);
    write_inputs(s, out);
    if (!c || c->is_answered)
        return;
    c->is_answered = true;
    if (ev->tool.failed)
        buf_lit(out, PART("tool-output-error"));
    else
        buf_lit(out, PART("tool-output-available"));
    add_member("toolCallId", c->id, out);
    add_member(ev->tool.failed ? "errorText" : "output", ev->text, out);
    end_part(out);
}

static void write_round(struct session_state *s, struct buf *out)
{
    shut(s, out);
    buf_lit(out, PLAIN("finish-step") PLAIN("start-step"));
}

/* ---- sources ------------------------------------------------------------------------------- */

static void write_source(struct session_state *s, const struct citation *c, struct buf *out)
{
    shut(s, out);
    if (c->url.n)
        buf_lit(out, PART("source-url"));
    else
        buf_lit(out, PART("source-document"));
    buf_addf(out, ",\"sourceId\":\"s%llu\"", (unsigned long long)++s->n_sources);
    if (c->url.n)
        add_member("url", c->url, out);
    else
        buf_lit(out, ",\"mediaType\":\"text/plain\"");
    if (c->title.n || !c->url.n)
        add_member("title", c->title.n ? c->title : c->id, out);
    end_part(out);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void write_usage(const struct usage *u, struct buf *out)
{
    buf_addf(out,
             ": usage {\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu}"
             "\n\n",
             (unsigned long long)u->prompt, (unsigned long long)u->completion,
             (unsigned long long)(u->prompt + u->completion));
}

static void write_end(struct session_state *s, enum fault fault, struct buf *out)
{
    write_start(s, out);
    shut(s, out);
    if (fault == FAULT_NONE)
        write_inputs(s, out);
    buf_lit(out, PLAIN("finish-step"));
    if (fault == FAULT_STOPPED) {
        buf_lit(out, PLAIN("abort"));
    } else if (fault) {
        buf_lit(out, PART("error"));
        add_member("errorText", str_of(fault_text(fault)), out);
        end_part(out);
    }
    buf_lit(out, PLAIN("finish") SSE_DATA "[DONE]" SSE_END);
}

void session_write_nothing(struct buf *out)
{
    buf_lit(out, PLAIN("start") PLAIN("start-step") PLAIN("finish-step") PLAIN("finish") SSE_DATA
            "[DONE]" SSE_END);
}

static void write_event(void *state, const struct event *ev, struct buf *out)
{
    struct session_state *s = state;

    switch (ev->type) {
    case EVENT_START: write_start(s, out); return;
    case EVENT_DELTA: write_text(s, SESSION_TEXT, ev->text, out); return;
    case EVENT_REASONING: write_text(s, SESSION_REASONING, ev->text, out); return;
    case EVENT_TOOL_CALL: write_call(s, ev, out); return;
    case EVENT_TOOL_RESULT: write_result(s, ev, out); return;
    case EVENT_ROUND: write_round(s, out); return;
    case EVENT_CITATION: write_source(s, &ev->citation, out); return;
    case EVENT_USAGE: write_usage(&ev->usage, out); return;
    case EVENT_FINISH: write_end(s, FAULT_NONE, out); return;
    case EVENT_ERROR: write_end(s, ev->fault, out); return;
    }
}

/* ---- refusals --------------------------------------------------------------------------------- */

void session_write_detail(struct buf *out, const char *why)
{
    buf_lit(out, "{\"detail\":");
    json_add_str(out, str_of(why));
    buf_lit(out, "}");
}

void session_write_refusal(struct buf *out, const char *method, struct str path, int status,
                           const char *why)
{
    buf_addf(out, "{\"message\":\"Failed to process %s ", method);
    json_add_text(out, path);
    buf_lit(out, "\",\"detail\":");
    json_add_str(out, str_of(why));
    if (status < 500)
        buf_lit(out, ",\"hint\":\"Adjust the request and retry.\"}");
    else
        buf_lit(out, ",\"hint\":\"Check server logs and dependent services.\"}");
}

static void write_fault(enum fault fault, struct buf *out)
{
    session_write_detail(out, fault_text(fault));
}

static void write_ai_fault(enum fault fault, struct buf *out)
{
    buf_lit(out, "{\"error\":");
    json_add_str(out, str_of(fault_text(fault)));
    buf_lit(out, "}");
}

/* There is no route here that gives a whole answer. */
static void write_whole(void *state, const struct whole_answer *a, struct buf *out)
{
    (void)state;
    json_add_str(out, a->text);
}

#define SESSION_DIALECT                                                                            \
    .stream_type = STR_INIT("text/event-stream; charset=utf-8"), .has_errors_in_band = true,       \
    .comment = "heartbeat", .begin = begin, .write_event = write_event,                            \
    .write_whole = write_whole, .release = release

const struct dialect session_dialect = { SESSION_DIALECT, .write_fault = write_fault };
const struct dialect session_ai_dialect = { SESSION_DIALECT, .write_fault = write_ai_fault };
