/* lookup_sql.h - an operator's query, with names for what is put into it.
 *
 *     SELECT title FROM task WHERE id = :context_id AND site = :site_id
 *
 * becomes what PostgreSQL takes, with ($1) and ($2). A colon in a text, in "quotes", in a
 * comment or in a cast (::date) is none of ours. Each place has a number of its own, so that
 * a value may be a number in one place and a text in another.
 */
#ifndef BASE_LOOKUP_SQL_H
#define BASE_LOOKUP_SQL_H

#include "base/buf.h"

enum { LOOKUP_SQL_MAX = 64 << 10, LOOKUP_PARAMS_MAX = 30, LOOKUP_WHY_MAX = 240 };

enum lookup_name {
    LOOKUP_CONTEXT_ID,
    LOOKUP_USER_ID,
    LOOKUP_SITE_ID,
    LOOKUP_TENANT,
    LOOKUP_PAGE,
    LOOKUP_FILTERS,                           /* of a page context: without its contextId */
    LOOKUP_CONTEXT_IDS,                       /* text[]                         */
    LOOKUP_NAMES
};

/* Who may ask for what: an or of these. */
#define LOOKUP_BIT(name) (1u << (name))
enum {
    LOOKUP_OF_ONE = LOOKUP_BIT(LOOKUP_CONTEXT_IDS) - 1,
    LOOKUP_OF_MANY = LOOKUP_BIT(LOOKUP_USER_ID) | LOOKUP_BIT(LOOKUP_SITE_ID) |
                     LOOKUP_BIT(LOOKUP_TENANT) | LOOKUP_BIT(LOOKUP_CONTEXT_IDS),
};

struct lookup_sql {
    struct buf       text;
    size_t           n;
    enum lookup_name names[LOOKUP_PARAMS_MAX];              /* of $1, $2, ...   */
};

/* False: `why` says what is wrong with it, in a sentence. Release it in any case. */
bool lookup_sql_read(struct lookup_sql *q, struct str from, unsigned names,
                     char why[LOOKUP_WHY_MAX]);
void lookup_sql_release(struct lookup_sql *q);

#endif
