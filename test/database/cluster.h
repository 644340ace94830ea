/* cluster.h - what the tests with a real database share: a cluster of their own, a loop
 * that turns until something is so, and units that keep what they heard.
 */
#ifndef TEST_CLUSTER_H
#define TEST_CLUSTER_H

#include "check.h"
#include "pg/pg_pool.h"

/* Group setup and teardown. The cluster belongs to the program and ends with it. */
int        cluster_begin(void **state);
int        cluster_end(void **state);
void       cluster_do(const char *command, const char *more); /* of deps/cluster.sh */
struct str cluster_url(void);

/* With psql: the schema runnel, made anew by the migrations; one statement, and the first line of
 * what it brings. */
void cluster_make_schema(void);
void cluster_sql(char line[300], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Turns the loop until `*done`; fails after so many milliseconds. */
void turn_until(const bool *done, unsigned ms);
void turn_for(unsigned ms);

struct heard {
    size_t      rows, ends;
    enum pg_end end;
    char        first[200];                   /* the first column of the first row */
    char        sqlstate[6];
    bool        all;                          /* ends has come to `wanted`      */
    size_t      wanted;
};

extern const struct pg_work_ops heard_ops;

#endif
