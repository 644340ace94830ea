#include "check.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "turn/admit.h"

/* Of the gate itself gate_test.c speaks. */

enum { PLACES = 4 };

static struct place places[PLACES];
static int          refused;

static void count_refusals(struct place *p, bool held)
{
    (void)p;
    refused += !held;
}

static void ask(void)
{
    for (int i = 0; i < PLACES; i++)
        gate_ask(admit_gate(), &places[i], count_refusals);
}

static void check_figures(int64_t running, int64_t waiting)
{
    assert_int_equal(metric_value(METRIC_TURNS_RUNNING), running);
    assert_int_equal(metric_value(METRIC_TURNS_WAITING), waiting);
}

TEST(nobody_is_let_in_before_there_are_settings)
{
    ask();
    assert_int_equal(refused, PLACES);
    check_figures(0, 0);
}

TEST(the_settings_say_how_many_and_the_gauges_show_it)
{
    refused = 0;
    clock_fake(CLOCK_S);
    admit_configure(
        &(struct turn_settings){ .max_running = 1, .max_waiting = 2, .max_wait = 100 * CLOCK_MS });
    ask();
    check_figures(1, 2);
    assert_int_equal(refused, 1);
    gate_give_back(&places[0]);
    check_figures(1, 1);
    clock_fake(CLOCK_S + 99 * CLOCK_MS);
    deadlines_run(clock_now());
    check_figures(1, 1);
    clock_fake(CLOCK_S + 100 * CLOCK_MS);
    deadlines_run(clock_now());
    assert_int_equal(refused, 2);
    check_figures(1, 0);
    gate_give_back(&places[1]);
    check_figures(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_let_in_before_there_are_settings),
        cmocka_unit_test(the_settings_say_how_many_and_the_gauges_show_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
