/* breaker_test.c - a target that fails is left alone, then tried by one turn, and asked by
 * all again when it answers. Several turns in one world, one after the other or at once. */
#include "flow/world.h"

enum { TIME_MS = 20 };                        /* one.settings.breaker_time      */

/* A turn at a time, without pauses: what fails, fails. */
static void fragile_world(const char *first, const char *second, uint64_t failures)
{
    world_begin(first, second);
    one.settings.breaker_failures = failures;
    catalog->settings->turns.max_pause = 20 * CLOCK_S;
    catalog->settings->turns.max_time = 100 * CLOCK_S;
}

static void ask_and_hear(const char *events, enum fault fault)
{
    if (tape.closed)
        ask_another();
    else
        ask();
    pass_until_over(PASSES);
    told(events, fault);
}

static const struct standing *its(void)
{
    return targets[0].standing;
}

static void after_so_many_failures_it_is_left_alone(void **state)
{
    int64_t breaks = metric_value(METRIC_BREAKS);

    (void)state;
    fragile_world("-c", NULL, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
        ask_and_hear("e", FAULT_CUT);
    }
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 1);
    assert_int_equal(metric_value(METRIC_BREAKS), breaks + 1);
    ask_and_hear("e", FAULT_RESTING);
    assert_in_range(tape.advice.after, (TIME_MS - 4) * CLOCK_MS, TIME_MS * CLOCK_MS);
    assert_int_equal(one.starts, 3);
    settle();
}

static void one_turn_s_failures_count_like_many_turns(void **state)
{
    (void)state;
    fragile_world("-c", NULL, 3);
    one.settings.retries = 5;
    ask();
    pass_until_over(100 * 1000);
    told("e", FAULT_CUT);                     /* its own failure, not "resting" */
    assert_int_equal(one.starts, 3);
    assert_in_range(tape.advice.after, 1490 * CLOCK_MS, 2000 * CLOCK_MS);
    settle();
}

static void somebody_else_is_asked_meanwhile(void **state)
{
    (void)state;
    fragile_world("-c", "-sduf", 1);
    ask_and_hear("sduf", FAULT_NONE);
    ask_and_hear("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 1);
    assert_int_equal(two.starts, 2);
    settle();
}

static void failures_count_in_a_row(void **state)
{
    (void)state;
    fragile_world("-c|-c|-sduf|-c|-c|-sduf", NULL, 3);
    ask_and_hear("e", FAULT_CUT);
    ask_and_hear("e", FAULT_CUT);
    ask_and_hear("sduf", FAULT_NONE);
    ask_and_hear("e", FAULT_CUT);
    ask_and_hear("e", FAULT_CUT);
    ask_and_hear("sduf", FAULT_NONE);
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    settle();
}

/* An answer that begins and breaks off is a failure too. */
static void a_beginning_is_no_success(void **state)
{
    (void)state;
    fragile_world("-s-c", NULL, 2);
    ask_and_hear("se", FAULT_CUT);
    ask_and_hear("se", FAULT_CUT);
    ask_and_hear("e", FAULT_RESTING);
    settle();
}

static void what_a_client_did_never_counts(void **state)
{
    (void)state;
    fragile_world("-n|-b|-e|-sdddddduf|-sduf", NULL, 1);
    ask_and_hear("e", FAULT_NOT_ACCEPTED);
    ask_and_hear("e", FAULT_SERVICE_BUSY);
    ask_and_hear("e", FAULT_PROVIDER_BUSY);
    catalog->settings->turns.max_answer_bytes = 20;
    ask_another();
    pass_until_over(PASSES);
    assert_int_equal(tape.fault, FAULT_ANSWER_TOO_BIG);
    ask_another();
    pass();
    turns_interrupt_all(FAULT_CLIENT_GONE);
    pass();
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    settle();
}

static void without_a_limit_nothing_breaks(void **state)
{
    (void)state;
    fragile_world("-c", NULL, 0);
    for (int i = 0; i < 20; i++)
        ask_and_hear("e", FAULT_CUT);
    assert_int_equal(one.starts, 20);
    settle();
}

static void a_try_that_succeeds_closes_it(void **state)
{
    (void)state;
    fragile_world("-c|-c|-sduf|-c|-sduf", NULL, 1);
    ask_and_hear("e", FAULT_CUT);
    pass_for(TIME_MS);
    ask_and_hear("e", FAULT_CUT);
    pass_for(2 * TIME_MS);
    ask_and_hear("sduf", FAULT_NONE);
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    ask_and_hear("e", FAULT_CUT);             /* and the next break is as short as the first */
    assert_in_range(its()->broken_until - clock_now(), (TIME_MS - 2) * CLOCK_MS,
                    TIME_MS * CLOCK_MS);
    pass_for(TIME_MS);
    ask_and_hear("sduf", FAULT_NONE);
    settle();
}

static void every_failed_try_doubles_the_time_up_to_eight(void **state)
{
    static const int times[] = { 1, 2, 4, 8, 8, 8 };

    (void)state;
    fragile_world("-c", NULL, 1);
    for (int i = 0; i < 6; i++) {
        ask_and_hear("e", FAULT_CUT);
        assert_int_equal(one.starts, i + 1);
        assert_int_equal(its()->broken_until - clock_now(),
                         (uint64_t)(times[i] * TIME_MS) * CLOCK_MS);
        pass_for(times[i] * TIME_MS - 5);
        ask_and_hear("e", FAULT_RESTING);
        pass_for(5);
    }
    settle();
}

static void only_one_turn_tries(void **state)
{
    struct tape other = { .n = 0 };

    (void)state;
    fragile_world("-c|----------sduf", NULL, 1);
    ask_and_hear("e", FAULT_CUT);
    pass_for(TIME_MS);
    ask_another();
    pass_for(2);
    assert_int_equal(one.starts, 2);
    ask_on(&other);
    pass_for(2);
    assert_int_equal(other.fault, FAULT_RESTING);
    assert_int_equal(other.advice.after, 0);  /* nobody knows                   */
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

/* From the first event on it is known to be alive, and all may ask. */
static void a_try_that_begins_to_answer_closes_it(void **state)
{
    (void)state;
    fragile_world("-c|-s-----duf", NULL, 1);
    ask_and_hear("e", FAULT_CUT);
    pass_for(TIME_MS);
    ask_another();
    pass_for(4);
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    assert_false(its()->tried);
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

static void a_try_that_is_abandoned_leaves_it_to_the_next(void **state)
{
    (void)state;
    fragile_world("-c||-sduf", NULL, 1);
    ask_and_hear("e", FAULT_CUT);
    pass_for(TIME_MS);
    ask_another();
    pass_for(3);
    assert_true(its()->tried);
    turns_interrupt_all(FAULT_CLIENT_GONE);
    pass();
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 1);
    ask_and_hear("sduf", FAULT_NONE);
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    settle();
}

static void a_try_that_says_nothing_of_the_service_leaves_it_too(void **state)
{
    static const char *const scripts[] = { "-c|-n|-sduf", "-c|-b|-sduf" };
    static const enum fault  faults[] = { FAULT_NOT_ACCEPTED, FAULT_SERVICE_BUSY };

    (void)state;
    for (int i = 0; i < 2; i++) {
        fragile_world(scripts[i], NULL, 1);
        ask_and_hear("e", FAULT_CUT);
        pass_for(TIME_MS);
        ask_and_hear("e", faults[i]);
        assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 1);
        ask_and_hear("sduf", FAULT_NONE);
        settle();
    }
}

/* The next key is tried by the same turn, and at once. */
static void a_try_with_a_bad_key_is_no_verdict(void **state)
{
    (void)state;
    fragile_world("-c|-k|-sduf", NULL, 1);
    one.settings.retries = 1;
    one.advice.not_again = true;
    ask_and_hear("e", FAULT_CUT);
    pass_for(TIME_MS);
    one.advice = (struct advice){ .at_once = true };
    ask_and_hear("sduf", FAULT_NONE);
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    settle();
}

/* Who stands in its line when it breaks has not been asked yet. */
static void a_line_is_not_served_past_an_open_breaker(void **state)
{
    (void)state;
    fragile_world("-sduf", NULL, 1);
    gate_configure(&targets[0].standing->gate, 1, 10, PATIENCE_MS * CLOCK_MS);
    hold_place(&targets[0].standing->gate, &holders[0]);
    ask();
    pass();
    assert_int_equal(targets[0].standing->gate.line.n, 1);
    standing_failed(targets[0].standing, &one.settings, FAULT_CUT, false, clock_now());
    gate_give_back(&holders[0]);
    pass_until_over(PASSES);
    told("e", FAULT_RESTING);
    assert_int_equal(one.starts, 0);
    assert_in_range(tape.advice.after, (TIME_MS - 2) * CLOCK_MS, TIME_MS * CLOCK_MS);
    settle();
}

static void of_those_in_its_line_one_tries(void **state)
{
    struct tape other = { .n = 0 };

    (void)state;
    fragile_world("-c|-----c", NULL, 1);
    gate_configure(&targets[0].standing->gate, 2, 10, PATIENCE_MS * CLOCK_MS);
    ask_and_hear("e", FAULT_CUT);
    pass_for(TIME_MS);
    hold_place(&targets[0].standing->gate, &holders[0]);
    hold_place(&targets[0].standing->gate, &holders[1]);
    ask_another();
    ask_on(&other);
    pass();
    assert_int_equal(targets[0].standing->gate.line.n, 2);
    gate_give_back(&holders[0]);
    gate_give_back(&holders[1]);
    pass_until_over(PASSES);
    told("e", FAULT_CUT);
    assert_int_equal(other.fault, FAULT_RESTING);
    assert_int_equal(one.starts, 2);
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_so_many_failures_it_is_left_alone),
        cmocka_unit_test(one_turn_s_failures_count_like_many_turns),
        cmocka_unit_test(somebody_else_is_asked_meanwhile),
        cmocka_unit_test(failures_count_in_a_row),
        cmocka_unit_test(a_beginning_is_no_success),
        cmocka_unit_test(what_a_client_did_never_counts),
        cmocka_unit_test(without_a_limit_nothing_breaks),
        cmocka_unit_test(a_try_that_succeeds_closes_it),
        cmocka_unit_test(every_failed_try_doubles_the_time_up_to_eight),
        cmocka_unit_test(only_one_turn_tries),
        cmocka_unit_test(a_try_that_begins_to_answer_closes_it),
        cmocka_unit_test(a_try_that_is_abandoned_leaves_it_to_the_next),
        cmocka_unit_test(a_try_that_says_nothing_of_the_service_leaves_it_too),
        cmocka_unit_test(a_try_with_a_bad_key_is_no_verdict),
        cmocka_unit_test(a_line_is_not_served_past_an_open_breaker),
        cmocka_unit_test(of_those_in_its_line_one_tries),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
