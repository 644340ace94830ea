/* openai_question.h - reads the bodies of POST /v1/chat/completions and /v1/embeddings. No I/O.
 *
 * Tolerant where clients differ (null is absent, unknown members are let through,
 * content is a string or parts), strict where a guess would be a lie.
 */
#ifndef API_OPENAI_QUESTION_H
#define API_OPENAI_QUESTION_H

#include "base/json.h"
#include "chat/question.h"

struct openai_wish {
    bool       stream, include_usage;
    bool       store;    /* it is to be kept...            */
    struct str metadata;                      /* ...with this JSON; the question's, or empty */
};

struct openai_problem {
    char message[300];
    char param[64];                           /* empty: the whole body          */
};

/* NULL when something is wrong; `problem` then says what. */
struct question *openai_read_question(const struct json *body, struct openai_wish *wish,
                                      struct openai_problem *problem);
struct question *openai_read_embeddings(const struct json *body, struct openai_problem *problem);

#endif
