/* afford_test.c - what a turn reserves before it asks anybody, what the budget may say to
 * that, and what is settled when it has ended. */
#include "flow/world.h"

enum { DAY_S = 86400 };

static void limited_world(const char *first, const char *second)
{
    world_begin(first, second);
    budget.asker.is_limited = true;
}

static void slow_world(const char *first)
{
    limited_world(first, NULL);
    budget.is_slow = true;
}

/* Asks, and hears everything. */
static void hear(void)
{
    ask();
    pass_until_over(PASSES);
}

static void reserved(uint64_t tokens, uint64_t money)
{
    assert_int_equal(budget.asks, 1);
    assert_int_equal(budget.ask.tokens, tokens);
    assert_int_equal(budget.ask.money, money);
}

static void settled(uint64_t prompt, uint64_t completion)
{
    assert_int_equal(budget.bills, 1);
    assert_int_equal(budget.bill.usage.prompt, prompt);
    assert_int_equal(budget.bill.usage.completion, completion);
}

/* ---- whether there is room --------------------------------------------------------------- */

static void who_has_no_limit_is_not_asked_for(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    budget.is_slow = true;
    hear();
    told("sduf", FAULT_NONE);
    assert_int_equal(budget.asks, 0);
    assert_int_equal(tape.rooms, 1);
    assert_int_equal(tape.room.requests.limit, 0);
    settled(3, 2);
    settle();
}

static void without_a_database_nothing_is_counted(void **state)
{
    (void)state;
    limited_world("sduf", NULL);
    world_without_database();
    hear();
    told("sduf", FAULT_NONE);
    assert_int_equal(budget.asks + budget.bills, 0);
    assert_int_equal(tape.rooms, 1);
    settle();
}

static void nobody_is_asked_before_there_is_room(void **state)
{
    (void)state;
    slow_world("sduf");
    ask();
    pass_for(PASSES);
    assert_int_equal(budget.asks, 1);
    assert_int_equal(one.starts + tape.rooms, 0);
    assert_int_equal(admit_gate()->held, 1);
    budget_answer();
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    assert_int_equal(budget.asks, 1);
    settled(3, 2);
    settle();
}

static void who_waits_for_a_place_reserves_nothing(void **state)
{
    (void)state;
    limited_world("sduf", NULL);
    catalog->settings->turns.max_running = 1;
    admit_configure(&catalog->settings->turns);
    hold_place(admit_gate(), &holders[0]);
    hear();
    assert_int_equal(budget.asks, 0);
    gate_give_back(&holders[0]);
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    assert_int_equal(budget.asks, 1);
    settle();
}

static void the_reader_hears_of_the_room_before_anything_else(void **state)
{
    (void)state;
    slow_world("sduf");
    budget.room.requests = (struct budget_room){ 60, 59 };
    budget.room.tokens = (struct budget_room){ 9000, 8000 };
    ask();
    pass_for(3);
    budget_answer();
    assert_int_equal(tape.rooms, 1);          /* at once                        */
    assert_string_equal(tape.text, "");
    assert_int_equal(tape.room.requests.limit, 60);
    assert_int_equal(tape.room.requests.left, 59);
    assert_int_equal(tape.room.tokens.limit, 9000);
    assert_int_equal(tape.room.tokens.left, 8000);
    pass_until_over(PASSES);
    assert_int_equal(tape.rooms, 1);
    settle();
}

/* ---- no room ----------------------------------------------------------------------------- */

static const struct refusal {
    enum store_end    end;
    enum budget_limit limit;
    uint64_t          wait;
    const char       *fault;
    bool              not_again;
} refusals[] = {
    { STORE_OK, BUDGET_REQUESTS, 37, "rate_limited", false },
    { STORE_OK, BUDGET_TOKENS, 12, "rate_limited", false },
    { STORE_OK, BUDGET_STREAMS, 1, "too_many_at_once", false },
    { STORE_OK, BUDGET_DAY_TOKENS, DAY_S, "insufficient_quota", true },
    { STORE_OK, BUDGET_DAY_MONEY, 3600, "insufficient_quota", true },
    { STORE_AWAY, BUDGET_FREE, 0, "no_database", false },
    { STORE_BUSY, BUDGET_FREE, 0, "no_database", false },
    { STORE_REFUSED, BUDGET_FREE, 0, "no_database", false },
};

static void refused_world(const struct refusal *r)
{
    limited_world("sduf", "sduf");
    budget.end = r->end;
    budget.room.limit = r->limit;
    budget.room.wait = r->wait;
}

static void who_is_refused_hears_why_and_until_when(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        refused_world(&refusals[i]);
        hear();
        assert_string_equal(tape.text, "e");
        assert_string_equal(fault_name(tape.fault), refusals[i].fault);
        assert_int_equal(tape.advice.after, refusals[i].wait * CLOCK_S);
        assert_int_equal(tape.advice.not_again, refusals[i].not_again);
        assert_int_equal(tape.rooms, 1);
        assert_int_equal(one.starts + two.starts, 0);
        assert_int_equal(budget.bills, 0);
        settle();
    }
}

static void what_nobody_knows_to_be_reserved_is_settled(void **state)
{
    (void)state;
    limited_world("sduf", "sduf");
    budget.end = STORE_UNKNOWN;
    hear();
    told("e", FAULT_NO_DATABASE);
    assert_int_equal(one.starts + two.starts, 0);
    settled(0, 0);
    assert_true(budget.bill.was_refused);
    settle();
}

static void who_is_refused_gives_his_place_to_the_next(void **state)
{
    struct tape other = { .n = 0 };

    (void)state;
    refused_world(&refusals[0]);
    catalog->settings->turns.max_running = 1;
    admit_configure(&catalog->settings->turns);
    budget.is_slow = true;
    ask();
    ask_on(&other);
    pass_for(3);
    assert_int_equal(budget.asks, 1);         /* the other waits for the place  */
    budget_answer();
    pass_for(3);
    told("e", FAULT_RATE_LIMITED);
    assert_int_equal(budget.asks, 2);
    budget.room.limit = BUDGET_FREE;
    budget_answer();
    pass_until_over(PASSES);
    assert_string_equal(other.text, "sduf");
    assert_int_equal(budget.bills, 1);
    settle();
}

/* ---- an end while it waits --------------------------------------------------------------- */

/* It may have been reserved behind our back. */
static void who_is_interrupted_while_he_waits_is_settled(void **state)
{
    (void)state;
    slow_world("sduf");
    ask();
    pass_for(3);
    turns_interrupt_all(FAULT_SHUTDOWN);
    pass();
    told("e", FAULT_SHUTDOWN);
    assert_null(budget.under_way);
    budget_answer();                          /* nobody is told any more        */
    pass();
    assert_int_equal(tape.rooms + one.starts, 0);
    settled(0, 0);
    assert_int_equal(budget.bill.money, 0);
    assert_false(budget.bill.is_estimated || budget.bill.is_failure);
    settle();
}

static void the_budget_s_silence_ends_with_the_turn_s_time(void **state)
{
    uint64_t begun = now_ms;

    (void)state;
    slow_world("sduf");
    ask();
    pass_until_over(2 * LIMIT_MS);
    told("e", FAULT_TIMEOUT);
    assert_in_range(now_ms - begun, LIMIT_MS, LIMIT_MS + 3);
    settled(0, 0);
    assert_true(budget.bill.is_failure);
    settle();
}

static void a_reader_who_leaves_while_it_waits_is_settled(void **state)
{
    (void)state;
    slow_world("sduf");
    ask();
    pass_for(3);
    sink_leave(&tape.sink->sink);
    pass();
    assert_int_equal(one.starts, 0);
    settled(0, 0);
    settle();
}

/* The answer and the interrupt come in one breath. */
static void a_refusal_stands_whatever_comes_after_it(void **state)
{
    struct turn *t;

    (void)state;
    refused_world(&refusals[2]);
    budget.is_slow = true;
    t = ask();
    pass_for(3);
    budget_answer();
    turn_interrupt(t, FAULT_SHUTDOWN);
    pass();
    told("e", FAULT_TOO_MANY_AT_ONCE);
    assert_int_equal(tape.advice.after, CLOCK_S);
    assert_int_equal(budget.bills, 0);
    settle();
}

static void who_was_let_in_too_late_asks_nobody(void **state)
{
    struct turn *t;

    (void)state;
    slow_world("sduf");
    t = ask();
    pass_for(3);
    budget_answer();
    turn_interrupt(t, FAULT_SHUTDOWN);
    pass_until_over(PASSES);
    told("e", FAULT_SHUTDOWN);
    assert_int_equal(one.starts, 0);
    settled(0, 0);
    settle();
}

/* ---- how much is reserved ---------------------------------------------------------------- */

/* A question of two messages: 5 bytes of text, and 9 bytes of the JSON that they came as. */
static struct question *question_of_two(uint64_t max_tokens)
{
    struct question *q = question_new();

    q->n_messages = 2;
    q->messages = arena_new(&q->arena, 2 * sizeof *q->messages);
    q->messages[0].text = STR("hello");
    q->messages[1].text = STR("x");
    q->messages[1].raw = STR("{\"a\":\"x\"}");
    q->max_tokens = max_tokens;
    return q;
}

enum { PROMPT = 2 + 4 + 3 + 4 };              /* begun fours, and four for each message */

static void the_question_and_its_longest_answer_are_reserved(void **state)
{
    (void)state;
    limited_world("sduf", NULL);
    ask_for(&tape, question_of_two(7));
    pass_until_over(PASSES);
    reserved(PROMPT + 7, 0);
    settle();

    limited_world("sduf", NULL);              /* the settings say how much      */
    ask_for(&tape, question_of_two(0));
    pass_until_over(PASSES);
    reserved(PROMPT + 100, 0);
    settle();

    limited_world("sduf", NULL);              /* a longer one than those say    */
    ask_for(&tape, question_of_two(101));
    pass_until_over(PASSES);
    reserved(PROMPT + 101, 0);
    settle();
}

static void it_is_reserved_for_as_long_as_a_turn_may_take(void **state)
{
    (void)state;
    limited_world("sduf", NULL);
    catalog->settings->turns.max_time = 90 * CLOCK_S;
    hear();
    assert_int_equal(budget.ask.seconds, 91);
    settle();

    limited_world("sduf", NULL);              /* half a second                  */
    hear();
    assert_int_equal(budget.ask.seconds, 1);
    settle();
}

static void money_is_the_model_s_prices_rounded_up(void **state)
{
    (void)state;
    limited_world("sduf", NULL);
    model.prompt_price = 150000;              /* 0.15 for a million             */
    model.completion_price = 600000;
    ask_for(&tape, question_of_two(7));
    pass_until_over(PASSES);
    reserved(PROMPT + 7, 7);                  /* 1.95 and 4.2                   */
    settled(3, 2);
    assert_int_equal(budget.bill.money, 2);   /* 0.45 and 1.2                   */
    settle();

    limited_world("sduf", NULL);              /* nothing is begun               */
    model.prompt_price = 1000000;
    model.completion_price = 2000000;
    ask_for(&tape, question_of_two(7));
    pass_until_over(PASSES);
    reserved(PROMPT + 7, PROMPT + 14);
    assert_int_equal(budget.bill.money, 7);
    settle();
}

enum { TOKENS_MAX = 1000000000 };

/* The product of any two numbers is more than a reservation can hold. */
static void no_number_is_too_large_to_be_reserved(void **state)
{
    static const uint64_t limits[] = { TOKENS_MAX + 1, 1ull << 58, INT64_MAX };

    (void)state;
    for (int i = 0; i < 3; i++) {
        limited_world("sduf", NULL);
        model.prompt_price = 0;
        model.completion_price = 600000;      /* times 2 to the 58: a multiple of 2 to the 64 */
        ask_for(&tape, question_of_two(limits[i]));
        pass_until_over(PASSES);
        reserved(PROMPT + (uint64_t)TOKENS_MAX, (uint64_t)TOKENS_MAX * 6 / 10);
        settle();
    }

    limited_world("sduf", NULL);
    model.prompt_price = model.completion_price = 999999999999999;      /* the most there is */
    ask_for(&tape, question_of_two(TOKENS_MAX));
    pass_until_over(PASSES);
    assert_in_range(budget.ask.money, INT64_MAX / 2 / 1000000, INT64_MAX / 1000000);
    settle();
}

static void no_count_is_too_large_to_be_settled(void **state)
{
    (void)state;
    limited_world("sduf", NULL);
    model.prompt_price = model.completion_price = 999999999999999;
    one.usage = (struct usage){ UINT64_MAX, UINT64_MAX };
    hear();
    settled(TOKENS_MAX, TOKENS_MAX);
    assert_in_range(budget.bill.money, INT64_MAX / 1000000, INT64_MAX / 1000000 + 1);
    settle();
}

/* ---- what is settled --------------------------------------------------------------------- */

static void a_good_turn_is_settled_as_the_provider_counted(void **state)
{
    (void)state;
    limited_world("-sd-dduf", NULL);
    one.usage = (struct usage){ 40, 12 };
    hear();
    told("sddduf", FAULT_NONE);
    settled(40, 12);
    assert_false(budget.bill.is_estimated || budget.bill.is_failure);
    settle();
}

static void half_a_count_is_a_count(void **state)
{
    static const struct usage halves[] = { { 40, 0 }, { 0, 12 } };

    (void)state;
    for (int i = 0; i < 2; i++) {
        limited_world("sduf", NULL);
        one.usage = halves[i];
        hear();
        settled(halves[i].prompt, halves[i].completion);
        assert_false(budget.bill.is_estimated);
        settle();
    }
}

static void who_does_not_count_is_counted_for(void **state)
{
    static const struct {
        const char *script;
        uint64_t    completion;
    } rows[] = { { "sdddf", 4 }, { "sddf", 3 }, { "sf", 0 } };        /* "word " is five */

    (void)state;
    for (int i = 0; i < 3; i++) {
        limited_world(rows[i].script, NULL);
        model.prompt_price = model.completion_price = 1000000;
        ask_for(&tape, question_of_two(0));
        pass_until_over(PASSES);
        settled(PROMPT, rows[i].completion);
        assert_int_equal(budget.bill.money, PROMPT + rows[i].completion);
        assert_true(budget.bill.is_estimated);
        assert_false(budget.bill.is_failure);
        settle();
    }
}

static void a_provider_that_fails_at_once_costs_nothing(void **state)
{
    (void)state;
    limited_world("-x", NULL);
    ask_for(&tape, question_of_two(0));
    pass_until_over(PASSES);
    told("e", FAULT_ANSWER_TOO_BIG);
    settled(0, 0);
    assert_true(budget.bill.is_failure);
    assert_false(budget.bill.is_estimated);
    settle();
}

static void what_was_told_before_a_failure_is_settled(void **state)
{
    (void)state;
    limited_world("-sd-d-c", "sduf");
    ask_for(&tape, question_of_two(0));
    pass_until_over(PASSES);
    told("sdde", FAULT_CUT);
    settled(PROMPT, 3);
    assert_true(budget.bill.is_failure && budget.bill.is_estimated);
    settle();
}

static void what_was_told_before_the_reader_left_is_settled(void **state)
{
    (void)state;
    limited_world("sd-d-d-d", NULL);
    ask_for(&tape, question_of_two(0));
    while (tape.n < 3)
        pass();
    sink_leave(&tape.sink->sink);
    pass();
    assert_int_equal(one.cancels, 1);
    settled(PROMPT, 3);
    assert_true(budget.bill.is_estimated);
    assert_false(budget.bill.is_failure);     /* it was his wish                */
    settle();
}

static void two_that_are_asked_are_one_bill(void **state)
{
    (void)state;
    limited_world("-e", "-sduf");
    two.usage = (struct usage){ 5, 6 };
    hear();
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts + two.starts, 2);
    assert_int_equal(budget.asks, 1);
    assert_int_equal(tape.rooms, 1);
    settled(5, 6);
    assert_false(budget.bill.is_failure);
    settle();
}

static void where_nobody_can_be_asked_nothing_is_used(void **state)
{
    (void)state;
    limited_world("sduf", NULL);
    standing_rest(targets[0].standing, clock_now() + CLOCK_S);
    hear();
    told("e", FAULT_RESTING);
    assert_int_equal(budget.asks, 1);
    settled(0, 0);
    assert_true(budget.bill.is_failure);
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_no_limit_is_not_asked_for),
        cmocka_unit_test(without_a_database_nothing_is_counted),
        cmocka_unit_test(nobody_is_asked_before_there_is_room),
        cmocka_unit_test(who_waits_for_a_place_reserves_nothing),
        cmocka_unit_test(the_reader_hears_of_the_room_before_anything_else),
        cmocka_unit_test(who_is_refused_hears_why_and_until_when),
        cmocka_unit_test(what_nobody_knows_to_be_reserved_is_settled),
        cmocka_unit_test(who_is_refused_gives_his_place_to_the_next),
        cmocka_unit_test(who_is_interrupted_while_he_waits_is_settled),
        cmocka_unit_test(the_budget_s_silence_ends_with_the_turn_s_time),
        cmocka_unit_test(a_reader_who_leaves_while_it_waits_is_settled),
        cmocka_unit_test(a_refusal_stands_whatever_comes_after_it),
        cmocka_unit_test(who_was_let_in_too_late_asks_nobody),
        cmocka_unit_test(the_question_and_its_longest_answer_are_reserved),
        cmocka_unit_test(it_is_reserved_for_as_long_as_a_turn_may_take),
        cmocka_unit_test(money_is_the_model_s_prices_rounded_up),
        cmocka_unit_test(no_number_is_too_large_to_be_reserved),
        cmocka_unit_test(no_count_is_too_large_to_be_settled),
        cmocka_unit_test(a_good_turn_is_settled_as_the_provider_counted),
        cmocka_unit_test(half_a_count_is_a_count),
        cmocka_unit_test(who_does_not_count_is_counted_for),
        cmocka_unit_test(a_provider_that_fails_at_once_costs_nothing),
        cmocka_unit_test(what_was_told_before_a_failure_is_settled),
        cmocka_unit_test(what_was_told_before_the_reader_left_is_settled),
        cmocka_unit_test(two_that_are_asked_are_one_bill),
        cmocka_unit_test(where_nobody_can_be_asked_nothing_is_used),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
