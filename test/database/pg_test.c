/* pg_test.c - the pool and a real PostgreSQL that is stopped, killed and locked. */
#include "base/clock.h"
#include "database/cluster.h"

static const struct pg_statement statements[] = {
    { "one", "SELECT 1" },
    { "echo", "SELECT $1::text" },
    { "items", "SELECT unnest($1::text[])" },
    { "sleep", "SELECT pg_sleep($1::float8)" },
    { "make", "CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY, v text)" },
    { "bytes", "SELECT unnest($1::bytea[])" },
    { "boom", "SELECT 1/($1::int - 7)" },
    { NULL, NULL },
};
enum { ONE, ECHO, ITEMS, SLEEP, MAKE, BYTES, BOOM };

static struct pg_pool *pool;

static void begin(const struct pg_statement *all)
{
    char                    why[PG_WHY_MAX] = "";
    struct pg_pool_settings s = { .conninfo = cluster_url(),
                                  .connections = 4,
                                  .max_waiting = 1000,
                                  .prepares = true,
                                  .connect_timeout = 2 * CLOCK_S };

    pool = pg_pool_open(&s, all, why);
    check_that(pool, "%s", why);
}

static void finish(void)
{
    pg_pool_close(pool);
    turn_for(5);
}

static struct pg_work *asked(struct heard *h, int statement)
{
    struct pg_work *w = pg_work_new(&heard_ops, h);

    pg_step(w, &statements[statement]);
    return w;
}

TEST(a_unit_is_carried_out)
{
    struct heard h = { 0 };

    begin(statements);
    pg_do(pool, asked(&h, ONE));
    turn_until(&h.all, 2000);
    assert_int_equal(h.end, PG_DONE);
    assert_string_equal(h.first, "1");
    finish();
}

TEST(parameters_are_what_they_were)
{
    static const struct str rows[] = {
        STR_INIT(""),
        STR_INIT("a"),
        STR_INIT("'; DROP TABLE t; --"),
        STR_INIT("\"\\{},$1"),
        STR_INIT("\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80"),
        STR_INIT("NULL"),
    };

    begin(statements);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct heard    text = { 0 }, item = { 0 };
        struct pg_work *w = asked(&text, ECHO);

        pg_text(w, rows[i]);
        pg_do(pool, w);
        w = asked(&item, ITEMS);
        pg_array(w);
        pg_item(w, rows[i]);
        pg_item(w, STR("second"));
        pg_array_end(w);
        pg_do(pool, w);
        turn_until(&text.all, 2000);
        turn_until(&item.all, 2000);
        check_text(rows[i], text.first);
        check_text(rows[i], item.first);
        assert_int_equal(item.rows, 2);
    }
    finish();
}

TEST(bytes_are_what_they_were)
{
    static const struct str  rows[] = { STR_INIT(""), { "\0\\\"{},'\xff", 8 } };
    static const char *const wants[] = { "\\x", "\\x005c227b7d2c27ff" };

    begin(statements);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct heard    h = { 0 };
        struct pg_work *w = asked(&h, BYTES);

        pg_array(w);
        pg_item_bytes(w, rows[i]);
        pg_item_bytes(w, STR("second"));
        pg_array_end(w);
        pg_do(pool, w);
        turn_until(&h.all, 2000);
        assert_int_equal(h.end, PG_DONE);
        assert_int_equal(h.rows, 2);
        assert_string_equal(h.first, wants[i]);
    }
    finish();
}

TEST(text_that_postgresql_cannot_hold_is_refused)
{
    static const struct str rows[] = { { "a\0b", 3 }, STR_INIT("\xff"), STR_INIT("\xed\xa0\x80") };

    begin(statements);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct heard    h = { 0 };
        struct pg_work *w = asked(&h, ECHO);

        pg_text(w, rows[i]);
        pg_do(pool, w);
        turn_until(&h.all, 2000);
        assert_int_equal(h.end, PG_REFUSED);
        assert_string_equal(h.sqlstate, "22021");
    }
    finish();
}

TEST(a_thousand_units_share_four_connections)
{
    struct heard h = { .wanted = 1000 };

    begin(statements);
    for (int i = 0; i < 1000; i++)
        pg_do(pool, asked(&h, ONE));
    turn_until(&h.all, 5000);
    assert_int_equal(h.rows, 1000);
    assert_int_equal(h.end, PG_DONE);
    finish();
}

TEST(the_steps_of_a_unit_are_done_together_or_not_at_all)
{
    struct heard    h = { 0 }, behind = { 0 };
    struct pg_work *w;

    begin(statements);
    w = asked(&h, MAKE);
    pg_step(w, &statements[BOOM]);
    pg_int(w, 7);
    pg_step(w, &statements[ONE]);
    pg_do(pool, w);
    pg_do(pool, asked(&behind, ONE));
    turn_until(&h.all, 2000);
    turn_until(&behind.all, 2000);
    assert_int_equal(h.end, PG_REFUSED);
    assert_string_equal(h.sqlstate, "22012");
    assert_int_equal(behind.end, PG_DONE);
    finish();
}

TEST(whoever_takes_too_long_is_not_waited_for)
{
    struct heard    slow = { 0 }, behind = { .wanted = 8 };
    struct pg_work *w;

    begin(statements);
    turn_for(100);
    w = asked(&slow, SLEEP);
    pg_text(w, STR("5"));
    w->max_time = 300 * CLOCK_MS;
    pg_do(pool, w);
    for (int i = 0; i < 8; i++)
        pg_do(pool, asked(&behind, ONE));
    turn_until(&slow.all, 1000);
    assert_int_equal(slow.end, PG_UNKNOWN);
    turn_until(&behind.all, 1000);
    assert_int_equal(behind.end, PG_DONE);
    finish();
}

TEST(a_statement_that_the_schema_does_not_know_keeps_the_pool_away)
{
    static const struct pg_statement strange[] = { { "s", "SELECT 1 FROM nowhere" },
                                                   { NULL, NULL } };
    struct heard                     h = { 0 };

    begin(strange);
    pg_do(pool, asked(&h, ONE));
    turn_until(&h.all, 4000);
    assert_int_equal(h.end, PG_AWAY);
    check_that(strstr(pg_pool_why(pool), "nowhere"), "%s", pg_pool_why(pool));
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unit_is_carried_out),
        cmocka_unit_test(parameters_are_what_they_were),
        cmocka_unit_test(bytes_are_what_they_were),
        cmocka_unit_test(text_that_postgresql_cannot_hold_is_refused),
        cmocka_unit_test(a_thousand_units_share_four_connections),
        cmocka_unit_test(the_steps_of_a_unit_are_done_together_or_not_at_all),
        cmocka_unit_test(whoever_takes_too_long_is_not_waited_for),
        cmocka_unit_test(a_statement_that_the_schema_does_not_know_keeps_the_pool_away),
    };

    return cmocka_run_group_tests(tests, cluster_begin, cluster_end);
}
