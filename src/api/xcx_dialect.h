/* xcx_dialect.h - writes answers as the mini-program reads them.
 *
 *     event: message    data: {"token": "..."}      id: <answer>.<event>
 *     event: done       data: {"messageId": 1, "createdAt": "..."}
 *     event: error      data: {"message": "..."}
 *
 * Exactly one of the last two ends a stream; one that was stopped is done, and says so.
 */
#ifndef API_XCX_DIALECT_H
#define API_XCX_DIALECT_H

#include "api/dialect.h"

struct xcx_state {
    int64_t    question, answer, question_at, answer_at;
    int64_t    next;                          /* the number of the next event   */
    char       id[32]; /* "}\nid: 7.": what every token has between its text and that number */
    bool       is_ascii;
    struct str content;                       /* of the question; stands behind the struct */
};

struct xcx_state *xcx_state_new(struct str content, bool is_ascii);

extern const struct dialect xcx_dialect;

extern const char xcx_sorry[];                /* what stands for an answer that failed */

/* What a client is told that was refused with this fault. */
const char *xcx_fault_text(enum fault fault);

#endif
