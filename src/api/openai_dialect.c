#include "api/openai_dialect.h"

#include "base/json.h"
#include "base/mem.h"
#include "turn/sink.h"
#include "wire/sse.h"

#include <assert.h>
#include <string.h>

enum { ID_MAX = 25, FRONT_MAX = 112, BACK_MAX_BYTES = 1 << 20 };

#define CHUNK_SUFFIX ".chunk"

/* Ends where the model begins, so that both are one text. */
static void write_front(struct openai_state *s, struct str id, int64_t created)
{
    struct buf front = BUF(FRONT_MAX);

    buf_lit(&front, SSE_DATA "{\"id\":\"chatcmpl-");
    buf_add(&front, (struct str){ id.p, id.n < ID_MAX ? id.n : ID_MAX });
    buf_lit(&front, "\",\"object\":\"chat.completion");
    s->suffix_at = front.n;
    buf_lit(&front, CHUNK_SUFFIX "\",\"created\":");
    buf_add_u64(&front, (uint64_t)created);
    assert(!front.over);
    s->n_head += s->head_at - (FRONT_MAX - front.n);
    s->head_at = FRONT_MAX - front.n;
    s->suffix_at += s->head_at;
    memcpy(s->text + s->head_at, front.p, front.n);
    buf_release(&front);
}

struct openai_state *openai_state_new(struct str model, bool include_usage)
{
    struct buf           back = BUF(BACK_MAX_BYTES);
    struct openai_state *s;

    buf_lit(&back, ",\"model\":");
    json_add_str(&back, model);
    buf_lit(&back, ",\"choices\":[");
    s = mem_new(sizeof *s + FRONT_MAX + back.n);
    s->include_usage = include_usage;
    s->head_at = FRONT_MAX;
    s->n_head = back.n;
    memcpy(s->text + FRONT_MAX, back.p, back.n);
    buf_release(&back);
    write_front(s, STR(""), 0);
    return s;
}

/* Whoever reads the answer again gets the same bytes. */
static void openai_begin(void *state, const struct turn_facts *facts, int64_t first)
{
    (void)first;
    write_front(state, facts->id, facts->at / 1000000);
}

/* ---- pieces --------------------------------------------------------------------- */

static void write_usage(const struct usage *u, struct buf *out)
{
    buf_lit(out, "\"usage\":{\"prompt_tokens\":");
    buf_add_u64(out, u->prompt);
    buf_lit(out, ",\"completion_tokens\":");
    buf_add_u64(out, u->completion);
    buf_lit(out, ",\"total_tokens\":");
    buf_add_u64(out, u->prompt + u->completion);
    buf_lit(out, "}");
}

static struct str finish_reason(enum finish f)
{
    static const struct str names[] = {
        [FINISH_STOP] = STR_INIT("\"stop\""),
        [FINISH_LENGTH] = STR_INIT("\"length\""),
        [FINISH_TOOL_CALLS] = STR_INIT("\"tool_calls\""),
        [FINISH_CONTENT_FILTER] = STR_INIT("\"content_filter\""),
    };

    return names[f];
}

/* ---- a stream -------------------------------------------------------------------- */

static void begin_chunk(const struct openai_state *s, struct buf *out)
{
    buf_add(out, (struct str){ s->text + s->head_at, s->n_head });
}

/* With include_usage every chunk but the last says "usage":null (OpenAI's schema). */
static void end_chunk(const struct openai_state *s, struct buf *out)
{
    if (s->include_usage)
        buf_lit(out, ",\"usage\":null");
    buf_lit(out, "}" SSE_END);
}

#define DELTA "{\"index\":0,\"delta\":{"

static void write_text(const struct openai_state *s, struct str before, struct str text,
                       struct buf *out)
{
    begin_chunk(s, out);
    buf_add(out, before);
    json_add_text(out, text);
    buf_lit(out, "\"},\"logprobs\":null,\"finish_reason\":null}]");
    end_chunk(s, out);
}

static void write_finish(const struct openai_state *s, enum finish how, struct buf *out)
{
    begin_chunk(s, out);
    buf_lit(out, DELTA "},\"logprobs\":null,\"finish_reason\":");
    buf_add(out, finish_reason(how));
    buf_lit(out, "}]");
    end_chunk(s, out);
}

/* The first piece of a call names it; the others only add to its arguments. */
static void write_tool_chunk(const struct openai_state *s, const struct event *ev, struct buf *out)
{
    begin_chunk(s, out);
    buf_lit(out, DELTA "\"tool_calls\":[{\"index\":");
    buf_add_u64(out, ev->tool.index);
    if (ev->tool.id.n) {
        buf_lit(out, ",\"id\":");
        json_add_str(out, ev->tool.id);
        buf_lit(out, ",\"type\":\"function\"");
    }
    buf_lit(out, ",\"function\":{");
    if (ev->tool.name.n) {
        buf_lit(out, "\"name\":");
        json_add_str(out, ev->tool.name);
        buf_lit(out, ",");
    }
    buf_lit(out, "\"arguments\":");
    json_add_str(out, ev->text);
    buf_lit(out, "}}]},\"logprobs\":null,\"finish_reason\":null}]");
    end_chunk(s, out);
}

/* As OpenAI tells of the pages that its search found; what of them is meant, nobody says. */
static void write_citation(const struct citation *c, struct buf *out)
{
    buf_lit(out, "{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":0,\"end_index\":0,"
                 "\"title\":");
    json_add_str(out, c->title);
    buf_lit(out, ",\"url\":");
    json_add_str(out, c->url);
    if (c->text.n) {
        buf_lit(out, ",\"content\":");
        json_add_str(out, c->text);
    }
    buf_lit(out, "}}");
}

static void write_citation_chunk(const struct openai_state *s, const struct citation *c,
                                 struct buf *out)
{
    begin_chunk(s, out);
    buf_lit(out, DELTA "\"annotations\":[");
    write_citation(c, out);
    buf_lit(out, "]},\"logprobs\":null,\"finish_reason\":null}]");
    end_chunk(s, out);
}

static void write_usage_chunk(const struct openai_state *s, const struct usage *u, struct buf *out)
{
    begin_chunk(s, out);
    buf_lit(out, "],");
    write_usage(u, out);
    buf_lit(out, "}" SSE_END);
}

static void write_fault(enum fault fault, struct buf *out)
{
    openai_write_error(out, fault_http(fault), fault_text(fault), NULL, fault_name(fault));
}

/* The usage chunk stands behind the finish chunk, but the event comes before it. */
static void write_event(void *state, const struct event *ev, struct buf *out)
{
    struct openai_state *s = state;

    switch (ev->type) {
    case EVENT_START:
        write_text(s, STR(DELTA "\"role\":\"assistant\",\"content\":\""), STR(""), out);
        return;
    case EVENT_DELTA: write_text(s, STR(DELTA "\"content\":\""), ev->text, out); return;
    case EVENT_REASONING:
        write_text(s, STR(DELTA "\"reasoning_content\":\""), ev->text, out);
        return;
    case EVENT_TOOL_CALL:
        if (!ev->tool.is_ours)
            write_tool_chunk(s, ev, out);
        return;
    case EVENT_TOOL_RESULT:
    case EVENT_ROUND: return;
    case EVENT_CITATION: write_citation_chunk(s, &ev->citation, out); return;
    case EVENT_USAGE: s->usage = ev->usage; return;
    case EVENT_FINISH:
        write_finish(s, ev->finish, out);
        if (s->include_usage)
            write_usage_chunk(s, &s->usage, out);
        buf_lit(out, SSE_DATA "[DONE]" SSE_END);
        return;
    case EVENT_ERROR:
        buf_lit(out, SSE_DATA);
        write_fault(ev->fault, out);
        buf_lit(out, SSE_END);
        return;
    }
}

/* ---- one answer ------------------------------------------------------------------- */

static void write_tool_calls(const struct whole_answer *a, struct buf *out)
{
    for (size_t i = 0; i < a->n_tool_calls; i++) {
        buf_add(out, i ? STR(",") : STR(",\"tool_calls\":["));
        buf_lit(out, "{\"id\":");
        json_add_str(out, a->tool_calls[i].id);
        buf_lit(out, ",\"type\":\"function\",\"function\":{\"name\":");
        json_add_str(out, a->tool_calls[i].name);
        buf_lit(out, ",\"arguments\":");
        json_add_str(out, a->tool_calls[i].arguments);
        buf_lit(out, "}}");
    }
    if (a->n_tool_calls)
        buf_lit(out, "]");
}

static void write_citations(const struct whole_answer *a, struct buf *out)
{
    for (size_t i = 0; i < a->n_citations; i++) {
        buf_add(out, i ? STR(",") : STR(",\"annotations\":["));
        write_citation(&a->citations[i], out);
    }
    if (a->n_citations)
        buf_lit(out, "]");
}

/* The head without what makes it a chunk's. */
static void begin_whole(const struct openai_state *s, struct buf *out)
{
    size_t from = s->head_at + sizeof SSE_DATA - 1;
    size_t behind = s->suffix_at + sizeof CHUNK_SUFFIX - 1;

    buf_add(out, (struct str){ s->text + from, s->suffix_at - from });
    buf_add(out, (struct str){ s->text + behind, s->head_at + s->n_head - behind });
}

static void write_whole(void *state, const struct whole_answer *a, struct buf *out)
{
    const struct openai_state *s = state;

    begin_whole(s, out);
    buf_lit(out, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (a->text.n == 0 && a->n_tool_calls)
        buf_lit(out, "null");
    else
        json_add_str(out, a->text);
    if (a->reasoning.n) {
        buf_lit(out, ",\"reasoning_content\":");
        json_add_str(out, a->reasoning);
    }
    buf_lit(out, ",\"refusal\":null");
    write_citations(a, out);
    write_tool_calls(a, out);
    buf_lit(out, "},\"logprobs\":null,\"finish_reason\":");
    buf_add(out, finish_reason(a->finish));
    buf_lit(out, "}],");
    write_usage(&a->usage, out);
    buf_lit(out, "}");
}

/* ---- errors ------------------------------------------------------------------------ */

static const char *error_type(int status)
{
    if (status == 429)
        return "rate_limit_error";
    return status >= 500 ? "server_error" : "invalid_request_error";
}

static void add_str_or_null(struct buf *out, const char *text)
{
    if (text)
        json_add_str(out, str_of(text));
    else
        buf_lit(out, "null");
}

void openai_write_error(struct buf *out, int status, const char *message, const char *param,
                        const char *code)
{
    buf_lit(out, "{\"error\":{\"message\":");
    json_add_str(out, str_of(message));
    buf_lit(out, ",\"type\":");
    json_add_str(out, str_of(error_type(status)));
    buf_lit(out, ",\"param\":");
    add_str_or_null(out, param);
    buf_lit(out, ",\"code\":");
    add_str_or_null(out, code);
    buf_lit(out, "}}");
}

const struct dialect openai_dialect = {
    .stream_type = STR_INIT("text/event-stream; charset=utf-8"),
    .begin = openai_begin,
    .write_event = write_event,
    .write_whole = write_whole,
    .write_fault = write_fault,
};

/* ---- what is only passed on --------------------------------------------------------- */

static void pass_event(void *state, const struct event *ev, struct buf *out)
{
    (void)state;
    if (ev->type == EVENT_DELTA)
        buf_add(out, ev->text);
}

static void pass_whole(void *state, const struct whole_answer *a, struct buf *out)
{
    (void)state;
    buf_add(out, a->text);
}

const struct dialect openai_passing_dialect = {
    .stream_type = STR_INIT("application/json"),
    .write_event = pass_event,
    .write_whole = pass_whole,
    .write_fault = write_fault,
};
