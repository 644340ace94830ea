/* dialect.h - what a client dialect must be able to write.
 *
 * A dialect has a state per answer (its ids, what the client asked for), made by its
 * route and released by the sink that uses it. None of these functions
 * does I/O; golden tests compare their bytes.
 */
#ifndef API_DIALECT_H
#define API_DIALECT_H

#include "base/buf.h"
#include "chat/event.h"

struct whole_tool_call {
    struct str id, name, arguments;
};

struct whole_answer {
    struct str                    text, reasoning;
    const struct whole_tool_call *tool_calls;
    size_t                        n_tool_calls;
    const struct citation        *citations;
    size_t                        n_citations;
    struct usage                  usage;
    enum finish                   finish;
    enum fault                    fault;      /* has_errors_in_band: how it failed */
    bool                          has_begun;  /* a provider took the question   */
    bool                          stands_in;  /* of another model than was asked */
};

struct turn_facts;

struct dialect {
    struct str  stream_type;        /* Content-Type of a stream       */
    bool        has_errors_in_band; /* a turn that has begun answers 200 */
    bool        takes_no_comments;  /* a stream is silent until it speaks */
    const char *comment;                      /* what a silent stream says; NULL: "ping" */
    /* Which turn it is, and which of its events comes first; NULL: nobody cares. */
    void (*begin)(void *state, const struct turn_facts *facts, int64_t first);
    /* One event of a stream; the last word ends it. Whole SSE events only. */
    void (*write_event)(void *state, const struct event *ev, struct buf *out);
    /* A complete answer that is not a stream. */
    void (*write_whole)(void *state, const struct whole_answer *a, struct buf *out);
    /* The body of an error answer, before anything else has been said. */
    void (*write_fault)(enum fault fault, struct buf *out);

    /* Whether it has anything to write of an event: the head waits for the first. NULL: of all. */
    bool (*speaks)(const void *state, const struct event *ev);
    int (*fault_status)(enum fault fault);    /* NULL: as chat/fault.h          */
    void (*release)(void *state);             /* NULL: mem_free()               */
};

void dialect_release(const struct dialect *d, void *state);

#endif
