/* A script stands for the new program, and time is the test's. */
#include "check.h"

#include "base/clock.h"
#include "base/log.h"
#include "process/upgrade.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_S = 60, TRIES = 1000 };

static char         folder[] = "/tmp/runnel-upgrade-XXXXXX", program[64], told[64];
static char        *argv[] = { program, NULL };
static struct ports none;

/* It tells its number when it has begun. */
static void put(const char *script)
{
    FILE *f = fopen(program, "w");

    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    assert_int_equal(chmod(program, 0755), 0);
    unlink(told);
}

static void rest(void)
{
    poll(NULL, 0, 10);
}

static pid_t number(void)
{
    FILE *f = fopen(told, "r");
    int   pid = 0;

    if (f && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    return pid;
}

static pid_t start(void)
{
    upgrade_start(&none);
    assert_true(upgrade_is_under_way());
    for (int i = 0; i < TRIES && !number(); i++)
        rest();
    assert_true(number() > 0);
    assert_int_equal(upgrade_look(), UPGRADE_STARTS);
    return number();
}

static void wait_too_long(void)
{
    clock_fake(clock_now() + (PATIENCE_S + 1) * CLOCK_S);
    assert_int_equal(upgrade_look(), UPGRADE_LINGERS);
    assert_false(upgrade_is_under_way());
}

/* Not even its number is left. */
static void is_gone(pid_t pid)
{
    for (int i = 0; i < TRIES && upgrade_look() == UPGRADE_LINGERS; i++)
        rest();
    assert_int_equal(upgrade_look(), UPGRADE_NONE);
    assert_int_equal(kill(pid, 0), -1);
}

#define TELL "echo $$ > \"$(dirname \"$0\")/told\"\n"

TEST(one_that_is_late_is_told_to_end_and_leaves_nothing)
{
    pid_t pid;

    put(TELL "exec sleep 60");
    pid = start();
    wait_too_long();
    is_gone(pid);
}

TEST(one_that_is_late_and_does_not_listen_is_ended_by_the_next_attempt)
{
    pid_t pid;

    put("trap '' TERM\n" TELL "exec sleep 60");
    pid = start();
    wait_too_long();
    for (int i = 0; i < 20; i++, rest())
        assert_int_equal(upgrade_look(), UPGRADE_LINGERS);
    assert_int_equal(kill(pid, 0), 0);
    upgrade_start(&none);
    assert_false(upgrade_is_under_way());
    is_gone(pid);

    put(TELL "exec sleep 60");
    start();
    upgrade_give_up();
    assert_false(upgrade_is_under_way());
}

TEST(who_ends_takes_one_that_was_late_with_him)
{
    pid_t pid;

    put("trap '' TERM\n" TELL "exec sleep 60");
    pid = start();
    wait_too_long();
    upgrade_give_up();
    is_gone(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_late_is_told_to_end_and_leaves_nothing),
        cmocka_unit_test(one_that_is_late_and_does_not_listen_is_ended_by_the_next_attempt),
        cmocka_unit_test(who_ends_takes_one_that_was_late_with_him),
    };
    int failed;

    if (!mkdtemp(folder))
        return 1;
    snprintf(program, sizeof program, "%s/program", folder);
    snprintf(told, sizeof told, "%s/told", folder);
    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(100 * CLOCK_S);
    upgrade_remember(argv);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(program);
    unlink(told);
    rmdir(folder);
    return failed;
}
