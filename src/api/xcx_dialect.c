#include "api/xcx_dialect.h"

#include "api/xcx_answer.h"
#include "base/json.h"
#include "base/mem.h"
#include "turn/sink.h"
#include "wire/sse.h"

#include <stdio.h>
#include <string.h>

enum { ESCAPED_MAX = 6 };                     /* bytes that one can become in JSON */

const char xcx_sorry[] = "AI 服务暂时不可用";

struct xcx_state *xcx_state_new(struct str content, bool is_ascii)
{
    struct xcx_state *s = mem_new(sizeof *s + content.n);

    s->is_ascii = is_ascii;
    memcpy(s + 1, content.p ? content.p : "", content.n);
    s->content = (struct str){ (const char *)(s + 1), content.n };
    return s;
}

static void xcx_begin(void *state, const struct turn_facts *facts, int64_t first)
{
    struct xcx_state *s = state;

    s->question = facts->question;
    s->answer = facts->answer;
    s->question_at = facts->question_at;
    s->answer_at = facts->answer_at;
    s->next = first;
    snprintf(s->id, sizeof s->id, "}\nid: %lld.", (long long)s->answer);
}

/* ---- pieces ------------------------------------------------------------------------------ */

static void add_text(const struct xcx_state *s, struct str text, struct buf *out)
{
    struct buf json = BUF(ESCAPED_MAX * text.n + 2);

    if (!s->is_ascii) {
        json_add_str(out, text);
        return;
    }
    json_add_str(&json, text);
    xcx_add_ascii(out, buf_str(&json));
    buf_release(&json);
}

/* ---- a stream ---------------------------------------------------------------------------- */

static void write_token(const struct xcx_state *s, struct str text, struct buf *out)
{
    buf_lit(out, "event: message\n" SSE_DATA "{\"token\": ");
    add_text(s, text, out);
    buf_add(out, str_of(s->id));
    buf_add_u64(out, (uint64_t)s->next);
    buf_lit(out, SSE_END);
}

static void write_done(const struct xcx_state *s, bool was_stopped, struct buf *out)
{
    buf_addf(out, "event: done\n" SSE_DATA "{\"messageId\": %lld, \"createdAt\": ",
             (long long)s->answer);
    xcx_add_time(out, s->answer_at);
    if (was_stopped)
        buf_lit(out, ", \"stopped\": true");
    buf_lit(out, "}" SSE_END);
}

static void write_error(const struct xcx_state *s, enum fault fault, struct buf *out)
{
    buf_lit(out, "event: error\n" SSE_DATA "{\"message\": ");
    add_text(s, str_of(xcx_fault_text(fault)), out);
    buf_lit(out, "}" SSE_END);
}

static void write_event(void *state, const struct event *ev, struct buf *out)
{
    struct xcx_state *s = state;

    if (ev->type == EVENT_DELTA)
        write_token(s, ev->text, out);
    else if (ev->type == EVENT_FINISH || ev->fault == FAULT_STOPPED)
        write_done(s, ev->fault == FAULT_STOPPED, out);
    else if (ev->type == EVENT_ERROR)
        write_error(s, ev->fault, out);
    s->next++;
}

/* ---- a whole answer ------------------------------------------------------------------------ */

static void write_brief(const struct xcx_state *s, const char *name, int64_t id, struct str content,
                        int64_t at, struct buf *out)
{
    buf_addf(out, "\"%s\":{\"id\":%lld,\"content\":", name, (long long)id);
    add_text(s, content, out);
    buf_lit(out, ",\"createdAt\":");
    xcx_add_time(out, at);
    buf_lit(out, "}");
}

/* A turn that failed has added its apology to the answer itself. */
static void write_whole(void *state, const struct whole_answer *a, struct buf *out)
{
    const struct xcx_state *s = state;

    xcx_open(out);
    buf_lit(out, "{");
    write_brief(s, "userMessage", s->question, s->content, s->question_at, out);
    buf_lit(out, ",");
    write_brief(s, "aiReply", s->answer, a->text, s->answer_at, out);
    buf_lit(out, "}");
    xcx_close(out);
}

/* ---- faults ---------------------------------------------------------------------------------- */

const char *xcx_fault_text(enum fault fault)
{
    switch (fault) {
    case FAULT_RATE_LIMITED:
    case FAULT_TOO_MANY_AT_ONCE: return "请求过于频繁，请稍后再试";
    case FAULT_USED_UP:          return "今日额度已用完";
    case FAULT_KEY_REUSED:       return "同一个 Idempotency-Key 被用于不同的问题";
    case FAULT_NO_CHAT:          return "无权访问该对话";
    default:                     return xcx_sorry;
    }
}

static void write_fault(enum fault fault, struct buf *out)
{
    xcx_write_refusal(out, fault_http(fault), xcx_fault_text(fault));
}

const struct dialect xcx_dialect = {
    .stream_type = STR_INIT("text/event-stream; charset=utf-8"),
    .has_errors_in_band = true,
    .begin = xcx_begin,
    .write_event = write_event,
    .write_whole = write_whole,
    .write_fault = write_fault,
};
