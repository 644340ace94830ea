#include "api/whole_sink.h"

#include "api/fault_answer.h"
#include "base/mem.h"
#include "turn/turn.h"

/* How much an answer may hold is the turn's to say (turns.max_answer_bytes). */
enum { NO_LIMIT_OF_OURS = 1 << 30 };

struct whole_sink {
    struct sink           sink;
    struct http_exchange *x;                  /* NULL: answered, or the client is gone */
    const struct dialect *dialect;
    void                 *state;
    struct buf            text;
    struct usage          usage;
};

static void answer(struct whole_sink *s, enum finish finish)
{
    struct whole_answer a = { .text = buf_str(&s->text), .usage = s->usage, .finish = finish };
    struct buf          body = BUF(NO_LIMIT_OF_OURS);

    s->dialect->write_whole(s->state, &a, &body);
    http_answer(s->x,
                &(struct http_answer){ 200, STR("application/json"), STR(""), buf_str(&body) });
    buf_release(&body);
}

static void whole_event(struct sink *k, const struct event *ev)
{
    struct whole_sink *s = (struct whole_sink *)k;

    switch (ev->type) {
    case EVENT_START: return;
    case EVENT_DELTA: buf_add(&s->text, ev->text); return;
    case EVENT_USAGE: s->usage = ev->usage; return;
    case EVENT_FINISH: answer(s, ev->finish); break;
    case EVENT_ERROR:
        if (s->x)
            fault_answer(s->x, s->dialect, ev->fault);
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

    buf_release(&s->text);
    mem_free(s->state);
    mem_free(s);
}

static const struct sink_ops ops = { whole_event, whole_flush, whole_close };

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
    s->text = BUF(NO_LIMIT_OF_OURS);
    http_watch(x, client_gone, NULL, s);
    return &s->sink;
}
