/* pg_work.h - one unit of work for the database: statements that are all done, or none.
 *
 *     struct pg_work *w = pg_work_new(done, owner);
 *     pg_step(w, &insert_message);
 *     pg_int(w, id);
 *     pg_text(w, text);
 *     pg_do(pool, w);
 *
 * Its rows and its end come later, from the top of the stack, and then it is gone. Units of
 * many owners share a connection, one behind the other, so none of them holds it.
 *
 * A unit is told to be `once` if doing it twice would matter; all others are repeated when
 * the connection is lost under them. Write statements so that repeating is harmless.
 */
#ifndef PG_PG_WORK_H
#define PG_PG_WORK_H

#include "base/buf.h"
#include "base/deadline.h"
#include "base/list.h"

enum { PG_STEPS_MAX = 8, PG_PARAMS_MAX = 48 };

struct pg_statement {
    const char *name, *sql;
};

enum pg_end {
    PG_DONE,
    PG_REFUSED,                               /* the database said no: sqlstate */
    PG_BUSY,                                  /* too many wait, or for too long */
    PG_AWAY,                                  /* there is no database to ask    */
    PG_UNKNOWN,                               /* it was sent; nobody knows what came of it */
};
const char *pg_end_name(enum pg_end end);

struct pg_work;

/* What a step brought, or the part of it that is a unit's own (pg_batch.h). */
struct pg_rows {
    const struct pg_result *result;           /* libpq's                        */
    size_t                  first, n;
};

struct pg_work_ops {
    void (*rows)(struct pg_work *w, size_t step, const struct pg_rows *rows);   /* may be NULL */
    void (*done)(struct pg_work *w, enum pg_end end);
};

struct pg_work {
    struct link               link;
    const struct pg_work_ops *ops;            /* NULL: nobody wants to hear of it */
    void                     *owner;
    bool                      once;
    bool                      insists;       /* too slow: tried again until max_wait is over */
    bool                      is_foreign;    /* not our SQL: what is wrong is wrong with it */
    uint64_t                  max_wait, max_time;           /* ns: for a connection, for the end */
    char                      sqlstate[6];
    struct buf                words;          /* foreign: the database's; they may hold values */

    /* pg's own from here on. */
    const struct pg_statement *steps[PG_STEPS_MAX];
    unsigned                   n_params[PG_STEPS_MAX];
    size_t                     n_steps, at;
    struct buf                 bytes;         /* the parameters, terminated     */
    size_t                     params[PG_PARAMS_MAX];     /* where they are; SIZE_MAX: NULL */
    size_t                     n;
    bool                       failed, is_text_bad, is_forgotten;
    bool                       is_late;       /* its own time is over, not only the connection's */
    bool                       is_unsure;     /* an earlier try may have been carried out */
    bool                       is_batch;      /* others are asked with it, and are counted */
    unsigned                   tries;
    uint64_t                   asked;         /* clock, ns                      */
    struct pg                 *on;            /* the connection it was sent on  */
    struct pg_pool            *pool;
    struct deadline            patience;
};

struct pg_work *pg_work_new(const struct pg_work_ops *ops, void *owner);
void            pg_work_free(struct pg_work *w);

void pg_step(struct pg_work *w, const struct pg_statement *statement);

/* Parameters of the last step, in order. */
void pg_text(struct pg_work *w, struct str text);
void pg_int(struct pg_work *w, int64_t v);
void pg_bool(struct pg_work *w, bool v);
void pg_null(struct pg_work *w);
void pg_bytes(struct pg_work *w, struct str bytes);          /* for a bytea         */

/* An array parameter, item by item. */
void pg_array(struct pg_work *w);
void pg_item(struct pg_work *w, struct str text);
void pg_item_bytes(struct pg_work *w, struct str bytes);
void pg_item_int(struct pg_work *w, int64_t v);
void pg_item_null(struct pg_work *w);
void pg_array_end(struct pg_work *w);

void pg_work_keep_words(struct pg_work *w, struct str words);   /* for pg's own files */

/* Rows and columns count from 0; they live until rows() returns. */
size_t     pg_n_rows(const struct pg_rows *rows);
size_t     pg_n_touched(const struct pg_rows *rows);          /* by an INSERT, UPDATE, DELETE */
bool       pg_is_null(const struct pg_rows *rows, size_t row, int column);
struct str pg_get(const struct pg_rows *rows, size_t row, int column);
int64_t    pg_get_int(const struct pg_rows *rows, size_t row, int column);
bool       pg_get_bool(const struct pg_rows *rows, size_t row, int column);

/* For whoever prints rows as they are. */
enum pg_kind { PG_TEXT, PG_NUMBER, PG_BOOL, PG_JSON };
int          pg_n_columns(const struct pg_rows *rows);
const char  *pg_column_name(const struct pg_rows *rows, int column);
enum pg_kind pg_column_kind(const struct pg_rows *rows, int column);

#endif
