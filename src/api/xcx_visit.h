/* xcx_visit.h - a request of the mini-program, from its route to its answer: whose it is, what
 * it asks for, and the verbs that it takes. A client that goes takes its visit along.
 */
#ifndef API_XCX_VISIT_H
#define API_XCX_VISIT_H

#include "base/json.h"
#include "net/http_server.h"
#include "store/lookup.h"
#include "store/turns.h"

struct xcx_visit {
    struct http_exchange *x;
    struct arena          arena;
    struct whose          whose;
    struct chat_name      chat;
    int64_t               page, page_size;
    struct chat_call      chats;
    struct message_call   messages;
    struct turn_call      turn;
    struct lookup_call    lookup;
    struct json_doc      *body;
    int64_t               answer, from;       /* whose events, and from which on */

    void *ctx;                                /* the route's own...             */
    void (*release)(struct xcx_visit *v);     /* ...which ends with the visit; or NULL */
};

/* NULL: it has been refused, as there is no database. */
struct xcx_visit *xcx_visit_new(struct http_exchange *x);
void              xcx_visit_end(struct xcx_visit *v);     /* it was answered, or is a turn now */

/* What the operator's own queries are asked about. */
struct lookup_about xcx_visit_about(struct xcx_visit *v, struct str context_id);

/* The person's number, as the operator's tables know it, or the name of the key. */
struct str xcx_visit_user_id(struct xcx_visit *v);

/* All of these end the visit. */
void xcx_visit_answer(struct xcx_visit *v, struct str json);
void xcx_visit_refuse(struct xcx_visit *v, int status, const char *why);
void xcx_visit_fail(struct xcx_visit *v, enum store_end end);

/* What a request must bring. False: it was refused, and the visit has ended. */
bool xcx_visit_takes_chat(struct xcx_visit *v, const struct http_reader *rq);       /* "{id}" */
bool xcx_visit_takes_chat_in_body(struct xcx_visit *v);   /* "chatId"          */
bool xcx_visit_takes_pages(struct xcx_visit *v, const struct http_reader *rq, int64_t page_size);
bool xcx_visit_takes_body(struct xcx_visit *v, const struct http_reader *rq);
bool xcx_visit_takes_content(struct xcx_visit *v, struct str *content);   /* trimmed, not empty */

#endif
