/* operator_tools.c - what an operator does to the tools of tenants. */
#include "store/operator.h"
#include "store/tools.h"

#include <stdio.h>

#define TIME(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

#define FIRST_COLUMNS                                                                              \
    "t.name AS tenant, k.name, CASE WHEN k.is_disabled THEN 'disabled' ELSE 'active' END"          \
    " AS status, k.method, k.url, to_jsonb(k.models) AS models"
/* Of a header its name alone: a secret does not even leave the database. */
#define HEADER_NAMES                                                                               \
    "coalesce((SELECT jsonb_agg(split_part(h, ':', 1) ORDER BY n)"                                 \
    " FROM unnest(k.headers) WITH ORDINALITY AS x (h, n)), '[]') AS headers"
#define TOOL_COLUMNS                                                                               \
    FIRST_COLUMNS ", k.description, k.parameters, " HEADER_NAMES                                   \
                  ", k.timeout_ms, k.max_output_bytes, k.runs_alone, " TIME(                       \
                      "k.created_at") " AS created_at, " TIME("k.updated_at") " AS updated_at"
#define OF_TENANT " FROM k JOIN runnel.tenant t ON t.id = k.tenant"
#define TENANT_ID "(SELECT id FROM runnel.tenant WHERE name = $1)"

const struct pg_rows *operator_tools(struct pg_now *db, const char *tenant)
{
    return pg_now_ask(
        db,
        "SELECT " FIRST_COLUMNS
        ", " TIME("k.updated_at") " AS updated_at"
                                  " FROM runnel.tool k JOIN runnel.tenant t ON t.id = k.tenant"
                                  " WHERE $1::text IS NULL OR t.name = $1 ORDER BY t.id, k.name",
        PG_PARAMS(tenant));
}

const struct pg_rows *operator_tool(struct pg_now *db, const char *tenant, const char *name)
{
    return pg_now_ask(db,
                      "WITH k AS (SELECT * FROM runnel.tool WHERE tenant = " TENANT_ID
                      "  AND name = $2)"
                      " SELECT " TOOL_COLUMNS OF_TENANT,
                      PG_PARAMS(tenant, name));
}

const struct pg_rows *operator_switch_tool(struct pg_now *db, const char *tenant, const char *name,
                                           bool is_disabled)
{
    return pg_now_ask(db,
                      "WITH k AS (UPDATE runnel.tool SET is_disabled = $3::boolean,"
                      "  updated_at = now() WHERE tenant = " TENANT_ID " AND name = $2 RETURNING *)"
                      " SELECT " TOOL_COLUMNS OF_TENANT,
                      PG_PARAMS(tenant, name, is_disabled ? "true" : "false"));
}

const struct pg_rows *operator_remove_tool(struct pg_now *db, const char *tenant, const char *name)
{
    return pg_now_ask(db,
                      "WITH k AS (DELETE FROM runnel.tool WHERE tenant = " TENANT_ID
                      "  AND name = $2 RETURNING *)"
                      " SELECT " TOOL_COLUMNS OF_TENANT,
                      PG_PARAMS(tenant, name));
}

static const char keep_sql[] =
    "WITH k AS (INSERT INTO runnel.tool AS o (tenant, name, url, description, method, parameters,"
    "   headers, models, timeout_ms, max_output_bytes, runs_alone)"
    "  SELECT id, $2::text, $3::text, $4::text, $5::text, $6::json,"
    "   string_to_array($7::text, E'\\n'), string_to_array($8::text, E'\\n'), $9::integer,"
    "   $10::integer, $11::boolean"
    "  FROM runnel.tenant t WHERE t.name = $1 AND (SELECT count(*) FROM runnel.tool x"
    "   WHERE x.tenant = t.id AND x.name <> $2::text) < $12::integer"
    "  ON CONFLICT (tenant, name) DO UPDATE SET url = excluded.url,"
    "   description = excluded.description, method = excluded.method,"
    "   parameters = excluded.parameters, headers = excluded.headers, models = excluded.models,"
    "   timeout_ms = excluded.timeout_ms, max_output_bytes = excluded.max_output_bytes,"
    "   runs_alone = excluded.runs_alone, updated_at = now() WHERE $13::boolean RETURNING *)"
    " SELECT " TOOL_COLUMNS OF_TENANT;

const struct pg_rows *operator_keep_tool(struct pg_now *db, const struct operator_tool *tool,
                                         bool replaces)
{
    char most[12];

    snprintf(most, sizeof most, "%d", TENANT_TOOLS_MAX);
    return pg_now_ask(db, keep_sql,
                      PG_PARAMS(tool->tenant, tool->name, tool->url, tool->description,
                                tool->method, tool->parameters, tool->headers, tool->models,
                                tool->timeout_ms, tool->max_output_bytes, tool->runs_alone, most,
                                replaces ? "true" : "false"));
}
