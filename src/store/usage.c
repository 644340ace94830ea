#include "store/usage.h"

#include "store/budget_sql.h"

enum statement { DAYS, OF_MODELS, LIMITS, STATEMENTS };

#define DAY_AT(date) MICROS("(" date ")::timestamp AT TIME ZONE 'UTC'")

/* In the order of struct usage_sum. */
#define SUMS(which)                                                                                \
    "coalesce(sum(u.requests)" which ", 0)::bigint, "                                              \
    "coalesce(sum(u.failures)" which ", 0)::bigint, "                                              \
    "coalesce(sum(u.prompt_tokens)" which ", 0)::bigint, "                                         \
    "coalesce(sum(u.completion_tokens)" which ", 0)::bigint, "                                     \
    "coalesce(sum(u.estimated)" which ", 0)::bigint, "                                             \
    "coalesce(sum(u.money)" which ", 0)::bigint"

const struct pg_statement usage_statements[] = {
    [DAYS] = { "usage_days", "WITH " BUDGET_NOW " SELECT " DAY_AT("t.day") ", " DAY_AT(
                                 "t.day - $1::int + 1") " FROM t" },
    /* All of the key but its model is known of every row, so that no other's is looked at; OFFSET
     * keeps the planner from looking at all of the tenant's instead. */
    [OF_MODELS] = { "usage_of_models",
                    "WITH " BUDGET_NOW
                    " SELECT u.model, " SUMS(" FILTER (WHERE u.day = t.day)") ", " SUMS(
                        "") " FROM t CROSS JOIN generate_series(0, $4::int - 1) AS d (n) "
                            "CROSS JOIN (SELECT $2::bigint AS id UNION SELECT 0 WHERE $3::bigint > 0 "
                            "UNION SELECT k.id FROM runnel.api_key k WHERE $3::bigint > 0 AND "
                            "k.tenant = $1::int AND k.account = $3) k CROSS JOIN LATERAL (SELECT * FROM "
                            "runnel.usage x WHERE x.tenant = $1::int AND x.day = t.day - d.n AND "
                            "x.api_key = k.id AND x.account = $3 OFFSET 0) u GROUP BY u.model ORDER BY u.model" },
    [LIMITS] = { "usage_limits",
                 "WITH " BUDGET_NOW ", state AS (SELECT " BUDGET_STATE BUDGET_FROM ") "
                 "SELECT CASE WHEN s.api_key IS NOT NULL THEN 'key' WHEN s.account IS NOT NULL "
                 "THEN 'account' ELSE 'tenant' END, v.name, v.most, v.used, " MICROS(
                     "s.now + v.wait * interval '1 second'") " FROM state s CROSS JOIN LATERAL "
                                                             "(VALUES (1, 'requests_per_minute', s.requests_per_minute::bigint, "
                                                             "s.m_requests::bigint, ceil(60 - s.part * 60)), "
                                                             "(2, 'tokens_per_minute', s.tokens_per_minute, s.m_tokens::bigint, "
                                                             "ceil(60 - s.part * 60)), (3, 'streams', s.streams::bigint, s.running, NULL), "
                                                             "(4, 'tokens_per_day', s.tokens_per_day, s.day_tokens::bigint, "
                                                             "s.day_left::float8), (5, 'money_per_day', s.money_per_day, s.day_money::bigint, "
                                                             "s.day_left::float8)) AS v (nth, name, most, used, wait) "
                                                             "WHERE v.most IS NOT NULL ORDER BY s.id, v.nth" },
    [STATEMENTS] = { NULL, NULL },
};

static struct usage_sum read_sum(const struct pg_rows *rows, size_t row, int column)
{
    return (struct usage_sum){
        .requests = pg_get_int(rows, row, column),
        .failures = pg_get_int(rows, row, column + 1),
        .prompt = pg_get_int(rows, row, column + 2),
        .completion = pg_get_int(rows, row, column + 3),
        .estimated = pg_get_int(rows, row, column + 4),
        .money = pg_get_int(rows, row, column + 5),
    };
}

static void read_models(struct usage_call *c, const struct pg_rows *rows)
{
    c->n = pg_n_rows(rows);
    c->models = c->n ? arena_new(&c->verb.arena, c->n * sizeof *c->models) : NULL;
    for (size_t i = 0; i < c->n; i++)
        c->models[i] = (struct usage_of_model){ verb_text(&c->verb, rows, i, 0),
                                                read_sum(rows, i, 1), read_sum(rows, i, 7) };
}

static void read_limits(struct usage_call *c, const struct pg_rows *rows)
{
    c->n_limits = pg_n_rows(rows);
    c->limits = c->n_limits ? arena_new(&c->verb.arena, c->n_limits * sizeof *c->limits) : NULL;
    for (size_t i = 0; i < c->n_limits; i++)
        c->limits[i] = (struct usage_limit){ .of = verb_text(&c->verb, rows, i, 0),
                                             .name = verb_text(&c->verb, rows, i, 1),
                                             .most = pg_get_int(rows, i, 2),
                                             .used = pg_get_int(rows, i, 3),
                                             .anew_at = pg_get_int(rows, i, 4) };
}

static void usage_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct usage_call *c = LIST_OWNER(v, struct usage_call, verb);

    switch ((enum statement)step) {
    case DAYS:
        c->today = pg_get_int(rows, 0, 0);
        c->first = pg_get_int(rows, 0, 1);
        return;
    case OF_MODELS: read_models(c, rows); return;
    case LIMITS: read_limits(c, rows); return;
    case STATEMENTS: return;
    }
}

static const struct verb_kind usage_kind = { usage_rows, NULL };

static void put_asker(struct pg_work *w, const struct asker *a)
{
    pg_int(w, a->tenant);
    pg_int(w, a->key);
    pg_int(w, a->account);
}

void usage_of(struct store *s, struct usage_call *c, const struct asker *asker)
{
    struct pg_work *w = verb_begin(s, &c->verb, &usage_kind);

    c->models = NULL;
    c->limits = NULL;
    c->n = c->n_limits = 0;
    pg_step(w, &usage_statements[DAYS]);
    pg_int(w, USAGE_DAYS);
    pg_step(w, &usage_statements[OF_MODELS]);
    put_asker(w, asker);
    pg_int(w, USAGE_DAYS);
    pg_step(w, &usage_statements[LIMITS]);
    put_asker(w, asker);
    verb_send(&c->verb);
}
