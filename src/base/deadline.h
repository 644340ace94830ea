/* deadline.h - the one kind of timer: arm, arm again, disarm.
 *
 * Deadlines stand in a heap ordered by time; the loop asks when the next one is
 * due and runs those that are. Arming a running deadline for a later moment only
 * stores that moment: the heap is mended when the old moment comes. So a limit
 * that every token pushes back (a heartbeat, an idle time) costs a store.
 *
 * `run` is called from the top of the stack with the deadline disarmed; it may
 * arm it again or free the object it lives in.
 */
#ifndef BASE_DEADLINE_H
#define BASE_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline {
    uint64_t due;                             /* when it is wanted              */
    size_t   place;                           /* 1-based place in the heap; 0 no */
    void (*run)(struct deadline *d);
};

void deadline_arm(struct deadline *d, uint64_t at_ns);
void deadline_disarm(struct deadline *d);
bool deadline_is_armed(const struct deadline *d);

void     deadlines_run(uint64_t now_ns);
uint64_t deadlines_next(void);                /* UINT64_MAX: none               */

#endif
