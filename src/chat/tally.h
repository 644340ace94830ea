/* tally.h - adds an answer's events up. */
#ifndef CHAT_TALLY_H
#define CHAT_TALLY_H

#include "chat/event.h"

struct tally {
    uint64_t     asked, first, last;          /* clock readings, ns; 0: not yet */
    uint64_t     events;
    uint64_t     text_bytes;                  /* of all kinds of text           */
    struct usage usage, before;               /* of all rounds; of those before this one */
};

/* Returns the nanoseconds since the event before (or since the question). */
uint64_t tally_add(struct tally *t, const struct event *ev, uint64_t now);

/* Of a call whose answer nobody hears. */
void tally_add_usage(struct tally *t, const struct usage *of_call);

/* What is counted from now on comes on top of it. */
void tally_next_round(struct tally *t);

#endif
