/* pg_now_test.c - the connection that waits: what it asks, what it says of failures. */
#include "base/clock.h"
#include "database/cluster.h"
#include "pg/pg_now.h"

static struct pg_now *opened(void)
{
    char           why[PG_WHY_MAX] = "";
    struct pg_now *db = pg_now_open(cluster_url(), 3 * CLOCK_S, why);

    check_that(db, "%s", why);
    return db;
}

TEST(parameters_come_back_as_rows)
{
    struct pg_now        *db = opened();
    const struct pg_rows *rows =
        pg_now_ask(db, "SELECT $1::int + 1, $2::text, $3::text", PG_PARAMS("41", "a'b\\", NULL));

    assert_non_null(rows);
    assert_int_equal(pg_get_int(rows, 0, 0), 42);
    check_str(pg_get(rows, 0, 1), "a'b\\");
    assert_true(pg_is_null(rows, 0, 2));
    rows = pg_now_ask(db, "SELECT current_setting('application_name')", PG_NO_PARAMS);
    check_str(pg_get(rows, 0, 0), "runnel");
    pg_now_close(db);
}

TEST(a_failure_says_what_and_where)
{
    struct pg_now *db = opened();

    assert_false(pg_now_do(db, "SELECT 1;\nSELECT nonsense"));
    assert_string_equal(pg_now_why(db), "column \"nonsense\" does not exist");
    assert_true(pg_now_failed_with(db, "42703"));
    assert_false(pg_now_failed_with(db, "42P01"));
    assert_int_equal(pg_now_failed_at(db), 18);
    assert_true(pg_now_do(db, "BEGIN"));
    assert_true(pg_now_is_in_transaction(db));
    assert_true(pg_now_do(db, "ROLLBACK"));
    assert_false(pg_now_is_in_transaction(db));
    assert_int_equal(pg_now_failed_at(db), 0);
    assert_false(pg_now_is_pooled(db));
    pg_now_close(db);
}

/* One that is cut off under us is a failure like any other, not a crash. */
TEST(a_lost_connection_is_told)
{
    struct pg_now *db = opened();

    assert_null(pg_now_ask(db, "SELECT pg_terminate_backend(pg_backend_pid())", PG_NO_PARAMS));
    check_that(check_has(str_of(pg_now_why(db)), STR("terminating connection")), "%s",
               pg_now_why(db));
    assert_null(pg_now_ask(db, "SELECT 1", PG_NO_PARAMS));
    assert_true(pg_now_why(db)[0] != '\0');
    assert_int_equal(pg_now_failed_at(db), 0);
    pg_now_close(db);
}

TEST(no_password_is_told)
{
    static const char *const rows[] = {
        "postgresql://u:sekret@127.0.0.1:1/x",
        "postgresql://u:sekret@[::1/x",
        "postgresql://u:sekret@nowhere.invalid/x",
        "host=127.0.0.1 port=1 password=sekret",
        "password=sekret sekret",
        "postgresql://u:sekret@127.0.0.1:99999/x",
        "postgresql://u:sekret@127.0.0.1/x?sekret=1",
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char why[PG_WHY_MAX] = "";

        assert_null(pg_now_open(str_of(rows[i]), 3 * CLOCK_S, why));
        check_that(why[0] && !check_has(str_of(why), STR("sekret")), "%s: %s", rows[i], why);
        check_that(!check_has(str_of(why), STR("\n")), "%s: %s", rows[i], why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_come_back_as_rows),
        cmocka_unit_test(a_failure_says_what_and_where),
        cmocka_unit_test(a_lost_connection_is_told),
        cmocka_unit_test(no_password_is_told),
    };

    return cmocka_run_group_tests(tests, cluster_begin, cluster_end);
}
