/* usage.h - what somebody has used, and what is left of what he may use. */
#ifndef STORE_USAGE_H
#define STORE_USAGE_H

#include "store/askers.h"

enum { USAGE_DAYS = 30 };                     /* today is the last of them      */

struct usage_sum {
    int64_t requests, failures, prompt, completion, estimated;
    int64_t money;                            /* millionths                     */
};

struct usage_of_model {
    struct str       model;
    struct usage_sum today, days;             /* of all of them                 */
};

/* Of one allowance one limit. */
struct usage_limit {
    struct str of, name;                      /* key, account, tenant; requests_per_minute, ... */
    int64_t    most, used;                    /* of money millionths            */
    int64_t    anew_at;                       /* microseconds since 1970; 0: when an answer ends */
};

struct usage_call {
    struct verb            verb;
    struct usage_of_model *models;
    struct usage_limit    *limits;
    size_t                 n, n_limits;
    int64_t                today, first;      /* when the days began            */
};

/* Of his account, by whichever keys and tokens; without one, of his key. */
void usage_of(struct store *s, struct usage_call *c, const struct asker *asker);

extern const struct pg_statement usage_statements[];

#endif
