/* operations.h - what tools do when their turn has ended.
 *
 *     begin ---> (the tool is asked) ---> complete ---> its turn has ended: settle
 *       |                                                 ^
 *       +---> forget: it was done at once, or failed      |
 *       +---> nobody completes it in time: it expires ----+
 *
 * One is kept before its tool is asked, as the tool may complete it at once, whichever process it
 * tells. What it came to takes the place of the result that stands in the kept answer, as soon as
 * that is kept, and waits like a question (pending.h) for its turn to be told to the model.
 */
#ifndef STORE_OPERATIONS_H
#define STORE_OPERATIONS_H

#include "store/askers.h"

struct operation {
    struct str id, turn, call, tool;
    uint64_t   output_limit;                  /* bytes                          */
    bool       is_running, has_expired;
};

struct operation_call {
    struct verb      verb;
    struct operation operation;
    bool             is_new;                  /* operation_begin()              */
    size_t           n;                       /* operations_settle(): how many have changed */

    /* The store's own. */
    bool       found;
    struct str wanted;
};

struct operation_order {
    struct str          id, turn, call, tool, arguments;      /* arguments: JSON */
    const struct asker *asker;                /* who pays; without his texts    */
    uint64_t            output_limit, ttl;    /* ttl: ns                        */
};

/* Of a running turn that keeps a chat. If the same call is running there already, the operation is
 * that one, and not new. */
void operation_begin(struct store *s, struct operation_call *c, const struct whose *w,
                     const struct operation_order *o);

/* There was none after all. One that was completed meanwhile stays. */
void operation_forget(struct store *s, struct operation_call *c, const struct whose *w,
                      struct str id);

/* By whoever knows its name. */
void operation_find(struct store *s, struct operation_call *c, struct str id);

/* What stands in the answer from now on, and what the model is told behind all that was said. The
 * second time nothing changes. Not found: it has expired, or there was none. */
void operation_complete(struct store *s, struct operation_call *c, struct str id, bool success,
                        struct str output, struct str news);

/* Gives up those that nobody has completed in time, puts what is due into the answers that are
 * kept, and forgets what ended long ago. Any process may, at any time. */
void operations_settle(struct store *s, struct operation_call *c);

extern const struct pg_statement operation_statements[];

#endif
