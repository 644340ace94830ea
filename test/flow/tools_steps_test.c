/* tools_steps_test.c - three tools of a round x { now, later, fails, never, too long } x which
 * of them runs alone x every moment of an interrupt; and the same of a turn that is kept. What
 * comes later comes in the wrong order. */
#include "flow/fake_tools.h"
#include "flow/world.h"

#include "check.h"

#include <string.h>

enum mode { NOW, LATER, FAILS, NEVER, TOO_LONG, MODES };
enum { TOOLS = 3, NOBODY_ALONE = TOOLS, LAST_INTERRUPT = 44, TOO_LONG_MS = 7, ALL_PASSES = 80 };

static const char script[] = "-s0-1-2-uT|-sd-uf";

static void arrange(const enum mode *modes, size_t alone)
{
    toys_begin();
    for (size_t i = 0; i < TOOLS; i++) {
        toys.toys[i].is_slow = modes[i] != NOW && modes[i] != FAILS;
        toys.toys[i].fails = modes[i] == FAILS;
        toys.tools[i]->runs_alone = i == alone;
        if (modes[i] == TOO_LONG)
            toys.tools[i]->timeout = TOO_LONG_MS * CLOCK_MS;
    }
}

/* Those that come later come at pass 28, 21 and 14, or as soon as they run. */
static void answer_late(const enum mode *modes, int at)
{
    for (size_t i = 0; i < toys.n_runs; i++) {
        size_t tool = (size_t)(toys.runs[i].call[1] - '0');

        if (toys.runs[i].is_live && modes[tool] == LATER && at >= 28 - 7 * (int)tool)
            toy_answer(i);
    }
}

static bool comes_to_an_end(const enum mode *modes)
{
    return modes[0] != NEVER && modes[1] != NEVER && modes[2] != NEVER;
}

static void write_result(struct buf *out, const enum mode *modes, size_t i)
{
    char name = (char)('a' + i);

    switch (modes[i]) {
    case FAILS:
        buf_addf(out,
                 "(%zu! {\"type\":\"error\",\"message\":\"An error occurred while executing %c\","
                 "\"error\":\"of %c\",\"details\":null})",
                 i, name, name);
        return;
    case TOO_LONG:
        buf_addf(out,
                 "(%zu! {\"type\":\"error\",\"message\":\"%c timed out after 0.007s\","
                 "\"error\":\"timeout\",\"details\":null})",
                 i, name);
        return;
    default: buf_addf(out, "(%zu of %c)", i, name);
    }
}

/* What is heard if nobody ends it; a reader of less has heard the beginning of it. */
static void write_expected(struct buf *out, const enum mode *modes)
{
    buf_lit(out, "s[0 c0 a {}][1 c1 b {}][2 c2 c {}]u3/2");
    for (size_t i = 0; i < TOOLS && modes[i] != NEVER; i++)
        write_result(out, modes, i);
    if (comes_to_an_end(modes))
        buf_lit(out, "|word u6/4f");
}

static bool skip_result(struct str *heard, const enum mode *modes)
{
    for (size_t i = 0; i < TOOLS; i++) {
        struct buf result = BUF(200);
        bool       is_it;

        write_result(&result, modes, i);
        is_it = modes[i] != NEVER && str_starts(*heard, buf_str(&result));
        if (is_it)
            *heard = str_from(*heard, result.n);
        buf_release(&result);
        if (is_it)
            return true;
    }
    return false;
}

/* Those that are done when others are ended come without them. */
static bool is_beginning(struct str heard, struct str want, const enum mode *modes)
{
    struct str calls = STR("s[0 c0 a {}][1 c1 b {}][2 c2 c {}]u3/2");

    if (str_starts(want, heard))
        return true;
    if (!str_starts(heard, calls))
        return false;
    heard = str_from(heard, calls.n);
    while (skip_result(&heard, modes))
        ;
    return heard.n == 0;
}

static void check_heard(const enum mode *modes)
{
    struct buf want = BUF(4096);
    struct str heard = { toys.heard, toys.n_heard - (tape.fault != FAULT_NONE) };

    write_expected(&want, modes);
    if (tape.fault == FAULT_NONE)
        check_same(heard, buf_str(&want));
    else
        assert_true(is_beginning(heard, buf_str(&want), modes));
    assert_true(!tape.fault || toys.heard[toys.n_heard - 1] == 'e');
    buf_release(&want);
}

static void check_alone(size_t alone)
{
    if (alone == 1)
        assert_true(toys.most_live <= 1);
    else if (alone < TOOLS)
        assert_true(toys.most_live <= 2);
    else if (tape.fault == FAULT_NONE)
        assert_int_equal(toys.most_live, TOOLS);
}

static void check_end(const enum mode *modes, bool disturbed)
{
    size_t too_long = 0;

    assert_int_equal(tape.last_words, 1);
    if (!disturbed || tape.fault != FAULT_SHUTDOWN)
        assert_int_equal(tape.fault, comes_to_an_end(modes) ? FAULT_NONE : FAULT_TIMEOUT);
    for (size_t i = 0; i < TOOLS; i++)
        too_long += modes[i] == TOO_LONG;
    if (tape.fault == FAULT_NONE) {
        assert_int_equal(toys.cancels, too_long);
        assert_int_equal(one.starts, 2);
    }
    check_heard(modes);
    assert_int_equal(budget.bills, 1);
}

static void play(const enum mode *modes, int interrupt_at)
{
    struct turn *t = ask();
    size_t       runs = 0;
    bool         disturbed = false;

    for (int i = 0; i < ALL_PASSES && turns_alive(); i++) {
        if (i == interrupt_at) {
            turn_interrupt(t, FAULT_SHUTDOWN);
            notes_run();
            disturbed = true;
            runs = toys.n_runs;
            assert_int_equal(toys.live, 0);   /* at once                        */
        }
        answer_late(modes, i);
        pass();
        assert_true(!disturbed || toys.n_runs == runs);
    }
    if (turns_alive())
        pass_until_over(2 * LIMIT_MS);
    check_end(modes, disturbed);
}

static void run_case(const enum mode *modes, size_t alone, int interrupt_at, bool kept)
{
    if (kept)
        kept_world(script);
    else
        world_begin(script, NULL);
    arrange(modes, alone);
    play(modes, interrupt_at);
    check_alone(alone);
    assert_int_equal(fake.saves, kept && tape.begins);
    if (fake.saves) {
        assert_string_equal(fake.journal, tape.text);
        assert_string_equal(fake.fault, fault_name(tape.fault));
    }
    settle();
    toys_end();
}

static void run_all(size_t first_alone, bool kept)
{
    enum mode modes[TOOLS];

    for (int n = 0; n < MODES * MODES * MODES; n++) {
        for (int i = 0, rest = n; i < TOOLS; i++, rest /= MODES)
            modes[i] = (enum mode)(rest % MODES);
        for (size_t alone = first_alone; alone <= NOBODY_ALONE; alone++)
            for (int at = -1; at <= LAST_INTERRUPT; at++)
                run_case(modes, alone, at, kept);
    }
}

TEST(every_tool_every_mode_every_moment)
{
    run_all(0, false);
}

TEST(the_same_of_a_turn_that_is_kept)
{
    run_all(NOBODY_ALONE, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tool_every_mode_every_moment),
        cmocka_unit_test(the_same_of_a_turn_that_is_kept),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
