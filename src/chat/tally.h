/* tally.h - adds an answer's events up. */
#ifndef CHAT_TALLY_H
#define CHAT_TALLY_H

#include "chat/event.h"

/* `before`: of the calls that are over. */
struct tally {
    uint64_t     asked, first, last;          /* clock readings, ns; 0: not yet */
    uint64_t     text_bytes, text_before;     /* of all kinds of text           */
    uint32_t     events, events_before;
    struct usage usage, usage_before;         /* as it was counted              */
};

/* Returns the nanoseconds since the event before (or since the question). */
uint64_t tally_add(struct tally *t, const struct event *ev, uint64_t now);

/* Of a call whose answer nobody hears. */
void tally_add_usage(struct tally *t, const struct usage *of_call);

/* The call is over: what is counted from now on comes on top of it. */
void tally_next_call(struct tally *t);

/* Of the call under way; nothing where nobody counted. */
struct usage tally_usage_of_call(const struct tally *t);

#endif
