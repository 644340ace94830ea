/* gathering.h - an answer put together again from its events. */
#ifndef CHAT_GATHERING_H
#define CHAT_GATHERING_H

#include "base/arena.h"
#include "base/buf.h"
#include "chat/event.h"

struct gathered_call {
    struct str id, name;                      /* in the arena                   */
    uint64_t   index;                         /* among ours, or among the others */
    struct buf arguments;

    /* Carried out here: */
    bool       is_ours, has_result, failed;
    size_t     round; /* of the model, from 0           */
    size_t     at;    /* bytes of text before its round's calls */
    struct buf result;
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
    size_t                round;
};

void gathering_begin(struct gathering *g);
void gathering_add(struct gathering *g, const struct event *ev);
void gathering_release(struct gathering *g);

/* The calls as OpenAI writes them, an array; nothing where there are none. Those that are ours
 * have three members more, `round`, `at` and `result`, and `failed` where that is so: chat/rounds.h
 * reads them. */
void gathering_write_calls(const struct gathering *g, struct buf *out);

#endif
