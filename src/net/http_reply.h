/* http_reply.h - reads one HTTP/1.1 answer as it comes. No I/O.
 *
 * Interim answers are skipped, trailers read and forgotten. Codings that nobody asked for
 * make it garbage, because they would be handed on as text.
 */
#ifndef NET_HTTP_REPLY_H
#define NET_HTTP_REPLY_H

#include "net/http_fields.h"

#include <llhttp.h>

struct http_reply {
    llhttp_t parser;
    bool     whole, keep; /* the connection may be kept     */
    void (*body)(struct http_reply *r, struct str bytes);
    void (*head)(struct http_reply *r, int status, const struct http_fields *fields);
    struct http_fields fields;                /* until the head has been told   */
};

enum http_reply_result { REPLY_MORE, REPLY_WHOLE, REPLY_GARBAGE };

/* head() and body() are set; the rest may be of the reply before. */
void http_reply_begin(struct http_reply *r);
void http_reply_release(struct http_reply *r);

/* Bytes behind a whole answer mean that the connection cannot be kept. */
enum http_reply_result http_reply_feed(struct http_reply *r, struct str bytes);

/* The connection has ended in order: may an answer end like this? */
bool http_reply_end(struct http_reply *r);

const char *http_reply_why(const struct http_reply *r);

#endif
