/* chats.h - conversations, and the lists of them.
 *
 * A chat is named by its number or, where that is 0, by its uid; one that belongs to another
 * tenant, dialect or owner is not found. Times are microseconds since 1970; 0: never.
 */
#ifndef STORE_CHATS_H
#define STORE_CHATS_H

#include "store/store.h"

struct kept_chat {
    int64_t    id;
    struct str uid, owner, mode, context_type, context_id, title;
    struct str last_message;                  /* its beginning                  */
    struct str provider_session, more;        /* more: JSON                     */
    bool       is_pinned;
    int64_t    n_messages, prompt_tokens, completion_tokens;
    int64_t    last_message_at, created_at, updated_at;
};

struct chat_call {
    struct verb       verb;
    struct kept_chat *chats;
    size_t            n;
    int64_t           total;                  /* chat_page()                    */
    bool              is_new;                 /* chat_open(), chat_take_up()    */
};

struct chat_name {
    int64_t    id;
    struct str uid;
};

/* ---- one chat: its row as it is then is what the verb brings ---- */

struct new_chat {
    struct str uid, mode, context_type, context_id, title, more;
};

/* Makes it, or finds the one of that uid, which keeps what it has. */
void chat_open(struct store *s, struct chat_call *c, const struct whose *w,
               const struct new_chat *n);

/* Finds the newest chat about the same thing, or makes one. Two who come at once get one. */
struct chat_reuse {
    int64_t window;                           /* s since its last message; -1: however old */
    bool    untouched;                        /* only one in which nothing was said */
};
void chat_take_up(struct store *s, struct chat_call *c, const struct whose *w,
                  const struct new_chat *n, const struct chat_reuse *rule);

void chat_find(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name);
void chat_rename(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name,
                 struct str title);
void chat_entitle(struct store *s, struct chat_call *c, const struct whose *w,
                  struct chat_name name, struct str title);   /* unless it has a title */
void chat_pin(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name,
              bool is_pinned);
void chat_keep_session(struct store *s, struct chat_call *c, const struct whose *w,
                       struct chat_name name, struct str provider_session);

/* `w` is whose it was; nobody's, mostly. */
void chat_assign(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name,
                 struct str owner);

/* With its messages and turns. Brings nothing; the second time it is not found. */
void chat_delete(struct store *s, struct chat_call *c, const struct whose *w,
                 struct chat_name name);

/* ---- lists, the newest first ---- */

enum { CHATS_MAX = 1000 };                    /* in one list                    */

enum chat_order { CHATS_BY_MESSAGE, CHATS_BY_UPDATE, CHATS_BY_BIRTH };

void chat_page(struct store *s, struct chat_call *c, const struct whose *w, enum chat_order order,
               int64_t offset, int64_t limit);

/* Those behind a chat of an earlier list, by the time of its order and its id. */
struct chat_key {
    int64_t time, id;
};
void chat_list_behind(struct store *s, struct chat_call *c, const struct whose *w,
                      enum chat_order order, struct chat_key key, int64_t limit);

/* For the store's own files: the first five parameters of whatever concerns one chat. While a
 * table is young PostgreSQL takes any index for as good as the key's, and would walk through
 * all chats of an owner; IS NOT DISTINCT FROM is an equality that no index answers. */
#define CHAT_NAMED                                                                                 \
    "c.id = coalesce($4::bigint, (SELECT u.id FROM runnel.chat u WHERE u.tenant = $1 AND "         \
    "u.uid = $5 AND u.dialect IS NOT DISTINCT FROM $2))"
#define CHAT_IS                                                                                    \
    "c.tenant = $1 AND c.dialect IS NOT DISTINCT FROM $2 AND c.owner IS NOT DISTINCT FROM $3 "     \
    "AND " CHAT_NAMED
void put_whose(struct pg_work *w, const struct whose *whose);
void put_chat(struct pg_work *w, const struct whose *whose, struct chat_name name);

extern const struct pg_statement chat_statements[];

#endif
