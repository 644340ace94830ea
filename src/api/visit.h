/* visit.h - a request that takes verbs of the store, from its route to its answer: whose it is,
 * what it asks for, and what was found. A client that goes takes its visit along.
 */
#ifndef API_VISIT_H
#define API_VISIT_H

#include "base/json.h"
#include "net/http_server.h"
#include "store/lookup.h"
#include "store/operations.h"
#include "store/pending.h"
#include "store/sessions.h"
#include "store/usage.h"

struct visit {
    struct http_exchange *x;
    struct arena          arena;
    struct whose          whose;
    struct str            path;               /* as it was asked for, if the door needs it */
    struct chat_name      chat;
    const struct str     *name;               /* as the client calls the chat   */
    int64_t               page, page_size;
    struct chat_call      chats;
    struct message_call   messages;
    struct turn_call      turn;
    struct lookup_call    lookup;
    struct busy_call      running;
    struct pending_call   pending;
    struct usage_call     usage;
    struct operation_call operation;
    struct json_doc      *body;
    int64_t               answer, from;       /* whose events, and from which on */

    void *ctx;                                /* the route's own...             */
    void (*release)(struct visit *v);     /* ...which ends with the visit; or NULL */
};

/* By whoever is let in, at the door of that dialect (a constant). There must be a store. */
struct visit *visit_new(struct http_exchange *x, const char *dialect);

/* The same of a client whose going somebody else looks after, and ends the visit then. */
struct visit *visit_of(struct http_exchange *x, const char *dialect);

/* At a door that is open to anybody. */
struct visit *visit_new_of(struct http_exchange *x, struct whose whose);

void visit_end(struct visit *v); /* it was answered, or is a turn now */

/* Fills v->chat, where clients name their chats as they like, and two may use one name: by a
 * digest of the owner and the name. */
void visit_name(struct visit *v, struct str name);

#endif
