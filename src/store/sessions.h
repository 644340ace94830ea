/* sessions.h - what the sessions' pages want to know of all chats of an owner at once. */
#ifndef STORE_SESSIONS_H
#define STORE_SESSIONS_H

#include "store/turns.h"

struct busy_call {
    struct verb verb;
    int64_t    *chats;                        /* in which an answer is being made */
    size_t      n;
};

void turns_running(struct store *s, struct busy_call *c, const struct whose *w);

/* That message and all behind it have been asked for anew: so it says in their `more`. How many
 * they are is in the call's total. */
void messages_replace(struct store *s, struct message_call *c, const struct whose *w,
                      struct chat_name chat, int64_t from_seq);

extern const struct pg_statement session_statements[];

#endif
