/* batch_test.c - units that are asked together: each must hear what it would have heard alone. */
#include "base/clock.h"
#include "database/cluster.h"
#include "pg/pg_batch.h"

/* A unit is a name, a group, a number of rows, of which -1 cannot be divided by, and a text. */
#define ANSWER(name, group, n, text)                                                               \
    "SELECT " name ", txid_current(), " text ", 1 / (" n " + 1), "                                 \
    "CASE WHEN " group " LIKE 'slow%' THEN pg_sleep(0.4)::text END "

static const struct pg_statement statements[] = {
    { "alone", ANSWER("$1::text", "$2::text", "$3::int",
                      "$4::text") ", 'alone' FROM generate_series(1, abs($3::int))" },
    { "together", ANSWER("u.name", "u.grp", "u.n",
                         "u.text") ", 'together' FROM unnest($1::text[], $2::text[], "
                                   "$3::int[], $4::text[]) AS u (name, grp, n, text), "
                                   "generate_series(1, abs(u.n)) ORDER BY 1 DESC" },
    { NULL, NULL },
};
enum { ALONE, TOGETHER };
enum { NAME, GROUP, N, TEXT };

static const struct pg_batch_rule rule = {
    .together = &statements[TOGETHER], .apart = GROUP, .name = NAME, .name_column = 0
};

enum { UNITS = 200, AT_ONCE = 2 };

static struct heard_one {
    char        name[20], text[40], sqlstate[6];
    bool        is_text_null, was_together;
    long long   batch;
    size_t      rows, times, ends;
    enum pg_end end;
    uint64_t    at;
} heard[UNITS];

static struct pg_pool    *pool;
static struct pg_batches *batches;
static size_t             ended, wanted;
static bool               all;

static void on_rows(struct pg_work *w, size_t step, const struct pg_rows *rows)
{
    struct heard_one *h = w->owner;

    assert_int_equal(step, 0);
    h->times++;
    h->rows = pg_n_rows(rows);
    for (size_t i = 0; i < h->rows; i++) {
        check_text(pg_get(rows, i, 0), h->name);
        h->batch = pg_get_int(rows, i, 1);
        h->is_text_null = pg_is_null(rows, i, 2);
        snprintf(h->text, sizeof h->text, "%.*s", STR_ARG(pg_get(rows, i, 2)));
        h->was_together = str_eq(pg_get(rows, i, 5), STR("together"));
    }
}

static void on_done(struct pg_work *w, enum pg_end end)
{
    struct heard_one *h = w->owner;

    h->ends++;
    h->end = end;
    h->at = clock_now();
    memcpy(h->sqlstate, w->sqlstate, sizeof h->sqlstate);
    all = ++ended == wanted;
}

static const struct pg_work_ops ops = { on_rows, on_done };

static void begin_with(size_t connections, size_t at_once, size_t max_waiting)
{
    char                    why[PG_WHY_MAX] = "";
    struct pg_pool_settings s = { .conninfo = cluster_url(),
                                  .connections = connections,
                                  .at_once = at_once,
                                  .max_waiting = max_waiting,
                                  .prepares = true,
                                  .connect_timeout = 2 * CLOCK_S };

    pool = pg_pool_open(&s, statements, why);
    check_that(pool, "%s", why);
    batches = pg_batches_new(pool, &rule);
    for (int i = 0; i < 300 && !pg_pool_is_ready(pool); i++)
        turn_for(10);
    check_that(pg_pool_is_ready(pool), "%s", pg_pool_why(pool));
    turn_for(50);                             /* the other connections          */
    memset(heard, 0, sizeof heard);
    ended = 0;
    all = false;
}

static void begin(size_t connections)
{
    begin_with(connections, 0, 1000);
}

static void finish(void)
{
    pg_pool_close(pool);
    pg_batches_free(batches);
    turn_for(5);
}

static struct pg_work *unit(size_t i, const char *group, int64_t n, const char *text)
{
    struct pg_work *w = pg_work_new(&ops, &heard[i]);

    snprintf(heard[i].name, sizeof heard[i].name, "unit-%zu", i);
    pg_step(w, &statements[ALONE]);
    pg_text(w, str_of(heard[i].name));
    pg_text(w, str_of(group));
    pg_int(w, n);
    if (text)
        pg_text(w, str_of(text));
    else
        pg_null(w);
    return w;
}

static void ask(size_t i, const char *group, int64_t n, const char *text)
{
    pg_do_with_others(batches, unit(i, group, n, text));
}

static const char *own_group(size_t i)
{
    static char names[UNITS][12];

    snprintf(names[i], sizeof names[i], "g%zu", i);
    return names[i];
}

static void wait_for(size_t n)
{
    wanted = n;
    all = ended == wanted;
    turn_until(&all, 10000);
}

/* As it would have been alone. */
static void check_unit(size_t i, size_t rows, const char *text)
{
    const struct heard_one *h = &heard[i];

    assert_int_equal(h->ends, 1);
    check_text(str_of(pg_end_name(h->end)), pg_end_name(PG_DONE));
    assert_true(h->times >= 1);
    assert_int_equal(h->rows, rows);
    if (rows) {
        assert_int_equal(h->is_text_null, text == NULL);
        check_text(str_of(h->text), text ? text : "");
    }
}

TEST(few_are_asked_alone_and_at_once)
{
    begin(8);
    for (size_t i = 0; i < AT_ONCE; i++)
        ask(i, own_group(i), 1, "a");
    wait_for(AT_ONCE);
    for (size_t i = 0; i < AT_ONCE; i++) {
        check_unit(i, 1, "a");
        assert_false(heard[i].was_together);
    }
    finish();
}

static const char *const texts[] = {
    "",
    "a",
    "NULL",
    NULL,
    "\"\\{},$1",
    "'; DROP TABLE t; --",
    "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80",
};

TEST(many_are_asked_together_and_each_hears_its_own)
{
    size_t together = 0;

    begin(8);
    for (size_t i = 0; i < UNITS; i++)
        ask(i, own_group(i), (int64_t)(i % 4), texts[i % COUNT(texts)]);
    wait_for(UNITS);
    for (size_t i = 0; i < UNITS; i++) {
        check_unit(i, i % 4, texts[i % COUNT(texts)]);
        together += heard[i].was_together;
    }
    check_that(together > UNITS / 2, "%zu of %d together", together, UNITS);
    finish();
}

static void check_apart(size_t a, size_t b)
{
    check_that(heard[a].batch != heard[b].batch, "%zu and %zu in one batch", a, b);
}

TEST(those_of_one_value_go_apart)
{
    begin(8);
    for (size_t i = 0; i < 60; i++)
        ask(i, own_group(i % 20), 1, "a");
    wait_for(60);
    for (size_t i = 0; i < 60; i++) {
        check_unit(i, 1, "a");
        for (size_t k = i % 20; k < i; k += 20)
            check_apart(k, i);
    }
    finish();
}

static size_t in_batch_of(size_t i)
{
    size_t n = 0;

    for (size_t k = 0; k < UNITS; k++)
        n += heard[k].batch == heard[i].batch;
    return n;
}

TEST(a_batch_is_as_large_as_it_may_be_and_not_larger)
{
    size_t largest = 0;

    begin(8);
    for (size_t i = 0; i < UNITS; i++)
        ask(i, own_group(i), 1, "a");
    wait_for(UNITS);
    for (size_t i = 0; i < UNITS; i++)
        largest = in_batch_of(i) > largest ? in_batch_of(i) : largest;
    assert_int_equal(largest, PG_BATCH_MAX);
    finish();
}

TEST(who_is_alone_hears_why_he_is_refused)
{
    begin(8);
    ask(0, "one", -1, "a");
    wait_for(1);
    assert_int_equal(heard[0].end, PG_REFUSED);
    assert_string_equal(heard[0].sqlstate, "22012");
    finish();
}

TEST(nobody_suffers_for_another)
{
    begin(8);
    for (size_t i = 0; i < 40; i++)
        ask(i, own_group(i), i == 20 ? -1 : 1, "a");
    wait_for(40);
    for (size_t i = 0; i < 40; i++)
        if (i != 20)
            check_unit(i, 1, "a");
    assert_int_equal(heard[20].ends, 1);
    assert_int_equal(heard[20].end, PG_REFUSED);
    assert_string_equal(heard[20].sqlstate, "22012");
    finish();
}

/* They are asked one by one, and so many may not wait. */
TEST(nobody_is_told_anothers_refusal_though_the_line_is_full)
{
    size_t busy = 0;

    begin_with(1, 1, 5);
    for (size_t i = 0; i < 20; i++)
        ask(i, own_group(i), i == 10 ? -1 : 1, "a");
    wait_for(20);
    for (size_t i = 0; i < 20; i++) {
        busy += heard[i].end == PG_BUSY;
        check_that(i == 10 || heard[i].end == PG_DONE || heard[i].end == PG_BUSY, "%zu: %s", i,
                   pg_end_name(heard[i].end));
    }
    assert_true(busy > 0);
    finish();
}

TEST(nobody_waits_long_for_another)
{
    struct pg_work *slow;

    begin(8);
    for (size_t i = 0; i < AT_ONCE; i++)
        ask(i, own_group(i), 1, "a");
    for (size_t i = AT_ONCE; i < 12; i++) {
        slow = unit(i, i == 8 ? "slow" : own_group(i), 1, "a");
        slow->max_time = 200 * CLOCK_MS;
        pg_do_with_others(batches, slow);
    }
    wait_for(12);
    for (size_t i = 0; i < 12; i++)
        if (i != 8)
            check_unit(i, 1, "a");
    assert_int_equal(heard[8].end, PG_UNKNOWN);
    assert_int_equal(heard[8].ends, 1);
    finish();
}

TEST(what_cannot_be_kept_is_refused_without_the_others)
{
    begin(8);
    for (size_t i = 0; i < 20; i++) {
        struct pg_work *w = unit(i, own_group(i), 1, i == 9 ? "\xff" : "a");

        w->is_text_bad = i == 10;
        w->bytes.over = i == 11;
        pg_do_with_others(batches, w);
    }
    wait_for(20);
    for (size_t i = 0; i < 20; i++) {
        if (i < 9 || i > 11)
            check_unit(i, 1, "a");
        else
            assert_string_equal(heard[i].sqlstate, i == 11 ? "54000" : "22021");
    }
    finish();
}

TEST(behind_slow_ones_nobody_waits)
{
    uint64_t began;

    begin(8);
    began = clock_now();
    for (size_t i = 0; i < AT_ONCE; i++)
        ask(i, i % 2 ? "slow 1" : "slow 2", 1, "a");
    for (size_t i = AT_ONCE; i < 10; i++)
        ask(i, own_group(i), 1, "a");
    wait_for(10);
    for (size_t i = AT_ONCE; i < 10; i++) {
        check_unit(i, 1, "a");
        check_that(heard[i].at - began < 300 * CLOCK_MS, "unit %zu waited", i);
        assert_true(heard[i].was_together);
    }
    finish();
}

TEST(a_long_one_goes_alone)
{
    static char text[70000];

    memset(text, 'a', sizeof text - 1);
    begin(8);
    for (size_t i = 0; i < 20; i++)
        ask(i, own_group(i), 1, i == 10 ? text : "a");
    wait_for(20);
    assert_false(heard[10].was_together);
    assert_int_equal(heard[10].end, PG_DONE);
    finish();
}

TEST(nobody_who_is_forgotten_is_told)
{
    struct pg_work *works[20];

    begin(8);
    for (size_t i = 0; i < 20; i++) {
        works[i] = unit(i, own_group(i), 1, "a");
        pg_do_with_others(batches, works[i]);
    }
    for (size_t i = 0; i < 20; i += 2)
        pg_forget(works[i]);
    wait_for(10);
    turn_for(50);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(heard[i].ends, i % 2);
    finish();
}

TEST(without_a_database_all_are_told_so)
{
    begin(2);
    pg_pool_close(pool);
    pg_batches_free(batches);
    pool = pg_pool_open(&(struct pg_pool_settings){ .conninfo = STR("host=127.0.0.1 port=1"),
                                                    .connections = 2,
                                                    .max_waiting = 1000,
                                                    .prepares = true,
                                                    .connect_timeout = CLOCK_S },
                        statements, (char[PG_WHY_MAX]){ 0 });
    batches = pg_batches_new(pool, &rule);
    for (size_t i = 0; i < 100; i++)
        ask(i, own_group(i), 1, "a");
    wait_for(100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(heard[i].end, PG_AWAY);
    finish();
}

TEST(what_may_have_been_done_together_is_not_told_as_not_done)
{
    begin(2);
    for (size_t i = 0; i < 20; i++)
        ask(i, i < AT_ONCE ? own_group(i) : i == 10 ? "slow" : own_group(i), 1, "a");
    wait_for(AT_ONCE);
    turn_for(50);                             /* the others are under way, and slow */
    cluster_do("stop", "immediate");
    wait_for(20);
    cluster_do("start", NULL);
    for (size_t i = AT_ONCE; i < 20; i++)
        check_text(str_of(pg_end_name(heard[i].end)), pg_end_name(PG_UNKNOWN));
    finish();
}

TEST(whoever_is_closed_upon_is_told)
{
    begin(2);
    for (size_t i = 0; i < 100; i++)
        ask(i, "one", 1, "a");
    finish();
    assert_int_equal(ended, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(heard[i].ends, 1);
}

TEST(all_is_done_though_connections_break)
{
    char line[300];

    begin(4);
    for (size_t i = 0; i < UNITS; i++) {
        ask(i, own_group(i), 1, "a");
        if (i % 40 == 39) {
            turn_for(2);
            cluster_sql(line, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                              "WHERE application_name = 'runnel'");
        }
    }
    wait_for(UNITS);
    for (size_t i = 0; i < UNITS; i++)
        check_unit(i, 1, "a");
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_asked_alone_and_at_once),
        cmocka_unit_test(many_are_asked_together_and_each_hears_its_own),
        cmocka_unit_test(those_of_one_value_go_apart),
        cmocka_unit_test(a_batch_is_as_large_as_it_may_be_and_not_larger),
        cmocka_unit_test(who_is_alone_hears_why_he_is_refused),
        cmocka_unit_test(nobody_suffers_for_another),
        cmocka_unit_test(nobody_is_told_anothers_refusal_though_the_line_is_full),
        cmocka_unit_test(nobody_waits_long_for_another),
        cmocka_unit_test(what_cannot_be_kept_is_refused_without_the_others),
        cmocka_unit_test(behind_slow_ones_nobody_waits),
        cmocka_unit_test(a_long_one_goes_alone),
        cmocka_unit_test(nobody_who_is_forgotten_is_told),
        cmocka_unit_test(without_a_database_all_are_told_so),
        cmocka_unit_test(what_may_have_been_done_together_is_not_told_as_not_done),
        cmocka_unit_test(whoever_is_closed_upon_is_told),
        cmocka_unit_test(all_is_done_though_connections_break),
    };

    return cmocka_run_group_tests(tests, cluster_begin, cluster_end);
}
