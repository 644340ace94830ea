/* pool_test.c - who comes first, who waits how long, and what becomes of whom when the
 * database goes: the pool's promises, one by one.
 */
#include "base/clock.h"
#include "base/metrics.h"
#include "database/cluster.h"
#include "net/resolve.h"

#include <netdb.h>
#include <poll.h>

static const struct pg_statement statements[] = {
    { "one", "SELECT 1" },
    { "sleep", "SELECT pg_sleep($1::float8)" },
    { "add", "INSERT INTO seen (n) VALUES ($1::int)" },
    { NULL, NULL },
};
enum { ONE, SLEEP, ADD };

static struct pg_pool *pool;

static void begin_at(struct str conninfo, size_t connections, size_t max_waiting)
{
    char                    why[PG_WHY_MAX] = "";
    struct pg_pool_settings s = { .conninfo = conninfo,
                                  .connections = connections,
                                  .max_waiting = max_waiting,
                                  .prepares = true,
                                  .connect_timeout = 300 * CLOCK_MS };

    pool = pg_pool_open(&s, statements, why);
    check_that(pool, "%s", why);
}

static void begin(size_t connections, size_t max_waiting)
{
    char line[300];

    cluster_sql(line, "SET client_min_messages = warning; DROP TABLE IF EXISTS seen;"
                      "CREATE TABLE seen (at bigserial PRIMARY KEY, n int)");
    begin_at(cluster_url(), connections, max_waiting);
    for (int i = 0; i < 300 && !pg_pool_is_ready(pool); i++)
        turn_for(10);
    check_that(pg_pool_is_ready(pool), "%s", pg_pool_why(pool));
}

static void finish(void)
{
    pg_pool_close(pool);
    turn_for(5);
}

/* ---- units that tell the order in which they end ------------------------------------ */

enum { UNITS = 300 };

static struct {
    size_t      n, order[UNITS];
    enum pg_end ends[UNITS];
    size_t      wanted;
    bool        all;
} told;

static size_t numbers[UNITS];

static void on_done(struct pg_work *w, enum pg_end end)
{
    size_t number = *(const size_t *)w->owner;

    told.order[told.n++] = number;
    told.ends[number] = end;
    told.all = told.n == told.wanted;
}

static const struct pg_work_ops telling = { .done = on_done };

static struct pg_work *unit(size_t number, int statement)
{
    struct pg_work *w;

    numbers[number] = number;
    w = pg_work_new(&telling, &numbers[number]);
    pg_step(w, &statements[statement]);
    if (statement == ADD)
        pg_int(w, (int64_t)number);
    if (statement == SLEEP)
        pg_text(w, STR("0.5"));
    return w;
}

static void expect(size_t n)
{
    memset(&told, 0, sizeof told);
    told.wanted = n;
}

static void check_order(size_t n)
{
    assert_int_equal(told.n, n);
    for (size_t i = 0; i < n; i++)
        check_that(told.order[i] == i, "unit %zu ended as number %zu", told.order[i], i);
}

static void check_ends(size_t from, size_t to, enum pg_end want)
{
    for (size_t i = from; i < to; i++)
        check_that(told.ends[i] == want, "unit %zu: %s", i, pg_end_name(told.ends[i]));
}

static void kill_sessions(void)
{
    char line[300];

    cluster_sql(line, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                      " WHERE application_name = 'runnel'");
}

/* ---- the line ------------------------------------------------------------------------ */

TEST(first_come_first_served)
{
    begin(1, 1000);
    expect(UNITS);
    pg_do(pool, unit(0, SLEEP));
    for (size_t i = 1; i < UNITS; i++)
        pg_do(pool, unit(i, ONE));
    turn_until(&told.all, 5000);
    check_order(UNITS);
    check_ends(0, UNITS, PG_DONE);
    finish();
}

static void cut_off_once(void)
{
    char line[300];

    begin(1, 1000);
    expect(100);
    pg_do(pool, unit(0, SLEEP));
    for (size_t i = 1; i < 100; i++)
        pg_do(pool, unit(i, ADD));
    turn_for(100);
    kill_sessions();
    turn_until(&told.all, 5000);
    check_order(100);
    check_ends(0, 100, PG_DONE);
    cluster_sql(line, "SELECT string_agg(n::text, ',' ORDER BY at)"
                      " = (SELECT string_agg(i::text, ',' ORDER BY i)"
                      " FROM generate_series(1, 99) i) FROM seen");
    assert_string_equal(line, "t");
    finish();
}

/* Several times: the session's last words and its end come apart, or together. */
TEST(what_was_cut_off_is_sent_again_in_the_same_order)
{
    for (int i = 0; i < 8; i++)
        cut_off_once();
}

TEST(only_so_many_may_wait)
{
    begin(1, 3);
    expect(70);
    for (size_t i = 0; i < 70; i++)           /* 64 are under way, 3 wait       */
        pg_do(pool, unit(i, i == 0 ? SLEEP : ONE));
    assert_int_equal(told.n, 0);              /* never from inside of the call  */
    turn_for(50);
    assert_int_equal(told.n, 3);
    check_ends(67, 70, PG_BUSY);
    turn_until(&told.all, 3000);
    check_ends(0, 67, PG_DONE);
    finish();
}

TEST(nobody_waits_longer_than_he_said)
{
    struct pg_work *w;

    begin(1, 1000);
    expect(66);
    for (size_t i = 0; i < 66; i++) {
        w = unit(i, i == 0 ? SLEEP : ONE);
        if (i == 65)
            w->max_wait = 100 * CLOCK_MS;
        pg_do(pool, w);
    }
    turn_for(250);
    assert_int_equal(told.n, 1);
    check_ends(65, 66, PG_BUSY);
    turn_until(&told.all, 3000);
    check_ends(0, 65, PG_DONE);
    finish();
}

TEST(without_a_database_it_is_away)
{
    uint64_t began;

    begin_at(STR("host=127.0.0.1 port=9 dbname=none"), 4, 1000);
    expect(2);
    clock_update();
    began = clock_now();
    for (size_t i = 0; i < 2; i++) {
        struct pg_work *w = unit(i, ONE);

        w->max_wait = 200 * CLOCK_MS;
        pg_do(pool, w);
    }
    turn_until(&told.all, 2000);
    check_ends(0, 2, PG_AWAY);
    check_that(clock_now() - began >= 200 * CLOCK_MS, "it was told too early");
    assert_true(pg_pool_why(pool)[0]);
    finish();
}

/* ---- once, unsure, forgotten ----------------------------------------------------------- */

TEST(a_unit_that_counts_only_once_is_not_sent_twice)
{
    struct pg_work *w;
    char            line[300];

    begin(1, 1000);
    expect(3);
    pg_do(pool, unit(0, SLEEP));
    w = unit(1, ADD);
    w->once = true;
    pg_do(pool, w);
    pg_do(pool, unit(2, ADD));
    turn_for(100);
    kill_sessions();
    turn_until(&told.all, 4000);
    check_ends(1, 2, PG_UNKNOWN);
    check_ends(2, 3, PG_DONE);
    cluster_sql(line, "SELECT string_agg(n::text, ',') FROM seen");
    assert_string_equal(line, "2");
    finish();
}

TEST(what_may_have_been_done_is_not_told_as_not_done)
{
    begin(1, 1000);
    expect(2);
    pg_do(pool, unit(0, SLEEP));
    turn_for(50);
    cluster_do("stop", "immediate");
    turn_for(100);
    pg_do(pool, unit(1, ONE));
    turn_until(&told.all, 6000);
    check_ends(0, 1, PG_UNKNOWN);
    check_ends(1, 2, PG_AWAY);
    cluster_do("start", NULL);
    finish();
}

TEST(whoever_insists_is_tried_again_after_his_time)
{
    char            line[300];
    struct pg_work *w;

    begin(2, 1000);
    cluster_sql(line, "CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS"
                      " 'BEGIN IF (SELECT is_called FROM held) THEN RETURN NEW; END IF;"
                      " PERFORM nextval(''held''), pg_sleep(20); RETURN NEW; END';"
                      "DROP SEQUENCE IF EXISTS held; CREATE SEQUENCE held;"
                      "CREATE TRIGGER hold BEFORE INSERT ON seen FOR EACH ROW"
                      " EXECUTE FUNCTION hold()");
    expect(1);
    w = unit(0, ADD);
    w->max_time = 300 * CLOCK_MS;
    w->max_wait = 5 * CLOCK_S;
    w->insists = true;
    pg_do(pool, w);
    turn_until(&told.all, 3000);
    check_ends(0, 1, PG_DONE);
    turn_for(3000);                           /* the server has found out meanwhile */
    cluster_sql(line, "SELECT count(*) || ' ' || (SELECT count(*) FROM pg_stat_activity"
                      " WHERE wait_event = 'PgSleep') FROM seen");
    assert_string_equal(line, "1 0");
    finish();
}

TEST(nobody_tells_who_has_forgotten)
{
    struct pg_work *sent, *waiting;

    begin(1, 1000);
    expect(65);
    sent = unit(0, SLEEP);
    pg_do(pool, sent);
    for (size_t i = 1; i < 65; i++)
        pg_do(pool, unit(i, ONE));
    waiting = unit(65, ADD);
    pg_do(pool, waiting);
    pg_forget(sent);
    pg_forget(waiting);
    told.wanted = 64;
    turn_until(&told.all, 3000);
    turn_for(50);
    assert_int_equal(told.n, 64);
    assert_true(pg_pool_is_idle(pool));
    finish();
}

/* ---- the end ----------------------------------------------------------------------------- */

static size_t asked_again;

static void ask_again(struct pg_work *w, enum pg_end end)
{
    on_done(w, end);
    pg_do(pool, unit(140 + asked_again++, ONE));
}

static const struct pg_work_ops asking_again = { .done = ask_again };

TEST(closing_ends_all_whatever_they_were_doing)
{
    begin(1, 70);
    expect(UNITS);
    asked_again = 0;
    for (size_t i = 0; i < 140; i++) {        /* under way, waiting, and refused */
        struct pg_work *w = unit(i, i == 0 ? SLEEP : ONE);

        if (i % 10 == 5)
            w->ops = &asking_again;
        pg_do(pool, w);
        if (i % 10 == 7)
            pg_forget(w);
    }
    pg_pool_close(pool);
    turn_for(5);
    assert_int_equal(asked_again, 14);        /* of each kind some              */
    assert_int_equal(told.n, 140 - 14 + 14);
    for (size_t i = 0; i < told.n; i++)
        assert_int_equal(told.ends[told.order[i]], PG_AWAY);
}

TEST(closing_while_it_connects)
{
    for (unsigned ms = 0; ms < 40; ms += 2) {
        begin_at(cluster_url(), 4, 100);
        expect(1);
        pg_do(pool, unit(0, ONE));
        turn_for(ms);
        finish();
        assert_int_equal(told.n, 1);
    }
}

/* ---- names ------------------------------------------------------------------------------- */

static int asked_for_moving;

/* In the place of the C library's: one name is slow, another leads to nobody. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    static struct sockaddr_in nobody = { .sin_family = AF_INET };
    struct addrinfo          *a;

    (void)service;
    (void)hints;
    if (strcmp(name, "slow.test") == 0)
        poll(NULL, 0, 1500);
    if (strcmp(name, "moving.test") != 0)
        return EAI_NONAME;
    asked_for_moving++;
    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a = calloc(1, sizeof *a);
    a->ai_family = AF_INET;
    a->ai_addr = (struct sockaddr *)&nobody;
    a->ai_addrlen = sizeof nobody;
    *out = a;
    return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
    free(a);
}

static struct str with_first_host(char out[400], const char *name)
{
    struct str url = cluster_url();
    char       folder[200] = "";

    check_that(sscanf(url.p, "postgresql:///postgres?host=%199[^&]", folder) == 1, "%s", url.p);
    snprintf(out, 400, "host=%s,%s port=9,5432 user=postgres dbname=postgres", name, folder);
    return str_of(out);
}

TEST(a_name_that_is_slow_is_not_waited_for)
{
    char conninfo[400];

    expect(1);
    begin_at(with_first_host(conninfo, "slow.test"), 2, 100);
    pg_do(pool, unit(0, ONE));
    turn_until(&told.all, 1400);
    check_ends(0, 1, PG_DONE);
    assert_true(pg_pool_is_ready(pool));
    check_that(metric_value(METRIC_LOOP_STALL) < (int64_t)CLOCK_S, "the loop stood still");
    finish();
    turn_for(1600);                           /* the thread comes back          */
}

TEST(a_name_is_looked_up_again_when_it_leads_nowhere)
{
    begin_at(STR("host=moving.test port=9 dbname=none"), 2, 100);
    turn_for(1500);
    check_that(asked_for_moving >= 3, "it was looked up %d times", asked_for_moving);
    check_that(asked_for_moving <= 12, "it was looked up %d times", asked_for_moving);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(what_was_cut_off_is_sent_again_in_the_same_order),
        cmocka_unit_test(only_so_many_may_wait),
        cmocka_unit_test(nobody_waits_longer_than_he_said),
        cmocka_unit_test(without_a_database_it_is_away),
        cmocka_unit_test(a_unit_that_counts_only_once_is_not_sent_twice),
        cmocka_unit_test(what_may_have_been_done_is_not_told_as_not_done),
        cmocka_unit_test(whoever_insists_is_tried_again_after_his_time),
        cmocka_unit_test(nobody_tells_who_has_forgotten),
        cmocka_unit_test(closing_ends_all_whatever_they_were_doing),
        cmocka_unit_test(closing_while_it_connects),
        cmocka_unit_test(a_name_that_is_slow_is_not_waited_for),
        cmocka_unit_test(a_name_is_looked_up_again_when_it_leads_nowhere),
    };

    return cmocka_run_group_tests(tests, cluster_begin, cluster_end);
}
