/* events.h - a strict reader of event streams, independent of the writer under test
 * (WHATWG HTML, "interpreting an event stream"). For whole streams only.
 */
#ifndef TEST_FUZZ_EVENTS_H
#define TEST_FUZZ_EVENTS_H

#include "base/buf.h"

enum { EVENTS_MAX = 20000 };

struct events {
    struct buf text;                          /* the data of all events, one after the other */
    size_t     ends[EVENTS_MAX];              /* where each one's data ends     */
    size_t     n;
    size_t     comments;
    bool       strange;                       /* a field that we never write    */
    bool       torn;                          /* it does not end with an empty line */
};

void       events_read(struct events *e, struct str stream);
struct str events_data(const struct events *e, size_t i);
void       events_release(struct events *e);

/* A stream of Chat Completions: one JSON object per event, and, if it is whole, the
 * last one is [DONE] or an error. Fails the run if it is anything else. */
void events_must_be_chat(struct str stream, bool whole);

#endif
