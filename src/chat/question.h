/* question.h - what a caller asks, whatever dialect it came in. */
#ifndef CHAT_QUESTION_H
#define CHAT_QUESTION_H

#include "base/arena.h"

#include <stdbool.h>

enum role {
    ROLE_SYSTEM,
    ROLE_DEVELOPER,
    ROLE_USER,
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_FUNCTION,
};

const char *role_name(enum role role);
bool        role_read(struct str name, enum role *role);

struct message {
    enum role  role;
    struct str text;
    struct str raw;                           /* the JSON object it came as; empty when role
                                                 and text are all there was  */
};

/* An answer to anything but a chat is one DELTA: the JSON that the client gets. */
enum asked { ASKED_CHAT, ASKED_EMBEDDINGS };

struct question {
    enum asked      asked;
    bool            has_no_tools;             /* whatever its model may use     */
    struct arena    arena;                    /* owns all of it, and itself     */
    struct str      model;                    /* as the caller named it         */
    struct message *messages;
    size_t          n_messages;
    uint64_t        max_tokens;               /* 0: no limit asked              */

    struct str options; /* what else an OpenAI client asked for, as
                                                 JSON members: ,"name":value... */
    struct str app_input;                     /* such members, for whoever asks not a model but
                                                 an application; others never see them */
};

struct question *question_new(void);
void             question_free(struct question *q);

struct str question_last_user_text(const struct question *q);

#endif
