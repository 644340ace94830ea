/* listener_test.c - what others say is heard, and what was not heard is known to be missing. */
#include "base/clock.h"
#include "database/cluster.h"
#include "pg/pg_listener.h"

#include <signal.h>

static struct {
    size_t n, gaps;
    char   last[60], payloads[200];
    bool   has_gap, has_all;
    size_t wants;
} ear;

static void on_heard(void *owner, struct str channel, struct str payload)
{
    size_t n = strlen(ear.payloads);

    assert_ptr_equal(owner, &ear);
    snprintf(ear.last, sizeof ear.last, "%.*s", STR_ARG(channel));
    snprintf(ear.payloads + n, sizeof ear.payloads - n, "%.*s ", STR_ARG(payload));
    ear.has_all = ++ear.n == ear.wants;
}

static void on_gap(void *owner)
{
    assert_ptr_equal(owner, &ear);
    ear.gaps++;
    ear.has_gap = true;
}

static const struct pg_listener_ops ops = { .heard = on_heard, .gap = on_gap };

static struct pg_listener *begin(uint64_t pulse)
{
    static const char *const    channels[] = { "runnel_one", "Two words", NULL };
    char                        why[PG_WHY_MAX] = "";
    struct pg_listener_settings s = { .conninfo = cluster_url(),
                                      .connect_timeout = 2 * CLOCK_S,
                                      .pulse = pulse,
                                      .channels = channels };
    struct pg_listener         *l;

    memset(&ear, 0, sizeof ear);
    l = pg_listener_open(&s, &ops, &ear, why);
    check_that(l, "%s", why);
    return l;
}

static void finish(struct pg_listener *l)
{
    pg_listener_close(l);
    turn_for(5);
}

static void say(const char *channel, int from, int to)
{
    char line[300];

    for (int i = from; i <= to; i++)
        cluster_sql(line, "SELECT pg_notify('%s', '%d')", channel, i);
}

static void wait_for_gap(unsigned ms)
{
    ear.has_gap = false;
    turn_until(&ear.has_gap, ms);
}

TEST(what_is_said_is_heard_in_order)
{
    struct pg_listener *l = begin(10 * CLOCK_S);

    assert_false(pg_listener_is_listening(l));
    wait_for_gap(2000);
    assert_true(pg_listener_is_listening(l));
    ear.wants = 5;
    say("runnel_one", 1, 4);
    say("nobody listens to this", 5, 5);
    say("Two words", 6, 6);
    turn_until(&ear.has_all, 2000);
    turn_for(20);
    assert_string_equal(ear.payloads, "1 2 3 4 6 ");
    assert_string_equal(ear.last, "Two words");
    assert_int_equal(ear.gaps, 1);
    finish(l);
}

TEST(whoever_was_cut_off_is_told_of_the_gap)
{
    struct pg_listener *l = begin(10 * CLOCK_S);
    char                line[300];

    wait_for_gap(2000);
    cluster_sql(line, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      " WHERE application_name = 'runnel'");
    say("runnel_one", 1, 1);
    wait_for_gap(2000);
    ear.wants = 1;
    say("runnel_one", 2, 2);
    turn_until(&ear.has_all, 2000);
    assert_string_equal(ear.payloads, "2 ");
    assert_int_equal(ear.gaps, 2);
    finish(l);
}

TEST(it_comes_back_after_the_database_does)
{
    struct pg_listener *l = begin(10 * CLOCK_S);

    wait_for_gap(2000);
    cluster_do("stop", "immediate");
    turn_for(300);
    assert_false(pg_listener_is_listening(l));
    cluster_do("start", NULL);
    wait_for_gap(2000);
    ear.wants = 1;
    say("runnel_one", 7, 7);
    turn_until(&ear.has_all, 2000);
    finish(l);
}

TEST(silence_is_noticed)
{
    struct pg_listener *l = begin(200 * CLOCK_MS);
    char                line[300];
    pid_t               session;

    wait_for_gap(2000);
    turn_for(700);                            /* it is asked, and says that it is there */
    assert_int_equal(ear.gaps, 1);
    cluster_sql(line, "SELECT pid FROM pg_stat_activity WHERE application_name = 'runnel'");
    session = (pid_t)strtol(line, NULL, 10);
    assert_int_equal(kill(session, SIGSTOP), 0);
    wait_for_gap(2000);
    assert_int_equal(kill(session, SIGCONT), 0);
    ear.wants = 1;
    say("runnel_one", 3, 3);
    turn_until(&ear.has_all, 2000);
    finish(l);
}

TEST(it_can_be_closed_at_any_moment)
{
    for (unsigned ms = 0; ms < 30; ms++) {
        struct pg_listener *l = begin(5 * CLOCK_MS);

        turn_for(ms);
        finish(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_heard_in_order),
        cmocka_unit_test(whoever_was_cut_off_is_told_of_the_gap),
        cmocka_unit_test(it_comes_back_after_the_database_does),
        cmocka_unit_test(silence_is_noticed),
        cmocka_unit_test(it_can_be_closed_at_any_moment),
    };

    return cmocka_run_group_tests(tests, cluster_begin, cluster_end);
}
