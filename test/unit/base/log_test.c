/* Standard error is a pipe while a test logs, and itself again before it checks. */
#include "check.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int        saved_stderr = -1, reading_end = -1;
static struct buf heard = { .limit = 1 << 20 };

static void capture_begin(void)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reading_end = ends[0];
    fcntl(reading_end, F_SETFL, O_NONBLOCK);
    buf_clear(&heard);
}

/* What has been written so far; reads at most `most` bytes. */
static size_t capture_read(size_t most)
{
    size_t  before = heard.n;
    ssize_t n;

    while (heard.n - before < most && buf_reserve(&heard, 65536) &&
           (n = read(reading_end, heard.p + heard.n, most < 65536 ? most : 65536)) > 0)
        heard.n += (size_t)n;
    return heard.n - before;
}

static struct str capture_end(void)
{
    log_flush();
    capture_read(SIZE_MAX);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(reading_end);
    saved_stderr = -1;
    return buf_str(&heard);
}

static int setup(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_LOGFMT);
    signal(SIGPIPE, SIG_IGN);
    alarm(20); /* whoever waits is killed        */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    alarm(0);
    if (saved_stderr >= 0)
        capture_end();
    return 0;
}

/* The line without its time. */
static struct str behind_ts(struct str line)
{
    struct str head = STR("ts=2026-11-21T09:20:00.123Z ");

    assert_true(line.n > head.n && str_starts(line, STR("ts=2")));
    assert_true(line.p[head.n - 2] == 'Z' && line.p[head.n - 1] == ' ');
    return str_from(line, head.n);
}

TEST(a_fact_is_one_line_of_keys_and_values)
{
    capture_begin();
    LOG(LOG_INFO, L_MSG("ready"), L_TEXT("address", "127.0.0.1:80"), L_INT("pid", 1234),
        L_INT("balance", -5), L_INT("least", INT64_MIN), L_MS("took", 1234567),
        L_STR("s", STR("x")));
    check_str(behind_ts(capture_end()),
              "level=info msg=ready address=127.0.0.1:80 pid=1234 balance=-5 "
              "least=-9223372036854775808 took=1.235 s=x\n");
}

TEST(json_lines_hold_the_same)
{
    struct json_doc   *doc;
    const struct json *o;
    const char        *why;
    struct str         line;
    int64_t            n;

    log_setup(LOG_INFO, LOG_JSON);
    capture_begin();
    LOG(LOG_WARN, L_MSG("two words"), L_TEXT("q", "a\"b\\c\n=\x01"), L_INT("n", -5),
        L_MS("took", 2000000), L_TEXT("empty", NULL));
    line = capture_end();
    check_that(
        check_has(line, STR("Z\",\"level\":\"warn\",\"msg\":\"two words\",\"q\":\"a\\\"b\\\\c\\n="
                            "\\u0001\",\"n\":-5,\"took\":2.000,\"empty\":\"\"}\n")),
        "%s", check_shown(line));
    assert_non_null(doc = json_read(line, &why));
    o = json_root(doc);
    assert_int_equal(json_str(json_get(o, "ts")).n, 24);
    check_str(json_str(json_get(o, "level")), "warn");
    check_str(json_str(json_get(o, "q")), "a\"b\\c\n=\x01");
    assert_true(json_int(json_get(o, "n"), &n) && n == -5);
    assert_true(json_int(json_get(o, "took"), &n) && n == 2);
    json_free(doc);
}

TEST(what_is_not_plain_is_quoted_and_escaped)
{
    static const struct {
        struct str  value;
        const char *logged;
    } rows[] = {
        { STR_INIT("plain/text:1,2;{}[]'"), "plain/text:1,2;{}[]'" },
        { STR_INIT(""), "\"\"" },
        { STR_INIT("two words"), "\"two words\"" },
        { STR_INIT("a=b"), "\"a=b\"" },
        { STR_INIT("say \"x\""), "\"say \\\"x\\\"\"" },
        { STR_INIT("\""), "\"\\\"\"" },
        { STR_INIT("a\\b"), "\"a\\\\b\"" },
        { STR_INIT("x\nts=2026 level=error msg=forged"), "\"x\\nts=2026 level=error msg=forged\"" },
        { STR_INIT("x\r\n"), "\"x\\r\\n\"" },
        { STR_INIT("\t"), "\"\\t\"" },
        { STR_INIT("a\0b"), "\"a\\u0000b\"" },
        { STR_INIT("\x1b[31m"), "\"\\u001b[31m\"" },
        { STR_INIT("\x7f"), "\"\\u007f\"" },
        { STR_INIT("\xc3\xa9\x9b"), "\"\xc3\xa9\\u009b\"" },
        { STR_INIT("\xe4\xbd\xa0 \xf0\x9f\x98\x80"), "\"\xe4\xbd\xa0 \xf0\x9f\x98\x80\"" },
        { STR_INIT("\xc2\x85"), "\"\\u00c2\\u0085\"" },
        { STR_INIT("\xe2\x80\xa8"), "\"\\u00e2\\u0080\\u00a8\"" },
        { STR_INIT("\xe2\x80\xae"), "\"\\u00e2\\u0080\\u00ae\"" },
        { STR_INIT("\xe2\x81\xa7"), "\"\\u00e2\\u0081\\u00a7\"" },
        { STR_INIT("\xe2\x80\xa6"), "\"\xe2\x80\xa6\"" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf want = BUF(200);

        buf_addf(&want, "level=info v=%s end=1\n", rows[i].logged);
        capture_begin();
        LOG(LOG_INFO, L_STR("v", rows[i].value), L_INT("end", 1));
        check_same(behind_ts(capture_end()), buf_str(&want));
        buf_release(&want);
    }
}

TEST(lines_below_the_level_are_not_written)
{
    log_setup(LOG_WARN, LOG_LOGFMT);
    assert_false(log_wants(LOG_DEBUG) || log_wants(LOG_INFO));
    assert_true(log_wants(LOG_WARN) && log_wants(LOG_ERROR));
    capture_begin();
    LOG(LOG_DEBUG, L_MSG("a"));
    LOG(LOG_INFO, L_MSG("b"));
    LOG(LOG_WARN, L_MSG("c"));
    check_str(behind_ts(capture_end()), "level=warn msg=c\n");
    log_setup(LOG_DEBUG, LOG_LOGFMT);
    capture_begin();
    LOG(LOG_DEBUG, L_MSG("a"));
    check_str(behind_ts(capture_end()), "level=debug msg=a\n");
}

TEST(lines_wait_for_the_flush_but_errors_do_not)
{
    size_t at_once, after_error;

    capture_begin();
    LOG(LOG_WARN, L_MSG("a"));
    at_once = capture_read(SIZE_MAX);
    LOG(LOG_ERROR, L_MSG("b"));
    after_error = capture_read(SIZE_MAX);
    capture_end();
    assert_int_equal(at_once, 0);
    assert_true(after_error > 0);
    assert_true(check_has(buf_str(&heard), STR("level=warn msg=a\n")));
    assert_true(check_has(buf_str(&heard), STR("level=error msg=b\n")));
}

/* Each length around the limit of a line: the field is there whole or not at all. */
TEST(a_field_that_is_too_long_is_left_out_whole)
{
    static char text[6000];
    size_t      fitted = 0;

    memset(text, 'x', sizeof text);
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++)
        for (size_t n = 3880; n < 4010; n++) {
            struct str line, v = { text, n };
            char       want[64];
            bool       has;

            log_setup(LOG_INFO, (enum log_format)format);
            capture_begin();
            LOG(LOG_INFO, L_INT("a", 1), L_STR("v", v), L_INT("z", 2));
            line = capture_end();
            has = check_has(line, v);
            fitted += has;
            assert_in_range(line.n, 1, 4096);
            assert_int_equal(line.p[line.n - 1], '\n');
            if (has)
                continue;
            snprintf(want, sizeof want, format == LOG_JSON ? ",\"a\":1,\"z\":2}\n" : " a=1 z=2\n");
            check_that(line.n < 100 && check_has(line, str_of(want)), "%zu: %s", n,
                       check_shown(line));
        }
    assert_in_range(fitted, 100, 250);
}

TEST(a_value_full_of_escapes_leaves_json_that_can_be_read)
{
    static char text[3000];

    log_setup(LOG_INFO, LOG_JSON);
    memset(text, '\x01', sizeof text);
    for (size_t n = 600; n < 700; n++) {
        struct str         line, v = { text, n };
        struct json_doc   *doc;
        const char        *why;
        const struct json *got;

        capture_begin();
        LOG(LOG_INFO, L_STR("v", v), L_STR("w", v));
        line = capture_end();
        doc = json_read(line, &why);
        check_that(doc, "%zu: %s", n, why);
        got = json_get(json_root(doc), "v");
        assert_true(!got || str_eq(json_str(got), v));
        json_free(doc);
    }
}

/* ---- a reader that does not keep up --------------------------------------------- */

struct tally {
    int64_t next, told, lines, tellings;
};

/* Every line is whole; numbers only go up; what is missing has been told. */
static struct tally check_lines(struct str text, int64_t sent)
{
    struct tally t = { 0 };
    struct str   line;
    int64_t      missing = 0;

    while (str_next(&text, '\n', &line) && (line.n || text.p)) {
        char     copy[300];
        char    *n;
        uint64_t v;

        assert_in_range(line.n, 30, sizeof copy - 1);
        memcpy(copy, line.p, line.n);
        copy[line.n] = '\0';
        behind_ts(line);
        n = strrchr(copy, '=') + 1;
        assert_true(str_to_u64(str_of(n), &v));
        t.lines++;
        if (strstr(copy, "msg=\"log lines dropped\" dropped=")) {
            t.told += (int64_t)v;
            t.tellings++;
            continue;
        }
        assert_non_null(strstr(copy, "msg=counting"));
        assert_true((int64_t)v >= t.next);
        missing += (int64_t)v - t.next;
        t.next = (int64_t)v + 1;
    }
    assert_int_equal(missing + (sent - t.next), t.told);
    return t;
}

TEST(a_full_pipe_drops_counts_and_tells_later_and_nobody_waits)
{
    enum { LINES = 3000 };
    struct tally t;
    int64_t      i = 0;

    capture_begin();
    fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096);
    for (; i < LINES; i++) {
        LOG(LOG_INFO, L_MSG("counting"), L_TEXT("pad", "................................"),
            L_INT("i", i));
        if (i % 10 == 0)
            log_flush();
    }
    for (int k = 0; k < 5; k++)
        LOG(LOG_ERROR, L_MSG("counting"), L_INT("i", i++));
    do /* the reader wakes up            */
        log_flush();
    while (capture_read(SIZE_MAX) > 0);
    for (int k = 0; k < 5; k++)
        LOG(LOG_INFO, L_MSG("counting"), L_INT("i", i++));
    capture_end();
    t = check_lines(buf_str(&heard), i);
    assert_int_equal(t.next, i);
    assert_int_equal(t.tellings, 1);
    assert_true(t.told > 1000 && t.lines > 300);
}

TEST(lines_stay_whole_when_a_reader_takes_them_in_small_sips)
{
    struct tally t;
    int64_t      i = 0;

    capture_begin();
    fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096);
    fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
    for (; i < 2000; i++) {
        LOG(LOG_INFO, L_MSG("counting"), L_TEXT("pad", "......................................"),
            L_INT("i", i));
        log_flush();
        capture_read(50);
    }
    do
        log_flush();
    while (capture_read(SIZE_MAX) > 0);
    LOG(LOG_INFO, L_MSG("counting"), L_INT("i", i++));
    capture_end();
    t = check_lines(buf_str(&heard), i);
    assert_int_equal(t.next, i);
    assert_true(t.told > 0);
}

TEST(a_reader_that_is_gone_stops_nobody)
{
    int64_t i = 0;

    capture_begin();
    close(reading_end);
    for (; i < 2000; i++)
        LOG(LOG_ERROR, L_MSG("counting"), L_INT("i", i));
    log_flush();
    dup2(saved_stderr, STDERR_FILENO); /* somebody reads again           */
    close(saved_stderr);
    capture_begin();
    do
        log_flush();
    while (capture_read(SIZE_MAX) > 0);
    LOG(LOG_INFO, L_MSG("counting"), L_INT("i", i++));
    capture_end();
    check_lines(buf_str(&heard), i);
}

/* At level error as well: whoever reads errors only must learn that some are missing. */
TEST(dropped_lines_are_told_at_every_level)
{
    int64_t i = 0;

    log_setup(LOG_ERROR, LOG_LOGFMT);
    capture_begin();
    fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096);
    for (; i < 2000; i++)
        LOG(LOG_ERROR, L_MSG("counting"), L_INT("i", i));
    do
        log_flush();
    while (capture_read(SIZE_MAX) > 0);
    LOG(LOG_ERROR, L_MSG("counting"), L_INT("i", i++));
    capture_end();
    check_lines(buf_str(&heard), i);
}

TEST(whoever_dies_says_why_and_exits_with_1)
{
    pid_t child;
    int   status;

    capture_begin();
    child = fork();
    if (child == 0) {
        LOG(LOG_INFO, L_MSG("before"));
        die("cannot open %s: %d", "it", 7);
    }
    waitpid(child, &status, 0);
    capture_end();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(
        check_has(buf_str(&heard), STR("level=info msg=before\nrunnel: cannot open it: 7\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fact_is_one_line_of_keys_and_values, setup, teardown),
        cmocka_unit_test_setup_teardown(json_lines_hold_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_plain_is_quoted_and_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_below_the_level_are_not_written, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_wait_for_the_flush_but_errors_do_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_field_that_is_too_long_is_left_out_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_value_full_of_escapes_leaves_json_that_can_be_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_pipe_drops_counts_and_tells_later_and_nobody_waits,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(lines_stay_whole_when_a_reader_takes_them_in_small_sips,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_that_is_gone_stops_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(dropped_lines_are_told_at_every_level, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_dies_says_why_and_exits_with_1, setup, teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_release(&heard);
    return failed;
}
