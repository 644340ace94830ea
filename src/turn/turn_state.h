/* turn_state.h - a turn from the inside, as turn.c and turn_log.c share it; nobody else
 * includes this.
 */
#ifndef TURN_TURN_STATE_H
#define TURN_TURN_STATE_H

#include "base/note.h"
#include "chat/tally.h"
#include "provider/plan.h"
#include "turn/bill.h"
#include "turn/turn.h"

enum step { STEP_ADMIT, STEP_AFFORD, STEP_CHOOSE, STEP_PLACE, STEP_ANSWER, STEP_GONE };

struct turn {
    enum step   step;
    bool        waiting;                      /* asked, and not yet answered    */
    enum fault  came;                         /* what the last ask came to      */
    enum fault  interrupt;                    /* the first reason to end early  */
    enum fault  fault;                        /* how it ended; NONE is well     */
    struct note note;

    struct place    place;                    /* in this process                */
    struct bill     bill;
    struct place    target_place, provider_place;
    struct deadline pause;                    /* before the next call           */
    struct deadline limit;                    /* of the whole turn              */

    struct question     *question;
    struct catalog      *catalog;
    const struct model  *model;
    struct plan          plan;   /* whom we ask                    */
    bool                 chosen; /* the plan has somebody for us   */
    enum fault           failed; /* of the last call, or why there was none */
    const struct target *last_asked;
    struct call         *call;
    bool                 paused;

    struct list    sinks;
    size_t         full;                      /* sinks that hold us back        */
    struct grammar grammar;
    struct tally   tally;
    enum finish    finish;
    struct str     words;                     /* the provider's own, of its failure */
    struct advice  advice;                    /* and whether to ask it again    */

    struct link link;                         /* among all turns                */
    const char *route;
    struct str  request_id, client;
};

/* turn_log.c */
void turn_log_failed_call(const struct turn *t, enum fault came);
void turn_log_end(const struct turn *t, const char *step);

#endif
