/* turns.h - a question and its answer, from the moment it is taken.
 *
 *     claim ---> (running.h: leases and the journal) ---> end
 *
 * A turn is held by a process that renews its lease; whoever else finds a lease run out may
 * close the turn (running.h), and then its holder cannot end it any more. While it runs, its
 * answer is a message in the state `streaming`, and what was said so far is in the journal.
 *
 * With `notifies` (store.h), whatever a reader elsewhere may wait for is told on the channel
 * runnel_turn, with the turn's id.
 */
#ifndef STORE_TURNS_H
#define STORE_TURNS_H

#include "chat/event.h"
#include "store/crowd.h"
#include "store/messages.h"

struct kept_turn {
    struct str      id, owner, key;
    int64_t         chat;                     /* 0: it keeps none               */
    int64_t         question, answer;         /* messages; 0: none              */
    int64_t         answer_seq;
    enum kept_state state;
    struct str      fault, model, finish;
    int64_t         prompt_tokens, completion_tokens;
    bool            stop_asked;
    bool            has_journal;              /* it has ended and can be read event by event */
    int64_t         created_at, ended_at;     /* microseconds since 1970        */
    int64_t         question_at, answer_at;
    struct str      content, reasoning, tool_calls;   /* of the answer, when it has ended */
};

struct journal_piece {                        /* chat/event_bytes.h             */
    int64_t    seq;                           /* of its first event             */
    struct str events;
};

enum claim { CLAIM_FRESH, CLAIM_RUNNING, CLAIM_FINISHED };

struct turn_call {
    struct verb           verb;
    struct kept_turn      turn;
    enum claim            claim;              /* turn_claim()                   */
    struct journal_piece *pieces;             /* turn_read()                    */
    size_t                n_pieces;
    bool                  is_more;            /* ask again behind the last piece */

    /* The store's own. */
    bool   found, fits, is_ours, has_chat;
    size_t wanted;
};

struct turn_taking {
    struct str       id, key, model;          /* key: empty if it has none      */
    struct str       question_hash;           /* 32 bytes, or empty             */
    struct str       holder;
    uint64_t         lease;                   /* ns                             */
    bool             keeps_chat;
    struct chat_name chat;                    /* must be there                  */
    enum kept_role   role;                    /* of the question                */
    struct str       content, name, more;
    struct str       title;                   /* if the chat has none yet       */

    struct crowd_limits crowd;                /* of the chats of that owner and dialect */
};

/* Takes a question once: fresh; or who else of its key is running or finished. Both messages
 * are kept then. STORE_CONFLICT: the turn of that key is another question's; STORE_CROWDED: too
 * many of the owner's others are not over. */
void turn_claim(struct store *s, struct turn_call *c, const struct whose *w,
                const struct turn_taking *t);

/* Who has that key already, if anybody: not found, or as turn_claim() says it. */
void turn_find_key(struct store *s, struct turn_call *c, const struct whose *w, struct str key,
                   struct str question_hash);

struct turn_ending {
    int32_t      tenant;
    struct str   id, holder;
    enum end     end;
    enum fault   fault;
    struct str   finish;
    struct usage usage;
    struct str   content, reasoning, tool_calls, more;
    int64_t      tokens_used;                 /* -1: it did not end well        */
    struct str   provider_session;            /* empty: the chat keeps what it has */
    int64_t      seq;                         /* of the last piece of the journal */
    struct str   events;                      /* empty: none                    */
};

/* Brings nothing. STORE_CONFLICT: it is not this holder's any more. The last piece may begin where one that
 * was given before began; the longer one is kept. The journal stays for journals_clean(). */
void turn_end(struct store *s, struct turn_call *c, const struct turn_ending *e);

void turn_find(struct store *s, struct turn_call *c, const struct whose *w, struct str id);

/* The one that wrote that message, or the newest (0). */
void turn_of_chat(struct store *s, struct turn_call *c, const struct whose *w,
                  struct chat_name chat, int64_t answer);

/* With its journal: from the piece that has the event `from_seq`, if that is there yet. */
enum { PIECES_MAX = 1000 };
void turn_read(struct store *s, struct turn_call *c, const struct whose *w, struct str id,
               int64_t from_seq, int64_t limit);

/* Tells its holder, when that renews the lease; with `notifies` also at once, on the channel
 * runnel_stop. A turn that has ended stays as it is. */
void turn_stop(struct store *s, struct turn_call *c, const struct whose *w, struct str id);

extern const struct pg_statement  turn_statements[];
extern const struct pg_batch_rule turn_claims;              /* for store.c      */

#endif
