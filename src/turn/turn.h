/* turn.h - one question, one answer. The story is in turn.c. */
#ifndef TURN_TURN_H
#define TURN_TURN_H

#include "chat/question.h"
#include "store/askers.h"
#include "turn/offer.h"
#include "turn/sink.h"

struct turn;

/* What a turn begins with. The turn owns the question, keeps the catalog that is on
 * offer now, and closes the sink at its end. */
struct turn_order {
    struct question    *question;
    const struct model *model;                /* on offer now                   */
    struct sink        *sink;
    const struct asker *asker;                /* copied, but for his texts      */
    const char         *route;                /* for the log; a constant        */
    struct str          request_id, client;   /* for the log; copied            */
};

struct turn *turn_start(const struct turn_order *order);

/* Somebody wants it to end: the first reason stands. */
void turn_interrupt(struct turn *t, enum fault why);
void turns_interrupt_all(enum fault why);

/* Said by sinks (turn/sink.h). */
void turn_leave(struct sink *k);
void turn_hold(struct sink *k);
void turn_go_on(struct sink *k);

size_t turns_alive(void);

#endif
