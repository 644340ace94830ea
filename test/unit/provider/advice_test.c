#include "check.h"

#include "base/clock.h"
#include "provider/advice.h"

enum { DAY_S = 24 * 60 * 60, NOON = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

/* "name: value" lines. */
static struct advice advice_in(int status, struct str lines)
{
    struct http_fields fields = { .n = 0 };
    struct str         line, name;
    struct advice      a;

    http_fields_clear(&fields, 4096);
    while (str_next(&lines, '\n', &line)) {
        assert_true(str_next(&line, ':', &name));
        assert_true(http_fields_add_name(&fields, name));
        assert_true(http_fields_add_value(&fields, line));
        http_fields_end_value(&fields);
    }
    a = advice_of(status, &fields);
    http_fields_release(&fields);
    return a;
}

TEST(retry_after_is_seconds_or_a_date)
{
    static const struct {
        struct str value;
        uint64_t   seconds;
    } rows[] = {
        { STR_INIT("1"), 1 },
        { STR_INIT("0"), 0 },
        { STR_INIT("007"), 7 },
        { STR_INIT("86400"), DAY_S },
        { STR_INIT("86401"), 0 },
        { STR_INIT("18446744073709551615"), 0 },
        { STR_INIT("18446744073709551616"), 0 },
        { STR_INIT("18446744074"), 0 },       /* as nanoseconds it would be small again */
        { STR_INIT("-1"), 0 },
        { STR_INIT("+1"), 0 },
        { STR_INIT("1.5"), 0 },
        { STR_INIT("1 "), 0 },
        { STR_INIT("soon"), 0 },
        { STR_INIT(""), 0 },
        { { NULL, 0 }, 0 },
        { STR_INIT("Sun, 06 Nov 1994 08:49:38 GMT"), 1 },
        { STR_INIT("Sun, 06 Nov 1994 08:49:37 GMT"), 0 },
        { STR_INIT("Sun, 06 Nov 1994 08:49:36 GMT"), 0 },
        { STR_INIT("Mon, 07 Nov 1994 08:49:37 GMT"), DAY_S },
        { STR_INIT("Mon, 07 Nov 1994 08:49:38 GMT"), 0 },
        { STR_INIT("Thu, 01 Jan 1970 00:00:00 GMT"), 0 },
        { STR_INIT("Fri, 31 Dec 9999 23:59:59 GMT"), 0 },
        { STR_INIT("Sun, 06 Nov 1994 08:49:38 UTC"), 0 },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(advice_read_retry_after(rows[i].value, NOON) == rows[i].seconds * CLOCK_S, "%s",
                   check_shown(rows[i].value));
}

TEST(the_milliseconds_count_before_the_seconds)
{
    static const struct {
        struct str lines;
        uint64_t   ms;
    } rows[] = {
        { STR_INIT("a: b"), 0 },
        { STR_INIT("Retry-After: 2"), 2000 },
        { STR_INIT("RETRY-AFTER:\t2 "), 2000 },
        { STR_INIT("retry-after-ms: 1500"), 1500 },
        { STR_INIT("retry-after: 2\nretry-after-ms: 1500"), 1500 },
        { STR_INIT("retry-after-ms: 0\nretry-after: 2"), 0 },
        { STR_INIT("retry-after-ms: 86400000"), 86400000 },
        { STR_INIT("retry-after-ms: 86400001\nretry-after: 2"), 2000 },
        { STR_INIT("retry-after-ms: 18446744073710\nretry-after: 2"), 2000 },
        { STR_INIT("retry-after-ms: 1.5\nretry-after: 2"), 2000 },
        { STR_INIT("retry-after-ms: -1\nretry-after: 2"), 2000 },
        { STR_INIT("retry-after-ms:\nretry-after: 2"), 2000 },
        { STR_INIT("retry-after: 3\nretry-after: 2"), 3000 },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(advice_in(429, rows[i].lines).after == rows[i].ms * CLOCK_MS, "%s",
                   check_shown(rows[i].lines));
}

TEST(a_date_is_read_by_the_clock_on_the_wall)
{
    int64_t       now = clock_wall_ms() / 1000;
    char          line[80] = "retry-after: ";
    struct advice a;

    clock_http_date_of(now + 100, line + strlen(line));
    a = advice_in(503, str_of(line));
    assert_in_range(a.after, 90 * CLOCK_S, 100 * CLOCK_S);
}

TEST(the_status_says_whether_to_ask_again_unless_a_field_does)
{
    static const struct {
        int  status;
        bool again;
    } rows[] = {
        { 200, true },  { 201, false }, { 301, false }, { 400, false }, { 401, false },
        { 403, false }, { 404, false }, { 408, true },  { 409, true },  { 410, false },
        { 422, false }, { 428, false }, { 429, true },  { 430, false }, { 499, false },
        { 500, true },  { 501, true },  { 503, true },  { 529, true },  { 599, true },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        int status = rows[i].status;

        check_that(advice_in(status, STR("a: b")).not_again == !rows[i].again, "%d", status);
        check_that(!advice_in(status, STR("x-should-retry: true")).not_again, "%d", status);
        check_that(advice_in(status, STR("X-Should-Retry: False")).not_again, "%d", status);
        check_that(advice_in(status, STR("x-should-retry: maybe")).not_again == !rows[i].again,
                   "%d", status);
        check_that(!advice_in(status, STR("a: b")).at_once, "%d", status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(the_milliseconds_count_before_the_seconds),
        cmocka_unit_test(a_date_is_read_by_the_clock_on_the_wall),
        cmocka_unit_test(the_status_says_whether_to_ask_again_unless_a_field_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
