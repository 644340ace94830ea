/* openai_keep.h - a chat that is to be kept although its client keeps it, too: "store": true.
 *
 * What is kept is the question, which is the last message that is not an answer, and the answer,
 * in a conversation of the asker's. X-Conversation-Id names it, and without it it gets a name;
 * the answer says it in a field of that name. Whoever asks brings all that the model is to know:
 * nothing of the conversation is added to it.
 */
#ifndef API_OPENAI_KEEP_H
#define API_OPENAI_KEEP_H

#include "net/http_server.h"
#include "turn/turn.h"

/* The question and the wish must live as long as each other. */
struct openai_keeping {
    struct http_exchange *x;
    struct question      *question;
    struct turn_keeping   keeping;            /* its key is known               */
    struct str            metadata;           /* JSON that it is kept with, or empty */
    void (*kept)(struct openai_keeping *k);   /* the conversation is there: the question is the
                                                 caller's again                 */
    void *ctx;
};

/* kept() comes later, or the request was refused and the question is gone. */
void openai_keep(struct openai_keeping *k, const struct http_reader *rq);

#endif
