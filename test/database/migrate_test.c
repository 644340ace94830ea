/* migrate_test.c - migrations on real databases: ours, and some that are made to go wrong. */
#include "base/clock.h"
#include "database/cluster.h"
#include "store/migrate.h"

#include <sys/wait.h>

/* ---- a database for each test -------------------------------------------------------- */

static int n_databases;

static struct pg_now *open_at(const char *database)
{
    char           why[PG_WHY_MAX] = "", place[400];
    struct str     host = cluster_url();
    struct pg_now *db;

    host = str_from(host, strcspn(host.p, "?"));
    snprintf(place, sizeof place, "postgresql:///%s%.*s", database, STR_ARG(host));
    db = pg_now_open(str_of(place), 3 * CLOCK_S, why);
    check_that(db, "%s", why);
    return db;
}

static struct pg_now *again(void)
{
    char name[20];

    snprintf(name, sizeof name, "t%d", n_databases);
    return open_at(name);
}

static struct pg_now *fresh(void)
{
    struct pg_now *first = open_at("postgres");
    char           sql[40];

    snprintf(sql, sizeof sql, "CREATE DATABASE t%d", ++n_databases);
    check_that(pg_now_do(first, sql), "%s", pg_now_why(first));
    pg_now_close(first);
    return again();
}

static void must(struct pg_now *db, const char *sql)
{
    check_that(pg_now_do(db, sql), "%s: %s", sql, pg_now_why(db));
}

/* ---- one run ------------------------------------------------------------------------- */

static struct {
    size_t done, waits;
    char   for_whom[300];
} heard;

static void on_waits(void *owner, struct str for_whom)
{
    (void)owner;
    heard.waits++;
    snprintf(heard.for_whom, sizeof heard.for_whom, "%.*s", STR_ARG(for_whom));
}

static void on_done(void *owner, const struct migration *m, uint64_t ns)
{
    (void)owner;
    (void)ns;
    heard.done++;
    assert_true(m->number > 0);
}

static const struct store_migration_ops ops = { .waits = on_waits, .done = on_done };

static struct buf why = { .limit = 4096 };

static bool migrate(struct pg_now *db, const struct migration *all, size_t n)
{
    struct store_migrate m = {
        .all = all, .n = n, .max_wait = 20 * CLOCK_S, .ops = &ops, .why = BUF(4096)
    };
    bool good;

    memset(&heard, 0, sizeof heard);
    good = store_migrate(&m, db);
    buf_clear(&why);
    buf_add(&why, buf_str(&m.why));
    check_that(good == (why.n == 0), "%.*s", STR_ARG(buf_str(&why)));
    buf_release(&m.why);
    return good;
}

static void check_why(const char *part)
{
    check_that(check_has(buf_str(&why), str_of(part)), "\"%s\" has no \"%s\"",
               check_shown(buf_str(&why)), part);
}

static void check_one(struct pg_now *db, const char *sql, const char *want)
{
    const struct pg_rows *rows = pg_now_ask(db, sql, PG_NO_PARAMS);

    check_that(rows, "%s: %s", sql, pg_now_why(db));
    check_that(pg_n_rows(rows) == 1, "%s: %zu rows", sql, pg_n_rows(rows));
    check_text(pg_get(rows, 0, 0), want);
}

#define ONE(number, name, sql) { number, name, STR_INIT(sql) }

static const struct migration good_ones[] = {
    ONE(1, "begin",
        "CREATE TABLE runnel.t (id int, v text);\nINSERT INTO runnel.t VALUES (1, 'a');\n"),
    ONE(2, "index",
        "-- not in a transaction\n\n-- The first.\nCREATE INDEX CONCURRENTLY a ON runnel.t (id);\n"
        "-- The second; of two.\nCREATE INDEX CONCURRENTLY b ON\n    runnel.t (v);\n"),
    ONE(3, "more", "ALTER TABLE runnel.t ADD w int;"),
};

/* ---- ours ---------------------------------------------------------------------------- */

/* What is in the database before the next migration comes: by the number of the last. */
static const char *const data_after[] = {
    [1] =
        "INSERT INTO runnel.account (tenant, subject) VALUES (1, 'somebody');"
        "INSERT INTO runnel.api_key (tenant, account, name, hash, hint, models)"
        " SELECT 1, id, 'k', sha256('x'), 'rk-xxxx', '{a,b}' FROM runnel.account;"
        "INSERT INTO runnel.allowance (tenant, api_key, streams) SELECT 1, id, 3 FROM runnel.api_key;"
        "INSERT INTO runnel.spending SELECT 1, id, '2026-01-01', 5, 6 FROM runnel.allowance;"
        "INSERT INTO runnel.reservation SELECT 1, id, 't', '2026-01-01', 5, 6, now()"
        " FROM runnel.allowance;"
        "INSERT INTO runnel.chat (tenant, dialect, uid) VALUES (1, 'x', 'u');"
        "INSERT INTO runnel.message (tenant, chat, seq, role, content)"
        " SELECT 1, id, 0, 'user', 'hello' FROM runnel.chat;"
        "INSERT INTO runnel.turn (tenant, id, chat) SELECT 1, 't', id FROM runnel.chat;"
        "INSERT INTO runnel.journal VALUES (1, 't', 0, 'abc');"
        "INSERT INTO runnel.usage (tenant, day, model) VALUES (1, '2026-01-01', 'm')",
    [2] = "UPDATE runnel.message SET once = 'o'; UPDATE runnel.turn SET has_journal = true",
    [3] = "INSERT INTO runnel.pace SELECT 1, id, now(), 1, 2 FROM runnel.allowance;"
          "INSERT INTO runnel.billed VALUES (1, 't')",
    [5] = "INSERT INTO runnel.pending (tenant, chat, key, content, is_assistants, context, model,"
          " api_key, account, is_limited) SELECT 1, id, 'k', 'a', false, '', '', 0, 0, false"
          " FROM runnel.chat",
    [6] = "INSERT INTO runnel.operation (tenant, id, chat, turn, call, tool, arguments, model,"
          " api_key, account, is_limited, output_limit, expires_at) SELECT 1, 'o', chat, id, 'c',"
          " 't', sha256(''), 'm', 0, 0, false, 1, now() FROM runnel.turn",
};

TEST(each_of_ours_is_done_where_data_is)
{
    struct pg_now *db = fresh();
    char           all[24];

    for (size_t n = 1; n <= n_migrations; n++) {
        check_that(migrate(db, migrations, n), "%.*s", STR_ARG(buf_str(&why)));
        assert_int_equal(heard.done, 1);
        if (n < COUNT(data_after) && data_after[n])
            must(db, data_after[n]);
    }
    snprintf(all, sizeof all, "%zu", n_migrations);
    check_one(db, "SELECT count(*) FROM runnel.migration WHERE done_at >= began_at AND name <> ''",
              all);
    check_one(db, "SELECT content FROM runnel.message", "hello");
    check_one(db, "SELECT count(*) FROM runnel.tenant WHERE id = 1 AND name = 'default'", "1");
    check_that(migrate(db, migrations, n_migrations), "%.*s", STR_ARG(buf_str(&why)));
    assert_int_equal(heard.done, 0);
    pg_now_close(db);
}

TEST(every_table_and_column_of_ours_is_explained)
{
    struct pg_now *db = fresh();

    assert_true(migrate(db, migrations, n_migrations));
    check_one(db,
              "SELECT coalesce(string_agg(format('%s.%s', c.relname, a.attname), ' '), '')"
              " FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
              " AND NOT a.attisdropped WHERE c.relnamespace = 'runnel'::regnamespace"
              " AND c.relkind IN ('r', 'p') AND (col_description(c.oid, a.attnum) IS NULL"
              " OR obj_description(c.oid, 'pg_class') IS NULL)",
              "");
    pg_now_close(db);
}

/* So that the tables can be distributed by tenant, and nothing is read without one. Keys that
 * have the tenant elsewhere are named here, each with its reason. */
TEST(every_key_of_ours_begins_with_the_tenant)
{
    struct pg_now *db = fresh();

    assert_true(migrate(db, migrations, n_migrations));
    check_one(db,
              "SELECT string_agg(c.conname, ' ' ORDER BY c.conname)"
              " FROM pg_constraint c JOIN pg_attribute a"
              " ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
              " WHERE c.connamespace = 'runnel'::regnamespace AND c.contype IN ('p', 'u', 'f')"
              " AND a.attname <> 'tenant'",
              "api_key_hash_tenant_key" /* who shows a secret does not say whose it is */
              " migration_pkey"         /* the whole schema's */
              " tenant_name_key tenant_pkey" /* the tenants themselves */);
    pg_now_close(db);
}

TEST(the_program_knows_what_a_database_is)
{
    static const struct {
        const char       *sql;
        enum store_schema is;
        const char       *words;
    } rows[] = {
        { "", SCHEMA_CURRENT, "" },
        { "UPDATE runnel.migration SET done_at = NULL", SCHEMA_HALF, "by hand" },
        { "UPDATE runnel.migration SET done_at = now(), hash = sha256('x')", SCHEMA_OTHER,
          "was another" },
        { "INSERT INTO runnel.migration SELECT 1000, 'future', sha256('y'), now(), now();"
          "UPDATE runnel.migration SET hash = sha256('x')",
          SCHEMA_OTHER, "was another" },
        { "DELETE FROM runnel.migration WHERE number < 1000", SCHEMA_NEWER, "a newer one" },
        { "DELETE FROM runnel.migration", SCHEMA_NONE, "runnel migrate" },
        { "DROP TABLE runnel.migration", SCHEMA_NONE, "runnel migrate" },
    };
    struct pg_now *db = fresh();
    struct buf     words = BUF(4096);

    assert_int_equal(store_schema_is(db, &words), SCHEMA_NONE);
    assert_true(migrate(db, migrations, n_migrations));
    for (size_t i = 0; i < COUNT(rows); i++) {
        must(db, rows[i].sql);
        buf_clear(&words);
        check_that(store_schema_is(db, &words) == rows[i].is, "row %zu", i);
        check_that(check_has(buf_str(&words), str_of(rows[i].words)), "row %zu: %.*s", i,
                   STR_ARG(buf_str(&words)));
        assert_int_equal(words.n == 0, rows[i].is == SCHEMA_CURRENT);
    }
    pg_now_do(db, "SELECT pg_terminate_backend(pg_backend_pid())");
    assert_int_equal(store_schema_is(db, &words), SCHEMA_UNKNOWN);
    buf_release(&words);
    pg_now_close(db);
}

/* ---- how it goes --------------------------------------------------------------------- */

TEST(they_are_done_in_order_and_once)
{
    struct pg_now *db = fresh();

    assert_true(migrate(db, good_ones, 2));
    assert_int_equal(heard.done, 2);
    check_one(db, "SELECT count(*) FROM pg_index WHERE indrelid = 'runnel.t'::regclass", "2");
    assert_true(migrate(db, good_ones, 3));
    assert_int_equal(heard.done, 1);
    check_one(db, "SELECT count(*) FROM runnel.migration WHERE done_at IS NOT NULL", "3");
    check_one(db,
              "SELECT encode(hash, 'hex') = encode(sha256('ALTER TABLE runnel.t ADD w int;'), "
              "'hex') FROM runnel.migration WHERE number = 3",
              "t");
    check_one(db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
    pg_now_close(db);
}

TEST(one_that_fails_leaves_nothing)
{
    static const struct migration bad[] = {
        ONE(1, "begin", "CREATE TABLE runnel.t (id int);"),
        ONE(2, "bad",
            "-- caf\xc3\xa9 \xe2\x82\xac\nCREATE TABLE runnel.u (id int);\n\nSELECT nonsense FROM "
            "runnel.t;\n"),
        ONE(3, "never", "CREATE TABLE runnel.w (id int);"),
    };
    struct pg_now *db = fresh();

    assert_false(migrate(db, bad, 3));
    check_why("migration 2 (bad), line 4: column \"nonsense\" does not exist");
    assert_int_equal(heard.done, 1);
    check_one(db, "SELECT count(*) FROM runnel.migration", "1");
    check_one(db, "SELECT to_regclass('runnel.u') IS NULL AND to_regclass('runnel.w') IS NULL",
              "t");
    check_one(db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
    pg_now_close(db);
}

TEST(one_that_ends_its_own_transaction_is_found_out)
{
    static const struct migration bad[] = { ONE(1, "sly", "SELECT 1; COMMIT;") };
    struct pg_now                *db = fresh();

    assert_false(migrate(db, bad, 1));
    check_why("ends its own transaction");
    pg_now_close(db);
}

TEST(what_is_half_done_is_not_touched)
{
    static const struct migration bad[] = {
        ONE(1, "begin", "CREATE TABLE runnel.t (id int);\n"),
        ONE(2, "halves",
            "-- not in a transaction\nCREATE INDEX CONCURRENTLY a ON runnel.t (id);\n"
            "CREATE INDEX CONCURRENTLY b ON\n runnel.t (nonsense);\n"),
        ONE(3, "more", "ALTER TABLE runnel.t ADD w int;"),
    };
    struct pg_now *db = fresh();

    assert_false(migrate(db, bad, 3));
    check_why("migration 2 (halves), line 3: column \"nonsense\" does not exist; it is half done");
    for (int i = 0; i < 2; i++) {
        assert_false(migrate(db, bad, 3));
        check_why("migration 2 (halves) was begun at 20");
        check_why("UPDATE runnel.migration SET done_at = now() WHERE number = 2;");
        check_why("DELETE FROM runnel.migration WHERE number = 2");
        assert_int_equal(heard.done, 0);
    }
    must(db, "UPDATE runnel.migration SET done_at = now() WHERE number = 2");
    assert_true(migrate(db, bad, 3));
    assert_int_equal(heard.done, 1);
    pg_now_close(db);
}

TEST(a_crash_in_the_midst_is_seen_afterwards)
{
    static const struct migration crash[] = {
        ONE(1, "open", "-- not in a transaction\nSELECT pg_terminate_backend(pg_backend_pid());\n"),
    };
    static const struct migration whole[] = {
        ONE(1, "whole", "CREATE TABLE runnel.t (); SELECT pg_terminate_backend(pg_backend_pid());"),
    };
    struct pg_now *db = fresh();

    assert_false(migrate(db, crash, 1));
    check_why("half done");
    pg_now_close(db);
    db = again();
    assert_false(migrate(db, crash, 1));
    check_why("was begun at");
    must(db, "DELETE FROM runnel.migration");
    assert_false(migrate(db, whole, 1));
    check_why("terminating connection");
    pg_now_close(db);
    db = again();
    check_one(db, "SELECT count(*) FROM runnel.migration", "0");
    check_one(db, "SELECT to_regclass('runnel.t') IS NULL", "t");
    pg_now_close(db);
}

TEST(a_history_that_is_not_ours_is_refused)
{
    static const struct {
        const char *sql, *words;
    } rows[] = {
        { "INSERT INTO runnel.migration VALUES (4, 'future', sha256('x'), now(), now())",
          "migration 4 (future), this program knows 3: a newer one has been here" },
        { "UPDATE runnel.migration SET hash = sha256('x') WHERE number = 2",
          "migration 2 (index) was another when this database got it" },
        { "DELETE FROM runnel.migration WHERE number = 2", "migration 2 is missing" },
        { "DELETE FROM runnel.migration WHERE number = 1", "migration 1 is missing" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pg_now *db = fresh();

        assert_true(migrate(db, good_ones, 3));
        must(db, rows[i].sql);
        must(db, "DROP TABLE runnel.t");
        assert_false(migrate(db, good_ones, 3));
        check_why(rows[i].words);
        assert_int_equal(heard.done, 0);
        pg_now_close(db);
    }
}

TEST(who_may_not_make_a_schema_may_still_migrate_in_one)
{
    struct pg_now *db = fresh();

    must(db, "CREATE ROLE small; SET ROLE small");
    assert_false(migrate(db, good_ones, 1));
    check_why("permission denied");
    must(db, "RESET ROLE; CREATE SCHEMA runnel AUTHORIZATION small; SET ROLE small");
    check_that(migrate(db, good_ones, 1), "%.*s", STR_ARG(buf_str(&why)));
    must(db, "RESET ROLE");
    pg_now_close(db);
}

/* ---- two at once --------------------------------------------------------------------- */

static const struct migration slow[] = {
    ONE(1, "slow", "CREATE TABLE runnel.t (id int); SELECT pg_sleep(1);"),
    ONE(2, "index", "-- not in a transaction\nCREATE INDEX CONCURRENTLY a ON runnel.t (id);\n"),
};

static int other_process(void)
{
    struct pg_now *db = again();
    bool           good = migrate(db, slow, 2);

    pg_now_close(db);
    return good && heard.done == 2 && heard.waits == 0 ? 7 : 8;
}

static void wait_for_a_lock(struct pg_now *db)
{
    for (int i = 0; i < 500; i++) {
        const struct pg_rows *rows =
            pg_now_ask(db, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'", PG_NO_PARAMS);

        if (rows && pg_n_rows(rows))
            return;
        must(db, "SELECT pg_sleep(0.01)");
    }
    fail_msg("nobody took the lock");
}

TEST(of_two_at_once_one_waits_and_finds_nothing_to_do)
{
    struct pg_now *db = fresh();
    int            status;
    pid_t          other = fork();

    if (other == 0)
        _exit(other_process());
    wait_for_a_lock(db);
    check_that(migrate(db, slow, 2), "%.*s", STR_ARG(buf_str(&why)));
    assert_int_equal(heard.done, 0);
    assert_int_equal(heard.waits, 1);
    check_that(check_has(str_of(heard.for_whom), STR("(runnel as postgres, connected since 20")),
               "%s", heard.for_whom);
    assert_int_equal(waitpid(other, &status, 0), other);
    check_that(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%d", status);
    check_one(db, "SELECT count(*) FROM runnel.migration WHERE done_at IS NOT NULL", "2");
    pg_now_close(db);
}

TEST(nobody_is_waited_for_without_an_end)
{
    struct pg_now       *db = fresh(), *other = again();
    struct store_migrate m = {
        .all = good_ones, .n = 1, .max_wait = 300 * CLOCK_MS, .ops = &ops, .why = BUF(4096)
    };
    uint64_t began = clock_exact();

    must(other, "SELECT pg_advisory_lock(x'72756e6e656c'::bigint)");
    memset(&heard, 0, sizeof heard);
    assert_false(store_migrate(&m, db));
    assert_true(clock_exact() - began < 3 * CLOCK_S);
    check_that(check_has(buf_str(&m.why), STR("is migrating and does not end")), "%.*s",
               STR_ARG(buf_str(&m.why)));
    assert_int_equal(heard.waits, 1);
    buf_release(&m.why);
    pg_now_close(other);
    assert_true(migrate(db, good_ones, 1));
    pg_now_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_of_ours_is_done_where_data_is),
        cmocka_unit_test(every_table_and_column_of_ours_is_explained),
        cmocka_unit_test(every_key_of_ours_begins_with_the_tenant),
        cmocka_unit_test(the_program_knows_what_a_database_is),
        cmocka_unit_test(they_are_done_in_order_and_once),
        cmocka_unit_test(one_that_fails_leaves_nothing),
        cmocka_unit_test(one_that_ends_its_own_transaction_is_found_out),
        cmocka_unit_test(what_is_half_done_is_not_touched),
        cmocka_unit_test(a_crash_in_the_midst_is_seen_afterwards),
        cmocka_unit_test(a_history_that_is_not_ours_is_refused),
        cmocka_unit_test(who_may_not_make_a_schema_may_still_migrate_in_one),
        cmocka_unit_test(of_two_at_once_one_waits_and_finds_nothing_to_do),
        cmocka_unit_test(nobody_is_waited_for_without_an_end),
    };
    int failed = cmocka_run_group_tests(tests, cluster_begin, cluster_end);

    buf_release(&why);
    return failed;
}
