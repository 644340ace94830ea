/* http_conn.h - one connection, as http_conn.c, http_server.c and http_exchange.c share it;
 * nobody else includes this. http_conn.c moves it from state to state, the exchange writes its
 * answers, the server lets it in and ends it.
 */
#ifndef NET_HTTP_CONN_H
#define NET_HTTP_CONN_H

#include "net/http_server.h"
#include "net/stream.h"

enum conn_state {
    CONN_IDLE,
    CONN_HEAD,
    CONN_BODY,
    CONN_ANSWERING,
    CONN_UPGRADED,
    CONN_LINGERING,
    CONN_CLOSED
};

struct http_conn {
    struct http_server  *server;
    struct deadline      stall;               /* of output that does not move   */
    struct stream        stream;
    struct http_exchange x;
    struct link          link;
    struct link          leaving;             /* in the list of those who pushed */
    enum conn_state      state;
    bool                 feeding;             /* requests are being read from a piece */
    bool                 ended;               /* the client will send no more   */
    bool                 trusted;             /* the peer is one of our proxies */
    struct deadline      deadline;            /* of the state                   */
    uint64_t             progress;            /* of the output, when it was armed */
    struct note          go_on;               /* pending bytes may be read      */
    struct buf           pending;
    struct http_reader  *reader;              /* NULL: no request is looked at  */
    union address        peer;
    uint32_t             requests;            /* so far                         */
};

/* http_conn.c */
struct http_conn *http_conn_new(struct http_server *s, int fd, const union address *peer);
void              http_conn_close(struct http_conn *c);
void              http_conn_enter(struct http_conn *c, enum conn_state state);
void              http_conn_cut(struct http_conn *c); /* without the courtesies         */
void              http_conn_linger(struct http_conn *c);
void              http_conn_forget_request(struct http_conn *c);
void              http_conn_flush(struct http_conn *c);
void              http_conn_push(struct http_conn *c); /* flushed with others, in this pass */
bool              http_conn_is_full(const struct http_conn *c);

/* http_exchange.c */
void http_exchange_open(struct http_conn *c);
void http_exchange_read(struct http_conn *c);      /* from HEAD on: what the request says */
bool http_is_trusted(const struct http_server *s, const union address *a);

#endif
