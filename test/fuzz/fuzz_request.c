/* fuzz_request.c - the whole service but its port: sockets in, answers out.
 *
 * The real loop, server, routes, turns and echo run here; a client's socket is one end of
 * a pair whose other end is handed to the server as if it had been accepted. Time stands
 * and moves when the input says so. The input is a digit (see `enum peer`) and then what
 * the client sends; marks (script.h) make things happen in between:
 *
 *   c  the loop runs until nothing moves any more     o  it makes one pass
 *   s  a second goes by         t  ten seconds        m  a minute
 *   r  the client stops reading, or reads again       b  it reads a bit and no more
 *   h  the client has sent all (FIN)                  x  it closes without reading
 *   2  the other client goes on
 *   l  other settings (reload)                        d  the service drains
 *   e  every turn is interrupted                      k  every connection is cut
 *
 * At the end every answer must be whole, and when the clients have gone, nothing of them
 * may be left: no connection, no turn, no deadline, no note, no memory. */
#include "api/api.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/note.h"
#include "net/loop.h"
#include "net/ports.h"
#include "net/stream.h"
#include "provider/catalog.h"
#include "turn/admit.h"
#include "turn/turn.h"

#include "answers.h"
#include "script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum peer { PEER_TRUSTED = 1, PEER_NARROW = 2 };

enum {
    CLIENTS = 2,
    PASSES_MAX = 100000,
    ANSWERS_MAX = 64 << 20,
    MEMORY_SLACK = 256 * 1024,
    MOST_SECONDS = 1200,                      /* longer than any turn may take  */
};

struct client {
    int        fd;
    bool       open, reading, said_all, maybe_cut, was_ended;
    uint64_t   unread_since;
    struct buf got;
};

static struct http_server server;
static struct settings   *in_use;
static struct client      clients[CLIENTS];
static uint64_t           now;
static size_t             memory;
static char               source[2][64];

static const char *const files[2] = {
    "http: {max_header_bytes: 1KiB, max_headers: 16, max_uri_bytes: 128, max_body_bytes: 4KiB,\n"
    "  max_requests_per_connection: 100, trusted_proxies: [127.0.0.1],\n"
    "  cors_origins: ['https://a.example']}\n"
    "stream: {queue_bytes: 4KiB}\n"
    "turns: {max_running: 1, max_waiting: 1}\n"
    "log: {level: error}\n"
    "providers: [{name: e, kind: echo, tokens_per_second: 0},\n"
    "  {name: s, kind: echo, tokens_per_second: 5, max_streams: 1}]\n"
    "models: [{name: echo, targets: [{provider: e}]},\n"
    "  {name: slow, targets: [{provider: s}, {provider: s}, {provider: e}]}]\n",

    "http: {max_connections: 1, max_header_bytes: 16KiB, max_headers: 20, max_uri_bytes: 4KiB,\n"
    "  max_body_bytes: 1KiB, trusted_proxies: [127.0.0.0/8, '::1'], cors_origins: ['*']}\n"
    "stream: {commit_after: 0, queue_bytes: 8KiB}\n"
    "turns: {max_running: 2, max_waiting: 0, max_answer_bytes: 1KiB}\n"
    "log: {level: error, format: json}\n"
    "providers: [{name: e, kind: echo, tokens_per_second: 0}]\n"
    "models: [{name: echo, targets: [{provider: e}]}]\n",
};

/* ---- the service ----------------------------------------------------------------------- */

static struct settings *load(int which)
{
    struct buf       mistakes = BUF(4096);
    struct settings *s = settings_load(source[which], NULL, &mistakes);

    MUST_SAY(s, "%.*s", STR_ARG(buf_str(&mistakes)));
    return s;
}

static void use(int which)
{
    struct settings *s = load(which);

    log_setup((enum log_level)s->log_level, (enum log_format)s->log_format);
    admit_configure(&s->turns);
    api_configure(s);
    http_server_configure(&server, &s->http, s->stream.queue_bytes);
    offer_use(catalog_new(s));                /* last: it frees the settings before */
    in_use = s;
}

static void make_source(int which)
{
    int    fd = memfd_create("settings", 0);
    size_t n = strlen(files[which]);

    MUST(fd >= 0 && write(fd, files[which], n) == (ssize_t)n);
    snprintf(source[which], sizeof source[which], "/proc/self/fd/%d", fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct settings *first;
    union address    at, bound;

    (void)argc;
    (void)argv;
    now = 1000 * CLOCK_S;
    clock_fake(now);
    loop_open();
    make_source(0);
    make_source(1);
    first = load(1);
    MUST(address_read_endpoint(STR("127.0.0.1:0"), &at));
    MUST(http_server_open(&server, &api_app, &first->http, 4096, port_open(&at, &bound)) == 0);
    listener_close(&server.listener);         /* clients come another way       */
    use(0);
    settings_free(first);
    return 0;
}

/* ---- clients --------------------------------------------------------------------------- */

static void client_open(struct client *c, unsigned peer)
{
    union address from;
    int           pair[2], small = 1;

    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    if (peer & PEER_NARROW)
        setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    MUST(
        address_read_endpoint(peer & PEER_TRUSTED ? STR("127.0.0.1:9") : STR("10.9.8.7:6"), &from));
    c->fd = pair[0];
    c->open = c->reading = true;
    c->said_all = c->maybe_cut = c->was_ended = false;
    c->got.limit = ANSWERS_MAX;
    buf_clear(&c->got);
    server.listener.on(&server.listener, pair[1], &from);
}

static void client_close(struct client *c)
{
    if (c->open)
        close(c->fd);
    c->open = false;
}

/* A slow reader is no stalled one. So much that the kernel gets room again. */
static void client_read_a_bit(struct client *c)
{
    char    piece[8192];
    ssize_t n;

    if (!c->open || c->reading || c->was_ended)
        return;
    n = read(c->fd, piece, sizeof piece);
    if (n > 0) {
        buf_add(&c->got, (struct str){ piece, (size_t)n });
        c->unread_since = now;
    }
    c->was_ended = n == 0;
}

static size_t client_read(struct client *c)
{
    char    piece[16384];
    ssize_t n;
    size_t  before = c->got.n;

    if (!c->open || !c->reading || c->was_ended)
        return 0;
    while ((n = read(c->fd, piece, sizeof piece)) > 0)
        buf_add(&c->got, (struct str){ piece, (size_t)n });
    c->was_ended = n == 0 || (n < 0 && errno == ECONNRESET);
    MUST(!c->got.over);
    return c->got.n - before + c->was_ended;
}

/* ---- the loop -------------------------------------------------------------------------- */

static void one_pass(void)
{
    uv_run(loop_get(), UV_RUN_NOWAIT);
}

/* Two passes in which no byte moves and no note is left: nothing will, by itself. */
static void run_until_idle(void)
{
    int quiet = 0;

    for (int i = 0; quiet < 2; i++) {
        int64_t moved = metric_value(METRIC_RECEIVED) + metric_value(METRIC_SENT) -
                        metric_value(METRIC_CONNECTIONS);
        size_t read_now = 0;

        MUST_SAY(i < PASSES_MAX, "the loop does not come to rest");
        one_pass();
        for (int k = 0; k < CLIENTS; k++)
            read_now += client_read(&clients[k]);
        quiet = !notes_waiting() && read_now == 0 &&
                        moved == metric_value(METRIC_RECEIVED) + metric_value(METRIC_SENT) -
                                     metric_value(METRIC_CONNECTIONS)
                    ? quiet + 1
                    : 0;
    }
}

static void let_time_go(uint64_t ns)
{
    run_until_idle();
    now += ns;
    clock_fake(now);
    deadlines_run(now);
    run_until_idle();
    /* Who reads nothing for write_timeout may be cut; who reads may not. */
    for (int k = 0; k < CLIENTS; k++)
        if (clients[k].open && !clients[k].reading && !clients[k].was_ended &&
            now - clients[k].unread_since >= in_use->http.write_timeout)
            clients[k].maybe_cut = true;
}

/* ---- what happens in between ----------------------------------------------------------- */

static void client_say(struct client *c, struct str text)
{
    while (text.n && c->open && !c->said_all) {
        ssize_t n = send(c->fd, text.p, text.n, MSG_NOSIGNAL);

        if (n > 0)
            text = str_from(text, (size_t)n);
        else if (n < 0 && errno != EAGAIN)
            return;                           /* the server has closed          */
        else if (run_until_idle(), send(c->fd, text.p, 1, MSG_NOSIGNAL) == 1)
            text = str_from(text, 1);
        else
            return;                           /* it does not read               */
    }
}

static void toggle_reading(struct client *c)
{
    c->reading = !c->reading;
    c->unread_since = now;
}

static void all_may_be_cut(void)
{
    for (int k = 0; k < CLIENTS; k++)
        clients[k].maybe_cut = true;
}

static void do_mark(char mark, struct client *c, int *which)
{
    switch (mark) {
    case 'c': run_until_idle(); return;
    case 'o': one_pass(); return;
    case 's': let_time_go(CLOCK_S); return;
    case 't': let_time_go(10 * CLOCK_S); return;
    case 'm': let_time_go(60 * CLOCK_S); return;
    case 'r': toggle_reading(c); return;
    case 'b': client_read_a_bit(c); return;
    case 'h':
        if (c->open && !c->said_all)
            shutdown(c->fd, SHUT_WR);
        c->said_all = c->maybe_cut = true;
        return;
    case 'x':
        client_close(c);
        c->maybe_cut = true;
        return;
    case 'l':
        *which = !*which;
        use(*which);
        return;
    case 'd': http_server_drain(&server); return;
    case 'e': turns_interrupt_all(FAULT_SHUTDOWN); return;
    case 'k':
        http_server_cut(&server);
        all_may_be_cut();
        return;
    default: return;
    }
}

/* ---- the end ---------------------------------------------------------------------------- */

static void hear_all(void)
{
    for (int k = 0; k < CLIENTS; k++)
        if (clients[k].open && !clients[k].reading)
            toggle_reading(&clients[k]);
    run_until_idle();
    for (int i = 0; turns_alive() && i < MOST_SECONDS; i++)
        let_time_go(CLOCK_S);
    MUST_SAY(turns_alive() == 0, "%zu turns without an end", turns_alive());
}

static void check_answers(struct str script)
{
    struct buf sent = BUF(SIZE_MAX / 2);
    bool       maybe_head;

    script_text(script, &sent);
    maybe_head = sent.n && memmem(sent.p, sent.n, "HEAD", 4);
    buf_release(&sent);
    for (int k = 0; k < CLIENTS; k++) {
        struct client *c = &clients[k];
        struct answers a = answers_read(buf_str(&c->got), c->maybe_cut, maybe_head);

        MUST_SAY(!a.closing || !c->open || !c->reading || c->was_ended, "close is said, not done");
    }
}

static void leave(void)
{
    for (int k = 0; k < CLIENTS; k++)
        client_close(&clients[k]);
    run_until_idle();
    for (int i = 0; !http_server_is_empty(&server) && i < 3; i++)
        let_time_go(60 * CLOCK_S);
    run_until_idle();
    MUST_SAY(http_server_is_empty(&server), "%zu connections left", server.connections.n);
    MUST_SAY(turns_alive() == 0, "%zu turns left", turns_alive());
    MUST_SAY(deadlines_next() == UINT64_MAX, "a deadline is left");
    MUST_SAY(!notes_waiting(), "a note is left");
    MUST(metric_value(METRIC_TURNS_RUNNING) == 0 && metric_value(METRIC_TURNS_WAITING) == 0);
    MUST(metric_value(METRIC_CONNECTIONS) == 0);
}

/* What stays is the spare memory of the modules, and no more of it after any input. */
static void check_memory(void)
{
    for (int k = 0; k < CLIENTS; k++)
        buf_release(&clients[k].got);
    http_readers_release();
    streams_release();
    if (!memory)
        memory = mem_live_bytes() + MEMORY_SLACK;
    MUST_SAY(mem_live_bytes() <= memory, "memory is kept: %zu bytes", mem_live_bytes());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str     rest = { (const char *)data, size }, text;
    struct client *c = &clients[0];
    int            which = 0;
    char           mark;

    if (size == 0)
        return 0;
    rest = str_from(rest, 1);
    server.draining = false;
    api_set_ready(true);
    for (int k = 0; k < CLIENTS; k++)
        clients[k].open = clients[k].maybe_cut = clients[k].was_ended = false;
    client_open(&clients[0], data[0]);
    while (script_next(&rest, &text, &mark)) {
        client_say(c, text);
        if (mark == '2') {
            c = &clients[c == &clients[0]];
            if (!c->open && !c->maybe_cut && !c->got.n)
                client_open(c, data[0]);
        } else {
            do_mark(mark, c, &which);
        }
    }
    hear_all();
    check_answers((struct str){ (const char *)data + 1, size - 1 });
    leave();
    if (which)
        use(0);
    check_memory();
    return 0;
}
