#include "base/note.h"

static struct list ready = { .head = { &ready.head, &ready.head } };

void note_leave(struct note *n)
{
    if (!link_is_in(&n->link))
        list_push(&ready, &n->link);
}

void note_tear(struct note *n)
{
    if (link_is_in(&n->link))
        list_take(&ready, &n->link);
}

/* A note torn by an earlier one makes the count too high by one; the loop then
 * reads one newer note, which does no harm. */
void notes_run(void)
{
    for (size_t left = ready.n; left && ready.n; left--) {
        struct note *n = LIST_OWNER(list_pop(&ready), struct note, link);

        n->run(n);
    }
}

bool notes_waiting(void)
{
    return ready.n > 0;
}
