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

extern const struct pg_statement session_statements[];

#endif
