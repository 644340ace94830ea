/* Leader and worker are one process here. */
#include "check.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "process/pulse.h"

TEST(where_nobody_watches_nobody_looks)
{
    pulse_prepare(0);
    assert_int_equal(pulse_every(), 0);
    pulse_begin(1);
    assert_true(deadlines_next() == UINT64_MAX);
}

TEST(two_looks_are_in_a_watchdog_s_time_and_a_second_apart)
{
    pulse_prepare(200 * CLOCK_MS);
    assert_int_equal(pulse_every(), CLOCK_S);
    pulse_prepare(30 * CLOCK_S);
    assert_int_equal(pulse_every(), 15 * CLOCK_S);
}

TEST(who_beats_between_looks_does_not_stand_still)
{
    uint64_t now = 100 * CLOCK_S;

    pulse_prepare(30 * CLOCK_S);
    pulse_begin(1);
    for (int i = 0; i < 10; i++) {
        assert_false(pulse_stands_still(1));
        now += pulse_every();
        clock_fake(now);
        deadlines_run(now);
    }
    assert_false(pulse_stands_still(1));
    assert_false(pulse_stands_still(1));      /* however long ago the last look was */
    assert_true(pulse_stands_still(1));
    pulse_begin(1);                           /* another one in its place       */
    assert_false(pulse_stands_still(1));
    assert_false(pulse_stands_still(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nobody_watches_nobody_looks),
        cmocka_unit_test(two_looks_are_in_a_watchdog_s_time_and_a_second_apart),
        cmocka_unit_test(who_beats_between_looks_does_not_stand_still),
    };

    clock_fake(100 * CLOCK_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
