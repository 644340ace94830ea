/* Real sockets on 127.0.0.1. What comes from others is handed over through the environment. */
#include "check.h"

#include "net/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ports  ports;
static union address any;

static int begin(void **state)
{
    (void)state;
    ports = (struct ports){ .n = 0 };
    assert_true(address_read_endpoint(STR("127.0.0.1:0"), &any));
    return 0;
}

static int end(void **state)
{
    (void)state;
    ports_close_but(&ports, PORTS_MAX);
    return 0;
}

static int knock(const union address *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, &at->any, sizeof at->v4), 0);
    return fd;
}

static bool has_somebody(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

TEST(one_address_is_for_one_service_only)
{
    union address bound;

    assert_int_equal(ports_open(&ports, &any, 3), 0);
    assert_int_equal(ports.n, 3);
    assert_int_not_equal(ports.at.v4.sin_port, 0);
    assert_int_equal(port_open(&ports.at, &bound), -EADDRINUSE);
}

TEST(the_kernel_spreads_connections_over_all)
{
    int fds[60];

    assert_int_equal(ports_open(&ports, &any, 3), 0);
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = knock(&ports.at);
    for (size_t i = 0; i < ports.n; i++)
        check_that(has_somebody(ports.fds[i]), "socket %zu", i);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
}

TEST(one_that_was_closed_comes_back_on_the_same_address)
{
    union address where;
    socklen_t     size = sizeof where;

    assert_int_equal(ports_open(&ports, &any, 2), 0);
    ports_close(&ports, 0);
    assert_int_equal(ports.fds[0], -1);
    close(knock(&ports.at));
    assert_int_equal(ports_reopen(&ports, 0), 0);
    assert_int_equal(getsockname(ports.fds[0], &where.any, &size), 0);
    assert_int_equal(where.v4.sin_port, ports.at.v4.sin_port);
    ports_close_but(&ports, PORTS_MAX);
    assert_int_equal(ports_reopen(&ports, 1), 0);
}

/* As a predecessor hands them on: by number, under that name. */
static void hand_on(const char *mark, const int *fds, size_t n)
{
    char   text[200];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", mark);

    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, i ? ",%d" : "%d", fds[i]);
    setenv(PORTS_VARIABLE, text, 1);
}

TEST(a_predecessor_hands_them_on)
{
    static const size_t wanted[] = { 1, 2, 5 };

    for (size_t i = 0; i < COUNT(wanted); i++) {
        struct ports before = { .n = 0 };
        int          fd;

        assert_int_equal(ports_open(&before, &any, 2), 0);
        fd = knock(&before.at);
        hand_on("", before.fds, 2);
        ports = (struct ports){ .n = 0 };
        assert_int_equal(ports_open(&ports, &before.at, wanted[i]), 0);
        assert_int_equal(ports.n, wanted[i]);
        assert_true(ports.are_handed_on);
        assert_int_equal(ports.fds[0], before.fds[0]);
        assert_int_equal(ports.at.v4.sin_port, before.at.v4.sin_port);
        assert_int_equal(fcntl(ports.fds[0], F_GETFD), FD_CLOEXEC);
        assert_null(getenv(PORTS_VARIABLE));
        close(fd);
        ports_close_but(&ports, PORTS_MAX);
    }
}

TEST(another_address_is_opened_anew)
{
    struct ports  before = { .n = 0 };
    union address other;

    assert_int_equal(ports_open(&before, &any, 1), 0);
    hand_on("", before.fds, 1);
    assert_true(address_read_endpoint(STR("127.0.0.2:0"), &other));
    assert_int_equal(ports_open(&ports, &other, 1), 0);
    assert_true(ports.are_handed_on);
    assert_int_equal(ports.at.v4.sin_addr.s_addr, other.v4.sin_addr.s_addr);
    assert_int_equal(fcntl(before.fds[0], F_GETFD),
                     ports.fds[0] == before.fds[0] ? FD_CLOEXEC : -1);
}

TEST(an_address_that_a_manager_keeps_holds_whatever_the_settings_say)
{
    struct ports  before = { .n = 0 };
    union address other;

    assert_int_equal(ports_open(&before, &any, 1), 0);
    assert_false(before.are_kept);
    hand_on(PORTS_KEPT, before.fds, 1);
    assert_true(address_read_endpoint(STR("127.0.0.2:0"), &other));
    assert_int_equal(ports_open(&ports, &other, 2), 0);
    assert_true(ports.are_handed_on);
    assert_true(ports.are_kept);
    assert_int_equal(ports.n, 2);
    assert_int_equal(ports.fds[0], before.fds[0]);
    assert_int_equal(ports.at.v4.sin_addr.s_addr, before.at.v4.sin_addr.s_addr);
    assert_int_equal(ports.at.v4.sin_port, before.at.v4.sin_port);
}

TEST(nothing_that_is_kept_is_no_address)
{
    hand_on(PORTS_KEPT, NULL, 0);
    assert_int_equal(ports_open(&ports, &any, 1), 0);
    assert_false(ports.are_handed_on);
    assert_false(ports.are_kept);
}

/* Exits with 1, so a child does it. */
static int exit_code_of(const char *variable, const char *value)
{
    pid_t pid = fork();
    int   status = 0;

    if (pid == 0) {
        setenv(variable, value, 1);
        if (!freopen("/dev/null", "w", stderr))
            _exit(3);
        ports_open(&ports, &any, 1);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

TEST(what_is_no_listening_socket_is_not_taken)
{
    static const char *const rows[] = { "0",      "999",      "-1",
                                        "x",      "3;4",      "99999999999999999999",
                                        "kept:x", "kept:999", "7,kept:8" };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(exit_code_of(PORTS_VARIABLE, rows[i]) == 1, "%s", rows[i]);
    assert_int_equal(exit_code_of(PORTS_VARIABLE, ""), 0);
    setenv("LISTEN_FDS", "1", 1);
    assert_int_equal(exit_code_of("LISTEN_PID", "1"), 0);
    unsetenv("LISTEN_FDS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_address_is_for_one_service_only, begin, end),
        cmocka_unit_test_setup_teardown(the_kernel_spreads_connections_over_all, begin, end),
        cmocka_unit_test_setup_teardown(one_that_was_closed_comes_back_on_the_same_address, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_predecessor_hands_them_on, begin, end),
        cmocka_unit_test_setup_teardown(another_address_is_opened_anew, begin, end),
        cmocka_unit_test_setup_teardown(
            an_address_that_a_manager_keeps_holds_whatever_the_settings_say, begin, end),
        cmocka_unit_test_setup_teardown(nothing_that_is_kept_is_no_address, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_listening_socket_is_not_taken, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
