/* xcx_visit.h - a request of the mini-program, from its route to its answer: whose it is, what
 * it asks for, and the verbs that it takes. A client that goes takes its visit along.
 */
#ifndef API_XCX_VISIT_H
#define API_XCX_VISIT_H

#include "api/visit.h"

/* NULL: it has been refused, as there is no database. */
struct visit *xcx_visit_new(struct http_exchange *x);

/* What the operator's own queries are asked about. */
struct lookup_about xcx_visit_about(struct visit *v, struct str context_id);

/* The person's number, as the operator's tables know it, or the name of the key. */
struct str xcx_visit_user_id(struct visit *v);

/* All of these end the visit. */
void xcx_visit_answer(struct visit *v, struct str json);
void xcx_visit_refuse(struct visit *v, int status, const char *why);
void xcx_visit_fail(struct visit *v, enum store_end end);

/* What a request must bring. False: it was refused, and the visit has ended. */
bool xcx_visit_takes_chat(struct visit *v, const struct http_reader *rq);       /* "{id}" */
bool xcx_visit_takes_chat_in_body(struct visit *v);   /* "chatId"          */
bool xcx_visit_takes_pages(struct visit *v, const struct http_reader *rq, int64_t page_size);
bool xcx_visit_takes_body(struct visit *v, const struct http_reader *rq);
bool xcx_visit_takes_content(struct visit *v, struct str *content);   /* trimmed, not empty */

#endif
