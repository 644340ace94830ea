#include "api/sse_sink.h"

#include "api/fault_answer.h"
#include "api/room_fields.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/mem.h"
#include "turn/turn.h"
#include "wire/sse.h"

struct sse_sink {
    struct sink           sink;
    struct http_exchange *x;                  /* NULL: answered, or the client is gone */
    const struct dialect *dialect;
    void                 *state;
    struct deadline       silence;            /* commit_after, then heartbeat   */
    uint64_t              heartbeat;
    bool                  committed, ended;
};

static void commit(struct sse_sink *s)
{
    s->committed = true;
    http_begin(s->x, 200, s->dialect->stream_type,
               STR("cache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"));
}

static void push(struct sse_sink *s)
{
    deadline_arm(&s->silence, clock_now() + s->heartbeat);
    if (!http_push(s->x))
        sink_hold(&s->sink);
}

static void on_silence(struct deadline *d)
{
    struct sse_sink *s = LIST_OWNER(d, struct sse_sink, silence);

    if (s->dialect->takes_no_comments)
        return;
    if (!s->committed)
        commit(s);
    sse_add_comment(http_body(s->x), str_of(s->dialect->comment ? s->dialect->comment : "ping"));
    push(s);
}

static void sse_begin(struct sink *k, const struct turn_facts *facts, int64_t first)
{
    struct sse_sink *s = (struct sse_sink *)k;

    if (s->dialect->begin)
        s->dialect->begin(s->state, facts, first);
    if (s->x && s->dialect->has_errors_in_band && !s->committed)
        commit(s);
}

static void sse_event(struct sink *k, const struct event *ev)
{
    struct sse_sink *s = (struct sse_sink *)k;

    s->ended = ev->type == EVENT_FINISH || ev->type == EVENT_ERROR;
    if (!s->x)
        return;
    if (!s->committed && ev->type == EVENT_ERROR) {
        fault_answer(s->x, s->dialect, ev);
        s->x = NULL;
        return;
    }
    if (s->dialect->speaks && !s->dialect->speaks(s->state, ev))
        return;
    if (!s->committed)
        commit(s);
    s->dialect->write_event(s->state, ev, http_body(s->x));
}

/* The last word waits for close(), to leave in one write with the end of the stream. */
static void sse_flush(struct sink *k)
{
    struct sse_sink *s = (struct sse_sink *)k;

    if (s->x && s->committed && !s->ended)
        push(s);
}

static void sse_close(struct sink *k)
{
    struct sse_sink *s = (struct sse_sink *)k;

    if (s->x)
        http_finish(s->x);
    deadline_disarm(&s->silence);
    dialect_release(s->dialect, s->state);
    mem_free(s);
}

static void sse_room(struct sink *k, const struct budget_call *room)
{
    struct sse_sink *s = (struct sse_sink *)k;

    if (s->x && !s->committed)
        room_add_fields(s->x, room);
}

static const struct sink_ops ops = { sse_begin, sse_event, sse_flush, sse_close, sse_room };

static void client_gone(void *user)
{
    struct sse_sink *s = user;

    s->x = NULL;
    sink_leave(&s->sink);
}

static void client_has_room(void *user)
{
    sink_go_on(&((struct sse_sink *)user)->sink);
}

struct sink *sse_sink_new(struct http_exchange *x, const struct dialect *d, void *state,
                          const struct stream_settings *settings)
{
    struct sse_sink *s = mem_new(sizeof *s);

    s->sink.ops = &ops;
    s->x = x;
    s->dialect = d;
    s->state = state;
    s->heartbeat = settings->heartbeat;
    s->silence.run = on_silence;
    deadline_arm(&s->silence, clock_now() + settings->commit_after);
    http_watch(x, client_gone, client_has_room, s);
    return &s->sink;
}
