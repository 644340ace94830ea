/* The tests with real time come first: clock_fake() cannot be taken back. */
#include "check.h"

#include "base/clock.h"

#include <time.h>

TEST(time_stands_still_until_it_is_read_anew)
{
    uint64_t a = clock_now(), before, after;

    assert_true(a > 0);
    do
        before = clock_exact();
    while (before <= a);
    assert_int_equal(clock_now(), a);
    clock_update();
    after = clock_exact();
    assert_true(clock_now() >= before && clock_now() <= after);
    clock_forget();
    a = clock_exact();
    assert_true(clock_now() >= a);
    assert_int_equal(clock_now(), clock_now());
}

TEST(wall_time_is_the_kernels)
{
    int64_t before = (int64_t)time(NULL), ms = clock_wall_ms(), after = (int64_t)time(NULL);

    assert_true(ms / 1000 >= before - 1 && ms / 1000 <= after + 1);
}

/* The text as a time; the names and the form are checked by writing it once more. */
static time_t read_time(const char *text, const char *format)
{
    struct tm tm = { 0 };
    char      again[40];
    time_t    t;

    assert_non_null(strptime(text, format, &tm));
    t = timegm(&tm);
    strftime(again, sizeof again, format, gmtime_r(&t, &tm));
    assert_string_equal(text, again);
    return t;
}

TEST(an_http_date_is_made_of_any_second)
{
    static const struct {
        int64_t     seconds;
        const char *date;
    } rows[] = {
        { 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
        { 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
        { 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
        { 1683283419, "Fri, 05 May 2023 10:43:39 GMT" },
        { 4102444799, "Thu, 31 Dec 2099 23:59:59 GMT" },
    };
    char out[30];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        clock_http_date_of(rows[i].seconds, out);
        assert_string_equal(out, rows[i].date);
    }
}

TEST(the_http_date_is_now_in_rfc_9110_form)
{
    char   out[31];
    time_t t, before = time(NULL);

    out[30] = '#';
    clock_http_date(out);
    assert_int_equal(strlen(out), 29);
    assert_int_equal(out[30], '#');
    t = read_time(out, "%a, %d %b %Y %H:%M:%S GMT");
    assert_true(t >= before - 1 && t <= time(NULL) + 1);
}

TEST(the_log_time_is_now_with_milliseconds)
{
    char   out[26], second[20];
    time_t t, before = time(NULL);

    out[25] = '#';
    clock_log_time(out);
    assert_int_equal(strlen(out), 24);
    assert_int_equal(out[25], '#');
    memcpy(second, out, 19);
    second[19] = '\0';
    t = read_time(second, "%Y-%m-%dT%H:%M:%S");
    assert_true(t >= before - 1 && t <= time(NULL) + 1);
    assert_true(out[19] == '.' && out[23] == 'Z');
    for (int i = 20; i < 23; i++)
        assert_in_range(out[i], '0', '9');
}

TEST(the_dates_move_on_with_the_second)
{
    char   first[30], then[30];
    time_t end = time(NULL) + 3;

    clock_http_date(first);
    do
        clock_http_date(then);
    while (strcmp(first, then) == 0 && time(NULL) < end);
    assert_string_not_equal(first, then);
}

TEST(a_faked_clock_moves_only_when_told_to)
{
    clock_fake(5 * CLOCK_S);
    clock_update();
    assert_int_equal(clock_now(), 5 * CLOCK_S);
    assert_int_equal(clock_exact(), 5 * CLOCK_S);
    clock_fake(5 * CLOCK_S + 3 * CLOCK_MS);
    assert_int_equal(clock_now(), 5003000000u);
    assert_int_equal(clock_exact(), 5003000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_stands_still_until_it_is_read_anew),
        cmocka_unit_test(wall_time_is_the_kernels),
        cmocka_unit_test(an_http_date_is_made_of_any_second),
        cmocka_unit_test(the_http_date_is_now_in_rfc_9110_form),
        cmocka_unit_test(the_log_time_is_now_with_milliseconds),
        cmocka_unit_test(the_dates_move_on_with_the_second),
        cmocka_unit_test(a_faked_clock_moves_only_when_told_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
