/* go_on_test.c - what is reserved before each round that follows the first: how much, and what the
 * budget may say to that, now, later and never, at every moment of an interrupt. */
#include "chat/context.h"
#include "flow/fake_tools.h"
#include "flow/world.h"

#include "check.h"

#include <string.h>

static const char script[] = "-s-d-0-uT|-sd-uf";

static void limited_world(const char *words, bool kept)
{
    if (kept)
        kept_world(words);
    else
        world_begin(words, NULL);
    toys_begin();
    budget.asker.is_limited = true;
}

static void end(void)
{
    settle();
    toys_end();
}

static void play(const char *words)
{
    limited_world(words, false);
    ask();
    pass_until_over(PASSES);
}

/* ---- how much ------------------------------------------------------------------------------ */

TEST(who_has_no_limit_is_not_asked_for_a_round)
{
    world_begin(script, NULL);
    toys_begin();
    budget.is_slow_to_go_on = true;
    ask();
    pass_until_over(PASSES);
    assert_int_equal(tape.fault, FAULT_NONE);
    assert_int_equal(budget.rounds, 0);
    assert_int_equal(one.starts, 2);
    end();
}

TEST(without_a_database_rounds_are_not_counted)
{
    limited_world(script, false);
    world_without_database();
    ask();
    pass_until_over(PASSES);
    assert_int_equal(tape.fault, FAULT_NONE);
    assert_int_equal(budget.rounds + budget.bills, 0);
    end();
}

TEST(who_needs_no_round_reserves_none)
{
    play("sduf");
    assert_int_equal(budget.asks, 1);
    assert_int_equal(budget.rounds, 0);
    end();
}

/* A message that the model wrote, of which only the JSON counts, is as long as that. */
static uint64_t tokens_of_second_question(void)
{
    static const char calls[] =
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c0\",\"type\":"
        "\"function\",\"function\":{\"name\":\"a\",\"arguments\":\"{}\"}}]}";
    static const char result[] = "{\"role\":\"tool\",\"tool_call_id\":\"c0\",\"content\":\"of a\"}";
    const struct message all[] = { { .role = ROLE_ASSISTANT, .raw = str_of(calls) },
                                   { .role = ROLE_TOOL, .raw = str_of(result) } };

    return context_message_tokens(&all[0]) + context_message_tokens(&all[1]);
}

TEST(what_was_used_and_what_the_round_may_use_is_reserved)
{
    limited_world("s0uT|s1uT|suf", false);
    model.prompt_price = 1000000;
    model.completion_price = 3000000;
    catalog->settings->turns.max_time = 90 * CLOCK_S;
    one.usage = (struct usage){ 40, 12 };
    budget.is_slow_to_go_on = true;
    ask();
    pass_for(10);
    assert_int_equal(budget.rounds, 1);
    assert_int_equal(budget.round.used, 52);
    assert_int_equal(budget.round.next, tokens_of_second_question() + 100);
    assert_int_equal(budget.round.money, 40 + tokens_of_second_question() + 3 * (12 + 100));
    assert_int_equal(budget.round.seconds, 91);
    assert_int_equal(one.starts, 1);          /* nobody is asked before         */
    budget_answer();
    pass_for(10);
    assert_int_equal(budget.rounds, 2);
    assert_int_equal(budget.round.used, 104);
    assert_true(budget.round.next > tokens_of_second_question() + 100);
    budget_answer();
    pass_until_over(PASSES);
    assert_int_equal(tape.fault, FAULT_NONE);
    assert_int_equal(budget.asks, 1);
    assert_int_equal(tape.rooms, 1);
    assert_int_equal(budget.bill.usage.prompt, 120);
    end();
}

TEST(a_round_s_answer_is_as_long_as_the_question_lets_it)
{
    struct question *q = question_new();

    limited_world("s0uT|suf", false);
    q->max_tokens = 7;
    ask_for(&tape, q);
    pass_until_over(PASSES);
    assert_int_equal(budget.round.next, tokens_of_second_question() + 7);
    end();
}

/* Then it is as we count: all questions, and all that was said and found. */
TEST(who_does_not_count_is_counted_for_in_every_round)
{
    limited_world("s0T|sdf", false);
    ask();
    pass_until_over(PASSES);
    assert_int_equal(budget.round.used, 1);   /* "{}"; what a tool says is read, not written */
    assert_true(budget.bill.is_estimated);
    assert_int_equal(budget.bill.usage.prompt, tokens_of_second_question());
    assert_int_equal(budget.bill.usage.completion, 3);
    end();

    world_begin("s0T|sdf", NULL);             /* with or without a limit        */
    toys_begin();
    ask();
    pass_until_over(PASSES);
    assert_int_equal(budget.bill.usage.prompt, tokens_of_second_question());
    end();
}

/* ---- calls that are counted, and such as are not ------------------------------------------- */

enum { CUT = 30 };

static void play_and_cut(const char *words)
{
    limited_world(words, false);
    one.usage = (struct usage){ 40, 12 };
    ask();
    pass_for(CUT);
    assert_true(turns_alive());
    turns_interrupt_all(FAULT_CLIENT_GONE);
    pass_until_over(PASSES);
}

/* Whoever counts does so at the end of a call, which it does not come to. */
TEST(a_round_that_is_cut_off_is_paid_for_like_those_before)
{
    play_and_cut("s0uT|sdddd");
    assert_int_equal(one.starts, 2);
    assert_int_equal(budget.bill.usage.prompt, 40 + tokens_of_second_question());
    assert_int_equal(budget.bill.usage.completion, 12 + 5);
    assert_true(budget.bill.is_estimated);
    end();
}

TEST(a_round_that_nobody_counted_is_paid_for_beside_one_that_was)
{
    play_and_cut("s0T|s1uT|sd");
    assert_int_equal(one.starts, 3);
    assert_true(budget.bill.usage.prompt > 40 + tokens_of_second_question());
    assert_int_equal(budget.bill.usage.completion, 1 + 12 + 2);
    assert_true(budget.bill.is_estimated);
    end();
}

TEST(a_round_that_said_nothing_costs_nothing)
{
    play_and_cut("s0uT|-");
    assert_int_equal(one.starts, 2);
    assert_int_equal(budget.bill.usage.prompt, 40);
    assert_int_equal(budget.bill.usage.completion, 12);
    assert_false(budget.bill.is_estimated);
    end();
}

/* ---- no room ----------------------------------------------------------------------------- */

static const struct refusal {
    enum store_end    end;
    enum budget_limit limit;
    enum fault        fault;
} refusals[] = {
    { STORE_OK, BUDGET_TOKENS, FAULT_RATE_LIMITED },
    { STORE_OK, BUDGET_DAY_TOKENS, FAULT_USED_UP },
    { STORE_OK, BUDGET_DAY_MONEY, FAULT_USED_UP },
    { STORE_AWAY, BUDGET_FREE, FAULT_NO_DATABASE },
    { STORE_BUSY, BUDGET_FREE, FAULT_NO_DATABASE },
    { STORE_UNKNOWN, BUDGET_FREE, FAULT_NO_DATABASE },
};

TEST(who_cannot_afford_a_round_has_what_was_said)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        limited_world(script, true);
        budget.round_end = refusals[i].end;
        budget.round_limit = refusals[i].limit;
        budget.room.wait = 37;
        ask();
        pass_until_over(PASSES);
        check_text(str_of(toys.heard), "sword [0 c0 a {}]u3/2(0 of a)e");
        assert_int_equal(tape.fault, refusals[i].fault);
        assert_int_equal(tape.advice.after, 37 * CLOCK_S);
        assert_int_equal(tape.advice.not_again, refusals[i].fault == FAULT_USED_UP);
        assert_int_equal(one.starts, 1);
        kept_as("error", fault_name(refusals[i].fault), "word ");
        assert_int_equal(budget.bills, 1);
        assert_int_equal(budget.bill.usage.prompt, 3);
        assert_int_equal(budget.bill.usage.completion, 2);
        assert_true(budget.bill.is_failure && !budget.bill.was_refused);
        end();
    }
}

TEST(a_round_that_is_refused_is_not_counted)
{
    limited_world("sd0T|sdf", false);
    budget.round_limit = BUDGET_DAY_TOKENS;
    ask();
    pass_until_over(PASSES);
    assert_true(budget.bill.is_estimated);
    assert_int_equal(budget.bill.usage.prompt, 0);    /* the question was empty */
    end();
}

TEST(the_second_round_may_be_one_too_many)
{
    limited_world("sd0uT|sd1uT|sdf", false);
    budget.round_limit = BUDGET_DAY_MONEY;
    budget.good_rounds = 1;
    ask();
    pass_until_over(PASSES);
    check_text(str_of(toys.heard), "sword [0 c0 a {}]u3/2(0 of a)|word [1 c1 b {}]u6/4(1 of b)e");
    assert_int_equal(tape.fault, FAULT_USED_UP);
    assert_int_equal(budget.rounds, 2);
    assert_int_equal(budget.bill.usage.prompt, 6);
    end();
}

/* ---- every moment -------------------------------------------------------------------------- */

enum mode { NOW, LATER, FAILS, FAILS_LATER, NEVER, MODES };
enum { LAST_INTERRUPT = 30, LATER_BY = 6 };

static enum fault expected(enum mode mode)
{
    switch (mode) {
    case FAILS:
    case FAILS_LATER: return FAULT_USED_UP;
    case NEVER: return FAULT_TIMEOUT;
    default: return FAULT_NONE;
    }
}

static void run_case(enum mode mode, int interrupt_at, bool kept)
{
    struct turn *t;
    int          asked_at = -1;

    limited_world(script, kept);
    budget.is_slow_to_go_on = mode == LATER || mode == FAILS_LATER || mode == NEVER;
    if (expected(mode) == FAULT_USED_UP)
        budget.round_limit = BUDGET_DAY_TOKENS;
    if (kept)
        fake.slow = "s";                      /* what is dropped is so before   */
    t = ask();
    for (int i = 0; i < 2 * PASSES && turns_alive(); i++) {
        int starts = one.starts;

        if (i == interrupt_at) {
            turn_interrupt(t, FAULT_SHUTDOWN);
            notes_run();
            assert_null(budget.under_way);    /* nobody waits for it any more   */
        }
        fake_answer();
        if (asked_at < 0 && budget.rounds)
            asked_at = i;
        if (mode != NEVER && asked_at >= 0 && i >= asked_at + LATER_BY)
            budget_answer();
        pass();
        assert_true(interrupt_at < 0 || i < interrupt_at || one.starts == starts);
    }
    fake.slow = NULL;
    fake_answer();
    pass_until_over(2 * LIMIT_MS);
    fake_answer();
    pass_until_over(2 * LIMIT_MS);
    assert_int_equal(tape.last_words, 1);
    if (tape.fault != FAULT_SHUTDOWN)
        assert_int_equal(tape.fault, expected(mode));
    else
        assert_true(interrupt_at >= 0);
    assert_true(one.starts < 2 || mode == NOW || mode == LATER);
    assert_int_equal(budget.bills, 1);
    assert_int_equal(fake.saves, kept && tape.begins);
    if (fake.saves) {
        assert_string_equal(fake.journal, tape.text);
        assert_string_equal(fake.fault, fault_name(tape.fault));
    }
    end();
}

TEST(every_mode_every_moment)
{
    for (int mode = 0; mode < MODES; mode++)
        for (int at = -1; at <= LAST_INTERRUPT; at++)
            for (int kept = 0; kept < 2; kept++)
                run_case((enum mode)mode, at, kept == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_no_limit_is_not_asked_for_a_round),
        cmocka_unit_test(without_a_database_rounds_are_not_counted),
        cmocka_unit_test(who_needs_no_round_reserves_none),
        cmocka_unit_test(what_was_used_and_what_the_round_may_use_is_reserved),
        cmocka_unit_test(a_round_s_answer_is_as_long_as_the_question_lets_it),
        cmocka_unit_test(who_does_not_count_is_counted_for_in_every_round),
        cmocka_unit_test(a_round_that_is_cut_off_is_paid_for_like_those_before),
        cmocka_unit_test(a_round_that_nobody_counted_is_paid_for_beside_one_that_was),
        cmocka_unit_test(a_round_that_said_nothing_costs_nothing),
        cmocka_unit_test(who_cannot_afford_a_round_has_what_was_said),
        cmocka_unit_test(a_round_that_is_refused_is_not_counted),
        cmocka_unit_test(the_second_round_may_be_one_too_many),
        cmocka_unit_test(every_mode_every_moment),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
