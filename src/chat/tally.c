#include "chat/tally.h"

void tally_add_usage(struct tally *t, const struct usage *of_call)
{
    t->usage = (struct usage){ t->usage_before.prompt + of_call->prompt,
                               t->usage_before.completion + of_call->completion };
}

uint64_t tally_add(struct tally *t, const struct event *ev, uint64_t now)
{
    const struct citation *c = &ev->citation;
    uint64_t               gap = now - (t->last ? t->last : t->asked);

    if (!t->first)
        t->first = now;
    t->last = now;
    t->events++;
    if (ev->type == EVENT_CITATION)
        t->text_bytes += c->id.n + c->title.n + c->url.n + c->text.n;
    else if (ev->type != EVENT_ERROR)
        t->text_bytes += ev->text.n;
    if (ev->type == EVENT_USAGE)
        tally_add_usage(t, &ev->usage);
    return gap;
}

void tally_next_call(struct tally *t)
{
    t->events_before = t->events;
    t->text_before = t->text_bytes;
    t->usage_before = t->usage;
}

struct usage tally_usage_of_call(const struct tally *t)
{
    return (struct usage){ t->usage.prompt - t->usage_before.prompt,
                           t->usage.completion - t->usage_before.completion };
}
