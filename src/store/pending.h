/* pending.h - questions that wait until the answer before them is done, and what operations came
 * to (operations.h), which nobody asks.
 *
 *     put ---> (some process, this one or another) take ---> its turn is claimed ---> drop
 *                                                     |
 *                                                     +----> it is refused: give back, or refuse
 *
 * Each has the idempotency key of its turn: who takes one that another has taken, and died
 * before he dropped it, finds its turn, and nothing is asked twice.
 */
#ifndef STORE_PENDING_H
#define STORE_PENDING_H

#include "chat/fault.h"
#include "store/askers.h"
#include "store/chats.h"
#include "store/crowd.h"

struct pending {
    int64_t      id, chat;
    struct whose whose;
    struct str   key, content, context, model;
    bool         is_assistants;
    bool         is_operations;               /* no question: what one came to  */
    struct asker asker;                       /* who pays; without his texts    */
    int64_t      created_at;
};

struct pending_call {
    struct verb     verb;
    struct pending *all;                      /* pending_take(): one or none    */
    size_t          n;
    int64_t         waiting;                  /* pending_take(): how many are there */
    bool            is_queued;                /* pending_put()                  */

    /* The store's own. */
    bool found, lets_through, is_let_through, has_room, is_another;
};

/* Queues it, unless nothing else is being asked there and there is a place for it: then it may be
 * asked at once, and the next one within two seconds is queued although its turn is not there
 * yet. A question whose turn is there is not queued. `lets_through` is false where it is only to
 * be queued, if something runs there. STORE_CROWDED: there is no room for it. STORE_CONFLICT:
 * another one waits there with its key. */
void pending_put(struct store *s, struct pending_call *c, const struct whose *w,
                 struct chat_name chat, const struct pending *p, bool lets_through,
                 const struct crowd_limits *most);

/* The next that may be asked, of anybody who has a place; it is its taker's for half a minute. */
void pending_take(struct store *s, struct pending_call *c, const struct crowd_limits *most);
void pending_drop(struct store *s, struct pending_call *c, int32_t tenant, int64_t id);

/* It could not be asked now: it may be taken again after that time. */
void pending_give_back(struct store *s, struct pending_call *c, int32_t tenant, int64_t id,
                       uint64_t seconds);

/* Nobody is going to ask it: it is kept in its chat, with an answer that failed. The `more` of both
 * has the fault, but for what an operation came to: that a model may yet be told. A turn with its
 * key is not there yet, or is another question's (FAULT_KEY_REUSED). */
void pending_refuse(struct store *s, struct pending_call *c, int32_t tenant, int64_t id,
                    struct str turn, enum fault fault);

/* What people have asked. */
void pending_list(struct store *s, struct pending_call *c, const struct whose *w,
                  struct chat_name chat);

extern const struct pg_statement pending_statements[];

#endif
