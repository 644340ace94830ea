/* client.c - opens many streams at once, reads every word of them and measures.
 *
 *   client [options] HOST:PORT          (HOST is an address, not a name)
 *
 * One thread, one epoll set, one read buffer. Each connection asks `--model` to
 * say a question of `--tokens` numbered words (answer.h) and reads the streamed
 * answer strictly. With `--repeat` it asks again, on the same connection where
 * the server allows it, until the window closes; otherwise it asks once.
 *
 * The window is the steady phase. It opens `--warm` seconds after the last of
 * all connections had its first event, and closes after `--window` seconds (in
 * runs without --repeat also when the first answer ends, for then the load is
 * no longer whole). Both moments are told on stderr. Gaps between events, the
 * event rate and the CPU time of the processes named by `--watch` are taken
 * inside the window only, all at the same two moments. Times to the first event
 * are those of all streams: from the request's last byte handed to the kernel.
 *
 * With `--door xcx` it asks as the mini-program does, every asker in a conversation of his own,
 * with `dbgpt` and `assistant` as their clients do (asking.h). With `--keep` it writes down what it heard: whole answers, as they ended.
 *
 * With `--stamped` the question is only its number and length ("17 600"); the words come
 * from a model that stamps each with the time (question.h), and usage is wanted, too. The
 * window then tells how long words were on their way, to the read that brought them.
 *
 * What a gap is: the time between two reads that brought text of one stream, as
 * this program saw it. Text that came together has a gap of 0 between. So the
 * client's own delays are in it, on every server alike; `client.busy` says how
 * much of a core it used, and above 0.9 the times tell more about it than about
 * the server.
 *
 * Result: one JSON object on stdout. Exit 0 when nothing was lost and there was
 * no error, 1 when there was, 2 when it could not run at all.
 */
#define _GNU_SOURCE
#include "asking.h"
#include "cpu.h"
#include "histogram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 * 1024,
    BATCH = 512,       /* readiness notes taken per pass                        */
    WATCH_MAX = 8,
    STARTS_PER_PASS = 64, /* connections opened before others are looked at again */
};

#define SECOND UINT64_C(1000000000)

/* ---- what is asked for ------------------------------------------------------------- */

static struct options {
    struct sockaddr_storage address;
    socklen_t               address_length;
    char                    host[80];
    struct asking           asking;
    const char             *askers, *keep;
    uint32_t                streams, tokens;
    double                  ramp;             /* connections per second; 0: all at once */
    double                  pace;             /* nominal events per second; 0: unpaced  */
    double                  warm, window, timeout, stall;
    bool                    repeat, stamped;
    int                     cpu;
    int                     watch[WATCH_MAX];
    bool                    watch_family[WATCH_MAX];
    size_t                  watched;
} opt = { .asking.model = "echo",
          .streams = 1,
          .tokens = 100,
          .warm = 1,
          .timeout = 300,
          .stall = 30,
          .cpu = -1 };

static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("client: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static const char usage[] =
    "usage: client [options] HOST:PORT\n"
    "  --streams N   connections at once (1)        --tokens N    words per question (100)\n"
    "  --ramp N      connections per second (all)   --repeat      ask again until the window closes\n"
    "  --stamped     ask for stamped words\n"
    "  --pace N      nominal events per second      --model NAME  (echo)\n"
    "  --door NAME   openai, xcx, dbgpt, assistant  --askers FILE a line each: BEARER [CHAT]\n"
    "  --once TEXT   an Idempotency-Key each        --keep FILE   a line each: NUMBER<tab>TEXT\n"
    "  --field LINE  one more of the head, NAME: VALUE\n"
    "  --warm S      before the window (1)          --window S    its length (0: to the end)\n"
    "  --timeout S   of the whole run (300)         --stall S     longest silence (30)\n"
    "  --cpu N       run on this core               --watch PID   measure its CPU too (8 at most)\n"
    "  --watch-family PID  its children's, too\n";

/* ---- the state of the run ---------------------------------------------------------- */

enum step { STEP_WAITING, STEP_CONNECTING, STEP_SENDING, STEP_READING, STEP_OVER };

struct link {
    int           fd;
    enum step     step;
    bool          seen;                       /* had its first event of this answer */
    bool          counted;                    /* had its first event ever           */
    uint64_t      sent_at, heard_at;
    uint64_t      text_at;                    /* latest read with text; 0: none yet */
    char         *rest;                       /* of a request that did not fit      */
    size_t        rest_from, rest_length;
    char         *heard; /* with --keep                         */
    struct answer answer;
};

struct snapshot {
    uint64_t at, cpu, events, contents, bytes, watch[WATCH_MAX];
};

static struct run {
    int              epoll;
    struct link     *links;
    uint32_t         opened, over, first_events, numbers;
    uint64_t         started, ready_at;       /* ready: all connections had an event */
    bool             in_window, window_over, cut_short;
    struct snapshot  open, closed;
    struct tally     tally;
    uint64_t         streams, completed, errors[FAULT_KINDS];
    bool             told[FAULT_KINDS];
    char            *request;
    FILE            *keep;
    struct histogram first, gap, off_pace, delay;
} run;

static char read_buffer[READ_BYTES];

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t seconds(double s)
{
    return (uint64_t)(s * 1e9);
}

/* ---- the window -------------------------------------------------------------------- */

static struct snapshot snapshot_take(uint64_t now)
{
    struct snapshot s = { .at = now,
                          .cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
                          .events = run.tally.events,
                          .contents = run.tally.contents,
                          .bytes = run.tally.bytes };
    for (size_t i = 0; i < opt.watched; i++)
        s.watch[i] =
            opt.watch_family[i] ? cpu_of_family(opt.watch[i]) : cpu_of_process(opt.watch[i]);
    return s;
}

static void window_close(uint64_t now, bool cut_short)
{
    if (!run.in_window)
        return;
    run.closed = snapshot_take(now);
    run.in_window = false;
    run.tally.delay = NULL;
    run.window_over = true;
    run.cut_short = cut_short;
    fprintf(stderr, "window closed\n");
}

static void window_look(uint64_t now)
{
    if (run.in_window) {
        if (opt.window > 0 && now - run.open.at >= seconds(opt.window))
            window_close(now, false);
        return;
    }
    if (run.window_over || run.ready_at == 0 || now - run.ready_at < seconds(opt.warm))
        return;
    run.open = snapshot_take(now);
    run.in_window = true;
    run.tally.delay = &run.delay;
    fprintf(stderr, "window open\n");
}

/* ---- one connection ---------------------------------------------------------------- */

static void link_open(struct link *l);

static void link_shut(struct link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    free(l->rest);
    l->rest = NULL;
}

static void count_first(struct link *l)
{
    if (l->counted)
        return;
    l->counted = true;
    run.first_events++;
}

static void all_ready(uint64_t now)
{
    if (run.ready_at == 0 && run.first_events == opt.streams)
        run.ready_at = now;
}

static void link_over(struct link *l)
{
    link_shut(l);
    answer_release(&l->answer);
    free(l->heard);
    l->heard = NULL;
    l->step = STEP_OVER;
    run.over++;
    count_first(l); /* a stream that failed must not keep the window shut */
    all_ready(now_ns());
}

static void link_fail(struct link *l, enum fault why)
{
    struct answer *a = &l->answer;
    int            reason = errno;

    answer_give_up(a, &run.tally, why);
    run.errors[a->fault]++;
    if (!run.told[a->fault]) {
        run.told[a->fault] = true;
        fprintf(stderr,
                "first error of its kind: %s, stream %" PRIu32 ", word %" PRIu32
                ", status %u, errno %s, at: %s\n",
                fault_names[a->fault], a->question.number, a->next, a->status,
                strerrorname_np(reason), a->evidence);
    }
    link_over(l);
}

static void want(struct link *l, uint32_t events, int operation)
{
    struct epoll_event e = { .events = events, .data.ptr = l };
    if (epoll_ctl(run.epoll, operation, l->fd, &e) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void link_sent(struct link *l)
{
    free(l->rest);
    l->rest = NULL;
    l->sent_at = now_ns();
    if (l->step == STEP_SENDING)
        want(l, EPOLLIN, EPOLL_CTL_MOD);
    l->step = STEP_READING;
}

static struct question next_question(void)
{
    return (
        struct question){ .number = run.numbers++, .words = opt.tokens, .stamped = opt.stamped };
}

static void link_begin(struct link *l, struct question q)
{
    if (run.keep != NULL && l->heard == NULL && (l->heard = malloc(answer_length(q))) == NULL)
        abort();
    answer_start(&l->answer, q, opt.asking.door, l->heard);
}

static void link_ask(struct link *l)
{
    struct question q = next_question();
    size_t          from, length = asking_write(&opt.asking, q, run.request, &from);

    link_begin(l, q);
    run.streams++;
    l->seen = false;
    l->text_at = 0;
    l->heard_at = now_ns();
    ssize_t n = send(l->fd, run.request + from, length, MSG_NOSIGNAL);
    if (n == (ssize_t)length) {
        link_sent(l);
        return;
    }
    if (n < 0 && errno != EAGAIN) {
        link_fail(l, FAULT_WRITE);
        return;
    }
    l->rest_from = 0;
    l->rest_length = length - (n < 0 ? 0 : (size_t)n);
    l->rest = malloc(l->rest_length);
    if (l->rest == NULL)
        abort();
    memcpy(l->rest, run.request + from + (length - l->rest_length), l->rest_length);
    if (l->step == STEP_READING)
        want(l, EPOLLOUT, EPOLL_CTL_MOD);
    l->step = STEP_SENDING;
}

static void link_send_rest(struct link *l)
{
    ssize_t n = send(l->fd, l->rest + l->rest_from, l->rest_length - l->rest_from, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN)
            link_fail(l, FAULT_WRITE);
        return;
    }
    l->rest_from += (size_t)n;
    if (l->rest_from == l->rest_length)
        link_sent(l);
}

static void link_connected(struct link *l)
{
    int       error = 0;
    socklen_t length = sizeof error;

    getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
        errno = error;
        run.streams++;
        link_begin(l, next_question());
        link_fail(l, FAULT_CONNECT);
        return;
    }
    l->step = STEP_SENDING;
    link_ask(l);
}

static void link_open(struct link *l)
{
    const int one = 1;

    l->step = STEP_CONNECTING;
    l->heard_at = now_ns();
    l->fd = socket(opt.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        die("socket: %s (descriptor limit?)", strerror(errno));
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(l->fd, (struct sockaddr *)&opt.address, opt.address_length) < 0 &&
        errno != EINPROGRESS) {
        run.streams++;
        link_begin(l, next_question());
        link_fail(l, FAULT_CONNECT);
        return;
    }
    want(l, EPOLLOUT, EPOLL_CTL_ADD);
}

static void link_complete(struct link *l, uint64_t now)
{
    run.completed++;
    if (run.keep != NULL)
        fprintf(run.keep, "%" PRIu32 "\t%.*s\n", l->answer.question.number, (int)l->answer.heard_n,
                l->answer.heard);
    if (!opt.repeat) {
        window_close(now, opt.window > 0);
        link_over(l);
    } else if (run.window_over) {
        link_over(l);
    } else if (l->answer.closes) {
        link_shut(l);
        link_open(l);
    } else {
        link_ask(l);
    }
}

static void note_gaps(struct link *l, uint64_t now, uint32_t texts)
{
    const uint64_t nominal = opt.pace > 0 ? (uint64_t)(1e9 / opt.pace) : 0;
    uint64_t       before = l->text_at;

    l->text_at = now;
    if (!run.in_window || before < run.open.at)
        return;
    uint64_t gap = now - before;
    histogram_add(&run.gap, gap, 1);
    histogram_add(&run.gap, 0, texts - 1);
    if (nominal == 0)
        return;
    histogram_add(&run.off_pace, gap > nominal ? gap - nominal : nominal - gap, 1);
    histogram_add(&run.off_pace, nominal, texts - 1);
}

static void link_read(struct link *l)
{
    ssize_t  n = recv(l->fd, read_buffer, sizeof read_buffer, 0);
    uint64_t now = now_ns();

    if (n < 0) {
        if (errno != EAGAIN)
            link_fail(l, FAULT_RESET);
        return;
    }
    if (n == 0) {
        errno = 0;
        link_fail(l, FAULT_EARLY_END);
        return;
    }
    l->heard_at = run.tally.now = now;
    answer_feed(&l->answer, &run.tally, read_buffer, (size_t)n);
    if (l->answer.fresh_events > 0 && !l->seen) {
        l->seen = true;
        histogram_add(&run.first, now - l->sent_at, 1);
        count_first(l);
        all_ready(now);
    }
    if (l->answer.fresh_contents > 0)
        note_gaps(l, now, l->answer.fresh_contents);
    if (l->answer.fault != FAULT_NONE) {
        errno = 0;
        link_fail(l, l->answer.fault);
    } else if (l->answer.stage == STAGE_END) {
        link_complete(l, now);
    }
}

static void link_ready(struct link *l)
{
    if (l->step == STEP_CONNECTING)
        link_connected(l);
    else if (l->step == STEP_SENDING)
        link_send_rest(l);
    else if (l->step == STEP_READING)
        link_read(l);
}

/* ---- the loop ---------------------------------------------------------------------- */

static void open_due(uint64_t now)
{
    double   passed = (double)(now - run.started) / 1e9;
    uint32_t due = opt.streams;

    if (opt.ramp > 0 && passed * opt.ramp + 1 < opt.streams)
        due = (uint32_t)(passed * opt.ramp) + 1;
    for (int i = 0; i < STARTS_PER_PASS && run.opened < due; i++)
        link_open(&run.links[run.opened++]);
}

static void end_silent(uint64_t now)
{
    bool out_of_time = now - run.started > seconds(opt.timeout);

    for (uint32_t i = 0; i < run.opened; i++) {
        struct link *l = &run.links[i];
        if (l->step == STEP_OVER)
            continue;
        errno = 0;
        if (out_of_time)
            link_fail(l, FAULT_TIMEOUT);
        else if (now > l->heard_at && now - l->heard_at > seconds(opt.stall))
            link_fail(l, FAULT_STALL);
    }
    if (out_of_time)
        run.over = opt.streams;
}

/* The ramp wants to be looked at often, the window every few milliseconds. */
static int pause_ms(void)
{
    return run.opened < opt.streams ? 1 : 10;
}

static void run_all(void)
{
    struct epoll_event ready[BATCH];
    uint64_t           looked = now_ns();

    run.started = looked;
    while (run.over < opt.streams) {
        uint64_t now = now_ns();
        open_due(now);
        window_look(now);
        if (now - looked > SECOND) {
            looked = now;
            end_silent(now);
        }
        int n = epoll_wait(run.epoll, ready, BATCH, pause_ms());
        if (n < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++)
            link_ready(ready[i].data.ptr);
    }
    window_close(now_ns(), opt.window > 0);
}

/* ---- the report -------------------------------------------------------------------- */

static void print_times(const char *name, const struct histogram *h, bool with_max)
{
    printf(",\"%s\":{\"count\":%" PRIu64 ",\"p50\":%.3f,\"p99\":%.3f", name, h->count,
           (double)histogram_percentile(h, 0.5) / 1e6, (double)histogram_percentile(h, 0.99) / 1e6);
    if (with_max)
        printf(",\"max\":%.3f", (double)h->max / 1e6);
    printf("}");
}

static void print_window(void)
{
    const struct snapshot *a = &run.open, *b = &run.closed;

    if (!run.window_over) {
        printf(",\"window\":null");
        return;
    }
    printf(",\"window\":{\"seconds\":%.3f,\"cut_short\":%s,\"events\":%" PRIu64
           ",\"contents\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"client_cpu_seconds\":%.4f"
           ",\"watch\":{",
           (double)(b->at - a->at) / 1e9, run.cut_short ? "true" : "false", b->events - a->events,
           b->contents - a->contents, b->bytes - a->bytes, (double)(b->cpu - a->cpu) / 1e9);
    for (size_t i = 0; i < opt.watched; i++)
        printf("%s\"%d\":%.6f", i > 0 ? "," : "", opt.watch[i],
               (double)(b->watch[i] - a->watch[i]) / 1e9);
    printf("}}");
}

/* The share of a core this program took: in the window, or else in the whole run. */
static double busy_share(double cpu, double wall)
{
    if (!run.window_over || run.closed.at == run.open.at)
        return cpu / wall;
    return (double)(run.closed.cpu - run.open.cpu) / (double)(run.closed.at - run.open.at);
}

static void print_report(uint64_t errors)
{
    const struct tally *t = &run.tally;
    double              wall = (double)(now_ns() - run.started) / 1e9;
    double              cpu = (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
    const char         *comma = "";

    printf("{\"streams\":%" PRIu64 ",\"completed\":%" PRIu64 ",\"events\":%" PRIu64
           ",\"contents\":%" PRIu64 ",\"words\":%" PRIu64 ",\"comments\":%" PRIu64
           ",\"lost\":%" PRIu64 ",\"late\":%" PRIu64 ",\"foreign\":%" PRIu64,
           run.streams, run.completed, t->events, t->contents, t->words, t->comments, t->lost,
           t->late, t->foreign);
    printf(",\"errors\":%" PRIu64 ",\"errors_by_kind\":{", errors);
    for (int i = 1; i < FAULT_KINDS; i++)
        if (run.errors[i] > 0) {
            printf("%s\"%s\":%" PRIu64, comma, fault_names[i], run.errors[i]);
            comma = ",";
        }
    printf("},\"bytes\":%" PRIu64 ",\"chunks\":%" PRIu64 ",\"torn_chunks\":%" PRIu64
           ",\"wall_seconds\":%.3f",
           t->bytes, t->chunks, t->torn_chunks, wall);
    print_times("first_event_ms", &run.first, true);
    print_times("gap_ms", &run.gap, true);
    print_times("gap_error_ms", &run.off_pace, true);
    print_times("delay_ms", &run.delay, true);
    print_window();
    printf(",\"client\":{\"cpu_seconds\":%.3f,\"busy\":%.3f,\"us_per_event\":%.3f}}\n", cpu,
           busy_share(cpu, wall), t->events > 0 ? cpu * 1e6 / (double)t->events : 0.0);
}

/* ---- start ------------------------------------------------------------------------- */

static double positive(const char *name, const char *text, double least, double most)
{
    char  *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= least && v <= most))
        die("--%s: %s is not a number from %g to %g", name, text, least, most);
    return v;
}

static void read_address(const char *text)
{
    struct sockaddr_in  *v4 = (struct sockaddr_in *)&opt.address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&opt.address;
    char                 host[80];
    const char          *colon = strrchr(text, ':');

    if (colon == NULL || (size_t)(colon - text) >= sizeof host || strlen(text) >= sizeof opt.host)
        die("%s is not HOST:PORT", text);
    memcpy(opt.host, text, strlen(text) + 1);
    uint16_t port = htons((uint16_t)positive("port", colon + 1, 1, 65535));
    bool     bracket = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    size_t   length = (size_t)(colon - text) - (bracket ? 2 : 0);
    memcpy(host, text + (bracket ? 1 : 0), length);
    host[length] = '\0';
    if (!bracket && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = port;
        opt.address_length = sizeof *v4;
    } else if (bracket && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = port;
        opt.address_length = sizeof *v6;
    } else {
        die("%s is not an address", host);
    }
}

static void tell_usage(bool asked)
{
    fputs(usage, asked ? stdout : stderr);
    exit(asked ? 0 : 2);
}

static void read_door(const char *text)
{
    static const char *const names[] = { [ANSWER_OPENAI] = "openai",
                                         [ANSWER_XCX] = "xcx",
                                         [ANSWER_DBGPT] = "dbgpt",
                                         [ANSWER_ASSISTANT] = "assistant" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            opt.asking.door = (enum answer_form)i;
            return;
        }
    die("--door: there is no %s, but openai, xcx, dbgpt and assistant", text);
}

static void add_field(const char *line)
{
    static char fields[1024];
    size_t      n = strlen(fields);

    if (n + strlen(line) + 3 > sizeof fields)
        die("--field: too many or too long");
    snprintf(fields + n, sizeof fields - n, "%s\r\n", line);
    opt.asking.fields = fields;
}

static void take_option(int c, const char *name, const char *text)
{
    switch (c) {
    case 'n': opt.streams = (uint32_t)positive(name, text, 1, 1e6); break;
    case 'k': opt.tokens = (uint32_t)positive(name, text, 1, WORDS_MAX); break;
    case 'r': opt.ramp = positive(name, text, 0, 1e6); break;
    case 'p': opt.pace = positive(name, text, 0, 1e6); break;
    case 'w': opt.warm = positive(name, text, 0, 1e4); break;
    case 'd': opt.window = positive(name, text, 0, 1e4); break;
    case 't': opt.timeout = positive(name, text, 0.1, 1e6); break;
    case 's': opt.stall = positive(name, text, 0.1, 1e6); break;
    case 'c': opt.cpu = (int)positive(name, text, 0, CPU_SETSIZE - 1); break;
    case 'm': opt.asking.model = text; break;
    case 'D': read_door(text); break;
    case 'A': opt.askers = text; break;
    case 'O': opt.asking.once = text; break;
    case 'K': opt.keep = text; break;
    case 'H': add_field(text); break;
    case 'R': opt.repeat = true; break;
    case 'S': opt.stamped = true; break;
    case 'W':
    case 'F':
        if (opt.watched == WATCH_MAX)
            die("--watch: %d at most", WATCH_MAX);
        opt.watch_family[opt.watched] = c == 'F';
        opt.watch[opt.watched++] = (int)positive(name, text, 1, 1e9);
        break;
    default: tell_usage(c == 'h');
    }
}

static void read_askers(void)
{
    const char *wrong = NULL;

    if (opt.askers != NULL)
        wrong = asking_read_askers(&opt.asking, opt.askers);
    else if (opt.asking.door == ANSWER_XCX)
        wrong = "the mini-program's door knows no strangers";
    if (wrong != NULL)
        die("--askers: %s", wrong);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "streams", 1, NULL, 'n' }, { "tokens", 1, NULL, 'k' }, { "ramp", 1, NULL, 'r' },
        { "pace", 1, NULL, 'p' },    { "warm", 1, NULL, 'w' },   { "window", 1, NULL, 'd' },
        { "timeout", 1, NULL, 't' }, { "stall", 1, NULL, 's' },  { "cpu", 1, NULL, 'c' },
        { "model", 1, NULL, 'm' },   { "repeat", 0, NULL, 'R' }, { "watch", 1, NULL, 'W' },
        { "stamped", 0, NULL, 'S' }, { "door", 1, NULL, 'D' },   { "askers", 1, NULL, 'A' },
        { "once", 1, NULL, 'O' },    { "keep", 1, NULL, 'K' },   { "watch-family", 1, NULL, 'F' },
        { "field", 1, NULL, 'H' },   { "help", 0, NULL, 'h' },   { NULL, 0, NULL, 0 },
    };
    int c, which = 0;

    while ((c = getopt_long(argc, argv, "", known, &which)) != -1)
        take_option(c, c == '?' ? "" : known[which].name, optarg);
    if (optind + 1 != argc)
        tell_usage(false);
    read_address(argv[optind]);
    if (strpbrk(opt.asking.model, "\"\\") != NULL || strlen(opt.asking.model) > 200)
        die("--model: no quotes, please, and no novel");
    if (opt.asking.once != NULL && strlen(opt.asking.once) > 200)
        die("--once: 200 letters at most");
    opt.asking.host = opt.host;
    read_askers();
    if (opt.repeat && opt.window <= 0)
        die("--repeat needs a --window to end with");
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    rlim_t        needed = (rlim_t)opt.streams + 16;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < needed)
        die("%" PRIu32 " streams need %ju descriptors; the hard limit is %ju", opt.streams,
            (uintmax_t)needed, (uintmax_t)limit.rlim_max);
}

static void prepare(void)
{
    cpu_set_t cores;

    raise_descriptor_limit();
    CPU_ZERO(&cores);
    if (opt.cpu >= 0) {
        CPU_SET((size_t)opt.cpu, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores) < 0)
            die("cannot run on core %d: %s", opt.cpu, strerror(errno));
    }
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.links = calloc(opt.streams, sizeof *run.links);
    run.request = malloc(asking_room(&opt.asking, opt.tokens));
    if (opt.keep != NULL && (run.keep = fopen(opt.keep, "we")) == NULL)
        die("--keep: %s", strerror(errno));
    if (run.epoll < 0 || run.links == NULL || run.request == NULL)
        die("cannot start: %s", strerror(errno));
    for (uint32_t i = 0; i < opt.streams; i++)
        run.links[i].fd = -1;
}

int main(int argc, char **argv)
{
    uint64_t errors = 0;

    read_options(argc, argv);
    prepare();
    run_all();
    for (int i = 1; i < FAULT_KINDS; i++)
        errors += run.errors[i];
    if (run.keep != NULL && fclose(run.keep) != 0)
        die("--keep: %s", strerror(errno));
    print_report(errors);
    free(run.links);
    free(run.request);
    close(run.epoll);
    return errors > 0 || run.tally.lost > 0 ? 1 : 0;
}
