/* upstream.c - a model service that costs next to nothing, for measuring what stands before it.
 *
 *   upstream [--pace N] [--cpu N] [--tls CERTIFICATE KEY]
 *
 * It answers every POST with the words of a stamped question (bench/common/question.h),
 * which it finds in the last "content" of the body as "NUMBER WORDS": one event of about
 * 320 bytes for each word, each a chunk of the chunked coding and one write, as OpenAI
 * sends them; then the finish reason, the usage, [DONE]. Who asks for no stream gets the same
 * words as one JSON document, at once and in one write. Who offers it tools is told behind some
 * of the words to use one, `now`, and gets the others when he comes back with what that found.
 * Connections are kept. Every GET is answered with what it counted so far, as JSON.
 *
 * All bytes are made at the start. For each word only its letters and the stamp are put in,
 * right before the write, so the service's own delays are not in the stamp.
 *
 * With --pace each answer goes at N words per second, as from one of ENGINES that make a step
 * for all of their answers at once, one engine behind the other. Which one it is depends on
 * nothing but the answer's number: so the words come in the same pattern however fast the
 * questions were let through, and no server is given them in larger bunches than another. The
 * next word due is at the head of one queue, and one timer is enough. Without --pace every
 * answer gets one word per pass, as long as its socket takes them.
 *
 * It listens on 127.0.0.1, on a free port for HTTP and with --tls on another for HTTPS, and
 * tells them on stdout. TLS resumes sessions by ticket and prefers the cipher that services
 * commonly choose; so all that stand before it get the same one.
 */
#define _GNU_SOURCE
#include "pieces.h"
#include "question.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 512,
    ENGINES = 25,
    ASKED_MAX = 64 * 1024,   /* a question, with its head */
    SEND_BUFFER = 64 * 1024, /* of the kernel: a slow reader soon holds its stream back */
};

/* ---- the state --------------------------------------------------------------------- */

struct link {
    int             fd;
    SSL            *ssl;                      /* NULL: plain                             */
    bool            shaken;                   /* nothing to do before reading            */
    bool            blocked;                  /* `rest` waits for room                   */
    bool            queued, gone;
    bool            answering;
    struct question question;
    uint32_t        next, until;              /* words of this answer                    */
    uint32_t        first;
    bool            calls;                    /* a tool at its end                       */
    uint64_t        due;
    struct link    *after;                    /* in the queue                            */
    char           *asked;
    size_t          asked_n, asked_cap;
    char            rest[PIECE_MAX];
    size_t          rest_from, rest_n;
};

static struct {
    int          epoll, timer, plain, secure;
    SSL_CTX     *tls;
    uint64_t     period;                      /* 0: unpaced                              */
    uint64_t     armed;
    struct link *first, *last, *dead;
    size_t       queued;
    uint64_t     words, answers, open, opened, handshakes, resumed, failed, late_max;
    char         cipher[80];
} run = { .secure = -1 };

static void die(const char *what)
{
    fprintf(stderr, "upstream: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Ordered by when they are due; nearly always it is the last. */
static void queue_push(struct link *l)
{
    struct link **at = &run.first;

    if (run.last != NULL && run.last->due <= l->due)
        at = &run.last->after;
    while (*at != NULL && (*at)->due <= l->due)
        at = &(*at)->after;
    l->after = *at;
    *at = l;
    if (l->after == NULL)
        run.last = l;
    l->queued = true;
    run.queued++;
}

static uint64_t next_due(const struct link *l)
{
    uint64_t now = now_ns(), phase;

    if (run.period == 0)
        return 0;
    phase = run.period / ENGINES * (l->question.number % ENGINES);
    return now - now % run.period + phase + (now % run.period < phase ? 0 : run.period);
}

static struct link *queue_shift(void)
{
    struct link *l = run.first;

    run.first = l->after;
    if (run.first == NULL)
        run.last = NULL;
    l->queued = false;
    run.queued--;
    return l;
}

/* ---- one connection ---------------------------------------------------------------- */

static void link_watch(struct link *l, uint32_t events, int operation)
{
    struct epoll_event e = { .events = events, .data.ptr = l };
    if (epoll_ctl(run.epoll, operation, l->fd, &e) < 0)
        die("epoll_ctl");
}

/* The dead are freed when nobody looks at them any more: at the end of the pass. Who stands
 * in the queue dies when its turn comes. */
static void bury(struct link *l)
{
    l->after = run.dead;
    run.dead = l;
}

static void free_dead(void)
{
    while (run.dead != NULL) {
        struct link *l = run.dead;
        run.dead = l->after;
        free(l->asked);
        free(l);
    }
}

static void link_shut(struct link *l)
{
    if (l->gone)
        return;
    l->gone = true;
    run.open--;
    if (l->ssl != NULL) {
        ERR_clear_error();
        if (l->shaken)
            SSL_shutdown(l->ssl);
        SSL_free(l->ssl);
    }
    close(l->fd);
    if (!l->queued)
        bury(l);
}

/* Bytes moved, 0 when it has to wait, -1 when the connection is over. */
static ssize_t after_tls(struct link *l, int rc)
{
    if (rc > 0)
        return rc;
    int why = SSL_get_error(l->ssl, rc);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static ssize_t link_send(struct link *l, const char *p, size_t n)
{
    if (l->ssl != NULL) {
        ERR_clear_error();
        return after_tls(l, SSL_write(l->ssl, p, (int)n));
    }
    ssize_t sent = send(l->fd, p, n, MSG_NOSIGNAL);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

static ssize_t link_recv(struct link *l, char *p, size_t n)
{
    if (l->ssl != NULL) {
        ERR_clear_error();
        return after_tls(l, SSL_read(l->ssl, p, (int)n));
    }
    ssize_t got = recv(l->fd, p, n, 0);
    if (got == 0)
        return -1;
    return got < 0 && errno == EAGAIN ? 0 : got;
}

static void link_block(struct link *l, bool blocked)
{
    if (l->blocked != blocked)
        link_watch(l, EPOLLIN | (blocked ? EPOLLOUT : 0u), EPOLL_CTL_MOD);
    l->blocked = blocked;
}

/* What the kernel does not take is kept, and the link is blocked until it has gone. */
static void link_write(struct link *l, const char *p, size_t n)
{
    ssize_t sent = link_send(l, p, n);

    if (sent < 0) {
        link_shut(l);
        return;
    }
    if ((size_t)sent == n)
        return;
    memcpy(l->rest, p + sent, n - (size_t)sent);
    l->rest_from = 0;
    l->rest_n = n - (size_t)sent;
    link_block(l, true);
}

static void link_write_rest(struct link *l)
{
    ssize_t sent = link_send(l, l->rest + l->rest_from, l->rest_n - l->rest_from);

    if (sent < 0) {
        link_shut(l);
        return;
    }
    l->rest_from += (size_t)sent;
    if (l->rest_from < l->rest_n)
        return;
    link_block(l, false);
    if (!l->answering || l->queued)
        return;
    l->due = next_due(l);
    queue_push(l);
}

/* ---- questions and answers --------------------------------------------------------- */

static void answer_stats(struct link *l)
{
    char text[PIECE_MAX], body[PIECE_MAX / 2];
    int  n = snprintf(body, sizeof body,
                      "{\"words\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"open\":%" PRIu64
                      ",\"opened\":%" PRIu64 ",\"handshakes\":%" PRIu64 ",\"resumed\":%" PRIu64
                      ",\"failed_handshakes\":%" PRIu64 ",\"late_max_ms\":%.3f,\"cipher\":\"%s\"}",
                      run.words, run.answers, run.open, run.opened, run.handshakes, run.resumed,
                      run.failed, (double)run.late_max / 1e6, run.cipher);
    int  m = snprintf(text, sizeof text,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\n\r\n%s",
                      n, body);
    run.late_max = 0;
    link_write(l, text, (size_t)m);
}

/* Where the model itself has spoken, and called a tool. */
static const char *call_in(const char *body)
{
    const char *call = strstr(body, "\"tool_calls\":"), *at = NULL;

    while (call != NULL && (body = strstr(body, "\"role\":\"assistant\"")) != NULL && body < call)
        at = body++;
    return at;
}

/* Words for the model may stand before the question, and what a tool found behind it; and others
 * write a blank behind the colon. */
static const char *last_content(const char *body)
{
    const char *last = NULL, *end = call_in(body);

    while ((body = strstr(body, "\"content\":")) != NULL && (end == NULL || body < end)) {
        const char *text = body++ + 10;

        if (text[*text == ' '] == '"')
            last = text;
    }
    return last;
}

static void answer_whole(struct link *l)
{
    const struct piece *p = piece_of_whole(l->question, now_ns());

    if (p == NULL) {
        fputs("upstream: so many words only as a stream\n", stderr);
        link_shut(l);
        return;
    }
    run.words += l->question.words;
    run.answers++;
    link_write(l, p->bytes, p->n);
}

/* Behind how many words it calls the tool: of each answer at another place, so that a window in
 * which some part of all words is said has the same part of all calls. */
static uint32_t place_of_call(struct question q)
{
    uint32_t place = (uint32_t)((uint64_t)q.words * (q.number * 7919u % 1000) / 1000);

    return place > 0 ? place : q.words > 1;
}

/* All words, or those before the call, or those behind it. */
static void choose_words(struct link *l, const char *body)
{
    uint32_t words = l->question.words, place = place_of_call(l->question);
    bool     has_tools = strstr(body, "\"tools\":") != NULL;
    bool     has_called = call_in(body) != NULL;

    l->calls = has_tools && !has_called;
    l->next = l->first = has_called ? place : 0;
    l->until = l->calls ? place : words;
}

static void answer_start(struct link *l, const char *body)
{
    const char *text = last_content(body);
    unsigned    number, words;

    if (text == NULL || sscanf(text, " \"%u %u", &number, &words) != 2 || words == 0 ||
        words > WORDS_MAX) {
        fprintf(stderr, "upstream: what is this? %.200s\n", body);
        link_shut(l);
        return;
    }
    l->question = (struct question){ .number = number, .words = words, .stamped = true };
    if (strstr(body, "\"stream\":true") == NULL && strstr(body, "\"stream\": true") == NULL) {
        answer_whole(l);
        return;
    }
    choose_words(l, body);
    l->answering = true;
    l->due = next_due(l);
    link_write(l, piece_of_start()->bytes, piece_of_start()->n);
    if (!l->gone && !l->blocked)
        queue_push(l);
}

static void answer_end(struct link *l)
{
    uint32_t            words = l->until - l->first;
    const struct piece *p = l->calls ? piece_of_call(words) : piece_of_end(words);

    l->answering = false;
    run.answers++;
    link_write(l, p->bytes, p->n);
}

static void answer_word(struct link *l)
{
    const struct piece *p = piece_of_word(l->question, l->next++, now_ns());

    run.words++;
    link_write(l, p->bytes, p->n);
}

/* The length of the request at the front; 0: not whole yet. */
static size_t request_length(const struct link *l, const char **body)
{
    const char *end = strstr(l->asked, "\r\n\r\n"), *field;
    size_t      n;

    if (end == NULL)
        return 0;
    *body = end + 4;
    n = (size_t)(*body - l->asked);
    field = strcasestr(l->asked, "\r\ncontent-length:");
    if (field != NULL && field < end)
        n += strtoul(field + 17, NULL, 10);
    return n <= l->asked_n ? n : 0;
}

static void link_asked(struct link *l)
{
    const char *body;
    size_t      n = request_length(l, &body);

    if (n == 0)
        return;
    bool asks = memcmp(l->asked, "GET ", 4) != 0;
    if (asks)
        answer_start(l, body);
    else
        answer_stats(l);
    if (l->gone)
        return;
    l->asked_n = 0;                           /* nobody asks before he has his answer */
    if (asks) {
        free(l->asked);
        l->asked = NULL;
        l->asked_cap = 0;
    }
}

static bool make_room(struct link *l)
{
    if (l->asked_cap - l->asked_n >= 2)
        return true;
    l->asked_cap += 4096;
    l->asked = realloc(l->asked, l->asked_cap);
    if (l->asked == NULL)
        die("memory");
    return l->asked_cap <= ASKED_MAX;
}

/* To the end, for what TLS has unpacked already makes no socket ready again. */
static void link_read(struct link *l)
{
    ssize_t n = 1;

    while (n > 0 && !l->gone) {
        n = make_room(l) ? link_recv(l, l->asked + l->asked_n, l->asked_cap - l->asked_n - 1) : -1;
        if (n < 0) {
            link_shut(l);
        } else if (n > 0 && !l->answering) {
            l->asked_n += (size_t)n;
            l->asked[l->asked_n] = '\0';
            link_asked(l);
        }
    }
}

/* ---- TLS --------------------------------------------------------------------------- */

static void link_shake(struct link *l)
{
    ERR_clear_error();
    ssize_t rc = after_tls(l, SSL_accept(l->ssl));
    if (rc < 0) {
        run.failed++;
        link_shut(l);
    }
    if (rc <= 0)
        return;
    l->shaken = true;
    run.handshakes++;
    run.resumed += SSL_session_reused(l->ssl) ? 1 : 0;
    snprintf(run.cipher, sizeof run.cipher, "%s %s", SSL_get_version(l->ssl),
             SSL_get_cipher(l->ssl));
    link_read(l);                             /* the question may have come with it */
}

static void prepare_tls(const char *certificate, const char *key)
{
    run.tls = SSL_CTX_new(TLS_server_method());
    if (run.tls == NULL || SSL_CTX_use_certificate_chain_file(run.tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(run.tls, key, SSL_FILETYPE_PEM) != 1)
        die("the certificate or its key cannot be used");
    SSL_CTX_set_min_proto_version(run.tls, TLS1_2_VERSION);
    SSL_CTX_set_options(run.tls, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_ciphersuites(run.tls, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
    SSL_CTX_set_cipher_list(run.tls, "ECDHE+AES128+AESGCM:ECDHE+AESGCM");
    SSL_CTX_set_session_id_context(run.tls, (const unsigned char *)"relay", 5);
    SSL_CTX_set_mode(run.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
}

/* ---- the loop ---------------------------------------------------------------------- */

static void link_accept(int listener)
{
    const int one = 1, room = SEND_BUFFER;

    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
            return;
        if (fd < 0)
            die("accept");
        struct link *l = calloc(1, sizeof *l);
        if (l == NULL)
            die("memory");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        l->fd = fd;
        l->shaken = listener == run.plain;
        if (!l->shaken) {
            l->ssl = SSL_new(run.tls);
            SSL_set_fd(l->ssl, fd);
        }
        run.open++;
        run.opened++;
        link_watch(l, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void link_ready(struct link *l, uint32_t events)
{
    if (!l->shaken) {
        link_shake(l);
        return;
    }
    if ((events & EPOLLOUT) != 0 && l->blocked)
        link_write_rest(l);
    if (!l->gone && (events & ~(uint32_t)EPOLLOUT) != 0)
        link_read(l);
}

static void pay(struct link *l, uint64_t now)
{
    if (run.period > 0 && now - l->due > run.late_max)
        run.late_max = now - l->due;
    if (l->next == l->until) {
        answer_end(l);
        return;
    }
    answer_word(l);
    l->due += run.period;
    if (!l->gone && !l->blocked)
        queue_push(l);
}

/* One word to everybody whose word is due. */
static void pay_dues(void)
{
    uint64_t now = run.period > 0 ? now_ns() : 0;

    for (size_t n = run.queued; n > 0 && run.first->due <= now; n--) {
        struct link *l = queue_shift();
        if (l->gone)
            bury(l);
        else
            pay(l, now);
    }
}

static void arm_timer(void)
{
    if (run.period == 0 || run.first == NULL || run.first->due == run.armed)
        return;
    run.armed = run.first->due;
    struct itimerspec at = { .it_value = { .tv_sec = (time_t)(run.armed / 1000000000),
                                           .tv_nsec = (long)(run.armed % 1000000000) } };
    if (timerfd_settime(run.timer, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        die("timerfd_settime");
}

static void run_all(void)
{
    struct epoll_event ready[BATCH];

    for (;;) {
        bool busy = run.period == 0 && run.first != NULL;
        int  n = epoll_wait(run.epoll, ready, BATCH, busy ? 0 : -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            void *who = ready[i].data.ptr;
            if (who == &run.plain || who == &run.secure)
                link_accept(*(int *)who);
            else if (who != &run.timer)       /* edge-triggered, so nobody has to read it */
                link_ready(who, ready[i].events);
        }
        pay_dues();
        arm_timer();
        free_dead();
    }
}

/* ---- start ------------------------------------------------------------------------- */

static void watch_own(int *fd, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = fd };
    if (*fd < 0 || epoll_ctl(run.epoll, EPOLL_CTL_ADD, *fd, &e) < 0)
        die("cannot start");
}

static uint16_t open_listener(int *fd)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t          length = sizeof at;

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(*fd, 4096) < 0 ||
        getsockname(*fd, (struct sockaddr *)&at, &length) < 0)
        die("cannot listen");
    watch_own(fd, EPOLLIN);
    return ntohs(at.sin_port);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void pin_to(int core)
{
    cpu_set_t cores;

    CPU_ZERO(&cores);
    CPU_SET((size_t)core, &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) < 0)
        die("--cpu");
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--pace") == 0 && i + 1 < argc) {
            double pace = strtod(argv[++i], NULL);
            run.period = pace > 0 ? (uint64_t)(1e9 / pace) : 0;
        } else if (strcmp(argv[i], "--cpu") == 0 && i + 1 < argc) {
            pin_to(atoi(argv[++i]));
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            prepare_tls(argv[i + 1], argv[i + 2]);
            i += 2;
        } else {
            fputs("usage: upstream [--pace N] [--cpu N] [--tls CERTIFICATE KEY]\n", stderr);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);                 /* TLS writes with write() */
    read_options(argc, argv);
    raise_descriptor_limit();
    pieces_make();
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    watch_own(&run.timer, EPOLLIN | EPOLLET);
    printf("listening http %u", (unsigned)open_listener(&run.plain));
    if (run.tls != NULL)
        printf(" https %u", (unsigned)open_listener(&run.secure));
    puts(".");
    fflush(stdout);
    run_all();
}
