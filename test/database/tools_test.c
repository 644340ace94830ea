/* tools_test.c - the tools of tenants in a real PostgreSQL: what an operator keeps is what a
 * process reads, of that tenant and of no other, and no header ever comes back to him. */
#include "base/clock.h"
#include "database/kept.h"
#include "store/operator.h"
#include "store/tools.h"

#define SECRET "only the service may read this"

static struct pg_now    *db;
static struct tools_call call;

static const struct operator_tool weather = {
    .tenant = "default",
    .name = "weather",
    .url = "https://example.com/city/{city}",
    .description = "The weather,\nnow.",
    .method = "POST",
    .parameters = "{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}",
    .headers = "X-Key: " SECRET "\nX-Other: b",
    .models = "m\nn",
    .timeout_ms = "2500",
    .max_output_bytes = "4096",
    .runs_alone = "true",
};

static int begin(void **state)
{
    char why[PG_WHY_MAX] = "", line[300];

    (void)state;
    cluster_sql(line, "TRUNCATE runnel.tool");
    db = pg_now_open(cluster_url(), 5 * CLOCK_S, why);
    check_that(db, "%s", why);
    open_store(1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    verb_drop(&call.verb);
    pg_now_close(db);
    close_store();
    return 0;
}

static void read_of(int32_t tenant, size_t n)
{
    verb_drop(&call.verb);
    AWAIT(call, tools_of_tenant(store, &call, tenant));
    check_end(call, STORE_OK);
    assert_int_equal(call.n, n);
}

/* No cell of what came back may hold a secret. */
static void check_rows(const struct pg_rows *rows, size_t n)
{
    check_that(rows, "%s", pg_now_why(db));
    assert_int_equal(pg_n_rows(rows), n);
    for (size_t row = 0; row < n; row++)
        for (int column = 0; column < pg_n_columns(rows); column++)
            assert_false(check_has(pg_get(rows, row, column), STR(SECRET)));
}

static struct str cell(const struct pg_rows *rows, const char *name)
{
    for (int column = 0; column < pg_n_columns(rows); column++)
        if (strcmp(pg_column_name(rows, column), name) == 0)
            return pg_get(rows, 0, column);
    fail_msg("there is no column %s", name);
    return STR("");
}

static void keep(const char *tenant, const char *name)
{
    struct operator_tool t = weather;

    t.tenant = tenant;
    t.name = name;
    check_rows(operator_keep_tool(db, &t, false), 1);
}

/* ---- what is kept is what is read ----------------------------------------------------------- */

TEST(what_is_kept_is_read)
{
    const struct kept_tool *t;
    struct operator_tool    plain = weather;

    check_rows(operator_keep_tool(db, &weather, false), 1);
    read_of(1, 1);
    t = &call.tools[0];
    check_str(t->name, "weather");
    check_str(t->url, "https://example.com/city/{city}");
    check_str(t->description, "The weather,\nnow.");
    check_str(t->method, "POST");
    check_str(t->parameters, "{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}");
    check_str(t->headers, "X-Key: " SECRET "\nX-Other: b");
    check_str(t->models, "m\nn");
    assert_false(t->is_for_all);
    check_str(t->timeout, "2500ms");
    check_str(t->max_output, "4096");
    check_str(t->alone, "true");
    plain.name = "all";
    plain.headers = "";
    plain.models = NULL;
    plain.runs_alone = "false";
    check_rows(operator_keep_tool(db, &plain, false), 1);
    read_of(1, 2);
    t = &call.tools[0];
    check_str(t->name, "all");
    check_str(t->headers, "");
    assert_true(t->is_for_all);
    check_str(t->alone, "false");
}

TEST(what_is_shown_is_all_but_the_secrets)
{
    const struct pg_rows *rows;

    check_rows(operator_keep_tool(db, &weather, false), 1);
    rows = operator_tool(db, "default", "weather");
    check_rows(rows, 1);
    check_str(cell(rows, "headers"), "[\"X-Key\", \"X-Other\"]");
    check_str(cell(rows, "models"), "[\"m\", \"n\"]");
    check_str(cell(rows, "status"), "active");
    check_str(cell(rows, "tenant"), "default");
    check_str(cell(rows, "parameters"), "{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}");
    check_rows(operator_tools(db, NULL), 1);
    check_rows(operator_switch_tool(db, "default", "weather", true), 1);
    check_rows(operator_remove_tool(db, "default", "weather"), 1);
}

TEST(one_that_is_disabled_is_not_read)
{
    keep("default", "a");
    keep("default", "b");
    check_str(cell(operator_switch_tool(db, "default", "a", true), "status"), "disabled");
    read_of(1, 1);
    check_str(call.tools[0].name, "b");
    check_str(cell(operator_switch_tool(db, "default", "a", false), "status"), "active");
    read_of(1, 2);
    check_rows(operator_remove_tool(db, "default", "a"), 1);
    check_rows(operator_remove_tool(db, "default", "a"), 0);
    read_of(1, 1);
}

TEST(one_of_that_name_is_replaced_when_it_is_meant)
{
    struct operator_tool another = weather;

    another.url = "https://example.com/other";
    another.headers = "";
    keep("default", "weather");
    check_rows(operator_keep_tool(db, &another, false), 0);
    read_of(1, 1);
    check_text(call.tools[0].url, weather.url);
    check_rows(operator_switch_tool(db, "default", "weather", true), 1);
    check_rows(operator_keep_tool(db, &another, true), 1);
    read_of(1, 0);                            /* what was disabled stays so     */
    check_rows(operator_switch_tool(db, "default", "weather", false), 1);
    read_of(1, 1);
    check_str(call.tools[0].url, "https://example.com/other");
    check_str(call.tools[0].headers, "");
}

/* ---- whose they are -------------------------------------------------------------------------- */

TEST(no_tenant_sees_or_touches_anothers)
{
    struct operator_tool theirs = weather;

    keep("default", "weather");
    keep("default", "ours");
    read_of(2, 0);
    read_of(0, 0);
    read_of(-1, 0);
    check_rows(operator_tools(db, "another site"), 0);
    check_rows(operator_tool(db, "another site", "weather"), 0);
    check_rows(operator_switch_tool(db, "another site", "weather", true), 0);
    check_rows(operator_remove_tool(db, "another site", "weather"), 0);
    theirs.tenant = "another site";
    theirs.url = "https://example.com/theirs";
    check_rows(operator_keep_tool(db, &theirs, true), 1);
    read_of(1, 2);
    check_text(call.tools[1].url, weather.url);
    read_of(2, 1);
    check_str(call.tools[0].url, "https://example.com/theirs");
    check_rows(operator_tools(db, "default"), 2);
    check_rows(operator_tools(db, "another site"), 1);
    check_rows(operator_tools(db, NULL), 3);
    theirs.tenant = "nowhere";
    check_rows(operator_keep_tool(db, &theirs, true), 0);
    check_rows(operator_tools(db, "nowhere"), 0);
}

/* ---- how many, and what else ------------------------------------------------------------------ */

TEST(a_tenant_has_so_many_and_no_more)
{
    struct operator_tool t = weather;
    char                 name[20], line[300];

    t.name = name;
    for (int i = 0; i < TENANT_TOOLS_MAX; i++) {
        snprintf(name, sizeof name, "t%d", i);
        check_rows(operator_keep_tool(db, &t, false), 1);
    }
    check_rows(operator_keep_tool(db, &t, true), 1);          /* one of them    */
    snprintf(name, sizeof name, "more");
    check_rows(operator_keep_tool(db, &t, true), 0);
    keep("another site", "more");
    cluster_sql(line, "INSERT INTO runnel.tool (tenant, name, url) SELECT 1, 'x' || n, 'u' FROM "
                      "generate_series(1, 10) n");
    read_of(1, TENANT_TOOLS_MAX);
}

TEST(whatever_changes_is_noticed)
{
    static const char *const changes[] = {
        "name = 'other'",     "description = ''", "method = 'GET'",       "url = 'u'",
        "parameters = '{}'",  "headers = '{}'",   "headers = '{\"\"}'",   "models = '{}'",
        "models = NULL",      "timeout_ms = 1",   "max_output_bytes = 1", "runs_alone = false",
        "is_disabled = true",
    };
    unsigned char before[SHA256_BYTES];
    char          line[300];

    keep("default", "weather");
    read_of(1, 1);
    memcpy(before, call.digest, sizeof before);
    cluster_sql(line, "UPDATE runnel.tool SET updated_at = now()");
    read_of(1, 1);
    assert_memory_equal(before, call.digest, sizeof before);
    for (size_t i = 0; i < COUNT(changes); i++) {
        memcpy(before, call.digest, sizeof before);
        cluster_sql(line, "UPDATE runnel.tool SET %s", changes[i]);
        read_of(1, i + 1 < COUNT(changes));
        if (strcmp(changes[i], "headers = '{\"\"}'") != 0)    /* no header is no header */
            check_that(memcmp(before, call.digest, sizeof before) != 0, "%s", changes[i]);
    }
}

TEST(the_table_refuses_what_can_be_no_tool)
{
    static const char *const rows[] = {
        "(1, '', 'u')",      "(1, 'a b', 'u')",
        "(1, E'a\\n', 'u')", "(1, repeat('a', 65), 'u')",
        "(1, 'a', '')",      "(1, 'a', repeat('u', 8193))",
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char sql[200];

        snprintf(sql, sizeof sql, "INSERT INTO runnel.tool (tenant, name, url) VALUES %s", rows[i]);
        check_that(!pg_now_do(db, sql) && pg_now_failed_with(db, "23514"), "%s: %s", rows[i],
                   pg_now_why(db));
    }
    assert_false(
        pg_now_do(db, "INSERT INTO runnel.tool (tenant, name, url) VALUES (77, 'a', 'u')"));
    assert_true(pg_now_failed_with(db, "23503"));
}

TEST(a_store_that_is_away_says_so)
{
    start_killing();
    for (int i = 0; i < 5; i++) {
        verb_drop(&call.verb);
        AWAIT(call, tools_of_tenant(store, &call, 1));
        assert_true(call.verb.end == STORE_OK || call.verb.end == STORE_AWAY ||
                    call.verb.end == STORE_BUSY || call.verb.end == STORE_UNKNOWN);
    }
    stop_killing();
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(what_is_kept_is_read),
        ONE(what_is_shown_is_all_but_the_secrets),
        ONE(one_that_is_disabled_is_not_read),
        ONE(one_of_that_name_is_replaced_when_it_is_meant),
        ONE(no_tenant_sees_or_touches_anothers),
        ONE(a_tenant_has_so_many_and_no_more),
        ONE(whatever_changes_is_noticed),
        ONE(the_table_refuses_what_can_be_no_tool),
        ONE(a_store_that_is_away_says_so),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
