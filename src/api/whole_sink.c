#include "api/whole_sink.h"

#include "api/fault_answer.h"
#include "api/room_fields.h"
#include "base/arena.h"
#include "base/mem.h"
#include "turn/turn.h"

/* How much an answer may hold is the turn's to say: turns.max_answer_bytes, 32 MiB at the
 * most, which stays below this even if every byte of it must be escaped. */
enum { NO_LIMIT_OF_OURS = 1 << 30 };

/* A call whose arguments are still coming. */
struct open_call {
    struct str id, name;                      /* in the sink's arena            */
    struct buf arguments;
};

struct whole_sink {
    struct sink           sink;
    struct http_exchange *x;                  /* NULL: answered, or the client is gone */
    const struct dialect *dialect;
    void                 *state;
    struct arena          arena;
    struct buf            text, reasoning;
    struct open_call     *calls;
    size_t                n_calls;
    struct citation      *citations;          /* their texts are in the arena   */
    size_t                n_citations;
    struct usage          usage;
};

static void answer(struct whole_sink *s, enum finish finish)
{
    struct whole_tool_call *calls = arena_new(&s->arena, s->n_calls * sizeof *calls);
    struct whole_answer     a = { .text = buf_str(&s->text),
                                  .reasoning = buf_str(&s->reasoning),
                                  .tool_calls = calls,
                                  .n_tool_calls = s->n_calls,
                                  .citations = s->citations,
                                  .n_citations = s->n_citations,
                                  .usage = s->usage,
                                  .finish = finish };
    struct buf              body = BUF(NO_LIMIT_OF_OURS);

    for (size_t i = 0; i < s->n_calls; i++)
        calls[i] = (struct whole_tool_call){ s->calls[i].id, s->calls[i].name,
                                             buf_str(&s->calls[i].arguments) };
    s->dialect->write_whole(s->state, &a, &body);
    http_answer(s->x,
                &(struct http_answer){ 200, STR("application/json"), STR(""), buf_str(&body) });
    buf_release(&body);
}

static void add_tool_piece(struct whole_sink *s, const struct event *ev)
{
    while (s->n_calls <= ev->tool.index) {
        s->calls = mem_resize(s->calls, (s->n_calls + 1) * sizeof *s->calls);
        s->calls[s->n_calls++] = (struct open_call){ .arguments = BUF(NO_LIMIT_OF_OURS) };
    }
    if (ev->tool.id.n)
        s->calls[ev->tool.index].id = arena_str(&s->arena, ev->tool.id);
    if (ev->tool.name.n)
        s->calls[ev->tool.index].name = arena_str(&s->arena, ev->tool.name);
    buf_add(&s->calls[ev->tool.index].arguments, ev->text);
}

static void add_citation(struct whole_sink *s, const struct citation *c)
{
    s->citations = mem_resize(s->citations, (s->n_citations + 1) * sizeof *s->citations);
    s->citations[s->n_citations++] = (struct citation){
        .id = arena_str(&s->arena, c->id),
        .title = arena_str(&s->arena, c->title),
        .url = arena_str(&s->arena, c->url),
        .text = arena_str(&s->arena, c->text),
    };
}

static void whole_event(struct sink *k, const struct event *ev)
{
    struct whole_sink *s = (struct whole_sink *)k;

    switch (ev->type) {
    case EVENT_START: return;
    case EVENT_DELTA: buf_add(&s->text, ev->text); return;
    case EVENT_REASONING: buf_add(&s->reasoning, ev->text); return;
    case EVENT_TOOL_CALL: add_tool_piece(s, ev); return;
    case EVENT_CITATION: add_citation(s, &ev->citation); return;
    case EVENT_USAGE: s->usage = ev->usage; return;
    case EVENT_FINISH: answer(s, ev->finish); break;
    case EVENT_ERROR:
        if (s->x)
            fault_answer(s->x, s->dialect, ev);
        break;
    }
    s->x = NULL;
}

static void whole_flush(struct sink *k)
{
    (void)k;
}

static void whole_close(struct sink *k)
{
    struct whole_sink *s = (struct whole_sink *)k;

    for (size_t i = 0; i < s->n_calls; i++)
        buf_release(&s->calls[i].arguments);
    mem_free(s->calls);
    mem_free(s->citations);
    arena_release(&s->arena);
    buf_release(&s->reasoning);
    buf_release(&s->text);
    mem_free(s->state);
    mem_free(s);
}

static void whole_room(struct sink *k, const struct budget_call *room)
{
    struct whole_sink *s = (struct whole_sink *)k;

    if (s->x)
        room_add_fields(s->x, room);
}

static const struct sink_ops ops = { whole_event, whole_flush, whole_close, whole_room };

static void client_gone(void *user)
{
    struct whole_sink *s = user;

    s->x = NULL;
    turn_leave(&s->sink);
}

struct sink *whole_sink_new(struct http_exchange *x, const struct dialect *d, void *state)
{
    struct whole_sink *s = mem_new(sizeof *s);

    s->sink.ops = &ops;
    s->x = x;
    s->dialect = d;
    s->state = state;
    s->text = s->reasoning = BUF(NO_LIMIT_OF_OURS);
    http_watch(x, client_gone, NULL, s);
    return &s->sink;
}
