/* ws_client.h - a WebSocket to a server (RFC 6455), one conversation of text messages.
 *
 *     open, (message*, flush)*, end
 *
 * Nothing comes before ws_start() has returned, all of it from the loop, and end comes
 * exactly once unless the owner cancels. After end or ws_cancel() the socket goes on by
 * itself for a moment, to close as the protocol wants it, and frees itself.
 */
#ifndef NET_WS_CLIENT_H
#define NET_WS_CLIENT_H

#include "net/reach.h"

struct ws;

enum ws_end {
    WS_NO_CONNECTION,                         /* `why` tells                    */
    WS_REFUSED,                               /* the handshake: ws_refusal()    */
    WS_CLOSED,                                /* by the peer, in order          */
    WS_CUT,                                   /* the connection was lost        */
    WS_GARBAGE,                               /* against the protocol           */
};

struct ws_ops {
    void (*open)(void *user);
    void (*message)(void *user, struct str text);
    void (*flush)(void *user);                /* those that came together have been told */
    void (*end)(void *user, enum ws_end how, struct str why);
};

struct ws_order {
    const struct ws_ops *ops;
    void                *user;
    const struct way    *way;                 /* copied                         */
    struct str           authority;           /* for Host                       */
    struct str           target;              /* path and query                 */
    struct str           fields;              /* "name: value\r\n"...           */
    size_t               max_message_bytes;
};

struct ws *ws_start(const struct ws_order *order);
void       ws_send(struct ws *w, struct str text);    /* from open on             */
void       ws_pause(struct ws *w);                    /* fine inside flush        */
void       ws_resume(struct ws *w);
void       ws_cancel(struct ws *w);                   /* not inside open, message */

/* Inside end(WS_REFUSED): what the server said instead of 101. */
struct ws_refusal {
    int        status;
    struct str body, date, retry_after;
};
struct ws_refusal ws_refusal(const struct ws *w);

void ws_clients_close(void);                  /* those that are still closing   */

#endif
