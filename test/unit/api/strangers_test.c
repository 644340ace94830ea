#include "check.h"

#include "api/strangers.h"
#include "base/clock.h"

static uint64_t now;

static void pass(uint64_t seconds)
{
    now += seconds * CLOCK_S;
    clock_fake(now);
}

static int begin(void **state)
{
    (void)state;
    now = CLOCK_S;
    clock_fake(now);
    strangers_forget();
    return 0;
}

static uint64_t note(const char *address, unsigned times, uint64_t most)
{
    uint64_t wait = 0;

    for (unsigned i = 0; i < times; i++)
        wait = strangers_note(str_of(address), most);
    return wait;
}

TEST(so_many_may_fail_and_no_more_until_the_minute_is_over)
{
    assert_int_equal(note("1.2.3.4", 3, 3), 0);
    assert_int_equal(note("1.2.3.4", 1, 3), 60);
    pass(59);
    assert_int_equal(note("1.2.3.4", 1, 3), 1);
    pass(1);
    assert_int_equal(note("1.2.3.4", 3, 3), 0);
    assert_int_equal(note("1.2.3.4", 1, 3), 60);
}

TEST(each_address_fails_for_itself)
{
    static const struct {
        const char *one, *other;
        bool        is_same;
    } rows[] = {
        { "1.2.3.4", "1.2.3.5", false },
        { "1.2.3.4", "5.2.3.4", false },
        { "1.2.3.4", "::ffff:1.2.3.4", true },
        { "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true },
        { "2001:db8:1:2::1", "2001:db8:1:3::1", false },
        { "::1", "127.0.0.1", false },
        { "no address", "another", true },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        strangers_forget();
        note(rows[i].one, 2, 2);
        check_that((note(rows[i].other, 1, 2) > 0) == rows[i].is_same, "row %zu", i);
    }
}

/* Many who fail once never hide the one who fails often. */
TEST(a_crowd_does_not_hide_who_fails_often)
{
    char address[20];

    note("9.9.9.9", 10, 5);
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(address, sizeof address, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        assert_int_equal(note(address, 1, 5), 0);
    }
    assert_int_equal(note("9.9.9.9", 1, 5), 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(so_many_may_fail_and_no_more_until_the_minute_is_over, begin),
        cmocka_unit_test_setup(each_address_fails_for_itself, begin),
        cmocka_unit_test_setup(a_crowd_does_not_hide_who_fails_often, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
