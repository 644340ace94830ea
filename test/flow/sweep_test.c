/* sweep_test.c - what dead processes left is closed, but nobody who lives is taken for dead; and
 * what is old is cleared away. */
#include "flow/world.h"

#include "check.h"

enum { LEASE_MS = 90 };

static int64_t closed_turns(void)
{
    return metric_value(METRIC_TURNS_SWEPT);
}

TEST(it_is_swept_at_first_and_twice_in_a_lease)
{
    kept_world("");
    pass();
    assert_int_equal(fake.sweeps, 1);
    pass_for(100);
    assert_int_equal(fake.sweeps, 1);         /* the first one is not done      */
    fake_swept(STORE_OK, 0);
    pass_for(46);
    assert_int_equal(fake.sweeps, 2);
    fake_swept(STORE_OK, 0);
    pass_for(31);
    assert_int_equal(fake.sweeps, 2);
    pass_for(4);
    assert_int_equal(fake.sweeps, 3);
    kept_by_hand_end();
}

TEST(where_something_was_left_there_may_be_more)
{
    int64_t before = closed_turns();

    kept_world("");
    pass();
    fake_swept(STORE_OK, 3);
    assert_int_equal(closed_turns(), before + 3);
    pass();
    assert_int_equal(fake.sweeps, 2);
    fake_swept(STORE_OK, 0);
    pass_for(3);
    assert_int_equal(fake.sweeps, 2);
    assert_int_equal(closed_turns(), before + 3);
    kept_by_hand_end();
}

/* Others may not have been able to renew their leases either. */
TEST(nobody_is_swept_for_a_lease_behind_a_failure)
{
    kept_world("");
    pass();
    fake_swept(STORE_AWAY, 0);
    pass_for(LEASE_MS - 2);
    assert_int_equal(fake.sweeps, 1);
    pass_for(50);
    assert_int_equal(fake.sweeps, 2);
    kept_by_hand_end();
}

static void hear_sweeps(int ms)
{
    for (; ms; ms--) {
        pass();
        if (fake.sweep)
            fake_swept(STORE_OK, 0);
    }
}

TEST(nor_behind_leases_that_could_not_be_renewed)
{
    kept_world("");
    fake_hold(0);
    hear_sweeps(200);
    assert_in_range(fake.sweeps, 3, 5);
    fake.extend = STORE_AWAY;
    fake.news->stop(STR("a"));
    pass();
    fake.extend = STORE_OK;
    fake.sweeps = 0;
    fake.news->stop(STR("a"));
    hear_sweeps(LEASE_MS - 2);
    assert_int_equal(fake.sweeps, 0);
    hear_sweeps(50);
    assert_int_equal(fake.sweeps, 1);
    fake_let_go(0);
    kept_by_hand_end();
}

TEST(nor_behind_a_journal_that_could_not_be_written)
{
    kept_world("");
    fake_hold(0);
    hear_sweeps(100);
    fake_say(0);
    fake.add = STORE_AWAY;
    pass_for(16);
    fake.add = STORE_OK;
    fake.sweeps = 0;
    hear_sweeps(LEASE_MS - 20);
    assert_int_equal(fake.sweeps, 0);
    hear_sweeps(66);
    assert_in_range(fake.sweeps, 1, 2);
    fake_let_go(0);
    kept_by_hand_end();
}

/* A machine that was put to sleep wakes with its leases run out, and does not know it. */
TEST(who_lives_here_is_spared)
{
    kept_world("sdf");
    fake_hold(0);
    fake_hold(1);
    fake.slow = "c";
    ask();
    hear_sweeps(2);
    assert_int_equal(fake.claims_asked, 1);
    assert_in_range(fake.spared, 2, 3);
    hear_sweeps(50);
    assert_int_equal(fake.spared, 3);         /* also who is being claimed      */
    fake_answer();
    fake_let_go(0);
    fake_let_go(1);
    pass_until_over(PASSES);
    hear_sweeps(50);
    assert_int_equal(fake.spared, 0);
    kept_end();
}

TEST(old_journals_are_cleared)
{
    kept_world("");
    catalog->settings->turns.key_keep = 77 * CLOCK_S;
    fake.n_cleared = 999;
    hear_sweeps(3);
    assert_int_equal(fake.clears, 1);
    assert_int_equal(fake.cleared_age, 1000 * CLOCK_MS);
    assert_int_equal(fake.cleared_key_age, 77 * CLOCK_S);
    hear_sweeps(59000);
    assert_int_equal(fake.clears, 1);
    fake.n_cleared = 1000;                    /* there are more of them         */
    hear_sweeps(1010);
    assert_in_range(fake.clears, 4, 15);
    fake.is_slow = true;
    hear_sweeps(130000);
    assert_in_range(fake.clears, 4, 15);
    kept_by_hand_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_swept_at_first_and_twice_in_a_lease),
        cmocka_unit_test(where_something_was_left_there_may_be_more),
        cmocka_unit_test(nobody_is_swept_for_a_lease_behind_a_failure),
        cmocka_unit_test(nor_behind_leases_that_could_not_be_renewed),
        cmocka_unit_test(nor_behind_a_journal_that_could_not_be_written),
        cmocka_unit_test(who_lives_here_is_spared),
        cmocka_unit_test(old_journals_are_cleared),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
