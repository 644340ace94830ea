/* key_test.c - a question that the client asks with a key of his is answered once. Who hears then
 * what another turn tells is reading_test.c's. */
#include "flow/world.h"

#include "check.h"

TEST(two_of_one_key_hear_one_answer)
{
    struct tape second = { .n = 0 };

    keyed_world("s-d-d-f");
    ask();
    pass_for(4);
    assert_null(ask_on(&second));
    budget.turns--;                           /* it is none                     */
    kept_end();
    told("sddf", FAULT_NONE);
    assert_string_equal(second.text, "sddf");
    assert_int_equal(second.begins, 1);
    assert_int_equal(second.closed, 1);
    assert_int_equal(one.starts, 1);
    assert_int_equal(fake.recalls, 1);
}

TEST(what_has_ended_is_recalled_and_not_joined)
{
    keyed_world("-sdf|-sddf");
    ask();
    pass_until_over(PASSES);
    told("sdf", FAULT_NONE);
    ask_another();                            /* as if the first was forgotten  */
    kept_end();
    told("sddf", FAULT_NONE);
    assert_int_equal(fake.recalls, 2);
    assert_int_equal(fake.claims_asked, 2);
}

TEST(who_has_no_key_is_asked_each_for_himself)
{
    struct tape second = { .n = 0 };

    kept_world("-sdf");
    ask();
    two.script = "-sdf";
    model.n_targets = 2;
    gate_configure(&targets[0].standing->gate, 1, 0, 0);
    assert_non_null(ask_on(&second));
    kept_end();
    assert_int_equal(fake.claims_asked, 2);
    assert_string_equal(second.text, "sdf");
}

static void other_keys_are_other_turns(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct tape second = { .n = 0 };

        keyed_world("s-d-f");
        model.n_targets = 2;
        two.script = "-sdf";
        gate_configure(&targets[0].standing->gate, 1, 0, 0);
        ask();
        pass();
        keeping.key = what == 0 ? STR("yek") : STR("key");
        keeping.whose.owner = what == 1 ? STR("berta") : STR("anna");
        keeping.whose.tenant = what == 2 ? 2 : 1;
        assert_non_null(ask_on(&second));
        turns_interrupt_all(FAULT_SHUTDOWN);
        pass_for(2);
        keeping.whose.tenant = 1;
        kept_end();
        assert_int_equal(second.fault, FAULT_SHUTDOWN);
    }
}

TEST(another_question_of_that_key_is_refused)
{
    struct tape second = { .n = 0 };

    keyed_world("s-d-f");
    ask();
    pass_for(2);
    keeping.question_hash = STR("another");
    assert_null(ask_on(&second));
    budget.turns--;
    assert_string_equal(second.text, "e");
    assert_int_equal(second.fault, FAULT_KEY_REUSED);
    assert_int_equal(second.closed, 1);
    kept_end();
    told("sdf", FAULT_NONE);
}

static void what_cannot_be_recalled_is_not_asked(void **state)
{
    static const struct {
        enum store_end end;
        enum fault     fault;
    } rows[] = { { STORE_CONFLICT, FAULT_KEY_REUSED }, { STORE_AWAY, FAULT_NO_DATABASE } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        keyed_world("sdf");
        fake.recall = rows[i].end;
        ask();
        kept_end();
        told("e", rows[i].fault);
        assert_int_equal(fake.claims_asked, 0);
    }
}

TEST(who_leaves_while_it_is_recalled_has_asked_nothing)
{
    keyed_world("sdf");
    fake.is_slow = true;
    ask();
    pass();
    sink_leave(&tape.sink->sink);
    pass();
    kept_end();
    assert_int_equal(fake.recalls, 1);
    assert_int_equal(fake.claims_asked, 0);
    assert_false(fake_is_asked());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_of_one_key_hear_one_answer),
        cmocka_unit_test(what_has_ended_is_recalled_and_not_joined),
        cmocka_unit_test(who_has_no_key_is_asked_each_for_himself),
        cmocka_unit_test(other_keys_are_other_turns),
        cmocka_unit_test(another_question_of_that_key_is_refused),
        cmocka_unit_test(what_cannot_be_recalled_is_not_asked),
        cmocka_unit_test(who_leaves_while_it_is_recalled_has_asked_nothing),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
