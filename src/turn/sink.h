/* sink.h - who hears a turn: a client's stream, a collected answer.
 *
 * Contract: begin() when it is known which turn it is; event() for every event of the
 * grammar, flush() when those that came together have been told, then the last word (FINISH
 * or ERROR), a flush and exactly one close(), which frees the sink. An ERROR may come without
 * a begin(), instead of everything else.
 *
 * A sink whose client is gone says sink_leave(); one that cannot take more for now says
 * sink_hold() and later sink_go_on(). None of these three may be said from inside event() or
 * begin(); hold may be said from inside flush(). All three are in tale.c.
 */
#ifndef TURN_SINK_H
#define TURN_SINK_H

#include "base/list.h"
#include "chat/event.h"

struct budget_call;
struct sink;
struct tale;

/* What is known of a turn before it speaks; times are microseconds since 1970. */
struct turn_facts {
    struct str id;
    int64_t    chat, question, answer;        /* as store/turns.h; 0: none kept */
    int64_t    question_at, answer_at;
    int64_t    at;                            /* when it began                  */
};

struct sink_ops {
    /* `first` is the number of the first event that it will hear. */
    void (*begin)(struct sink *k, const struct turn_facts *facts, int64_t first);
    void (*event)(struct sink *k, const struct event *ev);
    void (*flush)(struct sink *k);
    void (*close)(struct sink *k);
    void (*room)(struct sink *k, const struct budget_call *room);     /* before all of it: what
                                                 its asker may yet use (store/budget.h) */
};

struct sink {
    const struct sink_ops *ops;
    struct tale           *tale;              /* NULL before and after          */
    struct link            link;
    size_t                 at;                /* behind: where it is in the tale */
    bool                   behind;
    bool                   full;              /* it takes no more for now       */
};

void sink_leave(struct sink *k);
void sink_hold(struct sink *k);
void sink_go_on(struct sink *k);

#endif
