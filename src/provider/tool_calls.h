/* tool_calls.h - which tool call a piece of an answer belongs to, in OpenAI's shape.
 *
 * Calls are told apart as their senders meant it, not as they numbered it: some send
 * every parallel call with index 0, some without an index, some repeat the name or send an
 * empty id in later pieces. A new id opens a new call; calls are numbered as they begin.
 */
#ifndef PROVIDER_TOOL_CALLS_H
#define PROVIDER_TOOL_CALLS_H

#include "chat/event.h"

enum { TOOL_CALLS_MAX = 128, TOOL_ID_MAX = 128 };

struct tool_call {
    int64_t index;                            /* as the provider numbers it     */
    char    id[TOOL_ID_MAX];
    size_t  id_n;
    bool    named;
};

struct tool_calls {                           /* starts zeroed                  */
    struct tool_call *all;
    size_t            n;
};

void tool_calls_release(struct tool_calls *c);

/* The number of the call that `v` is a piece of, with its id and name where they are new.
 * False beyond the MAX. Id and name are borrowed from the document. */
struct json;
bool tool_calls_read(struct tool_calls *c, const struct json *v, struct tool_piece *piece);

/* The JSON text of the arguments in `v`, cut anywhere. */
struct str tool_calls_arguments(const struct json *v);

#endif
