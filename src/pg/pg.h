/* pg.h - one connection to PostgreSQL, as a ladder, and units of work one behind the other.
 *
 *     rest ---> look-up ---> connect ---> prepare ---> ready ---> rest
 *
 * Every host of the connection string is tried, and every address of a host, each for
 * connect_timeout. Then the database is looked at, whether it is what we need, and all
 * statements are prepared, in one go. When it is ready, units are sent as they come, each
 * behind a sync of its own, and their results are read in order.
 * Whatever goes wrong ends in lost(), from the top of the stack, on the lowest rung.
 */
#ifndef PG_PG_H
#define PG_PG_H

#include "net/resolve.h"
#include "pg/pg_place.h"
#include "pg/pg_watch.h"
#include "pg/pg_work.h"

/* What is asked before anything else, and who judges the answer. */
struct pg_check {
    const char *sql;
    /* `rows` is NULL if the database refused: sqlstate. False: `why` tells. */
    bool (*passes)(const struct pg_rows *rows, const char *sqlstate, char why[PG_WHY_MAX]);
};

struct pg_server {                            /* what all connections share     */
    struct pg_where            where;
    const struct pg_check     *check;         /* NULL: any will do              */
    const struct pg_statement *statements;    /* the last one has no name       */
    bool                       prepares;      /* not behind a pooler            */
    uint64_t                   connect_timeout;
    size_t                     good_place;    /* where the last connection was made */
};

struct pg;

struct pg_ops {
    void (*ready)(struct pg *c);
    void (*lost)(struct pg *c);               /* `why` tells; its units are still in `works` */
    void (*over)(struct pg *c, struct pg_work *w);           /* `failed` tells  */
    void (*heard)(struct pg *c, struct str channel, struct str payload);  /* NOTIFY; or NULL */
};

struct pg {
    struct link          link; /* its owner's                    */
    const struct pg_ops *ops;
    struct pg_server    *server;
    enum pg_rung { PG_REST, PG_LOOKUP, PG_CONNECT, PG_PREPARE, PG_READY } rung;
    size_t           places_tried, address;
    struct lookup    lookup;
    struct pg_conn  *conn; /* libpq's                        */
    struct pg_watch *watch;
    struct note      news, failed;
    struct deadline  patience;
    struct list      works;      /* sent, the oldest first         */
    bool             is_checked; /* the answer is there            */
    bool             is_unfit;   /* it is there, and not what we need */
    char             why[PG_WHY_MAX];
};

void pg_init(struct pg *c, struct pg_server *server, const struct pg_ops *ops);
void pg_climb(struct pg *c);                  /* from rest                      */
void pg_drop(struct pg *c);                   /* to rest, at once and without lost() */
void pg_break(struct pg *c, const char *why); /* to rest, with lost()           */

void pg_send(struct pg *c, struct pg_work *w);    /* when it is ready           */

#endif
