/* budget_sql.h - what is left of allowances, as pieces of SQL: for the store's own files.
 *
 * A minute slides: it is this one, and as much of the one before as is not over yet.
 */
#ifndef STORE_BUDGET_SQL_H
#define STORE_BUDGET_SQL_H

/* The allowances of tenant $1 that speak of key $2 or account $3. */
#define BUDGET_MINE                                                                                \
    " FROM runnel.allowance a WHERE a.tenant = $1::int AND (a.api_key = $2::bigint"                \
    " OR a.account = $3::bigint OR (a.api_key IS NULL AND a.account IS NULL))"

/* It comes first in a WITH. */
#define BUDGET_NOW                                                                                 \
    "t AS (SELECT date_trunc('minute', c) AS minute,"                                              \
    "  (extract(second FROM c) / 60)::float8 AS part, c AS now,"                                   \
    "  (c AT TIME ZONE 'UTC')::date AS day,"                                                       \
    "  86400 - extract(epoch FROM (c AT TIME ZONE 'UTC')::time) AS day_left"                       \
    "  FROM (SELECT clock_timestamp() AS c) x)"

/* A row for each of them. */
#define BUDGET_STATE                                                                               \
    "a.*, t.*,"                                                                                    \
    "  coalesce(s.tokens, 0) + coalesce(r.tokens, 0) AS day_tokens,"                               \
    "  coalesce(s.money, 0) + coalesce(r.money, 0) AS day_money, r.n AS running,"                  \
    "  ceil(coalesce(p1.requests, 0) + coalesce(p0.requests, 0) * (1 - t.part)) AS m_requests,"    \
    "  ceil(coalesce(p1.tokens, 0) + coalesce(p0.tokens, 0) * (1 - t.part)) AS m_tokens"
#define BUDGET_FROM                                                                                \
    "  FROM t CROSS JOIN (SELECT a.*" BUDGET_MINE ") a"                                            \
    "  LEFT JOIN runnel.spending s ON s.tenant = a.tenant AND s.allowance = a.id"                  \
    "   AND s.day = t.day" BUDGET_PACES                                                            \
    "  CROSS JOIN LATERAL (SELECT count(*) AS n,"                                                  \
    "   sum(r.tokens) FILTER (WHERE r.day = t.day) AS tokens,"                                     \
    "   sum(r.money) FILTER (WHERE r.day = t.day) AS money FROM runnel.reservation r"              \
    "   WHERE r.tenant = a.tenant AND r.allowance = a.id AND r.expires_at > t.now) r"
#define BUDGET_PACES                                                                               \
    "  LEFT JOIN runnel.pace p1 ON p1.tenant = a.tenant AND p1.allowance = a.id"                   \
    "   AND p1.minute = t.minute"                                                                  \
    "  LEFT JOIN runnel.pace p0 ON p0.tenant = a.tenant AND p0.allowance = a.id"                   \
    "   AND p0.minute = t.minute - interval '1 minute'"

#endif
