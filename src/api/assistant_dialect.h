/* assistant_dialect.h - writes answers as the assistant's clients read them.
 *
 *     data: {"content": "...", "session_id": "...", "model_used": "cloud_large",
 *            "reasoning": "...", "finished": false}
 *     data: {"content": "", ..., "finished": true, "done": true, "total_tokens": 5, ...}
 *     data: {"content": "<an apology>", ..., "finished": false, "error": "..."}
 *
 * Exactly one of the last two ends a stream; the last one never says that it is finished.
 */
#ifndef API_ASSISTANT_DIALECT_H
#define API_ASSISTANT_DIALECT_H

#include "api/dialect.h"

/* Who answers, and why he does. Constants but for the reason. */
struct assistant_choice {
    const char *model_used, *instead;         /* the same of who may stand in   */
    struct str  reason;
    const char *reason_instead;
};

struct assistant_state {
    struct assistant_choice choice;
    struct str              session;
    bool                    done_marker;
    bool                    has_begun, stands_in;
    struct buf              tail;             /* of a delta, once there was one */
    uint64_t                asked;            /* clock, ns                      */
    uint64_t                text_bytes;
    struct usage            usage;
};

struct assistant_state *assistant_state_new(struct str session, const struct assistant_choice *c);

/* What people are told of a fault. */
struct str assistant_sorry(enum fault fault, bool has_begun);

/* The same bytes under two names. */
extern const struct dialect assistant_dialect_plain, assistant_dialect_events;

#endif
