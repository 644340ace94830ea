/* pg_pool.h - a few connections that everybody shares, and the line of units that wait.
 *
 * A connection is in the list that says what it is doing. While the database is away one
 * of them knocks, at most once a second; when it gets through the others follow. Units that
 * were under way when a connection broke are sent again on another, unless they are `once`.
 * A database that is there and does not pass the check is asked again like one that is away.
 */
#ifndef PG_PG_POOL_H
#define PG_PG_POOL_H

#include "pg/pg.h"

struct pg_pool_settings {
    struct str             conninfo;
    size_t                 connections, max_waiting;
    size_t                 at_once;           /* units on one connection; 0: as many as is good */
    bool                   prepares;
    const char            *aside;             /* its name, if another tells how the database is */
    uint64_t               connect_timeout; /* ns                             */
    const struct pg_check *check;             /* or NULL                        */
};

struct pg_pool;

/* NULL: `why` tells what is wrong with the connection string. */
struct pg_pool *pg_pool_open(const struct pg_pool_settings *s,
                             const struct pg_statement *statements, char why[PG_WHY_MAX]);
void            pg_pool_close(struct pg_pool *p);           /* its units end `away` */

/* The unit is the pool's from here on; done() comes later, once. */
void pg_do(struct pg_pool *p, struct pg_work *w);

/* Nobody wants to hear of it any more. If it has been sent it may be carried out. */
void pg_forget(struct pg_work *w);

/* For pg's own files: its owner hears of the end, and it is gone. */
void pg_tell(struct pg_work *w, enum pg_end end);

bool        pg_pool_is_ready(const struct pg_pool *p);      /* a unit would be sent now */
bool        pg_pool_is_idle(const struct pg_pool *p);       /* no unit waits or is under way */
bool        pg_pool_is_unfit(const struct pg_pool *p);      /* it is not: the check says so */
const char *pg_pool_why(const struct pg_pool *p);           /* it is not        */

#endif
