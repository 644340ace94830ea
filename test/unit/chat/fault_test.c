#include "check.h"

#include "chat/fault.h"

static const enum fault all[] = {
#define X(id, name, http, elsewhere, again, breaks, end, text) FAULT_##id,
    FAULTS(X)
#undef X
};

TEST(every_fault_can_be_told_to_people_programs_and_clients)
{
    for (size_t i = 0; i < COUNT(all); i++) {
        enum fault  f = all[i];
        const char *name = fault_name(f), *text = fault_text(f);

        assert_true(name[0] && name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == '\0');
        check_that(strlen(text) > 10, "%s", name);
        for (const char *c = text; *c; c++)
            check_that(*c >= ' ' && *c <= '~', "%s", name);
        check_that(fault_http(f) >= 400 && fault_http(f) <= 599, "%s", name);
        check_that(fault_end(f) == END_ERROR || fault_end(f) == END_INTERRUPTED ||
                       fault_end(f) == END_STOPPED,
                   "%s", name);
        check_that(fault_http(f) != 503 || fault_may_retry(f), "%s: 503 means later", name);
        assert_string_not_equal(name, fault_name(FAULT_NONE));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(name, fault_name(all[k]));
    }
}

TEST(no_fault_is_a_complete_answer)
{
    assert_string_equal(fault_name(FAULT_NONE), "none");
    assert_int_equal(fault_http(FAULT_NONE), 200);
    assert_int_equal(fault_end(FAULT_NONE), END_COMPLETE);
    assert_false(fault_may_retry(FAULT_NONE));
}

TEST(who_interrupts_is_not_to_blame)
{
    assert_int_equal(fault_end(FAULT_CLIENT_GONE), END_INTERRUPTED);
    assert_int_equal(fault_end(FAULT_SHUTDOWN), END_INTERRUPTED);
    assert_false(fault_may_retry(FAULT_CLIENT_GONE));
    assert_int_equal(fault_end(FAULT_TIMEOUT), END_ERROR);
}

TEST(ends_have_the_names_that_logs_and_metrics_show)
{
    assert_string_equal(end_name(END_COMPLETE), "complete");
    assert_string_equal(end_name(END_STOPPED), "stopped");
    assert_string_equal(end_name(END_INTERRUPTED), "interrupted");
    assert_string_equal(end_name(END_ERROR), "error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_can_be_told_to_people_programs_and_clients),
        cmocka_unit_test(no_fault_is_a_complete_answer),
        cmocka_unit_test(who_interrupts_is_not_to_blame),
        cmocka_unit_test(ends_have_the_names_that_logs_and_metrics_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
