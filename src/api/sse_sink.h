/* sse_sink.h - the streaming sink.
 *
 * The head is held back until the first event, so that an early failure still has its
 * true HTTP status, but not longer than commit_after; from then on a silent stream gets
 * a comment every heartbeat. What is told between two flushes leaves in one write.
 */
#ifndef API_SSE_SINK_H
#define API_SSE_SINK_H

#include "api/dialect.h"
#include "net/http_server.h"
#include "turn/sink.h"

/* Takes `state`. The exchange must not have been answered. */
struct sink *sse_sink_new(struct http_exchange *x, const struct dialect *d, void *state,
                          const struct stream_settings *settings);

#endif
