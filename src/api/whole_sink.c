#include "api/whole_sink.h"

#include "api/fault_answer.h"
#include "api/room_fields.h"
#include "base/mem.h"
#include "chat/gathering.h"
#include "turn/turn.h"

enum { NO_LIMIT_OF_OURS = 1 << 30 };

struct whole_sink {
    struct sink           sink;
    struct http_exchange *x;                  /* NULL: answered, or the client is gone */
    const struct dialect *dialect;
    void                 *state;
    struct gathering      all;
    bool                  begun;
};

static void answer(struct whole_sink *s, const struct event *last)
{
    struct gathering       *g = &s->all;
    struct whole_tool_call *calls = arena_new(&g->arena, g->n_calls * sizeof *calls);
    struct whole_answer     a = { .text = buf_str(&g->text),
                                  .reasoning = buf_str(&g->reasoning),
                                  .tool_calls = calls,
                                  .citations = g->citations,
                                  .n_citations = g->n_citations,
                                  .usage = g->usage,
                                  .finish = last->finish,
                                  .fault = last->fault,
                                  .has_begun = g->has_begun,
                                  .stands_in = g->stands_in };
    struct buf              body = BUF(NO_LIMIT_OF_OURS);

    for (size_t i = 0; i < g->n_calls; i++)
        if (!g->calls[i].is_ours)
            calls[a.n_tool_calls++] = (struct whole_tool_call){ g->calls[i].id, g->calls[i].name,
                                                                buf_str(&g->calls[i].arguments) };
    s->dialect->write_whole(s->state, &a, &body);
    http_answer(s->x,
                &(struct http_answer){ 200, STR("application/json"), STR(""), buf_str(&body) });
    buf_release(&body);
}

static void whole_begin(struct sink *k, const struct turn_facts *facts, int64_t first)
{
    struct whole_sink *s = (struct whole_sink *)k;

    s->begun = true;
    if (s->dialect->begin)
        s->dialect->begin(s->state, facts, first);
}

static void whole_event(struct sink *k, const struct event *ev)
{
    struct whole_sink *s = (struct whole_sink *)k;

    gathering_add(&s->all, ev);
    if (!s->x || (ev->type != EVENT_FINISH && ev->type != EVENT_ERROR))
        return;
    if (ev->type == EVENT_FINISH || (s->begun && s->dialect->has_errors_in_band))
        answer(s, ev);
    else
        fault_answer(s->x, s->dialect, ev);
    s->x = NULL;
}

static void whole_flush(struct sink *k)
{
    (void)k;
}

static void whole_close(struct sink *k)
{
    struct whole_sink *s = (struct whole_sink *)k;

    gathering_release(&s->all);
    dialect_release(s->dialect, s->state);
    mem_free(s);
}

static void whole_room(struct sink *k, const struct budget_call *room)
{
    struct whole_sink *s = (struct whole_sink *)k;

    if (s->x)
        room_add_fields(s->x, room);
}

static const struct sink_ops ops = { whole_begin, whole_event, whole_flush, whole_close,
                                     whole_room };

static void client_gone(void *user)
{
    struct whole_sink *s = user;

    s->x = NULL;
    sink_leave(&s->sink);
}

struct sink *whole_sink_new(struct http_exchange *x, const struct dialect *d, void *state)
{
    struct whole_sink *s = mem_new(sizeof *s);

    s->sink.ops = &ops;
    s->x = x;
    s->dialect = d;
    s->state = state;
    gathering_begin(&s->all);
    http_watch(x, client_gone, NULL, s);
    return &s->sink;
}
