/* event_bytes.h - events as bytes and back, for whoever reads an answer later or elsewhere.
 *
 *     piece  = version event*
 *     event  = letter field*          numbers in groups of 7 bits, the lowest first;
 *                                     text behind its length
 *
 * Enumerations travel by letter or by name, so that they may be put in another order. Of an
 * error only the fault is kept: the provider's words are for the log, and its advice is for
 * whoever asks it again.
 */
#ifndef CHAT_EVENT_BYTES_H
#define CHAT_EVENT_BYTES_H

#include "base/buf.h"
#include "chat/event.h"

/* Adds an event to a piece; an empty buf becomes a piece first. */
void event_bytes_add(struct buf *piece, const struct event *ev);

/* For whoever copies events from the middle of another piece: what comes before the first. */
void event_bytes_begin(struct buf *piece);

struct event_bytes {
    struct str rest;
    bool       is_bad;                        /* not all of it could be read    */
};
struct event_bytes event_bytes_of(struct str piece);

/* False at the end, and before what is not an event. `ev` borrows from the piece. */
bool event_bytes_next(struct event_bytes *b, struct event *ev);

#endif
