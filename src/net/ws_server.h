/* ws_server.h - a WebSocket to a client (RFC 6455), on a connection of the HTTP server.
 *
 *     (message | room)*, end
 *
 * Nothing comes before ws_open() has returned. end comes exactly once, unless the owner says
 * ws_close() before; then nothing comes any more, and the socket closes as the protocol wants
 * it and frees itself. Pings, pongs, fragments, limits and the clock are looked after here.
 */
#ifndef NET_WS_SERVER_H
#define NET_WS_SERVER_H

#include "base/settings.h"
#include "net/http_server.h"

struct ws_conn;

struct ws_app {
    void (*message)(void *user, struct str text);
    void (*room)(void *user);                 /* after ws_push() said that it is full */
    void (*drain)(void *user);                /* the service wants to end: ws_close() soon */
    void (*end)(void *user);                  /* the client is gone             */
};

enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_GOING_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_UNSUPPORTED = 1003,
    WS_CODE_POLICY = 1008,
};

/* Of a request to which ws_object() (ws_handshake.h) has nothing to say. The settings are copied.
 * `protocol` is one that the client offers, or empty. */
struct ws_conn *ws_open(struct http_exchange *x, const struct http_reader *rq, struct str protocol,
                        const struct websocket_settings *settings, const struct ws_app *app,
                        void *user);

/* One message: what is written between the two. An empty one is not sent. */
struct buf *ws_begin(struct ws_conn *w);
void        ws_end(struct ws_conn *w);
bool        ws_push(struct ws_conn *w);       /* false: it is full; room() will tell */

void                  ws_close(struct ws_conn *w, enum ws_code code, const char *why);
struct http_exchange *ws_exchange(struct ws_conn *w);

#endif
