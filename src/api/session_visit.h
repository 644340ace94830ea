/* session_visit.h - a request for a session, from its route to its answer.
 *
 * A session's name is a UUID of ours, or what a client calls its chat. The latter is kept under a
 * name of its own for each owner, so that two who call theirs alike do not meet.
 *
 *     {"message":"Failed to process GET /...","detail":"...","hint":"..."}     most refusals
 *     {"message":"Invalid data for GET /...","detail":[...],"hint":"..."}      422
 *     {"detail":"..."}                                                         what the route says
 */
#ifndef API_SESSION_VISIT_H
#define API_SESSION_VISIT_H

#include "api/visit.h"
#include "chat/fault.h"

#define SESSION_DIALECT_NAME "session"

/* Whether who asks there reads refusals of this kind; and of the shorter kind. */
bool session_is_path(struct str path);
bool session_is_ai_path(struct str path);

/* What the guard and the server refuse there. */
void session_refuse_early(struct buf *out, const struct http_exchange *x, struct str path,
                          int status, const char *why);

/* NULL: it has been refused, as there is no database. */
struct visit *session_visit_new(struct http_exchange *x, const struct http_reader *rq);

/* All of these end the visit. */
void session_visit_answer(struct visit *v, struct str json);
void session_visit_nothing(struct visit *v, int status);
void session_visit_refuse(struct visit *v, int status, const char *why);
void session_visit_detail(struct visit *v, int status, const char *why);
void session_visit_refuse_value(struct visit *v, const char *in, const char *name, const char *why);
void session_visit_fail(struct visit *v, enum store_end end);

/* What a request must bring. False: it was refused, and the visit has ended. */
bool session_visit_takes_session(struct visit *v, const struct http_reader *rq);       /* "{id}" */
bool session_visit_takes_body(struct visit *v, const struct http_reader *rq);
bool session_visit_takes_count(struct visit *v, const struct http_reader *rq, const char *name,
                               int64_t least, int64_t most, int64_t *n);  /* *n stays if absent */

/* What a client calls a session, and what it is kept under. */
struct str session_visit_name(const struct visit *v);
void       session_visit_call(struct visit *v, struct str name);
struct str session_visit_more(struct visit *v, struct str name);
struct str session_name_of(struct visit *v, const struct kept_chat *c);
struct str session_new_name(struct arena *a);

void session_add_time(struct buf *out, const char *member, int64_t micros);   /* ,"member":"..." */
void session_add_owner(struct buf *out, struct str owner);

/* What stands in `more` of a message that another one has taken the place of: it is kept, and
 * neither shown nor told to a model. */
extern const char session_replaced[];
bool              session_is_replaced(struct str more);

/* And of a question that waited and was refused in the end, and of its answer (store/pending.h):
 * why. It is shown, and not told to a model. NONE: it was asked. */
enum fault session_refused_by(struct str more);

#endif
