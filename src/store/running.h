/* running.h - what a process does for all its running turns at once, and for those of a
 * process that died.
 *
 * A holder is a name that no other process has, nor the same one after a restart.
 */
#ifndef STORE_RUNNING_H
#define STORE_RUNNING_H

#include "store/turns.h"

struct turn_name {
    int32_t    tenant;
    struct str id;
};

struct turn_lease {
    struct turn_name turn;
    bool             stop_asked;
};

struct running_call {
    struct verb        verb;
    struct turn_lease *leases;                /* turns_extend(): those it still holds */
    size_t             n;                     /* leases, pieces kept, journals cleared */
};

/* All leases in one statement. A turn that does not come back is not the holder's any more. */
void turns_extend(struct store *s, struct running_call *c, struct str holder,
                  const struct turn_name *turns, size_t n, uint64_t lease);

/* Pieces of many turns in one statement. One that is there already stays as it is; those of
 * turns that are not the holder's are left out. */
struct turn_piece {
    struct turn_name     turn;
    struct journal_piece piece;
};
void journal_add(struct store *s, struct running_call *c, struct str holder,
                 const struct turn_piece *pieces, size_t n);

/* Forgets the journals of up to so many turns of a chat that ended so long ago, and as many
 * turns of none, which are nothing without theirs. */
void journals_clear(struct store *s, struct running_call *c, uint64_t age, uint64_t key_age,
                    int64_t limit);

/* Closes what dead processes left: takes turns over whose leases have run out, and ends each
 * as interrupted, with what its journal says (where the database refuses that: as an error, with
 * nothing); but not those that are spared, which the caller knows to be alive. Two may sweep at
 * once; what one leaves undone is there for the next when its lease has run out. */
enum { SWEEP_MAX = 32 };

struct sweep {
    void (*done)(struct sweep *sweep);        /* the caller's                   */
    enum store_end end;
    size_t         closed;

    /* The store's own. */
    struct verb   taking;
    struct str    holder;
    struct swept *turns;
    size_t        n, left;
    struct closing {
        struct turn_call call;
        struct sweep    *sweep;
        struct swept    *turn;
        bool             is_refused;          /* what it said                   */
    } closings[SWEEP_MAX];
};
void sweep_start(struct store *s, struct sweep *sweep, struct str holder, uint64_t lease,
                 const struct turn_name *spared, size_t n);
void sweep_drop(struct sweep *sweep);         /* needed once, as verb_drop() is */

extern const struct pg_statement running_statements[];

#endif
