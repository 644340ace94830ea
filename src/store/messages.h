/* messages.h - what was said in a chat, in the order of its seq, which has no gaps.
 *
 * The messages of a question and its answer come with their turn (turns.h).
 */
#ifndef STORE_MESSAGES_H
#define STORE_MESSAGES_H

#include "store/chats.h"

enum kept_role { KEPT_SYSTEM, KEPT_USER, KEPT_ASSISTANT, KEPT_TOOL, KEPT_VIEW };
const char *kept_role_name(enum kept_role role);

enum kept_state {
    KEPT_STREAMING,                           /* a turn is at it                */
    KEPT_COMPLETE,
    KEPT_STOPPED,
    KEPT_INTERRUPTED,
    KEPT_ERROR,
};
const char     *kept_state_name(enum kept_state state);
enum kept_state kept_state_read(struct str name);

struct kept_message {
    int64_t         id, seq;
    enum kept_role  role;
    enum kept_state state;
    struct str      content, reasoning, name, tool_call_id;
    struct str      tool_calls, more;         /* JSON; tool_calls may be empty  */
    struct str      turn;
    int64_t         tokens_used;              /* -1: it did not end well        */
    int64_t         created_at;               /* microseconds since 1970        */
};

struct message_call {
    struct verb          verb;
    struct kept_message *messages;            /* the oldest first               */
    size_t               n;
    int64_t              total;               /* message_page(): of these roles */
    bool                 is_more;             /* message_last(): there are older ones */
    size_t               wanted;              /* the store's own                */
};

/* `once` is what its writer calls it: a second message of that name in the chat is the first. */
struct new_message {
    enum kept_role role;
    struct str     content, reasoning, name, tool_call_id, tool_calls, more, turn, once;
    int64_t        tokens_used;               /* -1: none                       */
};

void message_append(struct store *s, struct message_call *c, const struct whose *w,
                    struct chat_name chat, const struct new_message *m);

enum { MESSAGES_MAX = 1000 };                 /* in one list                    */

/* Whose messages are wanted: an or of these. */
#define ROLE_BIT(role) (1u << (role))
enum {
    ROLES_ALL = ROLE_BIT(KEPT_VIEW + 1) - 1,
    ROLES_SPOKEN = ROLE_BIT(KEPT_USER) | ROLE_BIT(KEPT_ASSISTANT),
};

void message_page(struct store *s, struct message_call *c, const struct whose *w,
                  struct chat_name chat, unsigned roles, int64_t offset, int64_t limit);

/* The last ones before a seq; MESSAGES_NEWEST: of all. */
#define MESSAGES_NEWEST INT64_MAX
void message_last(struct store *s, struct message_call *c, const struct whose *w,
                  struct chat_name chat, unsigned roles, int64_t before_seq, int64_t limit);

/* Those in which the words stand, whatever their case, of all chats of theirs, the newest first;
 * `name` is the chat's title, or its uid. Of nobody's there are none. */
void message_search(struct store *s, struct message_call *c, const struct whose *w,
                    struct str words, int64_t limit);

/* Puts members into its `more`: feedback, a card. */
void message_annotate(struct store *s, struct message_call *c, const struct whose *w,
                      struct chat_name chat, int64_t id, struct str more);

extern const struct pg_statement message_statements[];

#endif
