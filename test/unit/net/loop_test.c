#include "check.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/metrics.h"
#include "net/loop.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { NAP_MS = 60 };

static void nap(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = NAP_MS * (long)CLOCK_MS }, NULL);
}

static void *ring_later(void *bell)
{
    nap();
    assert_int_equal(write(*(int *)bell, "!", 1), 1);
    return NULL;
}

static uint64_t seen_late;                    /* how old the time was that the bell found */

static void on_bell(uv_poll_t *handle, int status, int events)
{
    uint64_t now = clock_now();

    assert_int_equal(status, 0);
    assert_int_equal(events, UV_READABLE);
    seen_late = clock_exact() - now;
    uv_poll_stop(handle);
    loop_stop();
}

TEST(who_wakes_the_loop_finds_the_time_of_now)
{
    int       ends[2];
    uv_poll_t bell;
    pthread_t ringer;

    loop_open();
    assert_int_equal(pipe(ends), 0);
    uv_poll_init(loop_get(), &bell, ends[0]);
    uv_poll_start(&bell, UV_READABLE, on_bell);
    assert_int_equal(pthread_create(&ringer, NULL, ring_later, &ends[1]), 0);
    loop_run();
    pthread_join(ringer, NULL);
    loop_close();
    close(ends[0]);
    close(ends[1]);
    assert_true(seen_late < NAP_MS * CLOCK_MS / 2);
    assert_true(metric_value(METRIC_LOOP_STALL) < (int64_t)(NAP_MS * CLOCK_MS / 2));
}

/* ---- deadlines ------------------------------------------------------------------- */

static uint64_t        ran_at[3];
static size_t          n_ran;
static struct deadline last, end;

static void run_first(struct deadline *d)
{
    (void)d;
    ran_at[n_ran++] = clock_exact();
    deadline_disarm(&last);                   /* the next is now a later one    */
    deadline_arm(&last, clock_now() + 20 * CLOCK_MS);
}

static void run_end(struct deadline *d)
{
    (void)d;
    loop_stop();
}

/* Before libuv 1.45 timers came first in a pass, since then they come last: a loop that is
 * stopped by the same one would be measured by some and not by others. */
static void run_last(struct deadline *d)
{
    (void)d;
    ran_at[n_ran++] = clock_exact();
    nap();
    deadline_arm(&end, clock_exact());
}

TEST(deadlines_run_when_they_are_due_and_work_is_a_stall)
{
    struct deadline first = { .run = run_first };
    uint64_t        began;

    last.run = run_last;
    end.run = run_end;
    loop_open();
    began = clock_exact();
    deadline_arm(&last, began + 15 * CLOCK_MS);
    deadline_arm(&first, began + 5 * CLOCK_MS);
    loop_run();
    loop_close();
    assert_int_equal(n_ran, 2);
    assert_true(ran_at[0] >= began + 5 * CLOCK_MS);
    assert_true(ran_at[1] >= ran_at[0] + 19 * CLOCK_MS);
    assert_true(metric_value(METRIC_LOOP_STALL) >= (int64_t)(NAP_MS * CLOCK_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wakes_the_loop_finds_the_time_of_now),
        cmocka_unit_test(deadlines_run_when_they_are_due_and_work_is_a_stall),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
