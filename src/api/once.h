/* once.h - the client's own name for a question, so that asking again is not asking twice. */
#ifndef API_ONCE_H
#define API_ONCE_H

#include "net/http_server.h"
#include "turn/turn.h"

/* Reads Idempotency-Key, if there is one, into the keeping, with the hash of what was asked.
 * False: `why` tells what is wrong with it. */
bool once_read(const struct http_exchange *x, const struct http_reader *rq, struct arena *a,
               struct turn_keeping *keeping, const char **why);

#endif
