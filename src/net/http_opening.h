/* http_opening.h - reads the one answer that turns a connection into something else: the
 * 101 of a WebSocket, the 200 of a proxy's tunnel. No I/O.
 *
 * What follows a good head belongs to the something else and is not eaten. Any other
 * answer is a refusal, whose body is read to a limit, because it says why.
 */
#ifndef NET_HTTP_OPENING_H
#define NET_HTTP_OPENING_H

#include "net/http_fields.h"

#include <llhttp.h>

struct http_opening {
    llhttp_t           parser;
    struct http_fields fields;
    struct buf         body;                  /* of a refusal                   */
    int                wanted;                /* 101, or 200 for all of 2xx     */
    int                status;
    bool               whole;
};

enum http_opening_result { OPENING_MORE, OPENING_GOOD, OPENING_REFUSED, OPENING_GARBAGE };

void                     http_opening_init(struct http_opening *o, int wanted);
void                     http_opening_release(struct http_opening *o);
enum http_opening_result http_opening_feed(struct http_opening *o, struct str bytes, size_t *eaten);

/* No more bytes come: what has been read of a refusal has to do. */
enum http_opening_result http_opening_end(struct http_opening *o);

#endif
