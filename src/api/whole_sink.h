/* whole_sink.h - the sink that collects an answer and gives it at once. */
#ifndef API_WHOLE_SINK_H
#define API_WHOLE_SINK_H

#include "api/dialect.h"
#include "net/http_server.h"
#include "turn/sink.h"

/* Takes `state`. The exchange must not have been answered. */
struct sink *whole_sink_new(struct http_exchange *x, const struct dialect *d, void *state);

#endif
