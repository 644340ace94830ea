/* standing.h - how a provider's model has done lately, and how many talk to it.
 *
 * One for each provider (all its models together) and one for each model of it that is a
 * target. Found by name, so that it outlives a reload of the settings.
 *
 * The breaker: after so many failures in a row nobody asks for a while; then one turn may
 * try, and what comes of that decides. Only what a service does wrong counts, never what a
 * client did (chat/fault.h has the column).
 */
#ifndef PROVIDER_STANDING_H
#define PROVIDER_STANDING_H

#include "base/gate.h"
#include "base/settings.h"
#include "chat/event.h"

struct standing {
    struct link link;
    size_t      owners;
    struct str  provider, model;
    struct gate gate;
    uint64_t    failures;                     /* in a row                       */
    uint64_t    break_time;                   /* of the last break, ns          */
    uint64_t    broken_until;                 /* 0: the breaker is closed       */
    uint64_t    rest_until;                   /* it asked not to be asked       */
    bool        tried;                        /* half open, and one turn tries  */
};

struct standing *standing_hold(struct str provider, struct str model);
void             standing_drop(struct standing *s);

/* May it be asked now? If not, `until` says when, as far as that is known (else UINT64_MAX). */
bool standing_may_ask(const struct standing *s, uint64_t now, uint64_t *until);

/* A call begins. True: it is the one that tries, and what came of it must be told below. */
bool standing_begin(struct standing *s);

void standing_answered(struct standing *s);   /* the first event has come       */
void standing_finished(struct standing *s);   /* and the last, good one         */
void standing_failed(struct standing *s, const struct provider_settings *p, enum fault fault,
                     bool tries, uint64_t now);
void standing_left(struct standing *s);       /* the one that tries ends without a verdict */

/* Nobody asks it before `until`: it said so. */
void standing_rest(struct standing *s, uint64_t until);

#endif
