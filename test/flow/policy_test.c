/* policy_test.c - when a turn asks again, and what its last word then advises. Whom it asks, and
 * in which order, is order_test.c's; the breaker is breaker_test.c's. */
#include "flow/world.h"

static uint64_t gap(const struct fake_provider *f, int nth)
{
    return f->asked_at[nth] - f->asked_at[nth - 1];
}

/* ---- nobody -------------------------------------------------------------------------- */

static bool takes_nothing(const struct provider *p, const struct question *q)
{
    return (void)p, (void)q, false;
}

/* Waiting would not help, and it is no fault of whoever is asked. */
static void where_nobody_can_be_shown_it_that_is_said(void **state)
{
    struct provider_ops picky;

    (void)state;
    patient_world("sduf", "sduf", 2);
    picky = *one.provider.ops;
    picky.takes = takes_nothing;
    one.provider.ops = two.provider.ops = &picky;
    ask();
    pass();
    told("e", FAULT_NOT_OFFERED);
    assert_int_equal(one.starts + two.starts, 0);
    settle();
}

/* ---- the same again ------------------------------------------------------------------ */

static void who_failed_is_asked_again_after_a_pause(void **state)
{
    int64_t again = labelled_metric("runnel_retries_total{where=\"again\"}");

    (void)state;
    patient_world("-c|-c|-sduf", NULL, 2);
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 3);
    assert_in_range(gap(&one, 1), 375, 503);
    assert_in_range(gap(&one, 2), 750, 1003);
    assert_int_equal(labelled_metric("runnel_retries_total{where=\"again\"}"), again + 2);
    settle();
}

static void the_pause_doubles_up_to_eight_seconds(void **state)
{
    uint64_t longest = 500;

    (void)state;
    patient_world("-c", NULL, 10);
    ask();
    pass_until_over(LONG);
    told("e", FAULT_CUT);
    assert_int_equal(one.starts, 11);
    for (int i = 1; i < one.starts; i++) {
        assert_in_range(gap(&one, i), longest * 3 / 4, longest + 3);
        longest = longest < 8000 ? longest * 2 : 8000;
    }
    settle();
}

static void it_is_asked_again_only_so_often(void **state)
{
    (void)state;
    for (int retries = 0; retries < 4; retries++) {
        patient_world("-c", NULL, (uint64_t)retries);
        ask();
        pass_until_over(LONG);
        told("e", FAULT_CUT);
        assert_int_equal(one.starts, retries + 1);
        settle();
    }
}

static void nothing_is_asked_again_after_the_first_event(void **state)
{
    (void)state;
    patient_world("-s-c|-sduf", "-sduf", 5);
    ask();
    pass_until_over(LONG);
    told("se", FAULT_CUT);
    assert_int_equal(one.starts + two.starts, 1);
    settle();
}

/* Somebody else may do better, but the same would say the same. */
static void what_would_fail_again_is_not_asked_again(void **state)
{
    (void)state;
    patient_world("-k", "-sduf", 5);
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 1);
    settle();

    patient_world("-k", NULL, 5);
    ask();
    pass_until_over(LONG);
    told("e", FAULT_SERVICE_DENIED);
    assert_int_equal(one.starts, 1);
    settle();

    patient_world("-n", "-sduf", 5);
    ask();
    pass_until_over(LONG);
    told("e", FAULT_NOT_ACCEPTED);
    assert_int_equal(one.starts + two.starts, 1);
    settle();
}

static void who_says_not_again_is_not_asked_again(void **state)
{
    (void)state;
    patient_world("-c", NULL, 5);
    one.advice.not_again = true;
    ask();
    pass_until_over(LONG);
    told("e", FAULT_CUT);
    assert_true(tape.advice.not_again);
    assert_int_equal(one.starts, 1);
    settle();

    patient_world("-c", "-sduf", 5);
    one.advice.not_again = true;
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    settle();
}

/* What speaks against one of its keys does not speak against it. */
static void with_another_key_there_is_no_pause(void **state)
{
    (void)state;
    patient_world("-k|-sduf", NULL, 1);
    one.settings.breaker_failures = 1;
    one.advice.at_once = true;
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_in_range(gap(&one, 1), 0, 3);
    settle();

    patient_world("-k", NULL, 3);
    one.advice.at_once = true;
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_SERVICE_DENIED);
    assert_int_equal(one.starts, 4);
    settle();
}

/* ---- how long ----------------------------------------------------------------------------- */

static void who_says_how_long_is_believed(void **state)
{
    (void)state;
    patient_world("-b|-sduf", NULL, 1);
    one.advice.after = 40 * CLOCK_MS;
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_in_range(gap(&one, 1), 40, 43);
    settle();

    patient_world("-b|-sduf", NULL, 1);
    one.advice.after = 15 * CLOCK_S;
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_in_range(gap(&one, 1), 15000, 15003);
    settle();
}

static void who_wants_too_long_a_wait_is_not_waited_for(void **state)
{
    uint64_t begun = now_ms;

    (void)state;
    patient_world("-b|-sduf", NULL, 5);
    one.advice.after = 30 * CLOCK_S;
    ask();
    pass_until_over(LONG);
    told("e", FAULT_SERVICE_BUSY);
    assert_in_range(now_ms - begun, 0, 10);
    assert_in_range(tape.advice.after, 29 * CLOCK_S, 30 * CLOCK_S);
    assert_int_equal(one.starts, 1);
    settle();
}

static void a_pause_of_ours_may_be_too_long_too(void **state)
{
    (void)state;
    patient_world("-c", NULL, 5);
    catalog->settings->turns.max_pause = 600 * CLOCK_MS;
    ask();
    pass_until_over(LONG);
    told("e", FAULT_CUT);
    assert_int_equal(one.starts, 2);          /* 0.5 s is short enough, 1 s is not */
    assert_in_range(tape.advice.after, 740 * CLOCK_MS, 1000 * CLOCK_MS);
    settle();
}

static void what_it_asks_of_one_turn_it_asks_of_all(void **state)
{
    uint64_t told_at;

    (void)state;
    patient_world("-b|-sduf|-sduf", NULL, 0);
    one.advice.after = 50 * CLOCK_MS;
    ask();
    pass_until_over(LONG);
    told("e", FAULT_SERVICE_BUSY);
    assert_int_equal(tape.advice.after, 50 * CLOCK_MS);
    told_at = now_ms;
    ask_another();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_in_range(one.asked_at[1] - told_at, 46, 51);
    ask_another();                            /* it has answered: nobody rests  */
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

/* Not for an hour: it may be better before, and others will ask. */
static void nobody_rests_for_longer_than_a_minute(void **state)
{
    (void)state;
    patient_world("-b|-sduf", NULL, 0);
    one.advice.after = 3600 * CLOCK_S;
    ask();
    pass_until_over(LONG);
    assert_int_equal(tape.advice.after, 3600 * CLOCK_S);
    ask_another();
    pass_until_over(LONG);
    told("e", FAULT_RESTING);
    assert_in_range(tape.advice.after, 59 * CLOCK_S, 60 * CLOCK_S);
    assert_int_equal(one.starts, 1);
    pass_for(40 * 1000);                      /* 20 s of it are left: worth waiting for */
    ask_another();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    settle();
}

static void where_all_rest_nobody_is_asked(void **state)
{
    (void)state;
    patient_world("-sduf", "-sduf", 2);
    standing_rest(targets[0].standing, clock_now() + 90 * CLOCK_S);
    standing_rest(targets[1].standing, clock_now() + 50 * CLOCK_S);
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_RESTING);
    assert_in_range(tape.advice.after, 49 * CLOCK_S, 50 * CLOCK_S);
    assert_int_equal(one.starts + two.starts, 0);
    settle();
}

static void a_pause_can_be_interrupted(void **state)
{
    (void)state;
    for (int leave = 0; leave < 2; leave++) {
        struct turn *t;

        patient_world("-c|-sduf", NULL, 1);
        t = ask();
        pass_for(100);
        assert_int_equal(targets[0].standing->gate.held, 0);
        assert_int_equal(one.provider.standing->gate.held, 0);
        if (leave)
            sink_leave(&tape.sink->sink);
        else
            turn_interrupt(t, FAULT_SHUTDOWN);
        pass();
        assert_int_equal(one.starts, 1);
        if (!leave)
            told("e", FAULT_SHUTDOWN);
        settle();
    }
}

static void a_turn_s_time_goes_on_in_its_pauses(void **state)
{
    (void)state;
    patient_world("-c", NULL, 10);
    catalog->settings->turns.max_time = 1000 * CLOCK_MS;
    ask();
    pass_until_over(1010);
    told("e", FAULT_TIMEOUT);
    assert_int_equal(one.starts, 2);
    settle();
}

/* The advice was about a call that is over. */
static void an_interrupt_carries_no_advice_of_a_call_before(void **state)
{
    (void)state;
    patient_world("-c", "", 0);
    one.advice = (struct advice){ .not_again = true, .after = CLOCK_S };
    ask();
    pass_until_over(PASSES);
    assert_int_equal(two.starts, 1);
    turns_interrupt_all(FAULT_SHUTDOWN);
    pass();
    told("e", FAULT_SHUTDOWN);
    assert_false(tape.advice.not_again);
    assert_int_equal(tape.advice.after, 0);
    assert_int_equal(targets[1].standing->rest_until, 0);
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nobody_can_be_shown_it_that_is_said),
        cmocka_unit_test(who_failed_is_asked_again_after_a_pause),
        cmocka_unit_test(the_pause_doubles_up_to_eight_seconds),
        cmocka_unit_test(it_is_asked_again_only_so_often),
        cmocka_unit_test(nothing_is_asked_again_after_the_first_event),
        cmocka_unit_test(what_would_fail_again_is_not_asked_again),
        cmocka_unit_test(who_says_not_again_is_not_asked_again),
        cmocka_unit_test(with_another_key_there_is_no_pause),
        cmocka_unit_test(who_says_how_long_is_believed),
        cmocka_unit_test(who_wants_too_long_a_wait_is_not_waited_for),
        cmocka_unit_test(a_pause_of_ours_may_be_too_long_too),
        cmocka_unit_test(what_it_asks_of_one_turn_it_asks_of_all),
        cmocka_unit_test(nobody_rests_for_longer_than_a_minute),
        cmocka_unit_test(where_all_rest_nobody_is_asked),
        cmocka_unit_test(a_pause_can_be_interrupted),
        cmocka_unit_test(a_turn_s_time_goes_on_in_its_pauses),
        cmocka_unit_test(an_interrupt_carries_no_advice_of_a_call_before),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
