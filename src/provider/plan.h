/* plan.h - whom one turn asks, in which order, and when.
 *
 * Targets with weights share the first question; the others follow in the order of the
 * settings. One that fails is asked again after a pause, at most `retries` times, and
 * always behind those that have been asked less often. One that is left alone (standing.h)
 * is passed over, and so is a full one as long as another has room. No I/O and no waiting
 * here: the turn does both.
 */
#ifndef PROVIDER_PLAN_H
#define PROVIDER_PLAN_H

#include "provider/catalog.h"

struct plan_target {
    const struct target *target;
    uint64_t             asked, not_before;
    bool                 out;                 /* it would be of no use          */
};

struct plan {
    struct plan_target *targets;
    size_t              n, at;                /* the one in use                 */
    uint64_t            calls;
    uint64_t            max_pause;
    bool                tries;                /* for a breaker that is half open */
};

enum plan_step {
    PLAN_ASK,                                 /* plan_target(), now             */
    PLAN_WAIT,                                /* until `until`, then look again */
    PLAN_STOP,                                /* nobody is left; `until`: when somebody may be */
};

void plan_begin(struct plan *p, const struct model *m, const struct question *q, uint64_t max_pause,
                struct arena *a);

/* Before anybody was asked: whether anybody can be. */
bool plan_has_any(const struct plan *p);

enum plan_step       plan_next(struct plan *p, uint64_t now, uint64_t *until);
const struct target *plan_target(const struct plan *p);
bool                 plan_may_ask(const struct plan *p, uint64_t now); /* still? */

/* What became of the target in use. After plan_ask() one of the others must be said. */
void plan_ask(struct plan *p);
void plan_answered(struct plan *p);
void plan_finished(struct plan *p);
void plan_crowded(struct plan *p);            /* no place in its line; it was not asked */
void plan_failed(struct plan *p, enum fault fault, const struct advice *advice, uint64_t now);
void plan_left(struct plan *p);               /* not its doing                  */

#endif
