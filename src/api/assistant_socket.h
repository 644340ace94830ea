/* assistant_socket.h - what both of the assistant's WebSockets do. */
#ifndef API_ASSISTANT_SOCKET_H
#define API_ASSISTANT_SOCKET_H

#include "net/ws_server.h"

/* False: the request was refused. */
bool assistant_socket_may_open(struct http_exchange *x, const struct http_reader *rq);

struct ws_conn *assistant_socket_open(struct http_exchange *x, const struct http_reader *rq,
                                      const struct ws_app *app, void *user);

/* One message: the members of its data are written between the two. */
struct buf *assistant_socket_begin(struct ws_conn *ws, const char *type);
void        assistant_socket_end(struct ws_conn *ws);
void        assistant_socket_error(struct ws_conn *ws, struct str message, const char *code);

/* Messages that both understand, and those that neither does. */
void assistant_socket_pong(struct ws_conn *ws);
void assistant_socket_unknown(struct ws_conn *ws, struct str type);

struct json_doc;
struct json_doc *assistant_socket_read(struct ws_conn *ws, struct str text, struct str *type);
/* NULL: it was refused           */

#endif
