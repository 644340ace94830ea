/* verbs.h - every verb of the store in one table, each asked in the same words.
 *
 * A probe holds whatever a verb may be asked with; a verb takes of it what it wants. So one
 * loop asks all of them as somebody else, or with a word that nobody should say.
 */
#ifndef TEST_VERBS_H
#define TEST_VERBS_H

#include "database/kept.h"

struct probe {
    struct whose     whose;
    struct chat_name chat;
    struct str       uid, title, context_type, context_id; /* of a new chat     */
    struct str       turn, key, model, holder;
    struct str       content, name, more, tool_calls, once, session, owner, piece;
    struct str       tenant, subject, secret; /* of who asks                    */
    int64_t          message, answer, offset, limit, seq, time, account, api_key;
    uint64_t         age, tokens;
};

struct outcome {
    enum store_end end;
    size_t         n;                         /* things it brought or changed   */
    int64_t        total;
    struct buf     seen;                      /* the texts it brought           */
};

/* What it does about things that are not the asker's. */
enum verb_manner {
    VERB_FINDS_NOTHING,                       /* and says so                    */
    VERB_LISTS_NOTHING,                       /* all is well, and there is none */
    VERB_MAKES_OWN,                           /* finds nothing or makes another */
    VERB_IS_ANOTHERS,                         /* finds nothing or is told that it is another's */
    VERB_IS_THE_SITES,                        /* lists nothing to who is of another */
    VERB_KEEPS_HOUSE,                         /* asks for nobody: what is alive stays */
};

struct verb_row {
    const char *name;                         /* as the header has it           */
    void (*run)(const struct probe *p, struct outcome *o);
    enum verb_manner manner;
    bool             changes;                 /* what the owner has             */
    bool             has_doors;               /* one owner at two doors is two  */
    bool             tells;                   /* how it ended                   */
    unsigned         texts;                   /* that reach the database        */
};

extern const struct verb_row verb_rows[];
extern const size_t          n_verb_rows;
const struct verb_row       *verb_of(const char *name);

/* The buf of the outcome is the caller's to release. */
struct outcome verb_try(const struct verb_row *row, const struct probe *p);

#endif
