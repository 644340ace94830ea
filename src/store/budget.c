#include "store/budget.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/budget_sql.h"

enum { LOCK, RESERVE, GO_ON, SETTLE, COUNT_USAGE, SWEEP_PACE, SWEEP_RESERVED, SWEEP_BILLED };

/* A minute that slides: this one, and as much of the one before as is not over yet. What comes
 * late, from a connection that was given up, finds a turn that has been billed already. */
static const char reserve_sql[] =
    "WITH " BUDGET_NOW ","
    " state AS (SELECT " BUDGET_STATE ","
    "  EXISTS (SELECT FROM runnel.reservation o WHERE o.tenant = a.tenant"
    "   AND o.allowance = a.id AND o.turn = $4) OR EXISTS (SELECT FROM runnel.billed b"
    "   WHERE b.tenant = a.tenant AND b.turn = $4) AS had" BUDGET_FROM "),"
    " broken AS (SELECT which, CASE WHEN which < 3 THEN 60 - part * 60 WHEN which = 3 THEN 1"
    "  ELSE day_left END AS wait FROM (SELECT *, CASE"
    "  WHEN m_requests + 1 > requests_per_minute THEN 1"
    "  WHEN m_tokens + $5::bigint > tokens_per_minute THEN 2"
    "  WHEN running + 1 > streams THEN 3"
    "  WHEN day_tokens + $5::bigint > tokens_per_day THEN 4"
    "  WHEN day_money + $6::bigint > money_per_day THEN 5 END AS which FROM state"
    "  WHERE NOT had) x WHERE which IS NOT NULL),"
    " made AS (INSERT INTO runnel.reservation"
    "  (tenant, allowance, turn, day, tokens, money, expires_at, minute)"
    "  SELECT tenant, id, $4, day, $5::bigint, $6::bigint,"
    "   now + $7::bigint * interval '1 second', minute"
    "  FROM state WHERE NOT had AND NOT EXISTS (SELECT FROM broken)"
    "  ON CONFLICT DO NOTHING RETURNING tenant, allowance, minute),"
    " paced AS (INSERT INTO runnel.pace AS p (tenant, allowance, minute, requests, tokens)"
    "  SELECT tenant, allowance, minute, 1, $5::bigint FROM made"
    "  ON CONFLICT (tenant, allowance, minute) DO UPDATE"
    "  SET requests = p.requests + 1, tokens = p.tokens + excluded.tokens)"
    " SELECT (SELECT which FROM broken ORDER BY wait DESC, which LIMIT 1),"
    "  (SELECT ceil(max(wait)) FROM broken),"
    "  min(requests_per_minute), min(requests_per_minute - m_requests - 1),"
    "  min(tokens_per_minute), min(tokens_per_minute - m_tokens - $5::bigint) FROM state";

/* Of a turn's tokens those that it has used stay in the minute in which they were reserved; those
 * of the round go into this one, from which the bill takes back what was not used. */
static const char go_on_sql[] =
    "WITH " BUDGET_NOW ","
    " state AS (SELECT a.*, t.*, g.minute AS old_minute, g.tokens AS old_tokens,"
    "  coalesce(s.tokens, 0) + coalesce(r.tokens, 0) AS day_tokens,"
    "  coalesce(s.money, 0) + coalesce(r.money, 0) AS day_money,"
    "  ceil(coalesce(p1.tokens, 0) + CASE WHEN g.minute = t.minute THEN $5::bigint - g.tokens"
    "   ELSE 0 END + (coalesce(p0.tokens, 0) + CASE WHEN g.minute = t.minute - interval '1 minute'"
    "   THEN $5 - g.tokens ELSE 0 END) * (1 - t.part)) AS m_tokens"
    "  FROM t CROSS JOIN (SELECT a.*" BUDGET_MINE ") a"
    "  JOIN runnel.reservation g ON g.tenant = a.tenant AND g.allowance = a.id AND g.turn = $4"
    "  LEFT JOIN runnel.spending s ON s.tenant = a.tenant AND s.allowance = a.id"
    "   AND s.day = g.day" BUDGET_PACES
    "  CROSS JOIN LATERAL (SELECT sum(o.tokens) AS tokens, sum(o.money) AS money"
    "   FROM runnel.reservation o WHERE o.tenant = a.tenant AND o.allowance = a.id"
    "   AND o.day = g.day AND o.turn <> $4 AND o.expires_at > t.now) r),"
    " broken AS (SELECT which, CASE WHEN which = 2 THEN 60 - part * 60 ELSE day_left END AS wait"
    "  FROM (SELECT *, CASE"
    "  WHEN m_tokens + $6::bigint > tokens_per_minute THEN 2"
    "  WHEN day_tokens + $5 + $6 > tokens_per_day THEN 4"
    "  WHEN day_money + $7::bigint > money_per_day THEN 5 END AS which FROM state) x"
    "  WHERE which IS NOT NULL),"
    " moved AS (UPDATE runnel.reservation g SET tokens = $5 + $6, money = $7, minute = s.minute,"
    "   expires_at = s.now + $8::bigint * interval '1 second' FROM state s"
    "  WHERE g.tenant = s.tenant AND g.allowance = s.id AND g.turn = $4"
    "   AND NOT EXISTS (SELECT FROM broken)"
    "  RETURNING g.tenant, g.allowance, g.minute, s.old_minute, s.old_tokens),"
    " paced AS (INSERT INTO runnel.pace AS p (tenant, allowance, minute, requests, tokens)"
    "  SELECT tenant, allowance, minute, 0, sum(tokens)::bigint FROM"
    "   (SELECT tenant, allowance, minute, $6 AS tokens FROM moved UNION ALL"
    "    SELECT tenant, allowance, old_minute, $5 - old_tokens FROM moved) x GROUP BY 1, 2, 3"
    "  ON CONFLICT (tenant, allowance, minute) DO UPDATE"
    "  SET tokens = greatest(0, p.tokens + excluded.tokens))"
    " SELECT (SELECT which FROM broken ORDER BY wait DESC, which LIMIT 1),"
    "  (SELECT ceil(max(wait)) FROM broken)";

const struct pg_statement budget_statements[] = {
    /* A statement of its own: what the next one sees is then what the lock was waited for. */
    [LOCK] = { "budget_lock", "SELECT a.id" BUDGET_MINE " ORDER BY a.id FOR NO KEY UPDATE" },
    [RESERVE] = { "budget_reserve", reserve_sql },
    [GO_ON] = { "budget_go_on", go_on_sql },
    [SETTLE] = { "budget_settle",
                 "WITH gone AS (DELETE FROM runnel.reservation WHERE tenant = $1::int AND turn = $2"
                 "  RETURNING tenant, allowance, day, minute, tokens),"
                 " spent AS (INSERT INTO runnel.spending AS s"
                 "  (tenant, allowance, day, tokens, money)"
                 "  SELECT tenant, allowance, day, $3::bigint, $4::bigint FROM gone"
                 "  ORDER BY allowance ON CONFLICT (tenant, allowance, day) DO UPDATE"
                 "  SET tokens = s.tokens + excluded.tokens, money = s.money + excluded.money)"
                 " UPDATE runnel.pace p SET tokens = greatest(0, p.tokens + $3::bigint - g.tokens)"
                 " FROM gone g WHERE p.tenant = g.tenant AND p.allowance = g.allowance"
                 " AND p.minute = g.minute" },
    [COUNT_USAGE] = { "budget_count",
                      "WITH first AS (INSERT INTO runnel.billed (tenant, turn) VALUES ($1::int, $2)"
                      "  ON CONFLICT DO NOTHING RETURNING tenant)"
                      " INSERT INTO runnel.usage AS u (tenant, day, api_key, account, model,"
                      "  requests, failures, prompt_tokens, completion_tokens, estimated, money)"
                      " SELECT tenant, (clock_timestamp() AT TIME ZONE 'UTC')::date, $3::bigint,"
                      "  $4::bigint, $5, 1, $6::int, $7::bigint, $8::bigint, $9::int, $10::bigint"
                      " FROM first ON CONFLICT (tenant, day, api_key, account, model) DO UPDATE SET"
                      "  requests = u.requests + 1, failures = u.failures + excluded.failures,"
                      "  prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,"
                      "  completion_tokens = u.completion_tokens + excluded.completion_tokens,"
                      "  estimated = u.estimated + excluded.estimated,"
                      "  money = u.money + excluded.money" },
    [SWEEP_PACE] = { "budget_sweep_pace",
                     "DELETE FROM runnel.pace WHERE minute < now() - interval '10 minutes'" },
    [SWEEP_RESERVED] = { "budget_sweep_reserved", "DELETE FROM runnel.reservation"
                                                  " WHERE expires_at < now() - interval '2 days'" },
    [SWEEP_BILLED] = { "budget_sweep_billed",
                       "DELETE FROM runnel.billed WHERE at < now() - interval '2 days'" },
    { NULL, NULL },
};

/* ---- reserve --------------------------------------------------------------------------- */

static struct budget_room room_at(const struct pg_rows *rows, int column)
{
    int64_t left = pg_get_int(rows, 0, column + 1);

    return (struct budget_room){ pg_get_int(rows, 0, column), left > 0 ? left : 0 };
}

static void take_reserved(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct budget_call *c = (struct budget_call *)v;

    if (step == 0)
        return;
    c->limit = (enum budget_limit)pg_get_int(rows, 0, 0);
    c->wait = (uint64_t)pg_get_int(rows, 0, 1);
    c->requests = room_at(rows, 2);
    c->tokens = room_at(rows, 4);
}

static const struct verb_kind reserve_kind = { .rows = take_reserved };

static void put_asker(struct pg_work *w, const struct asker *a)
{
    pg_int(w, a->tenant);
    pg_int(w, a->key);
    pg_int(w, a->account);
}

void budget_reserve(struct store *s, struct budget_call *c, const struct budget_ask *ask)
{
    struct pg_work *w = verb_begin(s, &c->verb, &reserve_kind);

    pg_step(w, &budget_statements[LOCK]);
    put_asker(w, ask->asker);
    pg_step(w, &budget_statements[RESERVE]);
    put_asker(w, ask->asker);
    pg_text(w, ask->turn);
    pg_int(w, (int64_t)ask->tokens);
    pg_int(w, (int64_t)ask->money);
    pg_int(w, (int64_t)ask->seconds);
    verb_send(&c->verb);
}

/* ---- go on ----------------------------------------------------------------------------- */

static void take_limit(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct budget_call *c = (struct budget_call *)v;

    if (step == 0)
        return;
    c->limit = (enum budget_limit)pg_get_int(rows, 0, 0);
    c->wait = (uint64_t)pg_get_int(rows, 0, 1);
}

static const struct verb_kind go_on_kind = { .rows = take_limit };

void budget_go_on(struct store *s, struct budget_call *c, const struct budget_round *round)
{
    struct pg_work *w = verb_begin(s, &c->verb, &go_on_kind);

    pg_step(w, &budget_statements[LOCK]);
    put_asker(w, round->asker);
    pg_step(w, &budget_statements[GO_ON]);
    put_asker(w, round->asker);
    pg_text(w, round->turn);
    pg_int(w, (int64_t)round->used);
    pg_int(w, (int64_t)round->next);
    pg_int(w, (int64_t)round->money);
    pg_int(w, (int64_t)round->seconds);
    verb_send(&c->verb);
}

/* ---- settle ---------------------------------------------------------------------------- */

enum { SETTLE_PATIENCE_S = 30 };

static void settled(struct pg_work *w, enum pg_end end)
{
    (void)w;
    if (end != PG_DONE)
        LOG(LOG_ERROR, L_MSG("usage not counted"), L_TEXT("end", pg_end_name(end)),
            L_TEXT("sqlstate", w->sqlstate));
}

static const struct pg_work_ops settle_ops = { .done = settled };

static void put_usage(struct pg_work *w, const struct budget_bill *b)
{
    pg_step(w, &budget_statements[COUNT_USAGE]);
    pg_int(w, b->tenant);
    pg_text(w, b->turn);
    pg_int(w, b->key);
    pg_int(w, b->account);
    pg_text(w, b->model);
    pg_int(w, b->is_failure);
    pg_int(w, (int64_t)b->usage.prompt);
    pg_int(w, (int64_t)b->usage.completion);
    pg_int(w, b->is_estimated);
    pg_int(w, (int64_t)b->money);
}

void budget_settle(struct store *s, const struct budget_bill *b)
{
    struct pg_work *w = pg_work_new(&settle_ops, NULL);
    uint64_t        tokens = b->usage.prompt + b->usage.completion;

    w->max_wait = SETTLE_PATIENCE_S * CLOCK_S;
    w->insists = true;
    pg_step(w, &budget_statements[SETTLE]);
    pg_int(w, b->tenant);
    pg_text(w, b->turn);
    pg_int(w, (int64_t)tokens);
    pg_int(w, (int64_t)b->money);
    if (!b->was_refused)
        put_usage(w, b);
    store_do(s, w);
}

void budget_sweep(struct store *s)
{
    struct pg_work *w = pg_work_new(NULL, NULL);

    pg_step(w, &budget_statements[SWEEP_PACE]);
    pg_step(w, &budget_statements[SWEEP_RESERVED]);
    pg_step(w, &budget_statements[SWEEP_BILLED]);
    store_do(s, w);
}
