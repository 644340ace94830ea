#include "net/loop.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/note.h"

#include <assert.h>
#include <signal.h>

enum { SIGNALS_MAX = 4 };

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

static struct {
    uint64_t began, slept;                    /* ns; slept: since the loop was opened */
} pass;

uv_loop_t *loop_get(void)
{
    return &loop;
}

char *loop_read_buffer(void)
{
    return read_buffer;
}

static void stay_awake(uv_idle_t *handle)
{
    (void)handle;
}

static void run_due(uv_timer_t *handle)
{
    uint64_t due = deadlines_next();

    (void)handle;
    clock_update();
    if (due <= clock_now())
        metric_observe(METRIC_LOOP_LAG, clock_now() - due);
    deadlines_run(clock_now());
}

static void set_timer(void)
{
    uint64_t due = deadlines_next(), now = clock_exact();
    uint64_t wait = due > now ? (due - now + CLOCK_MS - 1) / CLOCK_MS : 0;

    if (due == UINT64_MAX) {
        uv_timer_stop(&timer);
        return;
    }
    uv_update_time(&loop);
    uv_timer_start(&timer, run_due, wait, 0);
}

/* What passed since the last time, without what was slept. */
static void measure_pass(void)
{
    uint64_t now = uv_hrtime(), slept = uv_metrics_idle_time(&loop);

    if (pass.began)
        metric_longest(METRIC_LOOP_STALL, now - pass.began - (slept - pass.slept));
    pass.began = now;
    pass.slept = slept;
}

static void on_prepare(uv_prepare_t *handle)
{
    (void)handle;
    measure_pass();
    clock_update();
    notes_run();
    log_flush();
    set_timer();
    if (notes_waiting())
        uv_idle_start(&awake, stay_awake);
    else
        uv_idle_stop(&awake);
    clock_forget();
}

static void on_check(uv_check_t *handle)
{
    (void)handle;
    clock_update();
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
    uv_loop_configure(&loop, UV_METRICS_IDLE_TIME);
    uv_prepare_init(&loop, &before_sleep);
    uv_check_init(&loop, &after_sleep);
    uv_idle_init(&loop, &awake);
    uv_timer_init(&loop, &timer);
    uv_prepare_start(&before_sleep, on_prepare);
    uv_check_start(&after_sleep, on_check);
}

void loop_run(void)
{
    pass.began = 0;
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
}
