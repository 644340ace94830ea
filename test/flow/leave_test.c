/* leave_test.c - what becomes of an answer that is kept when its last reader leaves, and when one
 * comes back. */
#include "flow/world.h"

#include "check.h"

#include <string.h>

static void leave(void)
{
    sink_leave(&tape.sink->sink);
}

static void leaving_world(const char *script, enum leaving how)
{
    kept_world(script);
    on_leave = how;
    ask();
    pass_for(4);
    leave();
}

TEST(who_leaves_ends_it)
{
    leaving_world("s-d-d-------------f", LEAVING_CANCELS);
    pass_for(2);
    assert_int_equal(turns_alive(), 0);
    kept_end();
    kept_as("interrupted", "client_gone", "word word ");
}

TEST(nobody_is_needed_for_an_answer_that_is_detached)
{
    leaving_world("s-d-d-f", LEAVING_DETACHES);
    kept_end();
    kept_as("complete", "none", "word word ");
    assert_int_equal(one.cancels, 0);
}

TEST(a_detached_answer_has_its_limit)
{
    leaving_world("s-d", LEAVING_DETACHES);
    pass_for(LIMIT_MS - 10);
    assert_int_equal(turns_alive(), 1);
    pass_for(10);
    assert_int_equal(turns_alive(), 0);
    kept_end();
    kept_as("error", "timeout", "word ");
}

TEST(a_drained_answer_may_take_some_time)
{
    leaving_world("s-d-----------------------------------------------d-f", LEAVING_DRAINS);
    pass_for(28);
    assert_int_equal(turns_alive(), 1);
    pass_for(4);
    assert_int_equal(turns_alive(), 0);
    kept_end();
    kept_as("interrupted", "client_gone", "word ");
    assert_int_equal(one.cancels, 1);
}

/* 5 tokens are 20 bytes: 4 words, of which each has 5. */
TEST(a_drained_answer_may_take_some_tokens)
{
    leaving_world("s-d-d-d-d-d-d-d-d-d-d-f", LEAVING_DRAINS);
    kept_end();
    assert_string_equal(fake.fault, "client_gone");
    assert_int_equal(strlen(fake.saved), 5 * (2 + 4 + 1));
}

TEST(a_short_rest_is_drained_in_full)
{
    leaving_world("s-d-d-d-d-d-d-f", LEAVING_DRAINS);
    kept_end();
    kept_as("complete", "none", "word word word word word word ");
}

TEST(a_drained_answer_takes_no_longer_than_any)
{
    kept_world("s-d");
    on_leave = LEAVING_DRAINS;
    ask();
    pass_for(LIMIT_MS - 10);
    leave();
    pass_for(12);
    assert_int_equal(turns_alive(), 0);
    kept_end();
    kept_as("error", "timeout", "word ");
}

static void who_comes_back_to_a_drained_answer_hears_all_of_it(void **state)
{
    static const char *const scripts[] = {
        "s-d-d-d-d-d-d-d-d-d-d-d-d-f", "s-d--------------------------------------------------d-f"
    };

    (void)state;
    for (size_t i = 0; i < COUNT(scripts); i++) {
        struct tape back = { .n = 0 };

        keyed_world(scripts[i]);
        on_leave = LEAVING_DRAINS;
        ask();
        pass_for(4);
        leave();
        pass_for(2);
        assert_null(ask_on(&back));
        budget.turns--;
        kept_end();
        assert_string_equal(fake.fault, "none");
        assert_string_equal(back.text, fake.journal);
        assert_int_equal(back.closed, 1);
    }
}

TEST(who_comes_back_and_does_not_hear_an_end_has_the_turn_s_limit)
{
    struct tape back = { .n = 0 };

    keyed_world("s-d");
    on_leave = LEAVING_DRAINS;
    ask();
    pass_for(4);
    leave();
    assert_null(ask_on(&back));
    budget.turns--;
    pass_for(LIMIT_MS - 10);
    assert_int_equal(turns_alive(), 1);
    pass_for(10);
    assert_int_equal(turns_alive(), 0);
    kept_end();
    assert_int_equal(back.fault, FAULT_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_ends_it),
        cmocka_unit_test(nobody_is_needed_for_an_answer_that_is_detached),
        cmocka_unit_test(a_detached_answer_has_its_limit),
        cmocka_unit_test(a_drained_answer_may_take_some_time),
        cmocka_unit_test(a_drained_answer_may_take_some_tokens),
        cmocka_unit_test(a_short_rest_is_drained_in_full),
        cmocka_unit_test(a_drained_answer_takes_no_longer_than_any),
        cmocka_unit_test(who_comes_back_to_a_drained_answer_hears_all_of_it),
        cmocka_unit_test(who_comes_back_and_does_not_hear_an_end_has_the_turn_s_limit),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
