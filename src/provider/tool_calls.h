/* tool_calls.h - which tool call a piece of an answer belongs to, in OpenAI's shape.
 *
 * Calls are told apart as their senders meant it, not as they numbered it: some send
 * every parallel call with index 0, some without an index, some repeat the name or send an
 * empty id in later pieces, some give no id at all. A new id opens a new call, and so does
 * another name where there are no ids. One that is named without an id gets one, because
 * clients tell calls apart by it. What comes of a call before its name is held back until the
 * name is there: calls are numbered as they are told, and the first word of each names it.
 */
#ifndef PROVIDER_TOOL_CALLS_H
#define PROVIDER_TOOL_CALLS_H

#include "base/buf.h"
#include "chat/event.h"

struct json;
struct teller;

enum { TOOL_CALLS_MAX = 128, TOOL_ID_MAX = 128 };

struct tool_text {
    char   p[TOOL_ID_MAX];
    size_t n;
};

struct tool_call {
    int64_t          index;                   /* as the provider numbers it     */
    struct tool_text id, name;
    bool             has_own_id;              /* it came without one            */
    bool             has_arguments;
    bool             is_told;
    uint64_t         number;                  /* as it is told                  */
    struct buf       held;                    /* arguments that came before the name */
};

struct tool_calls {                           /* starts zeroed                  */
    struct tool_call *all;
    size_t            n, n_told;
};

void tool_calls_release(struct tool_calls *c);

/* Which call `v` is a piece of (its place in `all`), with its id and name where they are new.
 * `place` is its place among the pieces that came with it, and it may be alone. False beyond
 * the MAX. Id and name are borrowed from the document or until the next call begins. */
struct tool_place {
    size_t at;
    bool   alone;
};
bool tool_calls_read(struct tool_calls *c, const struct json *v, struct tool_place place,
                     struct tool_piece *piece);

/* Tells such a piece, as soon as its call has a name. */
void tool_calls_tell(struct tool_calls *c, struct teller *t, const struct tool_piece *piece,
                     struct str arguments);

/* Calls that were given no arguments take none: that is an empty object, not nothing. */
void tool_calls_fill(struct tool_calls *c, struct teller *t);

/* The JSON text of the arguments in `v`, cut anywhere. Some send an object, whole; `room` is
 * for its text. */
struct str tool_calls_arguments(const struct json *v, struct buf *room);

#endif
