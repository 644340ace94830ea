/* sink.h - who hears a turn: a client's stream, a collected answer, a journal.
 *
 * Contract: event() for every event of the grammar, flush() when those that came
 * together have been told, then the last word (FINISH or ERROR), a flush and exactly
 * one close(), which frees the sink. A sink whose client is gone says turn_leave();
 * one that cannot take more for now says turn_hold() and later turn_go_on(). None of
 * these three may be said from inside event(); hold may be said from inside flush().
 */
#ifndef TURN_SINK_H
#define TURN_SINK_H

#include "base/list.h"
#include "chat/event.h"

struct budget_call;
struct sink;
struct turn;

struct sink_ops {
    void (*event)(struct sink *k, const struct event *ev);
    void (*flush)(struct sink *k);
    void (*close)(struct sink *k);
    void (*room)(struct sink *k, const struct budget_call *room);     /* before all of it: what
                                                 its asker may yet use (store/budget.h) */
};

struct sink {
    const struct sink_ops *ops;
    struct turn           *turn;              /* NULL before and after          */
    struct link            link;
    bool                   full;              /* it holds the turn back         */
};

#endif
