/* sse.h - writes event streams (WHATWG HTML, "server-sent events").
 *
 * Whatever bytes come in, one call writes exactly one event or one comment: line
 * ends inside a text become further lines of the same event, and never an event
 * of their own. Names are ours (fixed words), only texts come from outside.
 */
#ifndef WIRE_SSE_H
#define WIRE_SSE_H

#include "base/buf.h"

void sse_add_data(struct buf *b, struct str text);       /* an event without a name    */
void sse_add_comment(struct buf *b, struct str text);    /* readers ignore it          */

/* For a text known to have no line ends (our own JSON): what stands around it. */
#define SSE_DATA "data: "
#define SSE_END  "\n\n"

#endif
