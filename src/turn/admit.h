/* admit.h - who may be answered now, who waits, who is refused.
 *
 * There are max_running places and a waiting line of max_waiting; first come, first
 * served, and nobody waits longer than max_wait. A place is held until it is given
 * back.
 */
#ifndef TURN_ADMIT_H
#define TURN_ADMIT_H

#include "base/deadline.h"
#include "base/list.h"
#include "base/settings.h"
#include "chat/fault.h"

struct place {
    enum { PLACE_NONE, PLACE_WAITING, PLACE_HELD } state;
    struct link     link;                     /* in the waiting line            */
    struct deadline patience;
    void (*told)(struct place *p, enum fault fault);
};

void admit_configure(const struct turn_settings *settings);

/* told() is called once: now or later, with FAULT_NONE (the place is held) or the
 * reason of the refusal (nothing is held). */
void admit_ask(struct place *p, void (*told)(struct place *p, enum fault fault));

/* Leaves the line or gives the place back, whichever it is. */
void admit_give_back(struct place *p);

#endif
