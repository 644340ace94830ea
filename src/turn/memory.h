/* memory.h - what a turn knows of what is kept of it, as turn_keep.c and turn_save.c share it;
 * nobody else includes this.
 */
#ifndef TURN_MEMORY_H
#define TURN_MEMORY_H

#include "store/messages.h"
#include "turn/keeper.h"
#include "turn/turn_state.h"

enum { RETRY_MS = 200 };

struct memory {
    struct turn        *turn;
    struct turn_keeping keeping;
    struct kept         kept;
    struct turn_call    call;
    struct message_call messages;
    struct turn_facts   facts;
    bool                is_told_elsewhere, is_claimed;
    bool                is_unsure;            /* it may be claimed              */
    bool                is_refused;           /* its words were: it is saved without them */
    struct deadline     again;
    uint64_t            give_up;              /* when nobody waits any more for a claim or a save */
    uint64_t            latest;               /* the same, of all of them       */
};

/* It was not done, or nobody said so, and there is time for another try. */
bool memory_may_yet_be_done(const struct memory *m, enum store_end end);

#endif
