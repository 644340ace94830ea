#include "process/crew.h"

#include "base/clock.h"
#include "base/common.h"
#include "base/deadline.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/notify_socket.h"
#include "process/pulse.h"
#include "process/upgrade.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MS = 20,
    REST_MS = 100,
    LONGEST_REST_MS = 10000,
    HEALTHY_S = 60,
    PATIENT_MS = 1000,
    LOG_MS = 200
};

/* What leader and workers see alike. */
struct board {
    atomic_int  order;
    atomic_bool is_ready[CREW_MAX];
};

struct hand {
    pid_t    pid;                             /* 0: it rests                    */
    uint64_t since, due;                      /* clock, ns                      */
    uint64_t rest;                            /* ms; 0: it has been well        */
};

static struct {
    const struct crew_plan *plan;
    struct board           *board;
    struct hand             hands[CREW_MAX];
    sigset_t                signals;
    struct deadline         look;             /* at their pulse                 */
    bool                    has_begun, has_failed;
} lead;

static struct {
    pid_t  leader;                            /* 0: this is no worker           */
    size_t number;
} self;

/* ---- how many ------------------------------------------------------------------------------- */

static size_t allowed_processors(void)
{
    cpu_set_t set;
    int       n;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    n = CPU_COUNT(&set);
    return n < CREW_MAX ? (size_t)n : CREW_MAX;
}

size_t crew_size(struct str workers)
{
    uint64_t n;

    if (str_eq(workers, STR("auto")))
        return allowed_processors();
    return str_to_u64(workers, &n) && n >= 1 && n <= CREW_MAX ? (size_t)n : 1;
}

/* ---- a worker ------------------------------------------------------------------------------- */

bool crew_is_led(void)
{
    return self.leader && getppid() == self.leader;
}

enum crew_order crew_order(void)
{
    return (enum crew_order)atomic_load(&lead.board->order);
}

void crew_take_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void crew_tell_ready(void)
{
    if (self.leader)
        atomic_store(&lead.board->is_ready[self.number], true);
}

/* Signals stay blocked until the worker can hear them: so none is lost, and none kills it. */
static _Noreturn void be_worker(pid_t leader, size_t number, bool is_late)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != leader)
        _exit(1);
    self.leader = leader;
    self.number = number;
    log_speak_as(number + 1);
    metrics_use(number);
    id_forget();
    clock_update();
    notify_socket_close();
    deadline_disarm(&lead.look);
    pulse_begin(number);
    upgrade_leave();
    ports_close_but(lead.plan->ports, number);
    exit(lead.plan->work(lead.plan->ports->fds[number], is_late));
}

/* ---- the leader: who works -------------------------------------------------------------------- */

static size_t count_alive(void)
{
    size_t n = 0;

    for (size_t i = 0; i < lead.plan->size; i++)
        n += lead.hands[i].pid != 0;
    return n;
}

static void tell_all(int signal)
{
    for (size_t i = 0; i < lead.plan->size; i++)
        if (lead.hands[i].pid)
            kill(lead.hands[i].pid, signal);
}

static bool has_port(size_t i)
{
    return lead.plan->ports->fds[i] >= 0 || ports_reopen(lead.plan->ports, i) == 0;
}

static void rest(struct hand *h)
{
    h->rest = h->rest ? h->rest * 2 : REST_MS;
    if (h->rest > LONGEST_REST_MS)
        h->rest = LONGEST_REST_MS;
    h->due = clock_now() + h->rest * CLOCK_MS;
}

static void send_out(size_t i)
{
    struct hand *h = &lead.hands[i];
    pid_t        leader = getpid();

    log_flush();
    h->pid = has_port(i) ? fork() : -1;
    if (h->pid == 0)
        be_worker(leader, i, lead.has_begun);
    h->since = clock_now();
    if (h->pid > 0)
        return;
    LOG(LOG_ERROR, L_MSG("a worker cannot be started"), L_INT("worker", i + 1),
        L_TEXT("why", strerror(errno)));
    h->pid = 0;
    rest(h);
}

static void order(enum crew_order what)
{
    LOG(LOG_INFO, L_MSG(what == CREW_END ? "ending workers" : "draining workers"),
        L_INT("workers", count_alive()));
    log_flush();
    atomic_store(&lead.board->order, what);
    ports_close_but(lead.plan->ports, PORTS_MAX);
    upgrade_give_up();
    tell_all(SIGTERM);
}

static bool is_over(void)
{
    return atomic_load(&lead.board->order) != CREW_SERVE;
}

/* Those who wait at the port of one that rests for long are let go rather than kept waiting,
 * and the kernel leads new ones to the others. */
static void keep_or_close_port(size_t i)
{
    if (lead.hands[i].rest >= PATIENT_MS)
        ports_close(lead.plan->ports, i);
}

static void say_why(size_t i, pid_t pid, int status)
{
    bool is_killed = WIFSIGNALED(status);

    metric_add(METRIC_WORKERS_DIED, 1);
    LOG(LOG_ERROR, L_MSG("a worker died"), L_INT("worker", i + 1), L_INT("worker_pid", pid),
        L_TEXT("why", is_killed ? strsignal(WTERMSIG(status)) : "it ended"),
        L_INT(is_killed ? "signal" : "code", is_killed ? WTERMSIG(status) : WEXITSTATUS(status)),
        L_INT("again_in_ms", lead.hands[i].rest));
}

static void bury(size_t i, int status)
{
    struct hand *h = &lead.hands[i];
    pid_t        pid = h->pid;

    h->pid = 0;
    atomic_store(&lead.board->is_ready[i], false);
    metrics_retire(i);
    if (is_over())
        return;
    if (clock_now() - h->since >= HEALTHY_S * CLOCK_S)
        h->rest = 0;
    rest(h);
    keep_or_close_port(i);
    say_why(i, pid, status);
    if (lead.has_begun)
        return;
    lead.has_failed = true;                   /* nobody waits for what cannot begin */
    order(CREW_END);
}

static void bury_the_dead(void)
{
    int status;

    for (size_t i = 0; i < lead.plan->size; i++)
        if (lead.hands[i].pid && waitpid(lead.hands[i].pid, &status, WNOHANG) == lead.hands[i].pid)
            bury(i, status);
}

static void send_out_the_rested(void)
{
    for (size_t i = 0; i < lead.plan->size; i++)
        if (!lead.hands[i].pid && clock_now() >= lead.hands[i].due)
            send_out(i);
}

static bool are_all_ready(void)
{
    for (size_t i = 0; i < lead.plan->size; i++)
        if (!atomic_load(&lead.board->is_ready[i]))
            return false;
    return true;
}

static void look_whether_begun(void)
{
    if (lead.has_begun || !are_all_ready())
        return;
    lead.has_begun = true;
    lead.plan->ready();
}

/* It is sent out again like one that died of itself. */
static void look_who_stands_still(struct deadline *d)
{
    for (size_t i = 0; i < lead.plan->size && !is_over(); i++) {
        struct hand *h = &lead.hands[i];

        if (!h->pid || !atomic_load(&lead.board->is_ready[i]) || !pulse_stands_still(i))
            continue;
        LOG(LOG_ERROR, L_MSG("a worker stands still"), L_INT("worker", i + 1),
            L_INT("worker_pid", h->pid));
        kill(h->pid, SIGKILL);
    }
    deadline_arm(d, clock_now() + pulse_every());
}

static void watch(void)
{
    lead.look.run = look_who_stands_still;
    pulse_prepare(notify_watchdog());
    if (pulse_every())
        deadline_arm(&lead.look, clock_now() + pulse_every());
}

/* ---- the leader: signals ------------------------------------------------------------------------ */

static void obey(int signal)
{
    switch (signal) {
    case SIGTERM:
        notify_stopping();
        order(is_over() ? CREW_END : CREW_DRAIN);
        return;
    case SIGINT:
        notify_stopping();
        order(CREW_END);
        return;
    case SIGHUP:
        if (!is_over() && lead.plan->reload())
            tell_all(SIGHUP);
        return;
    case SIGUSR2:
        if (!is_over() && lead.has_begun)
            upgrade_start(lead.plan->ports);
        return;
    default: return;                          /* CHLD: bury_the_dead()          */
    }
}

static uint64_t first_due(void)
{
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < lead.plan->size; i++)
        if (!lead.hands[i].pid && lead.hands[i].due < first)
            first = lead.hands[i].due;
    return first;
}

/* It looks now and then while all begin, or while the log is not read: there is no signal for
 * that. Its deadlines are those of the supervisor's watchdog. */
static uint64_t time_to_sleep(void)
{
    uint64_t now = clock_now(), due = is_over() ? UINT64_MAX : first_due();

    if (deadlines_next() < due)
        due = deadlines_next();
    if (!is_over() && (!lead.has_begun || upgrade_is_under_way()))
        return LOOK_MS * CLOCK_MS;
    if (log_is_behind() && due > now + LOG_MS * CLOCK_MS)
        return LOG_MS * CLOCK_MS;
    if (due == UINT64_MAX)
        return 3600 * CLOCK_S;
    return due > now ? due - now : 0;
}

static int wait_for_signal(uint64_t ns)
{
    struct timespec time = { (time_t)(ns / CLOCK_S), (long)(ns % CLOCK_S) };

    return sigtimedwait(&lead.signals, NULL, &time);
}

static void look_after_upgrade(void)
{
    if (upgrade_look() != UPGRADE_SERVES)
        return;
    notify_socket_close();                    /* the new one speaks from now on */
    order(CREW_DRAIN);
}

/* ---- the leader's life ------------------------------------------------------------------------------ */

static void prepare(const struct crew_plan *plan)
{
    static const int heard[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD };
    size_t           pages = plan->size + 1;  /* the last one is the leader's   */

    lead.plan = plan;
    lead.board = common_new(sizeof *lead.board);
    metrics_share(common_new(pages * metrics_page_size()), pages);
    metrics_use(plan->size);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&lead.signals);
    for (size_t i = 0; i < sizeof heard / sizeof *heard; i++)
        sigaddset(&lead.signals, heard[i]);
    sigprocmask(SIG_BLOCK, &lead.signals, NULL);
    watch();
}

int crew_lead(const struct crew_plan *plan)
{
    prepare(plan);
    for (size_t i = 0; i < plan->size; i++)
        send_out(i);
    while (!is_over() || count_alive()) {
        int signal = wait_for_signal(time_to_sleep());

        clock_update();
        deadlines_run(clock_now());
        obey(signal);
        bury_the_dead();
        if (!is_over())
            send_out_the_rested();
        if (!is_over())
            look_whether_begun();
        if (!is_over())
            look_after_upgrade();
        log_flush();
    }
    return lead.has_failed ? 1 : 0;
}

bool crew_apart(bool (*work)(void))
{
    int   status = 0;
    pid_t pid;

    log_flush();
    pid = fork();
    if (pid == 0) {
        bool is_good = work();

        log_flush();
        _exit(is_good ? 0 : 1);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
