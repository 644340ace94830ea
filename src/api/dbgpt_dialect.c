#include "api/dbgpt_dialect.h"

#include "api/dbgpt_answer.h"
#include "base/json.h"
#include "base/mem.h"
#include "turn/sink.h"
#include "wire/sha256.h"
#include "wire/sse.h"

#include <stdio.h>

enum { TEXT_LIMIT = 1 << 30 };

#define ROLE "\"role\": \"assistant\", "

void dbgpt_write_uuid(struct str of, char version, char out[37])
{
    char hex[SHA256_HEX_SIZE];

    sha256_hex(of, hex);
    hex[12] = version;
    hex[16] = "89ab"[hex[16] & 3];
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

struct dbgpt_state *dbgpt_state_new(struct str model, struct str conv_uid)
{
    struct dbgpt_state *s = mem_new(sizeof *s);

    s->model = arena_str(&s->arena, model);
    s->conv_uid = arena_str(&s->arena, conv_uid);
    s->head = BUF(TEXT_LIMIT);
    s->text = BUF(TEXT_LIMIT);
    s->reasoning = BUF(TEXT_LIMIT);
    return s;
}

static void release(void *state)
{
    struct dbgpt_state *s = state;

    buf_release(&s->head);
    buf_release(&s->text);
    buf_release(&s->reasoning);
    arena_release(&s->arena);
    mem_free(s);
}

/* Whoever reads the answer again gets the same bytes. */
static void dbgpt_begin(void *state, const struct turn_facts *facts, int64_t first)
{
    struct dbgpt_state *s = state;
    char                uuid[37];

    (void)first;
    dbgpt_write_uuid(facts->id, '1', uuid);
    snprintf(s->id, sizeof s->id, "chatcmpl-%s", uuid);
    s->created = facts->at / 1000000;
}

/* ---- a stream that is incremental -------------------------------------------------------- */

static void write_head(struct dbgpt_state *s)
{
    struct buf *out = &s->head;

    buf_addf(out, SSE_DATA "{\"id\": \"%s\", ", s->id);
    if (s->has_extra_members)
        buf_addf(out, "\"object\": \"chat.completion.chunk\", \"created\": %lld, ",
                 (long long)s->created);
    buf_lit(out, "\"model\": ");
    json_add_str(out, s->model);
    buf_lit(out, ", \"choices\": [{\"index\": 0, ");
}

/* All events of a stream begin alike, so that is written once. */
static void begin_chunk(struct dbgpt_state *s, struct buf *out)
{
    if (!s->head.n)
        write_head(s);
    buf_add(out, buf_str(&s->head));
}

/* Of the bytes at the front of `s`: those of a character that ends a line in Python, although
 * it ends none of a stream; else 0. */
static size_t line_end_at(struct str s, const char **escaped)
{
    static const struct {
        struct str  bytes;
        const char *escaped;
    } ends[] = {
        { STR_INIT("\xc2\x85"), "\\u0085" },
        { STR_INIT("\xe2\x80\xa8"), "\\u2028" },
        { STR_INIT("\xe2\x80\xa9"), "\\u2029" },
    };

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (str_starts(s, ends[i].bytes)) {
            *escaped = ends[i].escaped;
            return ends[i].bytes.n;
        }
    return 0;
}

/* Its own client reads lines as Python does, and takes each for a whole event. */
static void add_text(struct str text, struct buf *out)
{
    const char *escaped = "";
    size_t      from = 0, n;

    buf_lit(out, "\"");
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '\xc2' && text.p[i] != '\xe2')
            continue;
        n = line_end_at(str_from(text, i), &escaped);
        if (!n)
            continue;
        json_add_text(out, (struct str){ text.p + from, i - from });
        buf_add(out, str_of(escaped));
        from = i + n;
    }
    json_add_text(out, str_from(text, from));
    buf_lit(out, "\"");
}

static void write_delta(struct dbgpt_state *s, const char *member, struct str text,
                        const char *reason, struct buf *out)
{
    begin_chunk(s, out);
    buf_lit(out, "\"delta\": {" ROLE "\"");
    buf_add(out, str_of(member));
    buf_lit(out, "\": ");
    add_text(text, out);
    buf_lit(out, "}");
    if (s->has_extra_members)
        buf_addf(out, ", \"finish_reason\": %s", reason);
    buf_lit(out, "}]}" SSE_END);
}

/* Its client knows these two and no others. */
static const char *reason_of(enum finish f)
{
    return f == FINISH_STOP ? "\"stop\"" : f == FINISH_LENGTH ? "\"length\"" : "null";
}

/* What a worker of the original says when its model fails. */
static void add_stream_error(enum fault fault, struct buf *out)
{
    buf_addf(out, "**LLMServer Generate Error, Please CheckErrorInfo.**: %s (error_code: 1)",
             fault_text(fault));
}

static void write_stream_error(struct dbgpt_state *s, enum fault fault, struct buf *out)
{
    struct buf text = BUF(1024);

    add_stream_error(fault, &text);
    write_delta(s, "content", buf_str(&text), "null", out);
    buf_release(&text);
}

static void write_increment(struct dbgpt_state *s, const struct event *ev, struct buf *out)
{
    if (ev->type == EVENT_DELTA)
        write_delta(s, "content", ev->text, "null", out);
    else if (ev->type == EVENT_REASONING)
        write_delta(s, "reasoning_content", ev->text, "null", out);
    else if (ev->type == EVENT_ERROR)
        write_stream_error(s, ev->fault, out);
    else if (s->has_extra_members)
        write_delta(s, "content", STR(""), reason_of(ev->finish), out);
    if (ev->type == EVENT_FINISH || ev->type == EVENT_ERROR)
        buf_lit(out, SSE_DATA "[DONE]" SSE_END);
}

/* ---- one that is not ----------------------------------------------------------------------- */

static void write_raw(struct str text, struct buf *out)
{
    buf_lit(out, SSE_DATA);
    while (text.n) {
        size_t n = 0;

        while (n < text.n && text.p[n] != '\n' && text.p[n] != '\r')
            n++;
        buf_add(out, (struct str){ text.p, n });
        if (n < text.n)
            buf_add(out, text.p[n] == '\n' ? STR("\\n") : STR("\\r"));
        text = str_from(text, n + (n < text.n));
    }
    buf_lit(out, SSE_END);
}

static void write_object(struct dbgpt_state *s, struct buf *out)
{
    begin_chunk(s, out);
    buf_lit(out, "\"message\": {" ROLE "\"content\": ");
    json_add_str(out, buf_str(&s->text));
    buf_lit(out, ", \"reasoning_content\": ");
    if (s->reasoning.n)
        json_add_str(out, buf_str(&s->reasoning));
    else
        buf_lit(out, "null");
    buf_lit(out, "}}], \"usage\": {\"prompt_tokens\": 0, \"total_tokens\": 0, "
                 "\"completion_tokens\": 0}}" SSE_END);
}

static void write_all_so_far(struct dbgpt_state *s, const struct event *ev, struct buf *out)
{
    if (ev->type == EVENT_FINISH)
        return;
    if (ev->type == EVENT_ERROR)
        add_stream_error(ev->fault, &s->text);
    else
        buf_add(ev->type == EVENT_REASONING ? &s->reasoning : &s->text, ev->text);
    if (s->has_objects)
        write_object(s, out);
    else
        write_raw(buf_str(&s->text), out);
}

static bool speaks(const void *state, const struct event *ev)
{
    const struct dbgpt_state *s = state;

    if (ev->type == EVENT_REASONING && !(s->is_incremental ? s->has_extra_members : s->has_objects))
        return false;
    if (ev->type == EVENT_DELTA || ev->type == EVENT_REASONING)
        return ev->text.n > 0;
    return ev->type == EVENT_FINISH || ev->type == EVENT_ERROR;
}

static void write_event(void *state, const struct event *ev, struct buf *out)
{
    struct dbgpt_state *s = state;

    if (!speaks(s, ev))
        return;
    if (s->is_incremental)
        write_increment(s, ev, out);
    else
        write_all_so_far(s, ev, out);
}

/* ---- a whole answer ------------------------------------------------------------------------- */

/* The original shows its quotes and drops what a broken model leaves of half a character. */
static void add_cleaned(struct str text, struct buf *out)
{
    while (text.n) {
        size_t n = 1;

        if (str_starts(text, STR("\ufffd")))
            n = STR("\ufffd").n;
        else if (str_starts(text, STR("&quot;"))) {
            n = STR("&quot;").n;
            buf_add_char(out, '"');
        } else {
            while (n < text.n && text.p[n] != '&' && text.p[n] != '\xef')
                n++;
            buf_add(out, (struct str){ text.p, n });
        }
        text = str_from(text, n);
    }
}

void dbgpt_write_view(struct str answer, enum fault fault, struct buf *out)
{
    add_cleaned(answer, out);
    if (!fault || fault == FAULT_STOPPED || fault == FAULT_CLIENT_GONE)
        return;
    if (out->n)
        buf_lit(out, "\n\n");
    buf_addf(out,
             "<span style='color:red'>ERROR!</span> Model server error!code=1, error msg is %s",
             fault_text(fault));
}

static void write_usage(const struct usage *u, struct buf *out)
{
    buf_lit(out, "\"usage\":{\"prompt_tokens\":");
    buf_add_u64(out, u->prompt);
    buf_lit(out, ",\"total_tokens\":");
    buf_add_u64(out, u->prompt + u->completion);
    buf_lit(out, ",\"completion_tokens\":");
    buf_add_u64(out, u->completion);
    buf_lit(out, "}");
}

static void write_whole(void *state, const struct whole_answer *a, struct buf *out)
{
    const struct dbgpt_state *s = state;
    struct buf                text = BUF(TEXT_LIMIT);

    dbgpt_write_view(a->text, a->fault, &text);
    buf_lit(out, "{\"id\":");
    json_add_str(out, s->conv_uid);
    buf_addf(out,
             ",\"object\":\"chat.completion\",\"created\":%lld,\"model\":", (long long)s->created);
    json_add_str(out, s->model);
    buf_lit(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    json_add_str(out, buf_str(&text));
    if (s->has_extra_members && a->reasoning.n) {
        buf_lit(out, ",\"reasoning_content\":");
        json_add_str(out, a->reasoning);
    }
    buf_addf(out, "},\"finish_reason\":%s}],", a->fault ? "null" : reason_of(a->finish));
    write_usage(&a->usage, out);
    buf_lit(out, "}");
    buf_release(&text);
}

/* ---- faults ------------------------------------------------------------------------------------ */

/* What the original does not know, limits above all, keeps its status. */
static int fault_status(enum fault fault)
{
    switch (fault) {
    case FAULT_RATE_LIMITED:
    case FAULT_TOO_MANY_AT_ONCE:
    case FAULT_USED_UP:
    case FAULT_KEY_REUSED:
    case FAULT_OVERLOADED:
    case FAULT_NO_DATABASE:      return fault_http(fault);
    default:                     return 400;
    }
}

static void write_fault(enum fault fault, struct buf *out)
{
    if (fault_status(fault) == 400)
        dbgpt_write_failed(out, "E0003", str_of(fault_text(fault)), fault_name(fault));
    else
        dbgpt_write_raised(out, fault_http(fault), fault_text(fault), fault_name(fault));
}

const struct dialect dbgpt_dialect = {
    .stream_type = STR_INIT("text/event-stream"),
    .takes_no_comments = true,
    .begin = dbgpt_begin,
    .write_event = write_event,
    .write_whole = write_whole,
    .write_fault = write_fault,
    .speaks = speaks,
    .fault_status = fault_status,
    .release = release,
};

const struct dialect dbgpt_page_dialect = {
    .stream_type = STR_INIT("text/event-stream"),
    .has_errors_in_band = true,
    .takes_no_comments = true,
    .begin = dbgpt_begin,
    .write_event = write_event,
    .write_whole = write_whole,
    .write_fault = write_fault,
    .speaks = speaks,
    .fault_status = fault_status,
    .release = release,
};

const struct dialect dbgpt_whole_dialect = {
    .stream_type = STR_INIT("text/event-stream"),
    .has_errors_in_band = true,
    .begin = dbgpt_begin,
    .write_event = write_event,
    .write_whole = write_whole,
    .write_fault = write_fault,
    .fault_status = fault_status,
    .release = release,
};
