#include "api/ws_sink.h"

#include "base/mem.h"
#include "turn/tale.h"

static void ws_sink_begin(struct sink *k, const struct turn_facts *facts, int64_t first)
{
    struct ws_sink *s = (struct ws_sink *)k;

    if (s->dialect->begin)
        s->dialect->begin(s->state, facts, first);
}

static void ws_sink_event(struct sink *k, const struct event *ev)
{
    struct ws_sink *s = (struct ws_sink *)k;

    if (!s->ws)
        return;
    s->dialect->write_event(s->state, ev, ws_begin(s->ws));
    ws_end(s->ws);
}

static void ws_sink_flush(struct sink *k)
{
    struct ws_sink *s = (struct ws_sink *)k;

    if (s->ws && !ws_push(s->ws))
        sink_hold(k);
}

static void ws_sink_close(struct sink *k)
{
    struct ws_sink *s = (struct ws_sink *)k;

    if (s->ws)
        s->over(s->user);
    dialect_release(s->dialect, s->state);
    mem_free(s);
}

/* There are no fields left to tell it in. */
static void ws_sink_told_room(struct sink *k, const struct budget_call *room)
{
    (void)k;
    (void)room;
}

static const struct sink_ops ops = { ws_sink_begin, ws_sink_event, ws_sink_flush, ws_sink_close,
                                     ws_sink_told_room };

struct ws_sink *ws_sink_new(struct ws_conn *ws, const struct dialect *d, void *state,
                            void (*over)(void *user), void *user)
{
    struct ws_sink *s = mem_new(sizeof *s);

    *s = (struct ws_sink){
        .sink.ops = &ops, .ws = ws, .dialect = d, .state = state, .over = over, .user = user
    };
    return s;
}

void ws_sink_room(struct ws_sink *s)
{
    sink_go_on(&s->sink);
}

void ws_sink_leave(struct ws_sink *s)
{
    s->ws = NULL;
    sink_leave(&s->sink);
}

bool ws_sink_is_told(const struct ws_sink *s)
{
    return s->sink.tale && s->sink.tale->ops;
}
