/* gate.h - so many may be inside at once; the others wait in a line, first come, first
 * served, or are sent away.
 *
 * A place is held until it is given back. Nobody waits longer than max_wait.
 */
#ifndef BASE_GATE_H
#define BASE_GATE_H

#include "base/deadline.h"
#include "base/list.h"

struct gate {
    uint64_t    max, max_waiting, max_wait;
    uint64_t    held;
    struct list line;
    void (*changed)(const struct gate *g);    /* for the gauges; may be NULL    */
};

struct place {
    struct gate *gate;                        /* NULL: it never asked           */
    enum { PLACE_NONE, PLACE_WAITING, PLACE_HELD } state;
    struct link     link;
    struct deadline patience;
    void (*told)(struct place *p, bool held);
};

void gate_init(struct gate *g, void (*changed)(const struct gate *g));
void gate_configure(struct gate *g, uint64_t max, uint64_t max_waiting, uint64_t max_wait);
bool gate_has_room(const struct gate *g);     /* who asks now holds a place at once */

/* told() is called once, now or later: a place is held, or there is none to be had. */
void gate_ask(struct gate *g, struct place *p, void (*told)(struct place *p, bool held));

/* Leaves the line or gives the place back, whichever it is. */
void gate_give_back(struct place *p);

#endif
