/* turn_test.c - what the steps of a turn promise. Whom it asks, and when, is in
 * order_test.c and policy_test.c; all that may happen between the steps is steps_test.c's. */
#include "flow/world.h"

#include <stdio.h>

static int64_t turns_ended(const char *end)
{
    char row[80];

    snprintf(row, sizeof row, "runnel_turns_total{end=\"%s\"}", end);
    return labelled_metric(row);
}

static void nobody_is_admitted(void)
{
    catalog->settings->turns.max_running = 1;
    admit_configure(&catalog->settings->turns);
    hold_place(admit_gate(), &holders[0]);
}

/* ---- what the steps promise -------------------------------------------------------------- */

static void a_good_answer_is_told_whole_and_once(void **state)
{
    int64_t before = turns_ended("complete");

    (void)state;
    world_begin("-sd-du-l", NULL);
    ask();
    pass_until_over(PASSES);
    told("sdduf", FAULT_NONE);
    assert_int_equal(tape.finish, FINISH_LENGTH);
    assert_int_equal(turns_ended("complete"), before + 1);
    assert_int_equal(one.cancels, 0);
    settle();
}

static void the_next_target_is_asked_while_nothing_was_said(void **state)
{
    (void)state;
    world_begin("-e", "-sduf");
    ask();
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts + two.starts, 2);
    settle();
}

static void nobody_else_is_asked_once_something_was_said(void **state)
{
    int64_t before = turns_ended("error");

    (void)state;
    world_begin("-s-e", "-sduf");
    ask();
    pass_until_over(PASSES);
    told("se", FAULT_PROVIDER_BUSY);
    assert_int_equal(two.starts, 0);
    assert_int_equal(turns_ended("error"), before + 1);
    settle();
}

static void nobody_else_is_asked_when_it_would_not_help(void **state)
{
    (void)state;
    world_begin("-x", "-sduf");
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_ANSWER_TOO_BIG);
    assert_int_equal(two.starts, 0);
    settle();
}

static void the_last_target_s_fault_is_the_turn_s(void **state)
{
    (void)state;
    world_begin("-e", "-x");
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_ANSWER_TOO_BIG);
    settle();

    world_begin("-e", "-e");
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_PROVIDER_BUSY);
    settle();
}

static void a_full_provider_is_passed_over(void **state)
{
    (void)state;
    world_begin("sduf", "sduf");
    gate_configure(&one.provider.standing->gate, 0, 0, 0);
    ask();
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 0);
    assert_int_equal(two.starts, 1);
    settle();

    world_begin("sduf", NULL);
    gate_configure(&targets[0].standing->gate, 1, 0, 0);
    ask();
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

static void nothing_is_said_before_the_start_has_returned(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    ask();
    assert_int_equal(one.starts, 0);          /* the place's note comes first   */
    assert_string_equal(tape.text, "");
    notes_run();
    assert_int_equal(one.starts, 1);
    pass_until_over(PASSES);
    settle();
}

static void events_reach_the_reader_in_the_provider_s_own_breath(void **state)
{
    (void)state;
    world_begin("sdd-f", NULL);
    ask();
    notes_run();
    fake_speak(&one);
    assert_string_equal(tape.text, "sdd");    /* no note had to be read         */
    assert_int_equal(tape.flushes, 1);
    pass_until_over(PASSES);
    settle();
}

static void the_first_reason_stands(void **state)
{
    struct turn *t;

    (void)state;
    world_begin("-sd", NULL);
    t = ask();
    pass();
    pass();
    turn_interrupt(t, FAULT_SHUTDOWN);
    turn_interrupt(t, FAULT_TIMEOUT);
    pass();
    told("sde", FAULT_SHUTDOWN);
    assert_int_equal(one.cancels, 1);
    settle();
}

static void an_answer_that_was_finished_stays_finished(void **state)
{
    struct turn *t;

    (void)state;
    world_begin("-sduf", NULL);
    t = ask();
    notes_run();
    fake_speak(&one);
    fake_speak(&one);
    turn_interrupt(t, FAULT_SHUTDOWN);        /* a moment too late              */
    pass();
    told("sduf", FAULT_NONE);
    settle();
}

static void nothing_is_told_between_the_interrupt_and_the_last_word(void **state)
{
    struct turn *t;

    (void)state;
    world_begin("s-d-d-d", NULL);
    t = ask();
    pass();
    turn_interrupt(t, FAULT_SHUTDOWN);
    fake_speak(&one);                         /* it does not know yet           */
    assert_string_equal(tape.text, "s");
    pass();
    told("se", FAULT_SHUTDOWN);
    settle();
}

static void a_call_may_end_between_the_interrupt_and_the_last_word(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        world_begin(i ? "-s-duf" : "-s-x", NULL);
        ask();
        pass_for(2);
        turns_interrupt_all(FAULT_SHUTDOWN);
        fake_speak(&one);
        assert_false(one.live);
        pass();
        told("se", FAULT_SHUTDOWN);
        assert_int_equal(one.cancels, 0);
        settle();
    }
}

static void an_interrupted_turn_asks_nobody_else(void **state)
{
    struct turn *t;

    (void)state;
    world_begin("-e", "-sduf");
    t = ask();
    notes_run();
    fake_speak(&one);
    fake_speak(&one);                         /* a fault that may be retried    */
    turn_interrupt(t, FAULT_SHUTDOWN);
    pass();
    assert_int_equal(two.starts, 0);
    assert_int_equal(tape.last_words, 1);
    settle();
}

static void every_turn_can_be_interrupted_at_once(void **state)
{
    int64_t before = turns_ended("interrupted");

    (void)state;
    world_begin("s-d-d", NULL);
    ask();
    pass();
    turns_interrupt_all(FAULT_SHUTDOWN);
    pass();
    told("se", FAULT_SHUTDOWN);
    assert_int_equal(turns_ended("interrupted"), before + 1);
    settle();
}

/* ---- readers --------------------------------------------------------------------------------- */

static void when_the_reader_leaves_nobody_is_paid(void **state)
{
    (void)state;
    for (int at = 1; at < 10; at++) {
        world_begin("-s-d-d-d-d", NULL);
        ask();
        for (int i = 0; i < at; i++)
            pass();
        sink_leave(&tape.sink->sink);
        assert_int_equal(tape.closed, 1);     /* at once                        */
        assert_int_equal(tape.last_words, 0);
        pass();
        assert_int_equal(one.cancels, 1);
        settle();
    }
}

static void a_reader_may_leave_while_it_waits_for_a_place(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    nobody_is_admitted();
    ask();
    pass();
    sink_leave(&tape.sink->sink);
    pass();
    assert_int_equal(one.starts, 0);
    settle();
}

static void a_full_reader_pauses_the_provider(void **state)
{
    (void)state;
    world_begin("s-d-d-uf", NULL);
    tape.hold_at = 2;
    ask();
    for (int i = 0; i < 10; i++)
        pass();
    assert_string_equal(tape.text, "sd");
    assert_int_equal(one.pauses, 1);
    sink_hold(&tape.sink->sink);              /* saying it twice changes nothing */
    sink_go_on(&tape.sink->sink);
    sink_go_on(&tape.sink->sink);
    assert_int_equal(one.resumes, 1);
    pass_until_over(PASSES);
    told("sdduf", FAULT_NONE);
    settle();
}

static void a_full_reader_may_leave_or_be_interrupted(void **state)
{
    (void)state;
    for (int leave = 0; leave < 2; leave++) {
        struct turn *t;

        world_begin("s-d-d-uf", NULL);
        tape.hold_at = 1;
        t = ask();
        for (int i = 0; i < 5; i++)
            pass();
        assert_int_equal(one.pauses, 1);
        if (leave)
            sink_leave(&tape.sink->sink);
        else
            turn_interrupt(t, FAULT_TIMEOUT);
        pass();
        assert_int_equal(one.cancels, 1);
        settle();
    }
}

static void a_reader_that_is_full_from_the_start_is_respected(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    ask();
    sink_hold(&tape.sink->sink);
    for (int i = 0; i < 5; i++)
        pass();
    assert_int_equal(one.pauses, 1);
    assert_string_equal(tape.text, "");
    sink_go_on(&tape.sink->sink);
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

static void a_reader_that_is_full_at_the_last_word_changes_nothing(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    tape.hold_at = 1;
    ask();
    notes_run();
    fake_speak(&one);
    assert_true(tape.sink->sink.full);
    assert_int_equal(one.pauses, 0);          /* the call is gone already       */
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

/* The pause belongs to the call: the next target's call has not been paused. */
static void a_pause_does_not_outlive_its_call(void **state)
{
    (void)state;
    world_begin("-e", "-sd-uf");
    ask();
    notes_run();
    sink_hold(&tape.sink->sink);
    assert_int_equal(one.pauses, 1);
    sink_go_on(&tape.sink->sink);
    sink_hold(&tape.sink->sink);
    one.call.paused = false;                  /* what was on its way still comes */
    fake_speak(&one);
    fake_speak(&one);
    pass();
    assert_int_equal(two.starts, 1);
    assert_int_equal(two.pauses, 1);
    sink_go_on(&tape.sink->sink);
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

/* ---- limits ------------------------------------------------------------------------------------- */

static void an_answer_has_a_size(void **state)
{
    (void)state;
    world_begin("sddd-ddd-ddd", NULL);
    catalog->settings->turns.max_answer_bytes = 12;      /* "word " is five     */
    ask();
    pass_until_over(PASSES);
    assert_int_equal(tape.fault, FAULT_ANSWER_TOO_BIG);
    assert_int_equal(one.cancels, 1);
    assert_true(tape.n <= 5);
    settle();

    world_begin("sddduf", NULL);
    catalog->settings->turns.max_answer_bytes = 15;
    ask();
    pass_until_over(PASSES);
    told("sddduf", FAULT_NONE);
    settle();
}

static void a_turn_has_a_time(void **state)
{
    uint64_t begun = now_ms;

    (void)state;
    world_begin("s-d", NULL);
    ask();
    pass_until_over(2 * LIMIT_MS);
    told("sde", FAULT_TIMEOUT);
    assert_in_range(now_ms - begun, LIMIT_MS, LIMIT_MS + 3);
    settle();
}

static void a_line_has_a_patience_and_an_order(void **state)
{
    uint64_t begun = now_ms;

    (void)state;
    world_begin("sduf", NULL);
    nobody_is_admitted();
    ask();
    pass_until_over(2 * LIMIT_MS);
    told("e", FAULT_OVERLOADED);
    assert_in_range(now_ms - begun, PATIENCE_MS, PATIENCE_MS + 3);
    settle();
}

static void the_events_are_counted(void **state)
{
    int64_t before = metric_value(METRIC_EVENTS), firsts = metric_value(METRIC_FIRST_EVENT);

    (void)state;
    world_begin("-sd-duf", NULL);
    ask();
    pass_until_over(PASSES);
    assert_int_equal(metric_value(METRIC_EVENTS), before + 5);
    assert_int_equal(metric_value(METRIC_FIRST_EVENT), firsts + 1);
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer_is_told_whole_and_once),
        cmocka_unit_test(the_next_target_is_asked_while_nothing_was_said),
        cmocka_unit_test(nobody_else_is_asked_once_something_was_said),
        cmocka_unit_test(nobody_else_is_asked_when_it_would_not_help),
        cmocka_unit_test(the_last_target_s_fault_is_the_turn_s),
        cmocka_unit_test(a_full_provider_is_passed_over),
        cmocka_unit_test(nothing_is_said_before_the_start_has_returned),
        cmocka_unit_test(events_reach_the_reader_in_the_provider_s_own_breath),
        cmocka_unit_test(the_first_reason_stands),
        cmocka_unit_test(an_answer_that_was_finished_stays_finished),
        cmocka_unit_test(nothing_is_told_between_the_interrupt_and_the_last_word),
        cmocka_unit_test(a_call_may_end_between_the_interrupt_and_the_last_word),
        cmocka_unit_test(an_interrupted_turn_asks_nobody_else),
        cmocka_unit_test(every_turn_can_be_interrupted_at_once),
        cmocka_unit_test(when_the_reader_leaves_nobody_is_paid),
        cmocka_unit_test(a_reader_may_leave_while_it_waits_for_a_place),
        cmocka_unit_test(a_full_reader_pauses_the_provider),
        cmocka_unit_test(a_full_reader_may_leave_or_be_interrupted),
        cmocka_unit_test(a_reader_that_is_full_from_the_start_is_respected),
        cmocka_unit_test(a_reader_that_is_full_at_the_last_word_changes_nothing),
        cmocka_unit_test(a_pause_does_not_outlive_its_call),
        cmocka_unit_test(an_answer_has_a_size),
        cmocka_unit_test(a_turn_has_a_time),
        cmocka_unit_test(a_line_has_a_patience_and_an_order),
        cmocka_unit_test(the_events_are_counted),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
