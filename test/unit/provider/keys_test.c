#include "check.h"

#include "base/clock.h"
#include "provider/keys.h"

enum { NOW = 1000 };                          /* any moment                     */

static struct provider_key pool[3];
static struct provider     p;

static void begin(size_t n)
{
    static const struct str texts[] = { STR_INIT("a"), STR_INIT("b"), STR_INIT("c") };

    for (size_t i = 0; i < COUNT(pool); i++)
        pool[i] = (struct provider_key){ .text = texts[i] };
    p = (struct provider){ .keys = pool, .n_keys = n };
}

/* Whose turn it is, so many times over. */
static void check_picks(const char *want, uint64_t now)
{
    char got[20] = "";

    for (size_t i = 0; want[i]; i++)
        got[i] = keys_pick(&p, now)->text.p[0];
    assert_string_equal(got, want);
}

TEST(they_take_turns)
{
    begin(3);
    check_picks("abcabcab", NOW);
    begin(1);
    check_picks("aaa", NOW);
}

TEST(one_that_rests_is_passed_over_until_it_wakes)
{
    begin(3);
    pool[1].rest_until = NOW + 10;
    check_picks("acacac", NOW);
    check_picks("acac", NOW + 9);
    check_picks("abcabc", NOW + 10);
}

TEST(when_all_rest_the_one_that_wakes_first_is_asked)
{
    begin(3);
    pool[0].rest_until = NOW + 30;
    pool[1].rest_until = NOW + 10;
    pool[2].rest_until = NOW + 20;
    check_picks("bbb", NOW);
    check_picks("bbb", NOW + 15);
    check_picks("cbcb", NOW + 25);
    begin(1);
    pool[0].rest_until = NOW + 10;
    check_picks("aa", NOW);
}

TEST(a_refused_key_rests_five_minutes)
{
    begin(2);
    assert_true(keys_judge(&p, &pool[0], FAULT_SERVICE_DENIED, 0, NOW));
    assert_int_equal(pool[0].rest_until, NOW + 300 * CLOCK_S);
    assert_true(keys_judge(&p, &pool[0], FAULT_SERVICE_DENIED, 7 * CLOCK_S, NOW));
    assert_int_equal(pool[0].rest_until, NOW + 300 * CLOCK_S);
    assert_int_equal(pool[1].rest_until, 0);
}

TEST(a_key_that_is_used_up_rests_as_long_as_it_is_told)
{
    begin(2);
    assert_true(keys_judge(&p, &pool[1], FAULT_SERVICE_BUSY, 7 * CLOCK_S, NOW));
    assert_int_equal(pool[1].rest_until, NOW + 7 * CLOCK_S);
    assert_true(keys_judge(&p, &pool[1], FAULT_SERVICE_BUSY, 0, NOW));
    assert_int_equal(pool[1].rest_until, NOW + 30 * CLOCK_S);
    assert_int_equal(pool[0].rest_until, 0);
}

TEST(other_faults_say_nothing_of_the_key)
{
    static const enum fault faults[] = { FAULT_NONE, FAULT_NOT_ACCEPTED, FAULT_SERVICE_FAILED,
                                         FAULT_CUT, FAULT_UNREACHABLE };

    begin(2);
    for (size_t i = 0; i < COUNT(faults); i++)
        assert_false(keys_judge(&p, &pool[0], faults[i], CLOCK_S, NOW));
    assert_int_equal(pool[0].rest_until, 0);
}

TEST(the_last_one_awake_leaves_nobody_to_ask_at_once)
{
    begin(2);
    assert_true(keys_judge(&p, &pool[0], FAULT_SERVICE_DENIED, 0, NOW));
    assert_false(keys_judge(&p, &pool[1], FAULT_SERVICE_DENIED, 0, NOW));
    begin(2);
    pool[1].rest_until = NOW + 1;
    assert_false(keys_judge(&p, &pool[0], FAULT_SERVICE_BUSY, CLOCK_S, NOW));
    assert_true(keys_judge(&p, &pool[0], FAULT_SERVICE_BUSY, CLOCK_S, NOW + 1));
    begin(1);
    assert_false(keys_judge(&p, &pool[0], FAULT_SERVICE_DENIED, 0, NOW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_take_turns),
        cmocka_unit_test(one_that_rests_is_passed_over_until_it_wakes),
        cmocka_unit_test(when_all_rest_the_one_that_wakes_first_is_asked),
        cmocka_unit_test(a_refused_key_rests_five_minutes),
        cmocka_unit_test(a_key_that_is_used_up_rests_as_long_as_it_is_told),
        cmocka_unit_test(other_faults_say_nothing_of_the_key),
        cmocka_unit_test(the_last_one_awake_leaves_nobody_to_ask_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
