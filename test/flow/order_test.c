/* order_test.c - whom a turn asks, in which order, and for whose place it waits. */
#include "flow/world.h"

/* ---- the order ------------------------------------------------------------------------------ */

static void targets_take_turns_in_rounds(void **state)
{
    (void)state;
    patient_world("-c", "-c", 2);
    world_third("-c");
    ask();
    pass_until_over(LONG);
    told("e", FAULT_CUT);
    for (int round = 0; round < 3; round++) {
        uint64_t first = one.asked_at[round], second = two.asked_at[round];
        uint64_t third = three.asked_at[round];
        uint64_t last = first > second ? first : second;

        last = last > third ? last : third;
        assert_true(round > 0 || (first < second && second < third && third <= first + 6));
        if (round < 2) {
            assert_true(last < one.asked_at[round + 1]);
            assert_true(last < two.asked_at[round + 1]);
            assert_true(last < three.asked_at[round + 1]);
        }
    }
    assert_int_equal(one.starts + two.starts + three.starts, 9);
    settle();
}

/* Not the one that was asked last, who may be of no use any more. */
static void behind_a_pause_it_is_looked_for_whom_to_ask(void **state)
{
    (void)state;
    patient_world("-b|-sduf", "-k|-sduf", 1);
    one.advice.after = 2 * CLOCK_S;
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 2);
    assert_int_equal(two.starts, 1);
    settle();
}

static void the_second_round_is_behind_the_first(void **state)
{
    int64_t elsewhere = labelled_metric("runnel_retries_total{where=\"elsewhere\"}");

    (void)state;
    patient_world("-c|-sduf", "--------------------c", 1);
    one.advice.after = 5 * CLOCK_MS;          /* over before the other one has failed */
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 2);
    assert_in_range(one.asked_at[1] - two.asked_at[0], 20, 24);
    assert_int_equal(labelled_metric("runnel_retries_total{where=\"elsewhere\"}"), elsewhere + 2);
    settle();
}

static void the_weights_say_who_is_first(void **state)
{
    int first = 0;

    (void)state;
    for (int i = 0; i < 400; i++) {
        patient_world("-sduf", "-sduf", 0);
        targets[0].weight = 1;
        targets[1].weight = 3;
        ask();
        pass_until_over(PASSES);
        assert_int_equal(one.starts + two.starts, 1);
        first += one.starts;
        settle();
    }
    assert_in_range(first, 50, 150);          /* 100 +- 5.8 standard deviations */
}

static void the_last_failure_is_the_turn_s(void **state)
{
    (void)state;
    patient_world("-c", "-b", 0);
    one.advice.not_again = true;
    two.advice.after = 7 * CLOCK_S;
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_SERVICE_BUSY);
    assert_false(tape.advice.not_again);
    assert_int_equal(tape.advice.after, 7 * CLOCK_S);
    settle();
}

static void who_stands_in_is_paid_at_his_own_price(void **state)
{
    struct model other = { .name = STR("model"), .completion_price = 7000000 };

    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        patient_world(fails ? "-c" : "-sduf", "-sduf", 0);
        targets[1].stands_in = &other;
        model.completion_price = 1000000;
        ask();
        pass_until_over(LONG);
        told("sduf", FAULT_NONE);
        assert_int_equal(tape.stood_in, fails);
        assert_int_equal(budget.bill.money, fails ? 14 : 2);  /* of two tokens */
        settle();
    }
}

/* ---- places ------------------------------------------------------------------------------------ */

static void make_full(struct gate *g, int max_waiting, struct place *by)
{
    gate_configure(g, 1, (uint64_t)max_waiting, PATIENCE_MS * CLOCK_MS);
    hold_place(g, by);
}

static void who_has_room_is_asked_before_who_is_full(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        patient_world("-sduf", "-c", 0);
        make_full(which ? &one.provider.standing->gate : &targets[0].standing->gate, 10,
                  &holders[0]);
        ask();
        pass_for(10);
        assert_int_equal(two.starts, 1);
        assert_int_equal(one.starts, 0);      /* now nobody else is left: we wait */
        gate_give_back(&holders[0]);
        pass_until_over(PASSES);
        told("sduf", FAULT_NONE);
        assert_int_equal(one.starts, 1);
        settle();
    }
}

static void where_all_are_full_the_first_is_waited_for(void **state)
{
    (void)state;
    patient_world("-sduf", "-sduf", 0);
    make_full(&targets[0].standing->gate, 10, &holders[0]);
    make_full(&targets[1].standing->gate, 10, &holders[1]);
    ask();
    pass_for(10);
    assert_int_equal(targets[0].standing->gate.line.n, 1);
    assert_int_equal(targets[1].standing->gate.line.n, 0);
    gate_give_back(&holders[0]);
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 1);
    settle();
}

/* Each line is stood in once. */
static void who_waited_in_vain_tries_the_next_line(void **state)
{
    uint64_t begun = now_ms;

    (void)state;
    patient_world("-sduf", "-sduf", 2);
    make_full(&targets[0].standing->gate, 10, &holders[0]);
    make_full(&targets[1].standing->gate, 10, &holders[1]);
    ask();
    pass_until_over(LONG);
    told("e", FAULT_PROVIDER_BUSY);
    assert_in_range(now_ms - begun, 2 * PATIENCE_MS, 2 * PATIENCE_MS + 5);
    settle();
}

static void a_full_line_does_not_hide_why_the_other_failed(void **state)
{
    (void)state;
    patient_world("-b", "-sduf", 0);
    one.advice.after = 3 * CLOCK_S;
    make_full(&targets[1].standing->gate, 0, &holders[1]);
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_SERVICE_BUSY);
    assert_int_equal(tape.advice.after, 3 * CLOCK_S);
    assert_int_equal(two.starts, 0);
    settle();
}

static void a_place_of_the_target_is_not_kept_without_one_of_the_provider(void **state)
{
    (void)state;
    patient_world("-sduf", "-sduf", 0);
    make_full(&one.provider.standing->gate, 0, &holders[0]);
    make_full(&targets[1].standing->gate, 10, &holders[1]);
    ask();
    pass_for(5);
    assert_int_equal(targets[0].standing->gate.held, 0);
    gate_give_back(&holders[1]);
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

static void a_place_is_held_as_long_as_the_call(void **state)
{
    (void)state;
    patient_world("-sd----duf", NULL, 0);
    ask();
    for (pass(); turns_alive(); pass()) {
        assert_int_equal(targets[0].standing->gate.held, one.live);
        assert_int_equal(one.provider.standing->gate.held, one.live);
    }
    told("sdduf", FAULT_NONE);
    settle();
}

static void every_call_is_counted_with_what_came_of_it(void **state)
{
    int64_t cut = labelled_metric("runnel_calls_total{result=\"cut\"}");
    int64_t good = labelled_metric("runnel_calls_total{result=\"none\"}");
    int64_t ended = labelled_metric("runnel_calls_total{result=\"shutdown\"}");

    (void)state;
    patient_world("-c|-c|-sduf", NULL, 2);
    ask();
    pass_until_over(LONG);
    settle();
    assert_int_equal(labelled_metric("runnel_calls_total{result=\"cut\"}"), cut + 2);
    assert_int_equal(labelled_metric("runnel_calls_total{result=\"none\"}"), good + 1);

    patient_world("", NULL, 0);
    ask();
    pass();
    turns_interrupt_all(FAULT_SHUTDOWN);
    pass();
    settle();
    assert_int_equal(labelled_metric("runnel_calls_total{result=\"shutdown\"}"), ended + 1);
}

static void a_call_that_never_was_is_not_counted(void **state)
{
    int64_t ended = labelled_metric("runnel_calls_total{result=\"shutdown\"}");

    (void)state;
    patient_world("-sduf", NULL, 0);
    make_full(&targets[0].standing->gate, 10, &holders[0]);
    ask();
    pass();
    gate_give_back(&holders[0]);              /* the place is there, its note not read yet */
    turns_interrupt_all(FAULT_SHUTDOWN);
    pass();
    told("e", FAULT_SHUTDOWN);
    assert_int_equal(one.starts, 0);
    assert_int_equal(labelled_metric("runnel_calls_total{result=\"shutdown\"}"), ended);
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_take_turns_in_rounds),
        cmocka_unit_test(behind_a_pause_it_is_looked_for_whom_to_ask),
        cmocka_unit_test(the_second_round_is_behind_the_first),
        cmocka_unit_test(the_weights_say_who_is_first),
        cmocka_unit_test(the_last_failure_is_the_turn_s),
        cmocka_unit_test(who_stands_in_is_paid_at_his_own_price),
        cmocka_unit_test(who_has_room_is_asked_before_who_is_full),
        cmocka_unit_test(where_all_are_full_the_first_is_waited_for),
        cmocka_unit_test(who_waited_in_vain_tries_the_next_line),
        cmocka_unit_test(a_full_line_does_not_hide_why_the_other_failed),
        cmocka_unit_test(a_place_of_the_target_is_not_kept_without_one_of_the_provider),
        cmocka_unit_test(a_place_is_held_as_long_as_the_call),
        cmocka_unit_test(every_call_is_counted_with_what_came_of_it),
        cmocka_unit_test(a_call_that_never_was_is_not_counted),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
