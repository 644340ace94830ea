/* migrate.h - brings the schema `runnel` up to date, one migration after the other.
 *
 * runnel.migration keeps what was done: a row for each, with the SHA-256 of its text. A
 * migration and its row are one transaction. One whose first line is
 *
 *     -- not in a transaction
 *
 * is carried out statement by statement (each ends with a semicolon and a line feed); its row
 * comes first and is completed afterwards, so that what is left half done is known.
 *
 * Any number of processes may try at once: one lock lets them in one by one, and those who
 * waited find nothing to do.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "base/buf.h"
#include "pg/pg.h"
#include "pg/pg_now.h"
#include "store/migrations.h"

enum store_schema {
    SCHEMA_CURRENT,
    SCHEMA_NONE,                              /* nothing was ever done          */
    SCHEMA_OLDER,                             /* some are still to be done      */
    SCHEMA_NEWER,                             /* a newer program has been here  */
    SCHEMA_HALF,                              /* one was begun and not finished */
    SCHEMA_OTHER,                             /* not our history: a hash differs, or one is missing */
    SCHEMA_UNKNOWN,                           /* the database did not say       */
};

/* Which it is, and in `words` a sentence with what to do about it (nothing for CURRENT). */
enum store_schema store_schema_is(struct pg_now *db, struct buf *words);

/* The same for a connection of the pool's: none serves but with the schema that we know. */
extern const struct pg_check store_schema_check;

struct store_migration_ops {
    void (*waits)(void *owner, struct str for_whom);        /* once, if it has to */
    void (*done)(void *owner, const struct migration *m, uint64_t ns);
};

struct store_migrate {
    const struct migration           *all;
    size_t                            n;
    uint64_t                          max_wait;             /* ns: for the others */
    const struct store_migration_ops *ops;
    void                             *owner;
    struct buf                        why;    /* false: a sentence that says what to do */
    size_t                            before; /* how many were done already     */
};

bool store_migrate(struct store_migrate *m, struct pg_now *db);
bool store_migrate_look(struct store_migrate *m, struct pg_now *db);  /* `before` and `why` only */

#endif
