/* assistant_frames.h - what the assistant's WebSockets say: {"type":"...","data":{...},
 * "timestamp":"..."}, each a message. No I/O.
 *
 *     ai_chunk      a piece of the answer
 *     ai_response   the whole of it, as POST /api/v1/chat answers; or what there was of it
 *                   when it was stopped
 *     error         there is none, or no more of it
 *
 * Exactly one of the last two ends an answer.
 */
#ifndef API_ASSISTANT_FRAMES_H
#define API_ASSISTANT_FRAMES_H

#include "api/assistant_dialect.h"
#include "chat/gathering.h"

/* The members of `data` are written between the two. */
void assistant_frame_open(struct buf *out, const char *type);
void assistant_frame_close(struct buf *out);

/* `code` may be NULL. */
void assistant_frame_error(struct buf *out, struct str message, const char *code);

struct assistant_frames {
    struct assistant_state *said;
    struct gathering        all;
    bool                    streams;          /* the pieces are told, too       */
};

/* Takes `said`. */
struct assistant_frames *assistant_frames_new(struct assistant_state *said, bool streams);

extern const struct dialect assistant_dialect_frames;

#endif
