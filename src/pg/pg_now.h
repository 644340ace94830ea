/* pg_now.h - a connection that waits, for commands and for what is looked at before the loop.
 *
 *     const struct pg_rows *rows = pg_now_ask(db, "SELECT $1::int + 1", PG_PARAMS("41"));
 *
 * Never to be used while a loop turns: every call here stops the program until the database
 * has answered. Texts are terminated; a NULL among the parameters is NULL.
 */
#ifndef PG_PG_NOW_H
#define PG_PG_NOW_H

#include "pg/pg_place.h"
#include "pg/pg_work.h"

struct pg_now;

/* NULL: `why` tells, without a password. */
struct pg_now *pg_now_open(struct str conninfo, uint64_t connect_timeout, char why[PG_WHY_MAX]);
void           pg_now_close(struct pg_now *db);             /* NULL is fine     */

/* One statement. NULL: it failed. The rows live until the next call. */
const struct pg_rows *pg_now_ask(struct pg_now *db, const char *sql, const char *const *params,
                                 size_t n);

#define PG_NO_PARAMS NULL, 0
#define PG_PARAMS(...)                                                                             \
    (const char *const[]){ __VA_ARGS__ },                                                          \
        sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)

/* Statements without parameters and without rows; several are carried out together or, in a
 * transaction of the caller's, up to the first that fails. */
bool pg_now_do(struct pg_now *db, const char *sql);

/* Of the last failure. The place is counted in characters from 1; 0: there is none. */
const char *pg_now_why(const struct pg_now *db);
bool        pg_now_failed_with(const struct pg_now *db, const char *sqlstate);
size_t      pg_now_failed_at(const struct pg_now *db);

bool pg_now_is_in_transaction(const struct pg_now *db);

/* Somebody stands between us and the database, who may give every transaction to another
 * session. False: `why` of the question itself, or nobody does. */
bool pg_now_is_pooled(struct pg_now *db);

#endif
