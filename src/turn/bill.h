/* bill.h - what a turn costs, and whether its asker can afford it.
 *
 * Before it asks anybody, what it may use at most is reserved (store/budget.h), if there is a
 * limit that speaks of its asker, and so it is before each round that follows (turn_tools.c).
 * When it has ended, what it used is settled: as the provider counted, or as we do where it did
 * not.
 */
#ifndef TURN_BILL_H
#define TURN_BILL_H

#include "chat/question.h"
#include "chat/tally.h"
#include "store/budget.h"
#include "turn/offer.h"

/* Of an asker, what a bill says. */
struct payer {
    int32_t tenant;
    int64_t key, account;
    bool    is_limited;
};

struct bill;
struct reserving;

/* `room` is what its asker may yet use; where no limit speaks of him it says nothing. */
typedef void bill_told(struct bill *b, enum fault fault, const struct budget_call *room);

struct bill {
    struct payer        asker;
    const struct model *model;
    struct str          turn;                 /* its id                         */
    uint64_t            prompt;               /* tokens of what the call asks, as we count */
    struct usage        used;                 /* of the calls that are over     */
    bool                is_estimated;         /* some of it                     */
    bool                is_open;              /* to be settled                  */
    bool                was_refused;
    struct reserving   *reserving;            /* NULL: nobody is being asked    */
};

void bill_use_store(struct store *s);         /* NULL: nothing is counted       */

void bill_begin(struct bill *b, const struct asker *asker, const struct question *q,
                const struct model *model, struct str turn);

/* told() comes once, now or later. `answer` is how many tokens an answer may take that has no
 * limit of its own. */
void bill_reserve(struct bill *b, const struct question *q, uint64_t answer, uint64_t max_time,
                  bill_told *told);
void bill_drop(struct bill *b);               /* told() does not come any more  */

/* A call of the turn is over, and another one may follow: what it used goes on the bill, before
 * the tally counts the next one. */
void bill_call_over(struct bill *b, const struct tally *tally);
/* The same of a call whose answer nobody hears; `ours` is what we count where nobody else did. */
void bill_unheard_over(struct bill *b, const struct tally *tally, struct usage ours);

/* As bill_reserve(), for one more round of the turn, which asks `q`. */
void bill_go_on(struct bill *b, const struct question *q, uint64_t answer, uint64_t max_time,
                bill_told *told);

/* Somebody else is paid for it: what may have been reserved is given back, and is no usage. */
void bill_hand_back(struct bill *b, bool was_reserved);

/* Once, at the end of every turn. */
void bill_settle(struct bill *b, const struct tally *tally, bool is_failure);

#endif
