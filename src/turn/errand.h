/* errand.h - one call of a tool: from what the model wants to what it came to.
 *
 * A tool that may go on when its turn has ended is asked under the name of an operation, which is
 * kept before (store/operations.h); then it may come to that it goes on.
 */
#ifndef TURN_ERRAND_H
#define TURN_ERRAND_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/deadline.h"
#include "chat/event.h"
#include "store/operations.h"

struct tool;
struct tool_run;
struct turn;

/* Whoever keeps it fills in the first part, zeroed else. */
struct errand {
    struct turn      *turn;
    struct arena     *arena;                  /* lives as long as it does       */
    uint64_t          theirs; /* its number, as the provider counts */
    struct tool_piece piece;                  /* as it is told                  */
    struct buf        arguments;
    struct tool      *tool; /* NULL: there is none of that name */
    void (*over)(struct errand *e);           /* what it came to is there       */

    struct tool_run *run;
    struct deadline  limit;
    uint64_t         began;
    struct str       output;
    bool             is_heard; /* some of the call */
    bool             is_done, is_told;

    struct operation_call operation;
    struct str            operation_id;       /* of a tool that may go on; else empty */
};

/* False: it is done already, and over() does not come. */
bool errand_begin(struct errand *e);
void errand_cancel(struct errand *e);         /* nor does it any more           */
void errand_release(struct errand *e);

#endif
