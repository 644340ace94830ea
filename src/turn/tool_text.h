/* tool_text.h - what is said of tools in our own words, to a model and to pages: JSON objects with
 * a `type` and a `message`, but for the news.
 */
#ifndef TURN_TOOL_TEXT_H
#define TURN_TOOL_TEXT_H

#include "base/buf.h"

#include <stdbool.h>

/* The message is what stands around the tool's name. */
void tool_text_error(struct str before, struct str tool, struct str behind, struct str words,
                     struct buf *out);

/* Of an operation (store/operations.h): it goes on; the same call is going on already. */
void tool_text_started(struct str operation, struct str tool, struct buf *out);
void tool_text_in_progress(struct str call, struct str tool, struct buf *out);

/* What it came to, as far as it may be told; empty: nothing. */
void tool_text_output(struct str tool, size_t limit, bool success, struct str words,
                      struct buf *out);

/* Whoever reads this behind all that was said knows that nobody has said it. */
void tool_text_news(struct str operation, struct str tool, bool success, struct str output,
                    struct buf *out);

#endif
