/* context.h - what of a conversation a model can still be shown when it has grown too long for it.
 *
 * System messages stay, and so do the last ones that were said, as many as fit: a ladder of rungs,
 * on each of which fewer stay. Calls of tools stand or go with their results. The last thing
 * said, and the last that a person said, stay on every rung, for without them there is nothing to
 * answer. Where the rest was stands a summary of it; on the last rungs not even that, and at last
 * not the system messages either.
 *
 * No I/O here: who asks for the summary is turn/turn_shorten.c.
 */
#ifndef CHAT_CONTEXT_H
#define CHAT_CONTEXT_H

#include "base/buf.h"
#include "chat/question.h"

/* Estimates: what a model really counts differs from one to the next. */
uint64_t context_tokens(struct str text);
uint64_t context_message_tokens(const struct message *m);

struct context {
    const struct message *messages;
    size_t                n;
    struct str            options;            /* its tools count, too           */
    uint64_t              room;               /* tokens for all of it           */
    struct str            summary;            /* of the first messages; or empty */
    size_t                covered;            /* how many of them               */
};

struct context_cut {
    size_t   from;                            /* before it only what always stays */
    bool     has_summary, drops_system;
    uint64_t tokens;                          /* of what is left                */
};

uint64_t context_size(const struct context *c);        /* of all of it           */
uint64_t context_summary_tokens(const struct context *c);  /* 0: there is none   */

/* The highest rung that fits, with a summary of so many tokens; false: not even the last does,
 * which is then in `cut`. No rung keeps what a summary covers already. */
bool context_find_cut(const struct context *c, uint64_t summary, struct context_cut *cut);

/* With the summary that is there, and nothing that it covers. */
struct context_cut context_cut_as_covered(const struct context *c);

/* What is left; it lives in the arena. Returns how many. */
size_t context_apply(const struct context *c, const struct context_cut *cut, struct arena *a,
                     struct message **out);

/* What a cut leaves out, as somebody reads it who writes a summary of it. What a summary covers
 * already is told by that. */
void context_write_left_out(const struct context *c, const struct context_cut *cut,
                            struct buf *out);

/* The longest end of a text that is not longer than both. */
struct str context_tail(struct str text, uint64_t tokens, size_t characters);

#endif
