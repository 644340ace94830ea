/* kept.h - what the tests of the store share: a store, two people of each of two sites, and
 * calls that are waited for.
 */
#ifndef TEST_KEPT_H
#define TEST_KEPT_H

#include "database/cluster.h"
#include "store/running.h"

/* Group setup and teardown: a cluster with the schema and two tenants, 1 and 2. */
int kept_begin(void **state);
int kept_end(void **state);

extern struct store *store;
void                 open_store(size_t connections);
void                 close_store(void);

/* anna and bob are of tenant 1, eve calls herself anna and is of tenant 2; other is anna by
 * another door. */
extern const struct whose anna, bob, eve, other;

/* Turns the loop until the verb has ended. */
#define AWAIT(call, start)                                                                         \
    do {                                                                                           \
        (call).verb.done = kept_done;                                                              \
        kept_ended = false;                                                                        \
        start;                                                                                     \
        turn_until(&kept_ended, 10000);                                                            \
    } while (0)

extern bool kept_ended;
void        kept_done(struct verb *v);

#define check_end(call, want)                                                                      \
    check_text(str_of(store_end_name((call).verb.end)), store_end_name(want))

/* Breaks every connection, again and again while the loop turns; until stop_killing(). */
void start_killing(void);
void stop_killing(void);

/* The first line of what the database answers. */
void check_sql(const char *want, const char *sql);

/* A chat of somebody's with that uid; its number. */
int64_t chat_of(const struct whose *w, const char *uid);

#endif
