/* http_client.h - asks other servers over HTTP/1.1, and keeps connections for the next.
 *
 * A fetch is one request and its answer. It takes a kept connection to the same origin or
 * dials a new one; when there are too many it stands in line. The answer comes in pieces
 * as it is read:
 *
 *     head, (body*, flush)*, end
 *
 * and end comes exactly once, unless the fetch is cancelled. A kept connection that turns
 * out dead before one byte of an answer has come is replaced by a fresh one, once; a request
 * that must not be made twice takes a fresh one from the beginning. There are no redirects and
 * no retries beyond that: an answer is an answer. Time limits on the answer are the caller's,
 * who knows what he waits for; the way has its own.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "net/http_fields.h"
#include "net/reach.h"

struct http_client_limits {
    uint64_t max_open;                        /* connections to one origin      */
    uint64_t max_idle;                        /* kept for the next              */
    uint64_t max_waiting;                     /* fetches in line                */
    uint64_t idle_timeout;                    /* ns                             */
};

enum http_fetch_end {
    HTTP_FETCH_WHOLE,                         /* the answer is complete         */
    HTTP_FETCH_CLOSED,                        /* it ended with the connection, as it may */
    HTTP_FETCH_NO_CONNECTION,
    HTTP_FETCH_CROWDED,                       /* no place, and none in line     */
    HTTP_FETCH_CUT,                           /* the connection was lost in the answer */
    HTTP_FETCH_GARBAGE,                       /* this is not HTTP               */
};

struct http_fetch;

struct http_fetch_ops {
    void (*head)(struct http_fetch *f, int status, const struct http_fields *fields);
    void (*body)(struct http_fetch *f, struct str bytes);
    void (*flush)(struct http_fetch *f);
    /* `why` is for the log; empty when there is nothing to say. */
    void (*end)(struct http_fetch *f, enum http_fetch_end how, struct str why);
};

struct http_fetch {
    const struct http_fetch_ops *ops;
    bool                         is_once;     /* the caller's, before the start: zeroed, or it must
                                                 not be made twice              */
    bool                         answered;    /* a byte of the answer has come  */
    bool                         repeated;    /* on a fresh connection          */
    bool                         paused;
    struct buf                   request;     /* head and body, until the answer begins */
    struct link                  link;        /* in the pool's line             */
    struct http_pool            *pool;        /* NULL: over                     */
    struct http_peer            *peer;        /* NULL: in line                  */
    struct note                  crowded;
};

/* Takes the bytes in `request`. Nothing comes before this has returned. */
void http_fetch_start(struct http_fetch *f, const struct http_fetch_ops *ops, const struct way *way,
                      const struct http_client_limits *limits, struct buf request);
void http_fetch_pause(struct http_fetch *f);  /* fine inside body and flush     */
void http_fetch_resume(struct http_fetch *f);
void http_fetch_cancel(struct http_fetch *f); /* fine inside flush, not inside body */

/* Like cancel, for an answer whose end has been heard: what little still comes of it is read,
 * so that the connection can be kept. */
void http_fetch_leave(struct http_fetch *f);

void http_clients_close(void);                /* idle connections and pools, at the end */

#endif
