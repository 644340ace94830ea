#include "net/loop.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/note.h"

#include <assert.h>
#include <signal.h>

enum { SIGNALS_MAX = 6 };

static uv_loop_t    loop;
static uv_prepare_t before_sleep;
static uv_check_t   after_sleep;
static uv_timer_t   timer;
static uv_idle_t    awake;                    /* while it runs, the loop polls without sleeping */
static char         read_buffer[LOOP_READ_SIZE];

static struct {
    uv_signal_t handle;
    void (*on)(int signal);
} signals[SIGNALS_MAX];
static size_t n_signals;

static uint64_t pass_began;                   /* when the loop woke            */
static uint64_t passes;
static uint64_t timer_due = UINT64_MAX;       /* what the timer runs for       */

uv_loop_t *loop_get(void)
{
    return &loop;
}

/* Whoever reads needs this first: so the pass begins with the first socket served. */
char *loop_read_buffer(void)
{
    clock_now();
    return read_buffer;
}

uint64_t loop_pass(void)
{
    return passes;
}

static void stay_awake(uv_idle_t *handle)
{
    (void)handle;
}

static void run_due(uv_timer_t *handle)
{
    uint64_t due = deadlines_next();

    (void)handle;
    timer_due = UINT64_MAX;
    clock_update();
    if (due <= clock_now())
        metric_observe(METRIC_LOOP_LAG, clock_now() - due);
    deadlines_run(clock_now());
}

/* The next deadline stands still while streams push back theirs: mostly nothing is to do. */
static void set_timer(void)
{
    uint64_t due = deadlines_next(), now;

    if (due == timer_due)
        return;
    timer_due = due;
    uv_timer_stop(&timer);
    if (due == UINT64_MAX)
        return;
    uv_update_time(&loop);
    now = clock_exact();
    uv_timer_start(&timer, run_due, due > now ? (due - now + CLOCK_MS - 1) / CLOCK_MS : 0, 0);
}

/* libuv could tell how long it slept, but then it polls twice whenever it sleeps. */
static void measure_pass(void)
{
    static uint64_t counted;

    metric_set(METRIC_ALLOCATED, (int64_t)mem_live_bytes());
    metric_add(METRIC_ALLOCATIONS, (int64_t)(mem_allocations() - counted));
    counted = mem_allocations();
    metric_longest(METRIC_LOOP_STALL, clock_exact() - pass_began);
}

static void on_prepare(uv_prepare_t *handle)
{
    (void)handle;
    notes_run();
    log_flush();
    set_timer();
    if (notes_waiting())
        uv_idle_start(&awake, stay_awake);
    else
        uv_idle_stop(&awake);
    measure_pass();
    clock_forget();
}

static void on_check(uv_check_t *handle)
{
    (void)handle;
    pass_began = clock_now();
    passes++;
    notes_run();
}

static void on_signal(uv_signal_t *handle, int number)
{
    for (size_t i = 0; i < n_signals; i++)
        if (&signals[i].handle == handle)
            signals[i].on(number);
}

void loop_on_signal(int number, void (*on)(int signal))
{
    assert(n_signals < SIGNALS_MAX);
    signals[n_signals].on = on;
    uv_signal_init(&loop, &signals[n_signals].handle);
    uv_signal_start(&signals[n_signals].handle, on_signal, number);
    n_signals++;
}

void loop_open(void)
{
    signal(SIGPIPE, SIG_IGN);
    uv_replace_allocator(mem_hook_malloc, mem_hook_realloc, mem_hook_calloc, mem_free);
    if (uv_loop_init(&loop) != 0)
        die("the event loop cannot start");
    uv_prepare_init(&loop, &before_sleep);
    uv_check_init(&loop, &after_sleep);
    uv_idle_init(&loop, &awake);
    uv_timer_init(&loop, &timer);
    uv_prepare_start(&before_sleep, on_prepare);
    uv_check_start(&after_sleep, on_check);
}

void loop_run(void)
{
    pass_began = clock_exact();
    uv_run(&loop, UV_RUN_DEFAULT);
}

void loop_stop(void)
{
    uv_stop(&loop);
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Everything of ours has been closed by its owner; what is left are this file's handles. */
void loop_close(void)
{
    uv_walk(&loop, close_handle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    n_signals = 0;
    timer_due = UINT64_MAX;
}
