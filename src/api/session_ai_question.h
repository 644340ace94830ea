/* session_ai_question.h - reads what the `ai` SDK's transport posts. No I/O.
 *
 *     {"id", "messages": [{"id", "role", "parts": [{"type": "text", "text"}, ...]}],
 *      "trigger": "submit-message" | "regenerate-message", "messageId"}
 *
 * or one "message" instead of all. Of the parts, texts and images are read; those that nobody
 * knows are skipped, as newer clients bring new ones.
 */
#ifndef API_SESSION_AI_QUESTION_H
#define API_SESSION_AI_QUESTION_H

#include "base/json.h"
#include "chat/question.h"

struct session_ai_wish {
    struct str chat;                          /* empty: a new one               */
    struct str question;                      /* what the client calls the last message */
    struct str at;                            /* the message that is asked for anew, or edited */
    struct str model;
    bool       regenerates;
    bool       is_alone;                      /* it is one message, and not all */
};

/* False: `why` says what is wrong. The texts are in the question's arena; its last message is
 * the user's, and a prompt that is not empty is the first. */
bool session_ai_read(const struct json *body, struct str prompt, struct question *q,
                     struct session_ai_wish *wish, const char **why);

#endif
