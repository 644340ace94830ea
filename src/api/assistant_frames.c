#include "api/assistant_frames.h"

#include "api/assistant_answer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <assert.h>

/* ---- frames --------------------------------------------------------------------------- */

void assistant_frame_open(struct buf *out, const char *type)
{
    buf_addf(out, "{\"type\":\"%s\",\"data\":{", type);
}

void assistant_frame_close(struct buf *out)
{
    buf_lit(out, "},\"timestamp\":");
    assistant_add_time(out, clock_wall_ms() * 1000);
    buf_lit(out, "}");
}

void assistant_frame_error(struct buf *out, struct str message, const char *code)
{
    assistant_frame_open(out, "error");
    buf_lit(out, "\"message\":");
    json_add_str(out, message);
    if (code)
        buf_addf(out, ",\"code\":\"%s\"", code);
    assistant_frame_close(out);
}

/* ---- answers -------------------------------------------------------------------------- */

static void write_chunk(const struct assistant_frames *f, struct str text, struct buf *out)
{
    assistant_frame_open(out, "ai_chunk");
    buf_lit(out, "\"content\":");
    json_add_str(out, text);
    buf_lit(out, ",\"session_id\":");
    json_add_str(out, f->said->session);
    buf_addf(out, ",\"model_used\":\"%s\"",
             f->all.stands_in ? f->said->choice.instead : f->said->choice.model_used);
    assistant_frame_close(out);
}

/* The members of the whole answer, without the braces around them. */
static void add_whole(const struct assistant_frames *f, struct buf *out)
{
    const struct gathering   *g = &f->all;
    const struct whole_answer a = { .text = buf_str(&g->text),
                                    .usage = g->usage,
                                    .has_begun = g->has_begun,
                                    .stands_in = g->stands_in };

    assert(out->n > 0 && out->p[out->n - 1] == '{');
    out->n--;
    assistant_dialect_plain.write_whole(f->said, &a, out);
    if (!out->over)
        out->n--;
}

static void write_response(const struct assistant_frames *f, bool is_stopped, struct buf *out)
{
    assistant_frame_open(out, "ai_response");
    if (out->over)
        return;
    add_whole(f, out);
    if (is_stopped)
        buf_lit(out, ",\"stopped\":true,\"interrupted\":true");
    assistant_frame_close(out);
}

static void write_error(const struct assistant_frames *f, const struct event *ev, struct buf *out)
{
    uint64_t after = (ev->advice.after + CLOCK_S - 1) / CLOCK_S;

    assistant_frame_open(out, "error");
    buf_addf(out, "\"message\":\"消息处理失败\",\"code\":\"%s\",\"error\":", fault_name(ev->fault));
    json_add_str(out, str_of(fault_text(ev->fault)));
    buf_lit(out, ",\"content\":");
    json_add_str(out, assistant_sorry(ev->fault, f->all.has_begun));
    buf_lit(out, ",\"session_id\":");
    json_add_str(out, f->said->session);
    if (after)
        buf_addf(out, ",\"retry_after\":%llu", (unsigned long long)after);
    assistant_frame_close(out);
}

static void write_event(void *state, const struct event *ev, struct buf *out)
{
    struct assistant_frames *f = state;

    gathering_add(&f->all, ev);
    if (ev->type == EVENT_DELTA && f->streams)
        write_chunk(f, ev->text, out);
    else if (ev->type == EVENT_FINISH || (ev->type == EVENT_ERROR && ev->fault == FAULT_STOPPED))
        write_response(f, ev->type == EVENT_ERROR, out);
    else if (ev->type == EVENT_ERROR)
        write_error(f, ev, out);
}

static void frames_release(void *state)
{
    struct assistant_frames *f = state;

    gathering_release(&f->all);
    mem_free(f->said);
    mem_free(f);
}

struct assistant_frames *assistant_frames_new(struct assistant_state *said, bool streams)
{
    struct assistant_frames *f = mem_new(sizeof *f);

    f->said = said;
    f->streams = streams;
    gathering_begin(&f->all);
    return f;
}

const struct dialect assistant_dialect_frames = { .write_event = write_event,
                                                  .release = frames_release };
