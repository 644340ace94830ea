/* exchanges.h - questions with their answers, looked for by what was said in them. */
#ifndef STORE_EXCHANGES_H
#define STORE_EXCHANGES_H

#include "store/messages.h"

struct kept_exchange {
    struct str      turn, chat_more;          /* more: the chat's, JSON         */
    struct str      question, answer;
    enum kept_state state;
    int64_t         created_at;               /* microseconds since 1970        */
};

struct exchange_call {
    struct verb           verb;
    struct kept_exchange *exchanges;          /* the newest first               */
    size_t                n;
    int64_t               active;             /* exchange_count_chats()         */
};

enum { EXCHANGES_MAX = 100 };

/* Those in which the text stands, in whatever case; an empty uid: in any chat. */
void exchange_find(struct store *s, struct exchange_call *c, const struct whose *w, struct str uid,
                   struct str text, int64_t limit);

/* In how many chats something was said since so many seconds ago. */
void exchange_count_chats(struct store *s, struct exchange_call *c, const struct whose *w,
                          int64_t seconds);

extern const struct pg_statement exchange_statements[];

#endif
