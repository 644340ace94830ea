/* cors.h - which web pages may call (WHATWG Fetch, "CORS protocol"). */
#ifndef API_CORS_H
#define API_CORS_H

#include "net/http_server.h"

/* What goes out with every answer to an allowed origin. */
void cors_add_fields(struct http_exchange *x, const struct http_reader *rq,
                     const struct http_settings *settings);

/* What an answer to a preflight says besides. */
void cors_write_preflight(const struct http_reader *rq, const struct http_settings *settings,
                          struct buf *out);

#endif
