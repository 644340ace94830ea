/* store.h - what is kept, in PostgreSQL: verbs go in, plain structs come out.
 *
 *     chats.h      conversations and the lists of them
 *     messages.h   what was said in one
 *     turns.h      questions and their answers while they are made, and their journal
 *     tools.h      the tools that a tenant has of its own
 *     lookup.h     what the operator's own tables know
 *
 * No SQL leaves this folder, and no verb holds a connection: each is one unit of work
 * (pg/pg_work.h). verb.h says how to ask.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/settings.h"
#include "pg/pg_batch.h"
#include "store/verb.h"

struct store_settings {
    struct pg_pool_settings       pool;
    bool                          notifies; /* tell readers elsewhere (turns.h) */
    const struct lookup_settings *lookups;    /* NULL: none                     */
};

/* NULL: `why` tells what is wrong with the connection string. */
struct store *store_open(const struct store_settings *settings, char why[PG_WHY_MAX]);
void          store_close(struct store *s);   /* verbs under way end `away`     */

/* What others say of turns (turns.h), with `notifies`; from the top of the stack. */
struct store_news {
    void (*turn)(struct str id);              /* there is more of it            */
    void (*stop)(struct str id);              /* its owner wants it to stop     */
    void (*missed)(void);                     /* something may have been said unheard */
};
void store_listen(struct store *s, const struct store_news *news);    /* NULL: no more */
bool store_hears(const struct store *s);      /* else it takes looking          */

/* Others, while it is open: lookups under way end `away`. */
void store_use_lookups(struct store *s, const struct lookup_settings *lookups);

bool        store_is_ready(const struct store *s);
bool        store_is_idle(const struct store *s);     /* nothing is to be kept at the moment */
bool        store_is_unfit(const struct store *s); /* it is not: its schema is not ours */
const char *store_why(const struct store *s); /* it is not                      */

/* For the store's own files. */
struct lookups *store_lookups(const struct store *s);       /* NULL: none       */
bool            store_notifies(const struct store *s);
void            store_do(struct store *s, struct pg_work *w);
void store_claim(struct store *s, struct pg_work *w); /* a turn, in a chat of that number */

#endif
