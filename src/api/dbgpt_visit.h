/* dbgpt_visit.h - a request of a DB-GPT client that takes the store, from its route to its
 * answer.
 */
#ifndef API_DBGPT_VISIT_H
#define API_DBGPT_VISIT_H

#include "api/visit.h"

/* NULL: it has been refused, as there is no database. */
struct visit *dbgpt_visit_new(struct http_exchange *x);

/* All of these end the visit. */
void dbgpt_visit_answer(struct visit *v, struct str data);
void dbgpt_visit_fail(struct visit *v, enum store_end end);
void dbgpt_visit_refuse(struct visit *v, const char *where, const char *what);  /* E0001 */

#endif
