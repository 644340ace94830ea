/* operations_test.c - a tool that may go on when its turn has ended: it is kept before it is asked,
 * and forgotten when it does not go on.
 */
#include "flow/fake_store.h"
#include "flow/fake_tools.h"
#include "flow/world.h"

#include "check.h"

#include <string.h>

#define WRONG(message, error)                                                                      \
    "{\"type\":\"error\",\"message\":\"" message "\",\"error\":\"" error "\",\"details\":null}"
#define NOT_KEPT WRONG("An error occurred while executing a", "The operation could not be kept.")

/* A session's turn, whose tool a may go on. */
static void begin(const char *script)
{
    kept_world(script);
    toys_begin();
    keeping.takes_operations = true;
    toys.tools[0]->operation_ttl = 7 * CLOCK_S;
    toys.toys[0].goes_on = true;
}

static void end(void)
{
    kept_end();
    toys_end();
}

static struct turn *ask_a(void)
{
    struct question *q = question_new();

    q->messages = arena_new(&q->arena, sizeof *q->messages);
    q->messages[0] = (struct message){ .role = ROLE_USER, .text = STR("how much?") };
    q->n_messages = 1;
    return ask_for(&tape, q);
}

static void heard(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void heard(const char *format, ...)
{
    char    want[1000];
    va_list ap;

    va_start(ap, format);
    vsnprintf(want, sizeof want, format, ap);
    va_end(ap);
    check_text(str_of(toys.heard), want);
}

TEST(what_goes_on_is_told_at_once_and_the_model_goes_on)
{
    begin("s0T|sdf");
    ask_a();
    pass_until_over(PASSES);
    assert_string_equal(toys.runs[0].operation, fake.operation);
    heard("s[0 c0 a {}](0 {\"type\":\"operation_started\",\"message\":\"a has begun and goes on in "
          "the background. What it comes to will be told in this conversation, without anybody "
          "asking again.\",\"operation_id\":\"%s\",\"tool_name\":\"a\"})|word f",
          fake.operation);
    assert_int_equal(fake.operations, 1);
    assert_int_equal(fake.forgotten, 0);
    end();
}

TEST(it_is_kept_before_its_tool_is_asked)
{
    begin("s0T|sf");
    fake.slow = "o";
    ask_a();
    pass_for(8);
    assert_int_equal(fake.operations, 1);
    assert_int_equal(toys.n_runs, 0);
    fake_answer();
    pass_until_over(PASSES);
    assert_int_equal(toys.n_runs, 1);
    end();
}

TEST(what_was_done_at_once_is_forgotten_before_the_model_goes_on)
{
    begin("s0T|sf");
    toys.toys[0].goes_on = false;
    fake.slow = "f";
    ask_a();
    pass_for(8);
    assert_int_equal(fake.forgotten, 1);
    assert_int_equal(one.starts, 1);
    fake_answer();
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0 of a)|f");
    end();

    begin("s0T|sf");
    toys.toys[0].goes_on = false;
    toys.toys[0].fails = true;
    fake.forget = STORE_AWAY;
    ask_a();
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0! " WRONG("An error occurred while executing a", "of a") ")|f");
    assert_int_equal(fake.forgotten, 1);
    end();
}

TEST(the_same_call_is_in_progress)
{
    begin("s0T|sf");
    fake.is_in_progress = true;
    ask_a();
    pass_until_over(PASSES);
    assert_non_null(strstr(toys.heard, "(0 {\"type\":\"operation_in_progress\","));
    assert_non_null(strstr(toys.heard, "\"tool_call_id\":\"c9\",\"tool_name\":\"a\"})|f"));
    assert_int_equal(toys.n_runs, 0);
    assert_int_equal(fake.forgotten, 0);
    end();
}

TEST(what_cannot_be_kept_is_not_begun)
{
    static const enum store_end ends[] = { STORE_AWAY, STORE_BUSY, STORE_NOT_FOUND, STORE_UNKNOWN };

    for (size_t i = 0; i < COUNT(ends); i++) {
        begin("s0T|sf");
        fake.operate = ends[i];
        ask_a();
        pass_until_over(PASSES);
        heard("s[0 c0 a {}](0! " NOT_KEPT ")|f");
        assert_int_equal(toys.n_runs, 0);
        assert_int_equal(fake.forgotten, ends[i] == STORE_UNKNOWN);
        end();
    }
}

#define NOWHERE                                                                                    \
    "s[0 c0 a {}](0! " WRONG("a cannot be used here",                                              \
                             "It goes on when the answer has ended, and this conversation is not " \
                             "kept as a session, where it could be told what it came to.") ")|f"

TEST(where_nobody_could_be_told_nothing_goes_on)
{
    begin("s0T|sf");
    keeping.takes_operations = false;
    ask_a();
    pass_until_over(PASSES);
    heard(NOWHERE);
    assert_int_equal(fake.operations + (int)toys.n_runs, 0);
    end();

    world_begin("s0T|sf", NULL);
    toys_begin();
    toys.tools[0]->operation_ttl = 7 * CLOCK_S;
    ask_a();
    pass_until_over(PASSES);
    heard(NOWHERE);
    settle();
    toys_end();
}

TEST(another_tool_goes_on_under_no_name)
{
    begin("s0T|sf");
    toys.tools[0]->operation_ttl = 0;
    ask_a();
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0 of a)|f");
    assert_string_equal(toys.runs[0].operation, "");
    assert_int_equal(fake.operations, 0);
    end();
}

TEST(what_takes_too_long_is_forgotten)
{
    begin("s0T|sf");
    toys.toys[0].is_slow = true;
    toys.tools[0]->timeout = CLOCK_MS * 3 / 2;
    ask_a();
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0! " WRONG("a timed out after 0.0015s", "timeout") ")|f");
    assert_int_equal(toys.cancels, 1);
    assert_int_equal(fake.forgotten, 1);
    end();

    begin("s0T|sf");                          /* nor is a slow database waited for */
    fake.slow = "o";
    toys.tools[0]->timeout = CLOCK_MS * 3 / 2;
    ask_a();
    pass_until_over(PASSES);
    assert_int_equal(toys.n_runs, 0);
    assert_int_equal(fake.forgotten, 1);
    end();
}

/* Whatever it is at, nothing of it comes while the answer is saved; the operation itself may have
 * been taken on. */
TEST(an_interrupt_ends_it_wherever_it_is)
{
    static const char *const slow[] = { "os", "fs", "s" };

    for (size_t i = 0; i < COUNT(slow); i++) {
        struct turn *t;

        begin("s0T|sf");
        fake.slow = slow[i];
        toys.toys[0].goes_on = false;
        toys.toys[0].is_slow = slow[i][0] == 's';
        t = ask_a();
        pass_for(8);
        turn_interrupt(t, FAULT_STOPPED);
        pass_for(3);
        fake_answer();
        pass_until_over(PASSES);
        assert_int_equal(tape.fault, FAULT_STOPPED);
        assert_int_equal(toys.n_runs, slow[i][0] != 'o');
        assert_int_equal(toys.cancels, slow[i][0] == 's');
        assert_int_equal(fake.forgotten, slow[i][0] == 'f');
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_on_is_told_at_once_and_the_model_goes_on),
        cmocka_unit_test(it_is_kept_before_its_tool_is_asked),
        cmocka_unit_test(what_was_done_at_once_is_forgotten_before_the_model_goes_on),
        cmocka_unit_test(the_same_call_is_in_progress),
        cmocka_unit_test(what_cannot_be_kept_is_not_begun),
        cmocka_unit_test(where_nobody_could_be_told_nothing_goes_on),
        cmocka_unit_test(another_tool_goes_on_under_no_name),
        cmocka_unit_test(what_takes_too_long_is_forgotten),
        cmocka_unit_test(an_interrupt_ends_it_wherever_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
