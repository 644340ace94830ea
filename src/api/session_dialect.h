/* session_dialect.h - writes answers as the `ai` SDK reads them, its UI message stream.
 *
 *     start  (start-step  (reasoning-... | text-... | tool-... | source-...)*  finish-step)+
 *     [error | abort]  finish  [DONE]
 *
 * Every part is `data: ` and an object that has the members its readers require and no others,
 * as they refuse the whole stream for one that they do not know. Whatever was opened is closed
 * before something else begins.
 */
#ifndef API_SESSION_DIALECT_H
#define API_SESSION_DIALECT_H

#include "api/dialect.h"
#include "net/http_server.h"

struct session_call {                         /* a tool's                       */
    uint64_t   index;
    bool       is_ours;
    bool       is_told, is_answered;          /* its input is out; what it came to is, too */
    struct str id, name;                      /* in the state's arena           */
    struct buf arguments;
};

struct session_state {
    struct arena arena;
    struct str   message; /* the answer's name              */
    enum { SESSION_NOTHING, SESSION_TEXT, SESSION_REASONING } open;
    uint64_t             n_texts;             /* begun so far, of both kinds    */
    uint64_t             n_sources;
    struct session_call *calls;
    size_t               n_calls;
    bool                 has_started;
};

struct session_state *session_state_new(void);

/* Of sessions; and of a chat whose refusals a browser shows as they are. */
extern const struct dialect session_dialect, session_ai_dialect;

/* The name that a stream gives the answer of that number, and back; 0: it is none. */
#define SESSION_MESSAGE "msg_"
int64_t session_message_id(struct str name);

/* The field that tells a stream of parts from others. */
void session_add_fields(struct http_exchange *x);

/* All of a stream in which nothing is said. */
void session_write_nothing(struct buf *out);

/* Refusals as the sessions' clients read them: of somebody's (400, 403, 500, 503), and of none. */
void session_write_refusal(struct buf *out, const char *method, struct str path, int status,
                           const char *why);
void session_write_detail(struct buf *out, const char *why);

#endif
