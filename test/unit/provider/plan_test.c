/* plan_test.c - who is asked first, and how long the pauses are; thousands of times. What the
 * turn makes of it is policy_test.c's. */
#include "check.h"

#include "base/clock.h"
#include "base/log.h"
#include "provider/plan.h"

enum { TARGETS = 4, PICKS = 10000 };

static const struct provider_ops words_only = { .gives_embeddings = false };
static const struct provider_ops both = { .gives_embeddings = true };

static struct provider_settings settings;
static struct provider          provider;
static struct target            targets[TARGETS];
static struct model             model = { .targets = targets };
static struct arena             arena;
static struct question         *question;
static struct plan              plan;

static int setup(void **state)
{
    static const struct str names[] = { STR_INIT("a"), STR_INIT("b"), STR_INIT("c"),
                                        STR_INIT("d") };

    (void)state;
    settings = (struct provider_settings){ .retries = 100,
                                           .retry_pause = 500 * CLOCK_MS,
                                           .longest_retry_pause = 8 * CLOCK_S,
                                           .breaker_time = CLOCK_S };
    provider = (struct provider){ .ops = &words_only, .settings = &settings };
    provider.standing = standing_hold(STR("p"), STR(""));
    gate_configure(&provider.standing->gate, 100, 0, 0);
    for (int i = 0; i < TARGETS; i++) {
        targets[i] = (struct target){ .provider = &provider, .model = names[i] };
        targets[i].standing = standing_hold(STR("p"), names[i]);
        gate_configure(&targets[i].standing->gate, 100, 0, 0);
    }
    question = question_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < TARGETS; i++)
        standing_drop(targets[i].standing);
    standing_drop(provider.standing);
    question_free(question);
    arena_release(&arena);
    return 0;
}

static void begin(size_t n)
{
    model.n_targets = n;
    plan_begin(&plan, &model, question, 20 * CLOCK_S, &arena);
}

/* Asks whom the plan says, and writes down who that was. */
static char ask(uint64_t now)
{
    uint64_t until;

    assert_int_equal(plan_next(&plan, now, &until), PLAN_ASK);
    plan_ask(&plan);
    return plan_target(&plan)->model.p[0];
}

static void fails(enum fault fault, struct advice advice, uint64_t now)
{
    plan_failed(&plan, fault, &advice, now);
}

/* The order of the first round. */
static void write_order(size_t n, char *out)
{
    begin(n);
    for (size_t i = 0; i < n; i++) {
        out[i] = ask(0);
        fails(FAULT_CUT, (struct advice){ .not_again = true }, 0);
    }
    out[n] = '\0';
    arena_release(&arena);
}

static void weigh(const int *weights)
{
    for (int i = 0; i < TARGETS; i++)
        targets[i].weight = (uint64_t)weights[i];
}

/* ---- who is first ----------------------------------------------------------------------- */

TEST(without_weights_the_order_is_the_settings)
{
    char order[TARGETS + 1];

    for (int i = 0; i < 100; i++) {
        write_order(TARGETS, order);
        assert_string_equal(order, "abcd");
    }
}

/* Shares within five standard deviations: less than one run in a million fails by chance. */
TEST(the_first_question_is_shared_by_the_weights)
{
    static const int weights[][TARGETS] = { { 1, 1, 1, 1 },     { 1, 2, 3, 4 }, { 4, 3, 2, 1 },
                                            { 0, 1, 0, 3 },     { 1, 0, 0, 0 }, { 0, 0, 0, 7 },
                                            { 1000, 1, 0, 999 } };

    for (size_t row = 0; row < COUNT(weights); row++) {
        int picks[TARGETS] = { 0 }, sum = 0;

        weigh(weights[row]);
        for (int i = 0; i < PICKS; i++) {
            begin(TARGETS);
            picks[ask(0) - 'a']++;
            arena_release(&arena);
        }
        for (int i = 0; i < TARGETS; i++)
            sum += weights[row][i];
        for (int i = 0; i < TARGETS; i++) {
            double share = (double)weights[row][i] / sum, want = share * PICKS;
            double off = picks[i] - want;

            check_that(off * off <= 25 * want * (1 - share), "row %zu: %d is asked %d times", row,
                       i, picks[i]);
        }
    }
}

TEST(behind_the_first_come_those_with_weights_and_then_the_others)
{
    static const int weights[TARGETS] = { 0, 1, 0, 1 };
    char             order[TARGETS + 1];
    int              b_first = 0;

    weigh(weights);
    for (int i = 0; i < 100; i++) {
        write_order(TARGETS, order);
        if (order[0] == 'b')
            b_first++;
        assert_string_equal(order, order[0] == 'b' ? "bdac" : "dbac");
    }
    assert_in_range(b_first, 1, 99);
}

TEST(who_cannot_do_it_is_not_asked)
{
    struct provider able = provider;
    uint64_t        until;

    question->asked = ASKED_EMBEDDINGS;
    begin(2);
    assert_int_equal(plan_next(&plan, 0, &until), PLAN_STOP);
    assert_int_equal(until, UINT64_MAX);
    able.ops = &both;
    targets[1].provider = &able;
    begin(2);
    assert_int_equal(ask(0), 'b');
}

static bool takes_nothing(const struct provider *p, const struct question *q)
{
    assert_ptr_equal(p->ops->takes, takes_nothing);
    assert_ptr_equal(q, question);
    return false;
}

TEST(who_cannot_be_shown_it_is_not_asked)
{
    static const struct provider_ops picky = { .takes = takes_nothing };
    struct provider                  narrow = provider;
    uint64_t                         until;

    narrow.ops = &picky;
    targets[0].provider = &narrow;
    begin(2);
    assert_true(plan_has_any(&plan));
    assert_int_equal(ask(0), 'b');
    begin(1);
    assert_false(plan_has_any(&plan));
    assert_int_equal(plan_next(&plan, 0, &until), PLAN_STOP);
    assert_int_equal(until, UINT64_MAX);
}

/* ---- the pauses --------------------------------------------------------------------------- */

enum { PAUSES = 6 };

/* From 75 to 100 percent of a time that doubles, and every percent of it comes up. */
static void check_pauses(const uint64_t ms[PAUSES])
{
    uint64_t least[PAUSES], most[PAUSES] = { 0 };

    memset(least, 0xff, sizeof least);
    for (int i = 0; i < PICKS; i++) {
        begin(1);
        for (size_t k = 0; k < PAUSES; k++) {
            uint64_t pause;

            ask(0);
            fails(FAULT_CUT, (struct advice){ .after = 0 }, 0);
            pause = plan.targets[0].not_before;
            plan.targets[0].not_before = 0;
            least[k] = pause < least[k] ? pause : least[k];
            most[k] = pause > most[k] ? pause : most[k];
        }
        arena_release(&arena);
    }
    for (size_t k = 0; k < PAUSES; k++) {
        check_that(least[k] == ms[k] * CLOCK_MS * 3 / 4, "least %zu: %ju", k, (uintmax_t)least[k]);
        check_that(most[k] == ms[k] * CLOCK_MS, "most %zu: %ju", k, (uintmax_t)most[k]);
    }
}

TEST(a_pause_is_up_to_a_quarter_shorter)
{
    check_pauses((const uint64_t[]){ 500, 1000, 2000, 4000, 8000, 8000 });
}

TEST(pauses_begin_and_end_as_the_settings_say)
{
    settings.retry_pause = CLOCK_S;
    settings.longest_retry_pause = 30 * CLOCK_S;
    check_pauses((const uint64_t[]){ 1000, 2000, 4000, 8000, 16000, 30000 });
    settings.longest_retry_pause = 500 * CLOCK_MS;        /* less than the first  */
    check_pauses((const uint64_t[]){ 500, 500, 500, 500, 500, 500 });
}

TEST(a_pause_that_is_just_short_enough_is_made)
{
    uint64_t until;

    begin(1);
    ask(0);
    fails(FAULT_SERVICE_BUSY, (struct advice){ .after = 20 * CLOCK_S }, 7);
    assert_int_equal(plan_next(&plan, 7, &until), PLAN_WAIT);
    assert_int_equal(until, 7 + 20 * CLOCK_S);
    assert_int_equal(plan_next(&plan, 6, &until), PLAN_STOP);
    assert_int_equal(plan_next(&plan, until, &until), PLAN_ASK);
}

TEST(of_several_pauses_the_shortest_is_waited_for)
{
    uint64_t until;

    begin(3);
    for (int i = 0; i < 3; i++) {
        static const uint64_t seconds[] = { 9, 3, 6 };

        ask(0);
        fails(FAULT_SERVICE_BUSY, (struct advice){ .after = seconds[i] * CLOCK_S }, 0);
    }
    assert_int_equal(plan_next(&plan, 0, &until), PLAN_WAIT);
    assert_int_equal(until, 3 * CLOCK_S);
    assert_int_equal(ask(until), 'b');
}

TEST(one_that_is_worth_it_is_waited_for_whoever_else_is_not)
{
    uint64_t until;

    for (int i = 0; i < 2; i++) {
        begin(2);
        ask(0);
        fails(FAULT_SERVICE_BUSY, (struct advice){ .after = (i ? 3 : 50) * CLOCK_S }, 0);
        ask(0);
        fails(FAULT_SERVICE_BUSY, (struct advice){ .after = (i ? 50 : 3) * CLOCK_S }, 0);
        assert_int_equal(plan_next(&plan, 0, &until), PLAN_WAIT);
        assert_int_equal(until, 3 * CLOCK_S);
        standing_rest(targets[0].standing, 0);
        standing_rest(targets[1].standing, 0);
    }
}

TEST(who_was_asked_less_often_is_asked_first)
{
    char order[10] = "";

    begin(3);
    for (uint64_t i = 0; i < 9; i++) {
        order[i] = ask(10 * i);
        fails(FAULT_CUT, (struct advice){ .after = 1 }, 10 * i);
    }
    assert_string_equal(order, "abcabcabc");
}

/* Its own pause, though the service has answered somebody else since. */
TEST(what_it_was_told_itself_holds_for_a_turn)
{
    uint64_t until;

    begin(1);
    ask(0);
    fails(FAULT_SERVICE_BUSY, (struct advice){ .after = 5 * CLOCK_S }, 0);
    standing_answered(targets[0].standing);
    assert_int_equal(plan_next(&plan, 0, &until), PLAN_WAIT);
    assert_int_equal(until, 5 * CLOCK_S);
}

/* ---- the one that tries ---------------------------------------------------------------------- */

static void break_it(void)
{
    struct provider_settings fragile = { .breaker_failures = 1, .breaker_time = CLOCK_S };

    standing_failed(targets[0].standing, &fragile, FAULT_CUT, false, 0);
}

TEST(who_does_not_try_has_no_say_in_a_try)
{
    begin(1);
    ask(0);                                   /* before the break               */
    break_it();
    assert_true(standing_begin(targets[0].standing));
    plan_left(&plan);
    assert_true(targets[0].standing->tried);
}

TEST(a_try_that_was_answered_is_over)
{
    begin(1);
    break_it();
    assert_int_equal(ask(CLOCK_S), 'a');
    plan_answered(&plan);
    break_it();
    assert_true(standing_begin(targets[0].standing));
    plan_left(&plan);                         /* of the first one, later        */
    assert_true(targets[0].standing->tried);
}

TEST(a_try_that_failed_is_over)
{
    begin(1);
    break_it();
    ask(CLOCK_S);
    fails(FAULT_CUT, (struct advice){ .after = 0 }, CLOCK_S);
    assert_int_equal(targets[0].standing->broken_until, 3 * CLOCK_S);
    assert_true(standing_begin(targets[0].standing));
    plan_left(&plan);
    assert_true(targets[0].standing->tried);
}

TEST(a_broken_one_is_not_worth_waiting_for)
{
    uint64_t until;

    begin(1);
    break_it();
    assert_int_equal(plan_next(&plan, 1, &until), PLAN_STOP);
    assert_int_equal(until, CLOCK_S);
}

TEST(it_may_be_asked_until_it_breaks)
{
    uint64_t until;

    begin(2);
    assert_int_equal(plan_next(&plan, 0, &until), PLAN_ASK);
    assert_true(plan_may_ask(&plan, 0));
    break_it();
    assert_false(plan_may_ask(&plan, 0));
    assert_int_equal(plan_next(&plan, 0, &until), PLAN_ASK);
    assert_true(plan_may_ask(&plan, 0));
}

TEST(whose_line_is_full_is_not_asked_for_a_place_again)
{
    uint64_t until;

    begin(1);
    assert_int_equal(plan_next(&plan, 0, &until), PLAN_ASK);
    plan_crowded(&plan);
    assert_int_equal(plan_next(&plan, 0, &until), PLAN_STOP);
    assert_int_equal(plan.calls, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_weights_the_order_is_the_settings),
        T(the_first_question_is_shared_by_the_weights),
        T(behind_the_first_come_those_with_weights_and_then_the_others),
        T(who_cannot_do_it_is_not_asked),
        T(who_cannot_be_shown_it_is_not_asked),
        T(a_pause_is_up_to_a_quarter_shorter),
        T(pauses_begin_and_end_as_the_settings_say),
        T(a_pause_that_is_just_short_enough_is_made),
        T(of_several_pauses_the_shortest_is_waited_for),
        T(one_that_is_worth_it_is_waited_for_whoever_else_is_not),
        T(who_was_asked_less_often_is_asked_first),
        T(what_it_was_told_itself_holds_for_a_turn),
        T(who_does_not_try_has_no_say_in_a_try),
        T(a_try_that_was_answered_is_over),
        T(a_try_that_failed_is_over),
        T(a_broken_one_is_not_worth_waiting_for),
        T(it_may_be_asked_until_it_breaks),
        T(whose_line_is_full_is_not_asked_for_a_place_again),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
