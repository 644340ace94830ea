/* session_ask.h - a question in a session, from its text to its turn; whoever read it. */
#ifndef API_SESSION_ASK_H
#define API_SESSION_ASK_H

#include "api/session_visit.h"
#include "chat/question.h"
#include "turn/turn.h"

struct dialect;

struct session_asking {
    struct visit         *visit;
    struct question      *question;           /* all of this lives as long      */
    struct turn_keeping   keeping;
    struct str            model;              /* that is wished for, if it may be */
    struct str            context;            /* the model reads it before the question */
    const struct dialect *dialect;
    struct str            raw;                /* of the question, with its images; or empty */
    void                 *more;               /* the route's own                */
    bool                  only_waits;         /* it is queued, or refused       */
    bool                  is_whole;           /* the question has all that the model is told */
};

/* A question of one text; it ends with the visit. */
struct session_asking *session_asking_new(struct visit *v, struct str content);

/* The same of nobody who waits for its answer. */
struct session_asking *session_asking_of(const struct whose *whose, struct chat_name chat,
                                         struct str content);

/* How many of anybody's questions may be under way. */
struct crowd_limits session_crowd(void);

/* The idempotency key of its turn. */
void session_asking_key(struct session_asking *a, struct str key);

/* What the client calls the question, so that it is asked once in this session. */
void session_asking_name(struct session_asking *a, struct str name);

/* Both end the visit. The session must be there; it was found, or there is no database. */
void session_ask(struct session_asking *a);
void session_go(struct session_asking *a);

/* Finds the visit's session, or makes it. */
void session_open(struct visit *v);

/* The model with that name that may be used, by whoever asks, or the one of the settings; NULL:
 * none. Without an exchange any may. */
const struct model *session_model(const struct http_exchange *x, struct str name, struct str text,
                                  struct arena *a);

struct sink *session_sink_new(struct http_exchange *x, const struct dialect *d);

/* session_queue.c: it is asked now, or when what runs there has ended. */
void session_queue(struct session_asking *a);
void session_queue_begin(void);               /* when there is a store          */
void session_queue_look(void);                /* something waits there now      */
void session_queue_forget(void);              /* at the very end                */

/* session_chat.c: an older client asks in the query. False: it does not. */
bool session_takes_query(struct visit *v, const struct http_reader *rq);

/* session_title.c: for a session that has none yet, from what is asked first. */
void session_find_title(const struct visit *v, int64_t chat, struct str text);
void session_forget_titles(void);             /* at the very end                */

#endif
