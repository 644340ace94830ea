#include "check.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "provider/standing.h"

enum { TIME = 1000 };                         /* the first break                */

static const struct provider_settings settings = { .breaker_failures = 2, .breaker_time = TIME };

static struct standing *begin(void)
{
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    return standing_hold(STR("provider"), STR("model"));
}

static void end(struct standing *s)
{
    standing_drop(s);
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
}

static void fails(struct standing *s, enum fault fault, bool tries, uint64_t now)
{
    standing_failed(s, &settings, fault, tries, now);
}

static void break_it(struct standing *s, uint64_t now)
{
    fails(s, FAULT_CUT, false, now);
    fails(s, FAULT_CUT, false, now);
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 1);
}

/* When it may be asked, says that it may not before. */
static void check_closed_until(const struct standing *s, uint64_t want)
{
    uint64_t until, other;

    assert_false(standing_may_ask(s, want - 1, &until));
    assert_int_equal(until, want);
    assert_int_equal(standing_may_ask(s, want, &other), want != UINT64_MAX);
}

TEST(it_is_found_by_both_names)
{
    struct standing *s = begin(), *same = standing_hold(STR("provider"), STR("model"));
    struct standing *others[] = { standing_hold(STR("provider"), STR("")),
                                  standing_hold(STR("provider"), STR("model2")),
                                  standing_hold(STR("provider2"), STR("model")),
                                  standing_hold(STR(""), STR("model")) };

    assert_ptr_equal(s, same);
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_ptr_not_equal(others[i], s);
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(others[i], others[j]);
    }
    for (size_t i = 0; i < COUNT(others); i++)
        standing_drop(others[i]);
    standing_drop(same);
    end(s);
}

TEST(it_keeps_its_names_and_goes_with_its_last_owner)
{
    size_t           before = mem_live_bytes();
    char             name[] = "name";
    struct standing *s = standing_hold(str_of(name), str_of(name));

    name[0] = 'g';
    assert_ptr_equal(standing_hold(STR("name"), STR("name")), s);
    standing_drop(s);
    fails(s, FAULT_CUT, false, 10);
    assert_ptr_equal(standing_hold(STR("name"), STR("name")), s);
    assert_int_equal(s->failures, 1);
    standing_drop(s);
    end(s);
    assert_int_equal(mem_live_bytes(), before);
    s = standing_hold(STR("name"), STR("name"));
    assert_int_equal(s->failures, 0);
    end(s);
}

TEST(an_open_breaker_that_nobody_knows_any_more_is_not_shown)
{
    struct standing *s = begin();

    break_it(s, 10);
    end(s);
}

TEST(it_breaks_for_a_time)
{
    struct standing *s = begin();
    int64_t          breaks = metric_value(METRIC_BREAKS);
    uint64_t         until;

    assert_true(standing_may_ask(s, 0, &until));
    fails(s, FAULT_CUT, false, 10);
    assert_true(standing_may_ask(s, 10, &until));
    assert_false(standing_begin(s));
    fails(s, FAULT_CUT, false, 20);
    check_closed_until(s, 20 + TIME);
    assert_int_equal(metric_value(METRIC_BREAKS), breaks + 1);
    fails(s, FAULT_CUT, false, 500);           /* from a call that began before  */
    check_closed_until(s, 20 + TIME);
    assert_int_equal(metric_value(METRIC_BREAKS), breaks + 1);
    end(s);
}

TEST(only_what_the_service_did_wrong_counts)
{
    static const struct {
        enum fault fault;
        bool       counts;
    } rows[] = {
        { FAULT_UNREACHABLE, true },    { FAULT_CUT, true },
        { FAULT_GARBAGE, true },        { FAULT_NO_FIRST_TOKEN, true },
        { FAULT_WENT_QUIET, true },     { FAULT_SERVICE_FAILED, true },
        { FAULT_SERVICE_DENIED, true }, { FAULT_SERVICE_BUSY, false },
        { FAULT_NOT_ACCEPTED, false },  { FAULT_NOT_OFFERED, false },
        { FAULT_FILTERED, false },      { FAULT_PROVIDER_BUSY, false },
        { FAULT_TIMEOUT, false },       { FAULT_ANSWER_TOO_BIG, false },
        { FAULT_CLIENT_GONE, false },   { FAULT_SHUTDOWN, false },
    };
    struct standing *s = begin();

    for (size_t i = 0; i < COUNT(rows); i++) {
        s->failures = 0;
        fails(s, rows[i].fault, false, 10);
        check_that(s->failures == rows[i].counts, "%s", fault_name(rows[i].fault));
    }
    end(s);
}

TEST(without_a_number_it_never_breaks)
{
    struct provider_settings never = settings;
    struct standing         *s = begin();
    uint64_t                 until;

    never.breaker_failures = 0;
    for (uint64_t i = 1; i < 100; i++) {
        standing_failed(s, &never, FAULT_CUT, false, i);
        assert_true(standing_may_ask(s, i, &until));
    }
    end(s);
}

TEST(one_tries_and_nobody_knows_when_the_next_may)
{
    struct standing *s = begin();
    uint64_t         until;

    break_it(s, 0);
    assert_true(standing_may_ask(s, TIME, &until));
    assert_true(standing_begin(s));
    assert_false(standing_may_ask(s, TIME, &until));
    assert_int_equal(until, UINT64_MAX);
    standing_left(s);
    assert_true(standing_may_ask(s, TIME, &until));
    assert_true(standing_begin(s));
    fails(s, FAULT_FILTERED, true, TIME);      /* which says nothing of it       */
    assert_true(standing_may_ask(s, TIME, &until));
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 1);
    assert_true(standing_begin(s));
    fails(s, FAULT_FILTERED, false, TIME);     /* somebody else's                */
    assert_false(standing_may_ask(s, TIME, &until));
    end(s);
}

TEST(every_failed_try_doubles_the_break_up_to_eight_times)
{
    static const uint64_t times[] = { 2, 4, 8, 8, 8 };
    struct standing      *s = begin();
    int64_t               breaks;

    break_it(s, 0);
    breaks = metric_value(METRIC_BREAKS);
    for (size_t i = 0; i < COUNT(times); i++) {
        assert_true(standing_begin(s));
        fails(s, FAULT_CUT, true, 100);
        check_closed_until(s, 100 + times[i] * TIME);
        assert_int_equal(metric_value(METRIC_BREAKS), breaks + (int64_t)i + 1);
        assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 1);
    }
    end(s);
}

TEST(an_answer_closes_it_and_ends_every_rest)
{
    struct standing *s = begin();
    uint64_t         until;

    break_it(s, 0);
    standing_begin(s);
    fails(s, FAULT_CUT, true, 0);
    standing_begin(s);
    standing_rest(s, 10 * TIME);
    standing_answered(s);
    assert_true(standing_may_ask(s, 0, &until));
    assert_false(standing_begin(s));
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    fails(s, FAULT_CUT, false, 0);             /* it has begun, but not ended: still in a row */
    check_closed_until(s, TIME);
    standing_answered(s);
    standing_finished(s);
    fails(s, FAULT_CUT, false, 0);
    assert_true(standing_may_ask(s, 0, &until));
    end(s);
}

TEST(the_longer_of_a_break_and_a_rest_counts)
{
    struct standing *s = begin();

    standing_rest(s, 70);
    check_closed_until(s, 70);
    standing_rest(s, 50);                     /* its latest word                */
    check_closed_until(s, 50);
    break_it(s, 0);
    check_closed_until(s, TIME);
    standing_rest(s, 3 * TIME);
    check_closed_until(s, 3 * TIME);
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_found_by_both_names),
        cmocka_unit_test(it_keeps_its_names_and_goes_with_its_last_owner),
        cmocka_unit_test(an_open_breaker_that_nobody_knows_any_more_is_not_shown),
        cmocka_unit_test(it_breaks_for_a_time),
        cmocka_unit_test(only_what_the_service_did_wrong_counts),
        cmocka_unit_test(without_a_number_it_never_breaks),
        cmocka_unit_test(one_tries_and_nobody_knows_when_the_next_may),
        cmocka_unit_test(every_failed_try_doubles_the_break_up_to_eight_times),
        cmocka_unit_test(an_answer_closes_it_and_ends_every_rest),
        cmocka_unit_test(the_longer_of_a_break_and_a_rest_counts),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
