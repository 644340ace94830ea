/* question.h - what a caller asks, whatever dialect it came in. */
#ifndef CHAT_QUESTION_H
#define CHAT_QUESTION_H

#include "base/arena.h"

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };

struct message {
    enum role  role;
    struct str text;
};

struct question {
    struct arena    arena;                    /* owns all of it, and itself     */
    struct str      model;                    /* as the caller named it         */
    struct message *messages;
    size_t          n_messages;
    uint64_t        max_tokens;               /* 0: no limit asked              */
};

struct question *question_new(void);
void             question_free(struct question *q);

struct str question_last_user_text(const struct question *q);

#endif
