/* steps_test.c - every step of a turn x { now, later, fails, never } x every moment of an
 * interrupt. Six things are waited for: a place in the process, room in the budget, a target
 * that may be asked, its place, its provider's place, and the answer. What is kept of a turn is
 * kept_steps_test.c's. */
#include "flow/world.h"

#include <string.h>

enum mode { NOW, LATER, FAILS, NEVER, MODES };
enum { ADMIT, AFFORD, CHOOSE, TARGET, PROVIDER, ANSWER, STEPS };
enum { LAST_INTERRUPT = 31 };

static const char *const answer_scripts[MODES] = {
    [NOW] = "sdduf",
    [LATER] = "-s-d--d-u-f",
    [FAILS] = "--x",
    [NEVER] = "s-d",
};

static void fill(struct gate *g, enum mode mode, struct place *by)
{
    if (mode == NOW)
        return;
    gate_configure(g, 1, mode == FAILS ? 0 : 10, PATIENCE_MS * CLOCK_MS);
    hold_place(g, by);
}

/* Who asks us to wait longer than max_pause is not waited for; the turn's own limit comes
 * before the end of a pause that is short enough. */
static void arrange_rest(enum mode mode)
{
    static const uint64_t ms[MODES] = { 0, 8, 4 * LIMIT_MS, 2 * LIMIT_MS };

    catalog->settings->turns.max_pause = 2 * LIMIT_MS * CLOCK_MS;
    if (mode != NOW)
        standing_rest(targets[0].standing, clock_now() + ms[mode] * CLOCK_MS);
}

static void arrange_budget(enum mode mode)
{
    budget.asker.is_limited = true;
    budget.is_slow = mode == LATER || mode == NEVER;
    if (mode == FAILS)
        budget.room.limit = BUDGET_DAY_TOKENS;
}

static void arrange(const enum mode *modes)
{
    struct turn_settings *s = &catalog->settings->turns;

    if (modes[ADMIT] != NOW) {
        s->max_running = 1;
        s->max_waiting = modes[ADMIT] == FAILS ? 0 : 10;
        admit_configure(s);
        hold_place(admit_gate(), &holders[0]);
    }
    arrange_budget(modes[AFFORD]);
    arrange_rest(modes[CHOOSE]);
    fill(&targets[0].standing->gate, modes[TARGET], &holders[1]);
    fill(&one.provider.standing->gate, modes[PROVIDER], &holders[2]);
}

/* Places that come later come at pass 5, 15 and 20, and room in the budget at pass 10. */
static void make_room(const enum mode *modes, int at)
{
    static const struct {
        int step, at;
    } rows[] = { { ADMIT, 5 }, { TARGET, 15 }, { PROVIDER, 20 } };

    if (at == 10 && modes[AFFORD] == LATER)
        budget_answer();
    for (int i = 0; i < 3; i++)
        if (at == rows[i].at && modes[rows[i].step] == LATER)
            gate_give_back(&holders[i]);
}

static enum fault expected(const enum mode *modes)
{
    static const enum fault faults[STEPS][MODES] = {
        [ADMIT] = { [FAILS] = FAULT_OVERLOADED, [NEVER] = FAULT_OVERLOADED },
        [AFFORD] = { [FAILS] = FAULT_USED_UP, [NEVER] = FAULT_TIMEOUT },
        [CHOOSE] = { [FAILS] = FAULT_RESTING, [NEVER] = FAULT_TIMEOUT },
        [TARGET] = { [FAILS] = FAULT_PROVIDER_BUSY, [NEVER] = FAULT_PROVIDER_BUSY },
        [PROVIDER] = { [FAILS] = FAULT_PROVIDER_BUSY, [NEVER] = FAULT_PROVIDER_BUSY },
        [ANSWER] = { [FAILS] = FAULT_ANSWER_TOO_BIG, [NEVER] = FAULT_TIMEOUT },
    };

    for (int i = 0; i < STEPS; i++)
        if (faults[i][modes[i]])
            return faults[i][modes[i]];
    return FAULT_NONE;
}

static bool comes_to_answer(const enum mode *modes)
{
    for (int i = 0; i < ANSWER; i++)
        if (modes[i] >= FAILS)
            return false;
    return true;
}

/* Whom the budget let in, and who left before it had said so, is settled with what he heard. */
static void check_bill(void)
{
    struct usage told = { 0, 0 };
    bool         counted = strchr(tape.text, 'u') != NULL;

    if (tape.fault == FAULT_USED_UP) {
        assert_int_equal(budget.bills, 0);
        return;
    }
    for (size_t i = 0; i < tape.n; i++)
        told.completion += tape.text[i] == 'd' ? strlen("word ") : 0;
    told.completion = (told.completion + 3) / 4;
    if (counted)
        told = one.usage;
    assert_int_equal(budget.bills, 1);
    assert_int_equal(budget.bill.usage.prompt, told.prompt);
    assert_int_equal(budget.bill.usage.completion, told.completion);
    assert_int_equal(budget.bill.is_estimated, tape.text[0] == 's' && !counted);
    assert_int_equal(budget.bill.is_failure, tape.fault && tape.fault != FAULT_SHUTDOWN);
}

static void check_end(const enum mode *modes, bool disturbed)
{
    enum fault want = expected(modes);

    assert_int_equal(tape.last_words, 1);
    if (!disturbed || tape.fault != FAULT_SHUTDOWN)
        assert_int_equal(tape.fault, want);
    if (!comes_to_answer(modes))
        assert_int_equal(one.starts, 0);      /* no place: nobody was asked     */
    else if (!disturbed)
        assert_int_equal(one.starts, 1);
    if (tape.fault == FAULT_NONE)
        assert_string_equal(tape.text, "sdduf");
    assert_true(tape.rooms == 1 || (tape.rooms == 0 && one.starts == 0));
    check_bill();
    settle();
}

static void run_case(const enum mode *modes, int interrupt_at)
{
    struct turn *t;
    bool         disturbed = false;

    world_begin(answer_scripts[modes[ANSWER]], NULL);
    arrange(modes);
    t = ask();
    for (int i = 0; i < PASSES && turns_alive(); i++) {
        if (i == interrupt_at) {
            turn_interrupt(t, FAULT_SHUTDOWN);
            disturbed = true;
        }
        make_room(modes, i);
        pass();
    }
    if (turns_alive()) {                      /* only silence may last, and only undisturbed */
        assert_false(disturbed);
        pass_until_over(2 * LIMIT_MS);
    }
    check_end(modes, disturbed);
}

static void every_step_every_mode_every_moment(void **state)
{
    enum mode modes[STEPS];

    (void)state;
    for (int n = 0; n < 1 << (2 * STEPS); n++) {
        for (int i = 0; i < STEPS; i++)
            modes[i] = (enum mode)(n >> (2 * i) & 3);
        for (int at = -1; at <= LAST_INTERRUPT; at++)
            run_case(modes, at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_every_mode_every_moment),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
