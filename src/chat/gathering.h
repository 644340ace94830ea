/* gathering.h - an answer put together again from its events. */
#ifndef CHAT_GATHERING_H
#define CHAT_GATHERING_H

#include "base/arena.h"
#include "base/buf.h"
#include "chat/event.h"

struct gathered_call {
    struct str id, name;                      /* in the arena                   */
    struct buf arguments;
};

/* Starts with gathering_begin(). The limits of events are their teller's. */
struct gathering {
    struct arena          arena;
    struct buf            text, reasoning;
    struct gathered_call *calls;
    size_t                n_calls;
    struct citation      *citations;          /* their texts are in the arena   */
    size_t                n_citations;
    struct usage          usage;
    struct str            session;            /* the provider's, in the arena   */
    bool                  has_begun, stands_in;         /* as the start says it           */
};

void gathering_begin(struct gathering *g);
void gathering_add(struct gathering *g, const struct event *ev);
void gathering_release(struct gathering *g);

/* The calls as OpenAI writes them, an array; nothing where there are none. */
void gathering_write_calls(const struct gathering *g, struct buf *out);

#endif
