/* The test plays the one who listens. */
#include "check.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "net/notify_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

static char folder[] = "/tmp/runnel-notify-XXXXXX", path[64];
static int  ear = -1;

/* A name that begins with NUL is an abstract one. */
static void listen_at(const char *name, size_t n)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    socklen_t          size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);

    memcpy(at.sun_path, name, n);
    ear = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(ear >= 0);
    assert_int_equal(bind(ear, (struct sockaddr *)&at, size), 0);
}

/* "-": nothing has come. */
static const char *next_word(void)
{
    static char word[512];
    ssize_t     n = recv(ear, word, sizeof word - 1, 0);

    if (n < 0)
        return "-";
    word[n] = '\0';
    return word;
}

static const char *is_ready(void)
{
    static char word[64];

    snprintf(word, sizeof word, "READY=1\nMAINPID=%d\nSTATUS=serving", (int)getpid());
    return word;
}

static int set_up(void **state)
{
    (void)state;
    clock_fake(100 * CLOCK_S);
    snprintf(path, sizeof path, "%s/s", folder);
    unlink(path);
    listen_at(path, strlen(path) + 1);
    setenv("NOTIFY_SOCKET", path, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    notify_socket_close();
    close(ear);
    return 0;
}

TEST(a_life_is_told)
{
    notify_socket_open();
    assert_string_equal(next_word(), "-");
    notify_ready(25 * CLOCK_S);
    assert_string_equal(next_word(), is_ready());
    notify_reloading();
    assert_string_equal(next_word(), "RELOADING=1\nMONOTONIC_USEC=100000000");
    notify_ready(25 * CLOCK_S);
    assert_string_equal(next_word(), is_ready());
    notify_stopping();
    assert_string_equal(next_word(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\nSTATUS=draining");
    notify_reloading();
    notify_ready(25 * CLOCK_S);
    assert_string_equal(next_word(), "-");
}

TEST(an_abstract_name_is_one)
{
    char name[64];

    close(ear);
    snprintf(name, sizeof name, "@runnel-notify-%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    name[0] = '\0';
    listen_at(name, 1 + strlen(name + 1));
    notify_socket_open();
    notify_ready(25 * CLOCK_S);
    assert_string_equal(next_word(), is_ready());
}

TEST(without_a_socket_nothing_is_said)
{
    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "1000000", 1);
    notify_socket_open();
    notify_ready(25 * CLOCK_S);
    notify_reloading();
    notify_stopping();
    assert_string_equal(next_word(), "-");
    notify_socket_close();
}

TEST(what_is_no_name_is_refused)
{
    char long_name[200] = "/";

    memset(long_name + 1, 'x', sizeof long_name - 2);
    for (size_t i = 0; i < 4; i++) {
        const char *const names[] = { "/", "relative", "vsock:2:1234", long_name };

        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_socket_open();
        notify_ready(25 * CLOCK_S);
        notify_socket_close();
    }
    assert_string_equal(next_word(), "-");
}

TEST(nobody_who_listens_is_no_harm)
{
    close(ear);
    ear = -1;
    unlink(path);
    notify_socket_open();
    notify_ready(25 * CLOCK_S);
    ear = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
}

/* A listener that takes nothing must not stop the loop: the test would hang here. */
TEST(a_listener_that_is_full_is_not_waited_for)
{
    notify_socket_open();
    for (int i = 0; i < 10000; i++)
        notify_ready(25 * CLOCK_S);
    assert_string_equal(next_word(), is_ready());
}

TEST(the_watchdog_hears_twice_in_its_time)
{
    setenv("WATCHDOG_USEC", "4000000", 1);
    notify_socket_open();
    assert_true(deadlines_next() == UINT64_MAX);            /* not before it serves */
    notify_ready(25 * CLOCK_S);
    next_word();
    assert_string_equal(next_word(), "WATCHDOG=1");
    for (uint64_t s = 102; s <= 110; s += 2) {
        assert_true(deadlines_next() == s * CLOCK_S);
        clock_fake(s * CLOCK_S);
        deadlines_run(clock_now());
        assert_string_equal(next_word(), "WATCHDOG=1");
        assert_string_equal(next_word(), "-");
    }
    notify_ready(25 * CLOCK_S);                           /* a reload makes it no second one */
    next_word();
    assert_string_equal(next_word(), "-");
    notify_socket_close();
    assert_true(deadlines_next() == UINT64_MAX);
}

TEST(a_watch_over_another_process_is_not_ours)
{
    char pid[16];

    setenv("WATCHDOG_USEC", "4000000", 1);
    setenv("WATCHDOG_PID", "999999999", 1);
    notify_socket_open();
    notify_ready(25 * CLOCK_S);
    assert_true(deadlines_next() == UINT64_MAX);
    notify_socket_close();
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    notify_socket_open();
    notify_ready(25 * CLOCK_S);
    assert_true(deadlines_next() == 102 * CLOCK_S);
}

TEST(a_watch_over_who_came_before_is_ours_and_our_successor_s)
{
    char pid[16], own[16];

    snprintf(pid, sizeof pid, "%d", (int)getppid());
    snprintf(own, sizeof own, "%d", (int)getpid());
    setenv("WATCHDOG_USEC", "4000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    notify_socket_open();
    notify_ready(25 * CLOCK_S);
    assert_true(deadlines_next() == 102 * CLOCK_S);
    assert_string_equal(getenv("WATCHDOG_PID"), own);
}

TEST(a_watch_over_nobody_in_particular_stays_so)
{
    setenv("WATCHDOG_USEC", "4000000", 1);
    notify_socket_open();
    assert_null(getenv("WATCHDOG_PID"));
    setenv("WATCHDOG_PID", "999999999", 1);
    notify_socket_close();
    notify_socket_open();
    assert_string_equal(getenv("WATCHDOG_PID"), "999999999");
}

TEST(a_watchdog_that_makes_no_sense_is_none)
{
    static const char *const values[] = { "", "0", "-1", "4s", "18446744073709551615" };

    for (size_t i = 0; i < COUNT(values); i++) {
        setenv("WATCHDOG_USEC", values[i], 1);
        notify_socket_open();
        notify_ready(25 * CLOCK_S);
        check_that(deadlines_next() == UINT64_MAX, "WATCHDOG_USEC=%s", values[i]);
        notify_socket_close();
    }
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_life_is_told),
        WITH(an_abstract_name_is_one),
        WITH(without_a_socket_nothing_is_said),
        WITH(what_is_no_name_is_refused),
        WITH(nobody_who_listens_is_no_harm),
        WITH(a_listener_that_is_full_is_not_waited_for),
        WITH(the_watchdog_hears_twice_in_its_time),
        WITH(a_watch_over_another_process_is_not_ours),
        WITH(a_watch_over_who_came_before_is_ours_and_our_successor_s),
        WITH(a_watch_over_nobody_in_particular_stays_so),
        WITH(a_watchdog_that_makes_no_sense_is_none),
    };
    int failed;

    if (!mkdtemp(folder))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
