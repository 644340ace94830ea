#include "api/assistant_dialect.h"

#include "api/assistant_answer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "wire/sse.h"

#include <string.h>

enum { BYTES_PER_TOKEN = 4, TAIL_LIMIT = 1 << 20 };

static const char sorry[] = "抱歉，处理您的请求时出现了错误。";
static const char sorry_later[] = "抱歉，处理您的请求时出现了错误，请稍后重试。";
static const char nobody[] = "抱歉，目前所有AI模型都不可用，请稍后重试。";
static const char why_nobody[] = "所有模型不可用";
static const char model_of_sorry[] = "local_small";

struct assistant_state *assistant_state_new(struct str session, const struct assistant_choice *c)
{
    struct assistant_state *s = mem_new(sizeof *s + session.n + c->reason.n);
    char                   *texts = (char *)(s + 1);

    s->choice = *c;
    s->tail = BUF(TAIL_LIMIT);
    s->asked = clock_exact();
    memcpy(texts, session.p ? session.p : "", session.n);
    memcpy(texts + session.n, c->reason.p ? c->reason.p : "", c->reason.n);
    s->session = (struct str){ texts, session.n };
    s->choice.reason = (struct str){ texts + session.n, c->reason.n };
    return s;
}

static void release(void *state)
{
    struct assistant_state *s = state;

    buf_release(&s->tail);
    mem_free(s);
}

/* ---- pieces ------------------------------------------------------------------------------ */

static struct str model_of(const struct assistant_state *s, bool stands_in)
{
    return str_of(stands_in ? s->choice.instead : s->choice.model_used);
}

static struct str reason_of(const struct assistant_state *s, bool stands_in)
{
    return stands_in ? str_of(s->choice.reason_instead) : s->choice.reason;
}

/* Whether nobody could be asked, or was able to say a word. */
static bool is_of_nobody(enum fault fault, bool has_begun)
{
    switch (fault) {
    case FAULT_PROVIDER_BUSY:
    case FAULT_RESTING:
    case FAULT_SERVICE_BUSY: return !has_begun;
    default: return !has_begun && fault_breaks(fault);
    }
}

struct str assistant_sorry(enum fault fault, bool has_begun)
{
    return str_of(is_of_nobody(fault, has_begun) ? nobody : sorry);
}

/* Of whoever does not say how much he has used it is guessed. */
static uint64_t tokens_of(const struct usage *u, uint64_t bytes)
{
    uint64_t told = u->prompt + u->completion;

    return told ? told : (bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

static void add_members(const struct assistant_state *s, struct str model, struct str reason,
                        struct buf *out)
{
    buf_lit(out, ", \"session_id\": ");
    json_add_str(out, s->session);
    buf_lit(out, ", \"model_used\": ");
    json_add_str(out, model);
    buf_lit(out, ", \"reasoning\": ");
    json_add_str(out, reason);
}

static void open_chunk(const struct assistant_state *s, struct str content, struct str model,
                       struct str reason, struct buf *out)
{
    buf_lit(out, SSE_DATA "{\"content\": ");
    json_add_str(out, content);
    add_members(s, model, reason, out);
}

static void end_stream(const struct assistant_state *s, struct buf *out)
{
    buf_lit(out, "}" SSE_END);
    if (s->done_marker)
        buf_lit(out, SSE_DATA "[DONE]" SSE_END);
}

/* All pieces of a text end alike, so that is written once. */
static void write_delta(struct assistant_state *s, struct str text, struct buf *out)
{
    s->text_bytes += text.n;
    if (!s->tail.n) {
        add_members(s, model_of(s, s->stands_in), reason_of(s, s->stands_in), &s->tail);
        buf_lit(&s->tail, ", \"finished\": false}" SSE_END);
    }
    buf_lit(out, SSE_DATA "{\"content\": ");
    json_add_str(out, text);
    buf_add(out, buf_str(&s->tail));
}

static void write_finish(const struct assistant_state *s, struct buf *out)
{
    uint64_t tokens = tokens_of(&s->usage, s->text_bytes);

    open_chunk(s, STR(""), model_of(s, s->stands_in), reason_of(s, s->stands_in), out);
    buf_addf(out,
             ", \"finished\": true, \"done\": true, \"total_tokens\": %llu, \"token_count\": %llu",
             (unsigned long long)tokens, (unsigned long long)tokens);
    end_stream(s, out);
}

static void write_error(const struct assistant_state *s, enum fault fault, struct buf *out)
{
    if (is_of_nobody(fault, s->has_begun))
        open_chunk(s, str_of(nobody), str_of(model_of_sorry), str_of(why_nobody), out);
    else
        open_chunk(s, str_of(sorry), model_of(s, s->stands_in), reason_of(s, s->stands_in), out);
    buf_lit(out, ", \"finished\": false, \"error\": ");
    json_add_str(out, str_of(fault_text(fault)));
    end_stream(s, out);
}

static void write_event(void *state, const struct event *ev, struct buf *out)
{
    struct assistant_state *s = state;

    switch (ev->type) {
    case EVENT_START:
        s->has_begun = true;
        s->stands_in = ev->stands_in;
        return;
    case EVENT_DELTA: write_delta(s, ev->text, out); return;
    case EVENT_USAGE: s->usage = ev->usage; return;
    case EVENT_FINISH: write_finish(s, out); return;
    case EVENT_ERROR: write_error(s, ev->fault, out); return;
    case EVENT_REASONING:
    case EVENT_TOOL_CALL:
    case EVENT_TOOL_RESULT:
    case EVENT_ROUND:
    case EVENT_CITATION: return;
    }
}

/* ---- whole ------------------------------------------------------------------------------- */

struct said {
    struct str text, model, reason, error;    /* error: empty if there is none  */
};

/* Half an answer is not given as one: it is kept, and this says what went wrong. */
static struct said say(const struct assistant_state *s, const struct whole_answer *a)
{
    if (!a->fault)
        return (struct said){ a->text, model_of(s, a->stands_in), reason_of(s, a->stands_in),
                              STR("") };
    if (is_of_nobody(a->fault, a->has_begun))
        return (struct said){ str_of(nobody), str_of(model_of_sorry), str_of(why_nobody),
                              str_of(fault_text(a->fault)) };
    return (struct said){ str_of(sorry_later), str_of(model_of_sorry), reason_of(s, a->stands_in),
                          str_of(fault_text(a->fault)) };
}

static void add_member(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, "\"%s\":", name);
    json_add_str(out, value);
    buf_lit(out, ",");
}

/* What some call otherwise stands there twice. */
static void write_whole(void *state, const struct whole_answer *a, struct buf *out)
{
    const struct assistant_state *s = state;
    struct said                   said = say(s, a);
    unsigned long long            tokens = tokens_of(&a->usage, a->text.n);
    double                        ms = (double)(clock_exact() - s->asked) / (double)CLOCK_MS;

    buf_lit(out, "{");
    add_member(out, "content", said.text);
    add_member(out, "response", said.text);
    add_member(out, "session_id", s->session);
    add_member(out, "model_used", said.model);
    add_member(out, "reasoning", said.reason);
    buf_addf(out,
             "\"token_count\":%llu,\"tokens_used\":%llu,\"latency_ms\":%.3f,"
             "\"response_time_ms\":%.3f,\"confidence\":null,\"timestamp\":",
             tokens, tokens, ms, ms);
    assistant_add_time(out, clock_wall_ms() * 1000);
    buf_lit(out, ",\"error\":");
    if (said.error.n)
        json_add_str(out, said.error);
    else
        buf_lit(out, "null");
    buf_lit(out, "}");
}

static void write_fault(enum fault fault, struct buf *out)
{
    assistant_write_refusal(out, fault_http(fault), fault_text(fault));
}

const struct dialect assistant_dialect_plain = {
    .stream_type = STR_INIT("text/plain; charset=utf-8"),
    .has_errors_in_band = true,
    .write_event = write_event,
    .write_whole = write_whole,
    .write_fault = write_fault,
    .release = release,
};

const struct dialect assistant_dialect_events = {
    .stream_type = STR_INIT("text/event-stream"),
    .has_errors_in_band = true,
    .write_event = write_event,
    .write_whole = write_whole,
    .write_fault = write_fault,
    .release = release,
};
