#include "store/operator.h"

#define TIME(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

/* ---- tenants ------------------------------------------------------------------------- */

#define TENANT_COLUMNS "id, name, " TIME("created_at") " AS created_at"

const struct pg_rows *operator_tenants(struct pg_now *db)
{
    return pg_now_ask(db, "SELECT " TENANT_COLUMNS " FROM runnel.tenant ORDER BY id", PG_NO_PARAMS);
}

const struct pg_rows *operator_make_tenant(struct pg_now *db, const char *name)
{
    return pg_now_ask(db, "INSERT INTO runnel.tenant (name) VALUES ($1) RETURNING " TENANT_COLUMNS,
                      PG_PARAMS(name));
}

bool operator_has_tenant(struct pg_now *db, const char *tenant)
{
    const struct pg_rows *rows =
        pg_now_ask(db, "SELECT FROM runnel.tenant WHERE name = $1", PG_PARAMS(tenant));

    return rows && pg_n_rows(rows);
}

/* ---- accounts ------------------------------------------------------------------------ */

#define ACCOUNT_COLUMNS                                                                            \
    "a.id, t.name AS tenant, a.subject, a.status, a.nickname, a.role, " TIME(                      \
        "a.created_at") " AS created_at, " TIME("a.updated_at") " AS updated_at"

const struct pg_rows *operator_accounts(struct pg_now *db, const char *tenant, const char *status)
{
    return pg_now_ask(db,
                      "SELECT " ACCOUNT_COLUMNS
                      " FROM runnel.account a JOIN runnel.tenant t ON t.id = a.tenant"
                      " WHERE ($1::text IS NULL OR t.name = $1)"
                      " AND ($2::runnel.account_status IS NULL OR a.status = $2)"
                      " ORDER BY t.id, a.id",
                      PG_PARAMS(tenant, status));
}

const struct pg_rows *operator_judge_account(struct pg_now *db, const char *tenant,
                                             const char *subject, const char *status)
{
    return pg_now_ask(db,
                      "UPDATE runnel.account a SET status = $3, updated_at = now()"
                      " FROM runnel.tenant t WHERE t.name = $1 AND a.tenant = t.id"
                      " AND a.subject = $2 RETURNING " ACCOUNT_COLUMNS,
                      PG_PARAMS(tenant, subject, status));
}

/* ---- limits -------------------------------------------------------------------------- */

#define LIMITS                                                                                     \
    "nullif(jsonb_strip_nulls(jsonb_build_object('requests_per_minute', l.requests_per_minute,"    \
    " 'tokens_per_minute', l.tokens_per_minute, 'streams', l.streams,"                             \
    " 'tokens_per_day', l.tokens_per_day,"                                                         \
    " 'money_per_day', trim_scale(l.money_per_day / 1000000.0))), '{}') AS limits"

/* What is not given stays as it is. */
static const char limit_sql[] =
    "WITH who AS (SELECT t.id AS tenant, t.name, a.id AS account, a.subject FROM runnel.tenant t"
    "  LEFT JOIN runnel.account a ON a.tenant = t.id AND a.subject = $2"
    "  WHERE t.name = $1 AND ($2::text IS NULL OR a.id IS NOT NULL)),"
    " set AS (INSERT INTO runnel.allowance AS o (tenant, account, requests_per_minute,"
    "   tokens_per_minute, streams, tokens_per_day, money_per_day)"
    "  SELECT tenant, account, nullif($3::text, 'none')::integer, nullif($4::text, 'none')::bigint,"
    "   nullif($5::text, 'none')::integer, nullif($6::text, 'none')::bigint,"
    "   (nullif($7::text, 'none')::numeric * 1000000)::bigint"
    "  FROM who WHERE num_nonnulls($3, $4, $5, $6, $7) > 0"
    "  ON CONFLICT (tenant, api_key, account) DO UPDATE SET"
    "   requests_per_minute = CASE WHEN $3 IS NULL THEN o.requests_per_minute"
    "    ELSE excluded.requests_per_minute END,"
    "   tokens_per_minute = CASE WHEN $4 IS NULL THEN o.tokens_per_minute"
    "    ELSE excluded.tokens_per_minute END,"
    "   streams = CASE WHEN $5 IS NULL THEN o.streams ELSE excluded.streams END,"
    "   tokens_per_day = CASE WHEN $6 IS NULL THEN o.tokens_per_day"
    "    ELSE excluded.tokens_per_day END,"
    "   money_per_day = CASE WHEN $7 IS NULL THEN o.money_per_day"
    "    ELSE excluded.money_per_day END RETURNING o.*),"
    " l AS (SELECT * FROM set UNION ALL SELECT * FROM runnel.allowance WHERE api_key IS NULL"
    "  AND NOT EXISTS (SELECT FROM set))"
    " SELECT w.name AS tenant, w.subject AS account, " LIMITS
    " FROM who w LEFT JOIN l ON l.tenant = w.tenant AND l.account IS NOT DISTINCT FROM w.account";

const struct pg_rows *operator_limit(struct pg_now *db, const char *tenant, const char *subject,
                                     const char *const limits[OPERATOR_LIMITS])
{
    return pg_now_ask(db, limit_sql,
                      PG_PARAMS(tenant, subject, limits[OPERATOR_REQUESTS_PER_MINUTE],
                                limits[OPERATOR_TOKENS_PER_MINUTE], limits[OPERATOR_STREAMS],
                                limits[OPERATOR_TOKENS_PER_DAY], limits[OPERATOR_MONEY_PER_DAY]));
}

/* ---- keys ---------------------------------------------------------------------------- */

#define KEY_STATUS                                                                                 \
    "CASE WHEN k.is_disabled THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired'"             \
    " ELSE 'active' END AS status"
#define KEY_COLUMNS                                                                                \
    "k.id, t.name AS tenant, k.name, k.hint, " KEY_STATUS                                          \
    ", a.subject AS account, to_jsonb(k.models) AS models, " TIME(                                 \
        "k.expires_at") " AS expires_at, " TIME("k.created_at") " AS created_at"

const struct pg_rows *operator_keys(struct pg_now *db, const char *tenant)
{
    return pg_now_ask(db,
                      "SELECT " KEY_COLUMNS ", " LIMITS
                      " FROM runnel.api_key k JOIN runnel.tenant t ON t.id = k.tenant"
                      " LEFT JOIN runnel.account a ON a.tenant = k.tenant AND a.id = k.account"
                      " LEFT JOIN runnel.allowance l ON l.tenant = k.tenant AND l.api_key = k.id"
                      " WHERE $1::text IS NULL OR t.name = $1 ORDER BY t.id, k.id",
                      PG_PARAMS(tenant));
}

/* One statement, so that no key is ever without its limits. */
static const char make_sql[] =
    "WITH t AS (SELECT id, name FROM runnel.tenant WHERE name = $1),"
    " a AS (SELECT a.id, a.subject FROM runnel.account a JOIN t ON a.tenant = t.id"
    "  WHERE a.subject = $2),"
    " k AS (INSERT INTO runnel.api_key (tenant, account, name, hash, hint, models, expires_at)"
    "  SELECT t.id, a.id, $3, decode($4, 'hex'), $5, string_to_array($6, ','),"
    "   now() + make_interval(secs => $7::float8)"
    "  FROM t LEFT JOIN a ON true WHERE $2 IS NULL OR a.id IS NOT NULL RETURNING *),"
    " l AS (INSERT INTO runnel.allowance (tenant, api_key, requests_per_minute,"
    "   tokens_per_minute, streams, tokens_per_day, money_per_day)"
    "  SELECT tenant, id, $8::integer, $9::bigint, $10::integer, $11::bigint,"
    "   ($12::numeric * 1000000)::bigint"
    "  FROM k WHERE num_nonnulls($8, $9, $10, $11, $12) > 0 RETURNING *)"
    " SELECT " KEY_COLUMNS ", " LIMITS
    " FROM k JOIN t ON true LEFT JOIN a ON true LEFT JOIN l ON true";

const struct pg_rows *operator_make_key(struct pg_now *db, const struct operator_key *key)
{
    const char *const *limits = key->limits;

    return pg_now_ask(db, make_sql,
                      PG_PARAMS(key->tenant, key->account, key->name, key->hash, key->hint,
                                key->models, key->seconds, limits[OPERATOR_REQUESTS_PER_MINUTE],
                                limits[OPERATOR_TOKENS_PER_MINUTE], limits[OPERATOR_STREAMS],
                                limits[OPERATOR_TOKENS_PER_DAY], limits[OPERATOR_MONEY_PER_DAY]));
}

const struct pg_rows *operator_revoke_key(struct pg_now *db, const char *tenant, const char *id)
{
    return pg_now_ask(db,
                      "WITH k AS (UPDATE runnel.api_key SET is_disabled = true"
                      "  WHERE tenant = (SELECT id FROM runnel.tenant WHERE name = $1) AND id = $2"
                      "  RETURNING *)"
                      " SELECT " KEY_COLUMNS ", " LIMITS
                      " FROM k JOIN runnel.tenant t ON t.id = k.tenant"
                      " LEFT JOIN runnel.account a ON a.tenant = k.tenant AND a.id = k.account"
                      " LEFT JOIN runnel.allowance l ON l.tenant = k.tenant AND l.api_key = k.id",
                      PG_PARAMS(tenant, id));
}

/* ---- turns --------------------------------------------------------------------------- */

/* A lease that has run out is renewed by nobody: its process is dead or cut off. */
#define TURN_STATE                                                                                 \
    "CASE WHEN t.ended_at IS NOT NULL THEN t.state::text WHEN t.lease_until < now()"               \
    " THEN 'left behind' WHEN t.stop_asked THEN 'stopping' ELSE 'running' END AS state"
#define TURN_COLUMNS                                                                               \
    "t.id, " TURN_STATE ", n.name AS tenant, t.owner, t.model, c.dialect, t.chat,"                 \
    " extract(epoch FROM coalesce(t.ended_at, now()) - t.created_at)::bigint AS seconds,"          \
    " t.fault, t.holder, " TIME("t.created_at") " AS created_at"
#define FROM_TURN                                                                                  \
    " FROM runnel.turn t JOIN runnel.tenant n ON n.id = t.tenant"                                  \
    " LEFT JOIN runnel.chat c ON c.tenant = t.tenant AND c.id = t.chat"

const struct pg_rows *operator_turns(struct pg_now *db, const char *tenant)
{
    return pg_now_ask(db,
                      "SELECT " TURN_COLUMNS FROM_TURN " WHERE t.state = 'streaming'"
                      " AND ($1::text IS NULL OR n.name = $1) ORDER BY t.created_at, t.id",
                      PG_PARAMS(tenant));
}

const struct pg_rows *operator_turn(struct pg_now *db, const char *tenant, const char *id)
{
    return pg_now_ask(db, "SELECT " TURN_COLUMNS FROM_TURN " WHERE n.name = $1 AND t.id = $2",
                      PG_PARAMS(tenant, id));
}

const struct pg_rows *operator_stop_turn(struct pg_now *db, const char *tenant, const char *id,
                                         bool notifies)
{
    const struct pg_rows *rows =
        pg_now_ask(db,
                   "UPDATE runnel.turn t SET stop_asked = true FROM runnel.tenant n"
                   " WHERE n.name = $1 AND t.tenant = n.id AND t.id = $2 AND t.ended_at IS NULL"
                   " RETURNING t.id",
                   PG_PARAMS(tenant, id));

    if (!rows || pg_n_rows(rows) == 0 || !notifies)
        return rows;
    return pg_now_ask(db, "SELECT pg_notify('runnel_stop', $1)", PG_PARAMS(id));
}
