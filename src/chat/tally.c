#include "chat/tally.h"

uint64_t tally_add(struct tally *t, const struct event *ev, uint64_t now)
{
    uint64_t gap = now - (t->last ? t->last : t->asked);

    if (!t->first)
        t->first = now;
    t->last = now;
    t->events++;
    t->text_bytes += ev->type == EVENT_ERROR ? 0 : ev->text.n;
    if (ev->type == EVENT_USAGE)
        t->usage = ev->usage;
    return gap;
}
