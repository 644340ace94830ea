/* http_order.h - an HTTP tool's address and body, made of its template and of what a model
 * wants. No I/O.
 *
 * An argument that the template names goes there, percent-encoded; the others are the query
 * (GET, DELETE) or the body, as JSON. A model may word any of them: none leaves the place in
 * the address that it was given, and none of the path may be empty or go up.
 */
#ifndef TOOL_HTTP_ORDER_H
#define TOOL_HTTP_ORDER_H

#include "base/buf.h"
#include "base/settings.h"

struct http_order {
    struct str       url;                     /* the template, as settings take it */
    enum tool_method method;
    struct str       parameters;              /* a JSON schema                  */
};

bool http_order_has_body(enum tool_method method);

/* False: `why` says in words for the model what is wrong with its arguments. */
bool http_order_write(const struct http_order *o, struct str arguments, struct buf *url,
                      struct buf *body, struct buf *why);

#endif
