/* assistant_visit.h - what the assistant's requests share: whose session it is, and what is said
 * when the database has no good answer.
 *
 * Sessions are named by their clients (visit_name()); the name itself stands in the chat's `more`.
 */
#ifndef API_ASSISTANT_VISIT_H
#define API_ASSISTANT_VISIT_H

#include "api/assistant_question.h"
#include "api/visit.h"

struct visit *assistant_visit_new(struct http_exchange *x);   /* a store is not needed */
struct visit *assistant_visit_kept(struct http_exchange *x);  /* NULL: refused, as there is none */

void       assistant_visit_name(struct visit *v, struct str session); /* fills v->chat */
struct str assistant_visit_more(struct visit *v, struct str session);

struct str assistant_new_session(struct arena *a);

/* What a kept chat is called; empty: it has lost its name. */
struct str assistant_session_in(struct visit *v, struct str more);

/* What a request must bring. False: it was refused, and the visit has ended. */
bool assistant_visit_takes_body(struct visit *v, const struct http_reader *rq);
bool assistant_visit_takes_session(struct visit *v, const struct http_reader *rq);      /* "{id}";
                                                 its name is then v->ctx, a struct str */

/* What is said when the database has no good answer. */
int assistant_status_of(enum store_end end, const char **why);

/* These end the visit. */
void assistant_visit_answer(struct visit *v, struct str json);
void assistant_visit_refuse(struct visit *v, int status, const char *why);
void assistant_visit_refuse_value(struct visit *v, const struct assistant_problem *p);
void assistant_visit_fail(struct visit *v, enum store_end end);

#endif
