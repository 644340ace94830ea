#include "check.h"

#include "chat/tally.h"

TEST(events_are_counted_and_timed)
{
    struct tally t = { .asked = 100 };
    struct event start = { .type = EVENT_START },
                 usage = { .type = EVENT_USAGE, .usage = { 7, 9 } },
                 finish = { .type = EVENT_FINISH };
    struct event delta = { .type = EVENT_DELTA, .text = STR("12345") };

    assert_int_equal(tally_add(&t, &start, 130), 30);
    assert_int_equal(tally_add(&t, &delta, 135), 5);
    assert_int_equal(tally_add(&t, &delta, 135), 0);
    assert_int_equal(tally_add(&t, &usage, 200), 65);
    assert_int_equal(tally_add(&t, &finish, 201), 1);
    assert_true(t.asked == 100 && t.first == 130 && t.last == 201);
    assert_int_equal(t.events, 5);
    assert_int_equal(t.text_bytes, 10);
    assert_true(t.usage.prompt == 7 && t.usage.completion == 9);
}

TEST(all_text_of_the_answer_is_counted_but_not_that_of_an_error)
{
    static const struct event events[] = {
        { .type = EVENT_DELTA, .text = STR_INIT("12345") },
        { .type = EVENT_REASONING, .text = STR_INIT("678") },
        { .type = EVENT_TOOL_CALL, .text = STR_INIT("90") },
        { .type = EVENT_ERROR, .text = STR_INIT("not of the answer") },
    };
    struct tally t = { .asked = 1 };

    for (size_t i = 0; i < COUNT(events); i++)
        tally_add(&t, &events[i], 2);
    assert_int_equal(t.text_bytes, 10);
    assert_int_equal(t.events, 4);
}

TEST(only_usage_has_counts)
{
    struct tally t = { .asked = 1 };

    tally_add(&t, &(struct event){ .type = EVENT_FINISH, .usage = { 1, 2 } }, 2);
    assert_true(t.usage.prompt == 0 && t.usage.completion == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_counted_and_timed),
        cmocka_unit_test(all_text_of_the_answer_is_counted_but_not_that_of_an_error),
        cmocka_unit_test(only_usage_has_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
