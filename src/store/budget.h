/* budget.h - what a turn may use: reserved before it asks, settled when it has ended.
 *
 * All allowances that speak of an asker (his key's, his account's, his tenant's) have to let
 * a turn in. The rows of those allowances are locked first, so that two turns never take the
 * same last cent, in whichever processes they run. A reservation that nobody settles expires;
 * then it counts no more, and when the turn is settled after all it is counted as it was.
 */
#ifndef STORE_BUDGET_H
#define STORE_BUDGET_H

#include "chat/event.h"
#include "store/askers.h"

enum budget_limit {
    BUDGET_FREE,                              /* none is in the way             */
    BUDGET_REQUESTS,                          /* per minute                     */
    BUDGET_TOKENS,                            /* per minute                     */
    BUDGET_STREAMS,
    BUDGET_DAY_TOKENS,
    BUDGET_DAY_MONEY,
};
struct budget_room {                          /* of the tightest allowance; limit 0: none */
    int64_t limit, left;
};

struct budget_call {
    struct verb        verb;
    enum budget_limit  limit;                 /* the first in the way           */
    uint64_t           wait;                  /* s until it may no longer be    */
    struct budget_room requests, tokens;      /* of a minute                    */
};

struct budget_ask {
    const struct asker *asker;
    struct str          turn;
    uint64_t            tokens, money;        /* millionths                     */
    uint64_t            seconds;              /* that the turn may take         */
};

void budget_reserve(struct store *s, struct budget_call *c, const struct budget_ask *ask);

/* One more round of a turn that was let in: what was reserved for it becomes what it has used so
 * far and what the round may use. A day's limits count, and a minute's tokens; it is not another
 * request. Where nothing is reserved nothing is in the way. */
struct budget_round {
    const struct asker *asker;
    struct str          turn;
    uint64_t            used, next;           /* tokens                         */
    uint64_t            money;                /* for both, millionths           */
    uint64_t            seconds;
};
void budget_go_on(struct store *s, struct budget_call *c, const struct budget_round *round);

struct budget_bill {
    int32_t      tenant;
    int64_t      key, account;
    struct str   turn, model;
    struct usage usage;
    uint64_t     money;
    bool         is_estimated, is_failure;
    bool         was_refused;                 /* gives back what may have been reserved, and
                                                 is no usage */
};

/* Once or more often, the turn is counted once: in what is left of the allowances, and in the
 * usage of its day. Nobody waits for it. */
void budget_settle(struct store *s, const struct budget_bill *bill);

/* Forgets what no limit looks at any more. The store does it now and then. */
void budget_sweep(struct store *s);

extern const struct pg_statement budget_statements[];

#endif
