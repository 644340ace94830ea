/* answer.h - a strict reader of one streamed answer to a question (question.h), as one of four
 * doors tells it: OpenAI's, the mini-program's, DB-GPT's or the assistant's.
 *
 * The bytes are read as they come, cut anywhere: response head, chunked coding,
 * events, JSON. Whatever departs from what a streaming client may rely on is a
 * fault, and the first one ends the answer. Missing, late and foreign words are
 * counted and reading goes on, for their number is of interest.
 *
 * An answer copies bytes only when an event is cut in two; `carry` holds them.
 */
#ifndef COMMON_ANSWER_H
#define COMMON_ANSWER_H

#include "histogram.h"
#include "question.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULTS(X)                                                                          \
    X(NONE, "none")                                                                        \
    X(CONNECT, "connect")      /* could not connect                                     */ \
    X(WRITE, "write")          /* the request could not be sent                         */ \
    X(RESET, "reset")          /* the connection broke                                  */ \
    X(STATUS, "status")        /* not 200                                               */ \
    X(HEAD, "head")            /* not HTTP/1.1, not an event stream, not chunked        */ \
    X(CHUNK, "chunk")          /* broken chunked coding, or bytes after its end         */ \
    X(EVENT, "event")          /* not the lines of one event, or not one comment        */ \
    X(JSON, "json")            /* not JSON                                              */ \
    X(SHAPE, "shape")          /* JSON, but not what an event of this form says         */ \
    X(REFUSED, "error_event")  /* an error told inside the stream                       */ \
    X(ORDER, "order")          /* events in an order the protocol does not know         */ \
    X(TEXT, "text")            /* words lost, late, foreign or garbled                  */ \
    X(FINISH, "finish")        /* no finish chunk, or not for the reason `stop`         */ \
    X(USAGE, "usage")          /* no usage, although it was asked for                   */ \
    X(ID, "id")                /* an event's id is not a later one of this answer       */ \
    X(DONE, "done")            /* no [DONE]                                             */ \
    X(EARLY_END, "early_end")  /* the connection ended inside the answer                */ \
    X(STALL, "stall")          /* silence for too long                                  */ \
    X(TIMEOUT, "timeout")      /* still running when the time of the run was over       */

enum fault {
#define X(name, text) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_KINDS
};

extern const char *const fault_names[FAULT_KINDS];

/* What all answers of a run add to. */
struct tally {
    uint64_t bytes;                           /* received, heads and framing included       */
    uint64_t events;                          /* data events: role, words, finish, [DONE]   */
    uint64_t contents;                        /* of these, the ones with text               */
    uint64_t comments;
    uint64_t chunks, torn_chunks;             /* HTTP chunks; those that end inside an event */
    uint64_t words, lost, late, foreign;

    /* What the words of stamped questions were on their way, as bytes that arrived at
     * `now` tell it; NULL when nobody wants to know. */
    struct histogram *delay;
    uint64_t          now;
};

enum answer_stage {
    STAGE_HEAD,
    STAGE_SIZE,
    STAGE_SIZE_LF, /* before and inside the size of a chunk      */
    STAGE_DATA,
    STAGE_DATA_CR,
    STAGE_DATA_LF,
    STAGE_LAST_CR,
    STAGE_LAST_LF,
    STAGE_END
};

enum { EVIDENCE = 96 };

enum answer_form { ANSWER_OPENAI, ANSWER_XCX, ANSWER_DBGPT, ANSWER_ASSISTANT };

struct answer {
    struct question   question;
    enum answer_form  form;
    enum answer_stage stage;
    enum fault        fault;
    uint64_t          left;                   /* bytes of this chunk still to come          */
    uint32_t          size_digits;
    uint32_t          next;                   /* the word due                               */
    uint32_t          within;                 /* letters of it already here                 */
    uint32_t          fresh_events;           /* by the latest feed: all, and with text     */
    uint32_t          fresh_contents;
    uint16_t          status;
    bool              role, finished, done, wrong_text, closes;
    bool              usage;
    uint64_t          id, last;               /* xcx: the answer's, of its latest event     */
    char             *heard;                  /* answer_length() bytes for its text, or NULL */
    size_t            heard_n;
    char              stamp[STAMP_LETTERS];   /* of the word being read                     */
    char             *carry;                  /* a head or an event that is not whole yet   */
    size_t            carried, carry_cap;
    char              evidence[EVIDENCE];     /* what stood where the fault was found       */
};

/* Of the whole text. */
size_t answer_length(struct question q);

/* Keeps the carry's memory. */
void answer_start(struct answer *a, struct question q, enum answer_form form, char *heard);
void answer_release(struct answer *a);

/* Reads on. Afterwards: a->fault, or a->stage == STAGE_END, or more is wanted. */
void answer_feed(struct answer *a, struct tally *t, const char *bytes, size_t length);

/* The connection ended, or nobody waits any longer: counts what never came. */
void answer_give_up(struct answer *a, struct tally *t, enum fault why);

#endif
