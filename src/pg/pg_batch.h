/* pg_batch.h - units that ask the same are asked together, while others of them are under way.
 *
 * Reading a statement's conditions and preparing its run costs the database more than another
 * row does. So while a few batches are under way, units of one step wait for each other: until
 * one of those comes back, or for some milliseconds. Then they go as one statement whose
 * parameters are arrays. With few at a time none of them waits.
 *
 * Each unit hears of its own rows and of its end as if it had been alone: a batch that was
 * refused or got lost is asked once more, unit by unit. So nobody is refused for another, but he
 * may have to wait until that is known.
 */
#ifndef PG_PG_BATCH_H
#define PG_PG_BATCH_H

#include "pg/pg_pool.h"

enum { PG_BATCH_MAX = 32 };

struct pg_batch_rule {
    const struct pg_statement *together;      /* each parameter is the array of theirs */
    size_t                     apart;         /* a parameter: those of one value go apart */
    size_t                     name;          /* a parameter: no two have the same, and ... */
    int                        name_column;   /* ... here a row says whose it is. One unit's rows
                                               * stand together */
};

struct pg_batches;

struct pg_batches *pg_batches_new(struct pg_pool *p, const struct pg_batch_rule *rule);
void               pg_batches_free(struct pg_batches *b);   /* behind the pool  */

/* As pg_do(). */
void pg_do_with_others(struct pg_batches *b, struct pg_work *w);

#endif
