/* turn_log_test.c - what the log says of a turn and of its calls. Standard error is a pipe
 * while a turn is alive, and itself again before its lines are looked at. */
#include "flow/world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char heard[16384];

static void hear_until_over(int saved_stderr, int reading_end)
{
    ssize_t n;

    pass_until_over(PASSES);
    log_flush();
    dup2(saved_stderr, STDERR_FILENO);        /* the last one who writes        */
    close(saved_stderr);
    n = read(reading_end, heard, sizeof heard - 1);
    heard[n > 0 ? n : 0] = '\0';
    close(reading_end);
}

static void hear_log(void)
{
    int ends[2], saved = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    ask();
    hear_until_over(saved, ends[0]);
}

/* A turn's name is another each time; the request's is ours. */
static void take_name_out(char *line)
{
    static const char name[] = " turn=123456789012345678901234";
    char             *at = strstr(line, " turn=");

    if (at)
        memmove(at, at + sizeof name - 1, strlen(at + sizeof name - 1) + 1);
}

/* The only line with this message; without the time, which comes first. */
static const char *line_of(const char *msg)
{
    static char line[2048];
    char        start[80];
    const char *at, *end;

    snprintf(start, sizeof start, " msg=%s ", msg);
    at = strstr(heard, start);
    if (!at) {
        print_error("not in the log: %s\n%s", msg, heard);
        fail();
    }
    assert_null(strstr(at + 1, start));
    while (at > heard && at[-1] != '\n')
        at--;
    end = strchr(at, '\n');
    assert_non_null(end);
    at = strchr(at, ' ');
    snprintf(line, sizeof line, "%.*s", (int)(end - at) - 1, at + 1);
    take_name_out(line);
    return line;
}

static void a_good_turn_is_one_line(void **state)
{
    (void)state;
    world_begin("-sd-du-f", NULL);
    hear_log();
    assert_string_equal(
        line_of("turn"),
        "level=info msg=turn request_id=id route=/test client=c model=model provider=one tenant=1"
        " key=22 account=333 end=complete fault=none step=answer words=\"\" target=0 calls=1"
        " events=5 text_bytes=10 prompt_tokens=3 completion_tokens=2 first_ms=2.000 ms=4.000");
    assert_null(strstr(heard, "call failed"));
    settle();
}

static void a_call_that_fails_is_a_line_of_its_own(void **state)
{
    (void)state;
    world_begin("-c", "sduf");
    one.advice.after = 1500 * CLOCK_MS;
    hear_log();
    assert_string_equal(
        line_of("\"call failed\""),
        "level=info msg=\"call failed\" request_id=id provider=one model=real-name call=1"
        " fault=cut words=\"\" retry_after_ms=1500.000");
    assert_non_null(strstr(line_of("turn"), " provider=two "));
    assert_non_null(strstr(line_of("turn"), " target=1 calls=2 events=4 "));
    settle();
}

static void a_turn_that_fails_is_a_warning(void **state)
{
    (void)state;
    world_begin("-x", NULL);
    hear_log();
    assert_true(strncmp(line_of("turn"), "level=warn ", 11) == 0);
    assert_non_null(strstr(line_of("turn"), " end=error fault=answer_too_big step=answer "));
    assert_non_null(strstr(line_of("turn"), " events=0 "));
    assert_non_null(strstr(line_of("turn"), " first_ms=0.000 "));
    settle();
}

static void it_says_where_a_turn_ended(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    budget.asker.is_limited = true;
    budget.room.limit = BUDGET_DAY_MONEY;
    hear_log();
    assert_non_null(strstr(line_of("turn"), " end=error fault=insufficient_quota step=afford "));
    assert_non_null(strstr(line_of("turn"), " calls=0 "));
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_turn_is_one_line),
        cmocka_unit_test(a_call_that_fails_is_a_line_of_its_own),
        cmocka_unit_test(a_turn_that_fails_is_a_warning),
        cmocka_unit_test(it_says_where_a_turn_ended),
    };

    log_setup(LOG_INFO, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
