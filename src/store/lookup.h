/* lookup.h - what the operator's own tables know: a page, a card, the names of customers.
 *
 * He wrote the queries into the settings (base/lookup_sql.h says how). They are read-only and
 * have connections and a time of their own, so that a slow one delays nothing that is kept.
 *
 *     q = lookup_page(store, page);
 *     if (q)
 *         lookup_text(store, &call, q, &about);
 *
 * A result is cut at LOOKUP_ROWS rows and LOOKUP_BYTES bytes. What is wrong with a query ends
 * the verb `refused` and is logged here, in the database's words where those hold no values.
 * A database that does not answer at all ends it `unknown`, though nothing can have been done.
 * A query lives until the store is given other ones.
 */
#ifndef STORE_LOOKUP_H
#define STORE_LOOKUP_H

#include "base/settings.h"
#include "store/store.h"

enum { LOOKUP_ROWS = 100, LOOKUP_BYTES = 64 << 10 };

struct lookup_query;

/* NULL: the settings have none. */
const struct lookup_query *lookup_page(const struct store *s, struct str page);
const struct lookup_query *lookup_card_of(const struct store *s, struct str context);
const struct lookup_query *lookup_names_of(const struct store *s, struct str context);

/* What the names in a query stand for. An empty text is NULL. */
struct lookup_about {
    int32_t    site_id;                       /* a tenant                       */
    struct str tenant, user_id, context_id, page;
    struct str page_context;                  /* a JSON object                  */
};

struct lookup_pair {
    struct str id, name;
};

struct lookup_call {
    struct verb         verb;
    struct str          text;                 /* a page's, or a card as JSON    */
    struct lookup_pair *names;
    size_t              n;

    /* The store's own. */
    const struct lookup_query *query;
    const char                *missing;       /* a column that it has to have   */
};

/* Columns as lines "column: value", or a single text as it is. No rows: no text. */
void lookup_text(struct store *s, struct lookup_call *c, const struct lookup_query *q,
                 const struct lookup_about *about);

/* {"type", "title", "summary", "data"} of the first row; not found if there is none. */
void lookup_card(struct store *s, struct lookup_call *c, const struct lookup_query *q,
                 const struct lookup_about *about);

/* Those that have a name, in no order that was asked for. */
void lookup_names(struct store *s, struct lookup_call *c, const struct lookup_query *q,
                  const struct lookup_about *about, const struct str *ids, size_t n);

/* For the store: its queries and their pool. NULL: there are no queries. */
struct lookups *lookups_new(const struct pg_pool_settings *like, const struct lookup_settings *l);
void            lookups_free(struct lookups *l);            /* verbs under way end `away` */

#endif
