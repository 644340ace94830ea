/* ws_handshake.h - how a WebSocket begins (RFC 6455, section 4). No I/O. */
#ifndef NET_WS_HANDSHAKE_H
#define NET_WS_HANDSHAKE_H

#include "base/settings.h"
#include "net/http_reader.h"

enum { WS_ACCEPT_SIZE = 29 };

/* What a server answers to a client's key. */
void ws_accept_of(struct str key, char out[WS_ACCEPT_SIZE]);

/* Why a request for a WebSocket is refused. */
struct ws_objection {
    int         status; /* 0: nothing is wrong            */
    const char *why;
    const char *fields;                       /* of the refusal                 */
};

/* Besides pages of these origins (or "*"), those of the same host may ask, and whoever is no
 * page and names no origin. */
struct ws_objection ws_object(const struct http_reader *rq, const struct conf_texts *origins);

/* Whether the client offers that subprotocol. */
bool ws_offers(const struct http_reader *rq, struct str protocol);

#endif
