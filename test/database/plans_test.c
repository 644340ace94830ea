/* plans_test.c - no statement of the store reads a whole table, neither planned for its
 * values nor for any.
 */
#include "base/clock.h"
#include "database/kept.h"
#include "store/operations.h"
#include "store/pending.h"
#include "store/sessions.h"
#include "store/tools.h"
#include "store/usage.h"

enum { STATEMENTS_MAX = 80 };

/* 100,000 chats, messages, turns and pieces. A tenth of the chats is anna's, and a chat of
 * hers has a thousandth of the messages, so that reading all would never be the best. */
static const char *const fill[] = {
    "INSERT INTO runnel.chat (tenant, dialect, owner, uid, context_type, context_id, "
    "last_message_at, next_seq) SELECT 1 + n % 2, 'xcx', CASE WHEN n % 10 = 1 THEN 'anna' "
    "ELSE 'o' || n % 1000 END, 'u' || n, 'task', n % 5000, CASE WHEN n % 3 > 0 THEN now() - n * "
    "interval '1 second' END, 100 FROM generate_series(1, 100000) n",

    "INSERT INTO runnel.message (tenant, chat, seq, role, content, once) SELECT c.tenant, c.id, "
    "s, 'user', 'words', CASE WHEN s = 7 THEN 'once' END FROM runnel.chat c, "
    "generate_series(0, 99) s WHERE c.id % 100 = 1",

    "INSERT INTO runnel.turn (tenant, id, owner, idempotency_key, chat, state, ended_at, "
    "lease_until, holder, has_journal) SELECT c.tenant, 't' || c.id, c.owner, 'k' || c.id, c.id, "
    "CASE WHEN c.id % 200 = 1 THEN 'streaming' ELSE 'complete' END::runnel.message_state, "
    "CASE WHEN c.id % 200 <> 1 THEN now() - c.id * interval '1 second' END, "
    "CASE WHEN c.id % 200 = 1 THEN now() + (c.id % 100) * interval '1 second' END, 'p1', "
    "c.id % 200 = 2 FROM runnel.chat c",

    "INSERT INTO runnel.pending (tenant, chat, key, content, is_assistants, context, model, "
    "api_key, account, is_limited) SELECT c.tenant, c.id, 'k' || n, 'words', false, '', '', 0, 0, "
    "false FROM runnel.chat c, generate_series(1, 3) n WHERE c.id % 10 = 1",

    "INSERT INTO runnel.operation (tenant, id, chat, turn, call, tool, arguments, model, api_key, "
    "account, is_limited, output_limit, state, is_due, expires_at, ended_at) SELECT t.tenant, "
    "'o' || t.id, t.chat, t.id, 'c', 't', sha256(''), 'm', 0, 0, false, 1, CASE WHEN "
    "t.chat % 1000 = 1 THEN 'running' ELSE 'completed' END, t.chat % 1000 = 2, now() + "
    "t.chat * interval '1 second', CASE WHEN t.chat % 1000 <> 1 THEN now() - (t.chat % 86000) * "
    "interval '1 second' END FROM runnel.turn t",

    ("INSERT INTO runnel.journal (tenant, turn, seq, events) SELECT tenant, id, s, '\\x01' "
     "FROM runnel.turn, generate_series(0, 99) s WHERE has_journal OR state = 'streaming'"),

    "INSERT INTO runnel.account (tenant, subject) SELECT 1 + n % 2, 's' || n FROM "
    "generate_series(1, 5000) n",

    "INSERT INTO runnel.tenant (id, name) SELECT n, 'tenant' || n FROM generate_series(3, 99) n",

    "INSERT INTO runnel.api_key (tenant, name, hash, hint) SELECT 1 + n % 99, 'k', "
    "sha256(n::text::bytea), 'rk' FROM generate_series(1, 20000) n",

    ("INSERT INTO runnel.usage (tenant, day, account, model) SELECT a.tenant, current_date - d, "
     "a.id, 'm' FROM runnel.account a, generate_series(0, 19) d"),

    "INSERT INTO runnel.tool (tenant, name, url) SELECT 1 + n % 2, 't' || n, 'u' "
    "FROM generate_series(1, 10000) n",

    "VACUUM ANALYZE runnel.account, runnel.api_key, runnel.usage",
    "VACUUM ANALYZE runnel.chat, runnel.message, runnel.turn, runnel.journal, "
    "runnel.operation, runnel.tool",
};

#define ANNA  "1, 'xcx', 'anna'"
#define CHAT  ANNA ", 101, ''"
#define ROLES "'{user,assistant}'"
#define KEY   "1700000000000000"

static const char *const rows[] = {
    "chat_find(" CHAT ")",
    "chat_find(" ANNA ", NULL, 'u101')",
    "chat_make_for_context(" ANNA ", 'task', '7', 259200, false, 'u', '', '', '{}')",
    "chat_find_for_context(" ANNA ", 'task', '7', 259200, false)",
    "chat_rename(" CHAT ", 'title')",
    "chat_pin(" CHAT ", true)",
    "chat_keep_session(" CHAT ", 's')",
    "chat_assign(" CHAT ", 'bob')",
    "chat_delete(" CHAT ")",
    "chat_count(" ANNA ")",
    "chat_page_by_message(" ANNA ", 100, 20)",
    "chat_page_by_update(" ANNA ", 100, 20)",
    "chat_page_by_birth(" ANNA ", 100, 20)",
    "chat_behind_by_message(" ANNA ", " KEY ", 5, 20)",
    "chat_behind_by_message(" ANNA ", 0, 50000, 20)",
    "chat_behind_by_update(" ANNA ", " KEY ", 5, 20)",
    "chat_behind_by_birth(" ANNA ", " KEY ", 5, 20)",
    "message_lock(" CHAT ")",
    "message_append(" CHAT ", 'user', 'a', '', '', '', NULL, NULL, '{}', '', 'once')",
    "message_find_once(" CHAT ", 'once')",
    "message_find_chat(" CHAT ")",
    "message_count(" CHAT ", " ROLES ")",
    "message_page(" CHAT ", " ROLES ", 20, 20)",
    "message_last(" CHAT ", " ROLES ", 50, 21)",
    "message_search(" ANNA ", 'word', 5)",
    "message_annotate(" CHAT ", 5, '{}')",
    "turn_claim_in_chat(" CHAT ", 'new', 'k', NULL, 'm', 'p1', 30000, 'user', 'a', '', '{}', '')",
    "turn_claim_in_chats('{1,1}', '{xcx,xcx}', '{anna,anna}', '{101,102}', '{\"\",\"\"}', '{n1,n2}', "
    "'{k,NULL}', '{NULL,NULL}', '{m,m}', '{p1,p1}', '{30000,30000}', '{user,user}', '{a,b}', "
    "'{\"\",\"\"}', '{\"{}\",\"{}\"}', '{\"\",\"\"}')",
    "turn_claim_in_crowd(" CHAT ", 'new', 'k', NULL, 'm', 'p1', 30000, 'user', 'a', '', '{}', '', "
    "5, 15, 1800)",
    "turn_find_claimed(1, 'anna', 'k1', 'new', NULL)",
    "turn_end(1, 't101', 'p1', 'complete', '', 'stop', 1, 2, 'a', '', NULL, NULL, '{}', '', 5, "
    "'\\x01')",
    "turn_find_ended(1, 't101', 'p1')",
    "turn_find(1, 'anna', 't101')",
    "turn_find_of_chat(" CHAT ", 0)",
    "turn_find_of_chat(" CHAT ", 105)",
    "turn_pieces(1, 'anna', 't101', 50, 20)",
    "turn_stop(1, 'anna', 't101')",
    "turns_extend('p1', '{1,1}', '{t101,t201}', 30000)",
    "journal_add('p1', '{1,1}', '{t101,t201}', '{5,5}', '{\"\\\\x01\",\"\\\\x01\"}')",
    "journals_clear(600000, 100)",
    "turns_forget(600000, 100)",
    "chat_entitle(" CHAT ", 't')",
    "messages_replace(" CHAT ", 50)",
    "turns_running_of_owner(1, 'anna')",
    "pending_lock(" CHAT ")",
    "pending_put(" CHAT ", 'k', 'a', false, '', '', 0, 0, false, true, 5, 15, 1800)",
    "pending_let_through(" CHAT ", 'k', true, 5, 15, 1800)",
    "pending_was_put(" CHAT ", 'k', 15, 1800, 'a')",
    "pending_refuse(1, 101, 'new', 'used_up', true)",
    "pending_chat(" CHAT ")",
    "pending_list(" CHAT ", 100)",
    "usage_of_models(1, 0, 1001, 30)",
    "tools_of_tenant(1, 64)",
    "turns_take('p1', 30000, 32, '{1,1}', '{t101,t201}')",
    "operations_expire",
    "operation_begin(1, 'anna', 't101', 'o', 'c', 't', '{}', 0, 0, false, 100, 1000)",
    "operation_find_begun(1, 'anna', 't101', 'o', 't', '{}')",
    "operation_forget(1, 'anna', 'ot101')",
    "operation_find('ot101')",
    "operation_lock('ot101')",
    "operation_complete('ot101', true, 'a', 'b')",
    "operation_put('ot101')",
    "operations_put",
    "operations_clean",
};

static struct pg_statement  statements[STATEMENTS_MAX + COUNT(rows)];
static struct pg_statement *explain;          /* those of the rows              */

/* Each row is explained on a connection that has prepared the store's statements. */
static void make_statements(void)
{
    static const struct pg_statement *const tables[] = { chat_statements,    message_statements,
                                                         turn_statements,    running_statements,
                                                         session_statements, pending_statements,
                                                         usage_statements,   operation_statements,
                                                         tool_statements };
    static char                             names[COUNT(rows)][20], sqls[COUNT(rows)][300];
    size_t                                  n = 0;

    for (size_t i = 0; i < COUNT(tables); i++)
        for (const struct pg_statement *s = tables[i]; s->name; s++)
            statements[n++] = *s;
    assert_true(n < STATEMENTS_MAX);
    explain = &statements[n];
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(names[i], sizeof names[i], "explain_%zu", i);
        snprintf(sqls[i], sizeof sqls[i], "EXPLAIN EXECUTE %s", rows[i]);
        explain[i] = (struct pg_statement){ names[i], sqls[i] };
    }
}

struct plan {
    struct buf  text;
    enum pg_end end;
    char        sqlstate[6];
    bool        is_over;
};

static void on_rows(struct pg_work *w, size_t step, const struct pg_rows *lines)
{
    struct plan *plan = w->owner;

    (void)step;
    for (size_t i = 0; i < pg_n_rows(lines); i++) {
        buf_add(&plan->text, pg_get(lines, i, 0));
        buf_add_char(&plan->text, '\n');
    }
}

static void on_done(struct pg_work *w, enum pg_end end)
{
    struct plan *plan = w->owner;

    plan->end = end;
    memcpy(plan->sqlstate, w->sqlstate, sizeof plan->sqlstate);
    plan->is_over = true;
}

static const struct pg_work_ops plan_ops = { on_rows, on_done };

static struct buf said_to(struct pg_pool *pool, const struct pg_statement *statement)
{
    struct plan     plan = { .text = BUF(100000) };
    struct pg_work *w = pg_work_new(&plan_ops, &plan);

    pg_step(w, statement);
    pg_do(pool, w);
    turn_until(&plan.is_over, 10000);
    check_that(plan.end == PG_DONE, "%s: %s", statement->sql, plan.sqlstate);
    return plan.text;
}

static struct buf plan_of(struct pg_pool *pool, size_t row)
{
    return said_to(pool, &explain[row]);
}

/* The whole of anna's chats would have to be put in order for a page of them. */
static bool must_not_sort(const char *row)
{
    return strncmp(row, "chat_page", 9) == 0 || strncmp(row, "message_page", 12) == 0 ||
           strncmp(row, "chat_behind_by_update", 21) == 0 ||
           strncmp(row, "chat_behind_by_birth", 20) == 0;
}

static struct pg_pool *open_pool_with(const struct pg_statement *all, const char *mode)
{
    char                    conninfo[500], why[PG_WHY_MAX] = "";
    struct pg_pool_settings s = {
        .connections = 1, .max_waiting = 10, .prepares = true, .connect_timeout = 5 * CLOCK_S
    };
    struct pg_pool *pool;

    snprintf(conninfo, sizeof conninfo, "%.*s&options=-c%%20plan_cache_mode%%3D%s",
             STR_ARG(cluster_url()), mode);
    s.conninfo = str_of(conninfo);
    pool = pg_pool_open(&s, all, why);
    check_that(pool, "%s", why);
    return pool;
}

static struct pg_pool *open_pool(const char *mode)
{
    return open_pool_with(statements, mode);
}

static void close_pool(struct pg_pool *pool)
{
    pg_pool_close(pool);
    turn_for(5);
}

/* A claim counts what runs in the owner's chats, but only in those that were touched of late. */
static bool walks_all_chats(struct str plan, const char *statement)
{
    if (strcmp(statement, "turn_claim_in_crowd") != 0)
        return check_has(plan, STR("chat_by_"));
    return !check_has(plan, STR("AND (updated_at > ")) || check_has(plan, STR("chat_by_time")) ||
           check_has(plan, STR("chat_by_birth")) || check_has(plan, STR("chat_by_context"));
}

/* Without statistics many indexes seem as good as the key's, and a plan that was made then
 * lives until there are some. The turns have none at all here. */
TEST(a_young_database_is_searched_by_its_keys)
{
    static const struct {
        const char *statement, *key;
    } keys[] = {
        { "chat_find(1, 'xcx', 'anna', 1", "chat_pkey" },
        { "chat_find(1, 'xcx', 'anna', NULL", "chat_tenant_uid_dialect_key" },
        { "chat_delete", "chat_pkey" },
        { "message_append", "chat_pkey" },
        { "message_last", "message_tenant_chat_seq_key" },
        { "turn_claim_in_chat(", "chat_pkey" },
        { "turn_claim_in_chats", "chat_pkey" },
        { "turn_claim_in_crowd", "chat_pkey" },
        { "turn_find_claimed", "turn_pkey" },
        { "turn_find(", "turn_pkey" },
        { "turn_find_ended", "turn_pkey" },
        { "turn_end", "turn_pkey" },
        { "turn_stop", "turn_pkey" },
    };
    struct pg_pool *pool;
    char            line[300];

    cluster_sql(line, "INSERT INTO runnel.chat (tenant, dialect, owner, uid) SELECT 1, 'xcx', "
                      "'anna', 'young' || n FROM generate_series(1, 1000) n");
    make_statements();
    pool = open_pool("force_generic_plan");
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(keys); k++) {
            struct buf plan;

            if (!str_starts(str_of(rows[i]), str_of(keys[k].statement)))
                continue;
            plan = plan_of(pool, i);
            check_that(check_has(buf_str(&plan), str_of(keys[k].key)) &&
                           !walks_all_chats(buf_str(&plan), keys[k].statement) &&
                           !check_has(buf_str(&plan), STR("Seq Scan")),
                       "%s\n%.*s", rows[i], STR_ARG(buf_str(&plan)));
            buf_release(&plan);
        }
    close_pool(pool);
}

static const struct pg_statement *claim_of_many(void)
{
    const struct pg_statement *s = turn_statements;

    while (strcmp(s->name, "turn_claim_in_chats") != 0)
        s++;
    return s;
}

static const char *row_of(const char *statement)
{
    size_t i = 0;

    while (!str_starts(str_of(rows[i]), str_of(statement)))
        i++;
    return rows[i];
}

/* After five tries PostgreSQL keeps the plan for any, unless it thinks that too dear. */
TEST(few_claims_are_not_planned_each_time)
{
    char                sql[600];
    struct pg_statement own[4] = { *claim_of_many() };
    struct buf          said;
    struct pg_pool     *pool;

    snprintf(sql, sizeof sql, "EXPLAIN EXECUTE %s", row_of("turn_claim_in_chats"));
    own[1] = (struct pg_statement){ "explain", sql };
    own[2] = (struct pg_statement){ "count", "SELECT generic_plans FROM pg_prepared_statements "
                                             "WHERE name = 'turn_claim_in_chats'" };
    pool = open_pool_with(own, "auto");
    for (int i = 0; i < 10; i++) {
        said = said_to(pool, &own[1]);
        buf_release(&said);
    }
    said = said_to(pool, &own[2]);
    check_str(buf_str(&said), "5\n");
    buf_release(&said);
    close_pool(pool);
}

static void check_plans(const char *mode)
{
    struct pg_pool *pool = open_pool(mode);

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf plan = plan_of(pool, i);

        check_that(check_has(buf_str(&plan), STR("Index")), "%s\n%.*s", rows[i],
                   STR_ARG(buf_str(&plan)));
        check_that(!check_has(buf_str(&plan), STR("Seq Scan")), "%s\n%.*s", rows[i],
                   STR_ARG(buf_str(&plan)));
        check_that(!must_not_sort(rows[i]) || !check_has(buf_str(&plan), STR("Sort")), "%s\n%.*s",
                   rows[i], STR_ARG(buf_str(&plan)));
        buf_release(&plan);
    }
    close_pool(pool);
}

TEST(no_statement_reads_a_whole_table)
{
    char line[300];

    cluster_sql(line, "DELETE FROM runnel.chat");
    for (size_t i = 0; i < COUNT(fill); i++)
        cluster_sql(line, "%s", fill[i]);
    make_statements();
    check_plans("force_custom_plan");
    check_plans("force_generic_plan");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_claims_are_not_planned_each_time),
        cmocka_unit_test(a_young_database_is_searched_by_its_keys),
        cmocka_unit_test(no_statement_reads_a_whole_table),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
