/* kept_steps_test.c - the four steps of a turn that is kept x { now, later, fails } x every way
 * of an answer x every moment of an interrupt. The other steps are steps_test.c's. */
#include "flow/world.h"

#include "check.h"

#include <string.h>

enum mode { NOW, LATER, FAILS, MODES };
enum { RECALL, CLAIM, REMEMBER, SAVE, STEPS };
enum { SCRIPTS = 4, SILENT = 3, FAILING = 2, LAST_INTERRUPT = 36, LATER_BY = 4 };

static const char *const scripts[SCRIPTS] = { "sdduf", "-s-d--d-u-f", "--x", "s-d" };

static int composed;

static void compose(struct question *q, void *ctx, const struct kept_message *messages, size_t n)
{
    (void)q, (void)ctx, (void)messages, (void)n;
    assert_int_equal(one.starts, 0);
    composed++;
}

static void arrange(const enum mode *modes)
{
    static char slow[STEPS + 1];
    size_t      n = 0;

    for (int i = 0; i < STEPS; i++)
        if (modes[i] == LATER)
            slow[n++] = "rcms"[i];
    slow[n] = '\0';
    fake.slow = slow;
    fake.recall = modes[RECALL] == FAILS ? STORE_AWAY : STORE_NOT_FOUND;
    fake.claim = modes[CLAIM] == FAILS ? STORE_AWAY : STORE_OK;
    fake.remember = modes[REMEMBER] == FAILS ? STORE_AWAY : STORE_OK;
    fake.save = STORE_CONFLICT;
    fake.saves_that_fail = modes[SAVE] == FAILS;
    keeping.remembers = 3;
    keeping.compose = compose;
    composed = 0;
}

static bool comes_to_answer(const enum mode *modes)
{
    return modes[RECALL] != FAILS && modes[CLAIM] != FAILS && modes[REMEMBER] != FAILS;
}

static enum fault expected(const enum mode *modes, int script)
{
    static const enum fault faults[SCRIPTS] = {
        [FAILING] = FAULT_ANSWER_TOO_BIG, [SILENT] = FAULT_TIMEOUT
    };

    if (modes[RECALL] == FAILS || modes[CLAIM] == FAILS)
        return FAULT_NO_DATABASE;             /* there is nothing to save       */
    if (modes[SAVE] == FAILS)
        return FAULT_NOT_KEPT;
    return modes[REMEMBER] == FAILS ? FAULT_NO_DATABASE : faults[script];
}

/* What is kept is what was told; and whatever was claimed is saved, once. */
static void check_kept(const enum mode *modes)
{
    bool was_claimed = fake.claims_asked && modes[CLAIM] != FAILS;

    assert_int_equal(fake.saves, was_claimed);
    assert_int_equal(tape.begins, was_claimed);
    if (!was_claimed) {
        assert_string_equal(tape.text, "e");
        assert_string_equal(fake.journal, "");
    } else if (modes[SAVE] == FAILS) {
        assert_int_equal(tape.fault, FAULT_NOT_KEPT);
    } else {
        assert_string_equal(fake.journal, tape.text);
        assert_string_equal(fake.fault, fault_name(tape.fault));
    }
}

static void check_end(const enum mode *modes, int script, bool disturbed)
{
    bool was_asked = one.starts > 0;

    assert_int_equal(tape.last_words, 1);
    if (!disturbed || (tape.fault != FAULT_SHUTDOWN && tape.fault != FAULT_NOT_KEPT))
        assert_int_equal(tape.fault, expected(modes, script));
    assert_true(!was_asked || comes_to_answer(modes));
    assert_true(disturbed || was_asked == comes_to_answer(modes));
    assert_true(composed >= one.starts && composed <= 1);
    assert_int_equal(fake.remembers >= composed, 1);
    check_kept(modes);
    assert_false(fake_is_asked());
    settle();
}

/* What comes later comes some passes after it was asked for. */
static void pass_slowly(int *waited)
{
    *waited = fake_is_asked() ? *waited + 1 : 0;
    if (*waited == LATER_BY) {
        *waited = 0;
        fake_answer();
    }
    pass();
}

static void run_case(const enum mode *modes, int script, int interrupt_at)
{
    struct turn *t;
    int          waited = 0;
    bool         disturbed = false;

    kept_world(scripts[script]);
    keeping.key = STR("key");
    arrange(modes);
    t = ask();
    for (int i = 0; turns_alive(); i++) {
        assert_true(i < 2 * LIMIT_MS);
        if (i == interrupt_at) {
            turn_interrupt(t, FAULT_SHUTDOWN);
            disturbed = true;
        }
        pass_slowly(&waited);
    }
    check_end(modes, script, disturbed);
}

TEST(every_step_every_mode_every_moment)
{
    for (int n = 0; n < MODES * MODES * MODES * MODES; n++) {
        enum mode modes[STEPS];

        for (int i = 0, rest = n; i < STEPS; i++, rest /= MODES)
            modes[i] = (enum mode)(rest % MODES);
        for (int script = 0; script < SCRIPTS; script++)
            for (int at = -1; at <= LAST_INTERRUPT; at++)
                run_case(modes, script, at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_every_mode_every_moment),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
