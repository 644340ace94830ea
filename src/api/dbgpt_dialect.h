/* dbgpt_dialect.h - writes answers as DB-GPT's clients read them, with Python's spaces.
 *
 *     data: {"id": "chatcmpl-...", "model": "...", "choices": [{"index": 0, "delta": {...}}]}
 *     data: [DONE]
 *
 * A stream that is not incremental tells all of the text so far in every event, raw or in an
 * object, and has no [DONE].
 */
#ifndef API_DBGPT_DIALECT_H
#define API_DBGPT_DIALECT_H

#include "api/dialect.h"
#include "base/arena.h"

enum { DBGPT_ID_SIZE = 46 };

struct dbgpt_state {
    struct arena arena;
    struct str   model, conv_uid;
    bool         is_incremental, has_objects, has_extra_members;
    char         id[DBGPT_ID_SIZE];           /* of a stream                    */
    int64_t      created;                     /* wall seconds                   */
    struct buf   head;                        /* of every event, once there was one */
    struct buf   text, reasoning;             /* so far; not incremental        */
};

struct dbgpt_state *dbgpt_state_new(struct str model, struct str conv_uid);

extern const struct dialect dbgpt_dialect;            /* a stream               */
extern const struct dialect dbgpt_page_dialect;       /* one whose failures are events */
extern const struct dialect dbgpt_whole_dialect;      /* none: failures are answers */

/* What people are shown of an answer, however it ended. */
void dbgpt_write_view(struct str answer, enum fault fault, struct buf *out);

/* A UUID made of whatever text, always the same; of that version (1 or 4). */
void dbgpt_write_uuid(struct str of, char version, char out[37]);

#endif
