/* http_conn.c - the life of a connection.
 *
 *      idle -> head -> body -> answering -> idle ...
 *        \       \       \         \   \-> upgraded
 *         +-------+-------+---------+-------+--> lingering -> closed
 *
 * http_conn_enter() is the only way from one state to the next; it sets the deadline of
 * the new one from a table. Lingering is how a connection ends when we end it: our
 * side says FIN, what the client still sends is read and thrown away for a moment, so
 * that the kernel does not answer it with a reset that destroys our last words on
 * their way.
 *
 * What a stream pushes leaves with what others push, at the end of the loop's pass or as soon
 * as LEAVE_TOGETHER have something. The kernel's way in and its way out are both long, and
 * whoever walks each several times in a row finds it in the caches, and his readers awake:
 * that costs an eighth less CPU for each word, and no word waits for more than a few others.
 *
 * Bytes that arrive while an exchange is open are kept (`pending`) up to a limit and
 * then not read. Reading goes on all the while, because the end of the client's bytes
 * is how we learn that he has gone.
 */
#include "net/http_conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/loop.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

enum { PENDING_LIMIT = 64 * 1024, LAST_REQUEST_MS = 250, LEAVE_TOGETHER = 16 };

static void send_leaving(struct note *n);

static struct list leaving = { .head = { &leaving.head, &leaving.head } };
static struct note leave = { .run = send_leaving };

/* ---- states --------------------------------------------------------------------- */

/* A proxy may be sending on an idle connection just when we would close it, and must not ask
 * again elsewhere what it has sent. So idle ones outlive the start of draining: what they
 * carry yet is answered, and told that it is the last. */
static uint64_t idle_timeout(const struct http_server *s)
{
    uint64_t last = LAST_REQUEST_MS * CLOCK_MS;

    return s->draining && last < s->settings->idle_timeout ? last : s->settings->idle_timeout;
}

static uint64_t state_timeout(const struct http_conn *c, enum conn_state state)
{
    const struct http_settings *s = c->server->settings;

    switch (state) {
    case CONN_IDLE:      return idle_timeout(c->server);
    case CONN_HEAD:      return s->header_timeout;
    case CONN_BODY:      return s->body_timeout;
    case CONN_LINGERING: return s->linger_timeout;
    default:             return 0;            /* a turn has its own limits      */
    }
}

void http_conn_enter(struct http_conn *c, enum conn_state state)
{
    uint64_t timeout = state_timeout(c, state);

    c->state = state;
    deadline_disarm(&c->deadline);
    if (timeout)
        deadline_arm(&c->deadline, clock_now() + timeout);
}

/* The client is gone, or we want him gone: whoever works for him is told. */
static void conn_abandon(struct http_conn *c)
{
    struct http_exchange *x = &c->x;

    if (x->phase == HTTP_QUIET)
        return;
    x->phase = HTTP_QUIET;
    if (!x->status)
        x->status = 499;
    if (x->gone)
        x->gone(x->user);
    c->server->app->on_end(x, STR(""));
    mem_free(x->fields);
    x->fields = NULL;
}

static void stop_leaving(struct http_conn *c)
{
    if (link_is_in(&c->leaving))
        list_take(&leaving, &c->leaving);
}

void http_conn_close(struct http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    conn_abandon(c);
    http_conn_enter(c, CONN_CLOSED);
    deadline_disarm(&c->stall);
    note_tear(&c->go_on);
    stop_leaving(c);
    stream_close(&c->stream);
}

void http_conn_cut(struct http_conn *c)
{
    conn_abandon(c);
    http_conn_enter(c, CONN_CLOSED);
    deadline_disarm(&c->stall);
    note_tear(&c->go_on);
    stop_leaving(c);
    stream_reset(&c->stream);
}

void http_conn_forget_request(struct http_conn *c)
{
    http_reader_give_back(c->reader);
    c->reader = NULL;
}

/* Ends the connection so that the client can read what we said last. */
void http_conn_linger(struct http_conn *c)
{
    if (c->state == CONN_CLOSED || c->state == CONN_LINGERING)
        return;
    http_conn_forget_request(c);
    buf_release(&c->pending);
    http_conn_enter(c, CONN_LINGERING);
    if (c->ended && stream_queued(&c->stream) == 0) {
        http_conn_close(c);
        return;
    }
    stream_shut(&c->stream);
    stream_read(&c->stream, true);
}

static void watch_output(struct http_conn *c)
{
    c->progress = stream_progress(&c->stream);
    deadline_arm(&c->stall, clock_now() + c->server->settings->write_timeout);
}

void http_conn_flush(struct http_conn *c)
{
    stop_leaving(c);
    stream_flush(&c->stream);
    if (stream_queued(&c->stream) == 0)
        deadline_disarm(&c->stall);
    else if (!deadline_is_armed(&c->stall))
        watch_output(c);
}

bool http_conn_is_full(const struct http_conn *c)
{
    return stream_queued(&c->stream) > c->server->queue_bytes;
}

/* Whoever is in the middle of a chunk will push it, and leaves then. */
static void send_leaving(struct note *n)
{
    (void)n;
    for (struct link *k = leaving.head.next, *next; k != &leaving.head; k = next) {
        struct http_conn *c = LIST_OWNER(k, struct http_conn, leaving);

        next = k->next;
        if (!c->x.chunk_at)
            http_conn_flush(c);
    }
}

void http_conn_push(struct http_conn *c)
{
    if (http_conn_is_full(c)) {
        http_conn_flush(c);
        return;
    }
    if (!link_is_in(&c->leaving))
        list_push(&leaving, &c->leaving);
    if (leaving.n >= LEAVE_TOGETHER)
        send_leaving(&leave);
    else
        note_leave(&leave);
}

/* ---- requests -------------------------------------------------------------------------- */

/* A request that could not be read, or not in time: whatever follows it is noise. */
static void conn_refuse(struct http_conn *c, int status, const char *why)
{
    if (c->x.phase == HTTP_QUIET)
        http_exchange_open(c);
    c->x.keep_alive = false;
    http_refuse(&c->x, status, why, STR(""));
}

/* RFC 9110, 10.1.1: says "go on" only if the body is wanted and has not begun. */
static bool may_expect(struct http_conn *c, bool body_has_begun)
{
    struct str expect = http_reader_header(c->reader, STR("expect"));

    if (!expect.p || http_reader_is_1_0(c->reader))
        return true;
    if (!str_eq_nocase(expect, STR("100-continue"))) {
        conn_refuse(c, 417, "100-continue is the only expectation known here");
        return false;
    }
    if (!body_has_begun && http_reader_expects_body(c->reader)) {
        buf_lit(stream_out(&c->stream), "HTTP/1.1 100 Continue\r\n\r\n");
        http_conn_flush(c);
    }
    return true;
}

static void conn_hand_over(struct http_conn *c)
{
    c->server->app->on_request(&c->x, c->reader);
    if (c->state == CONN_ANSWERING || c->state == CONN_UPGRADED)
        http_conn_forget_request(c);          /* nobody looks at it any more    */
}

static void conn_got_request(struct http_conn *c)
{
    http_conn_enter(c, CONN_ANSWERING);
    if (!c->x.held)
        conn_hand_over(c);
}

void http_hold(struct http_exchange *x)
{
    x->held = true;
}

void http_release(struct http_exchange *x)
{
    struct http_conn *c = LIST_OWNER(x, struct http_conn, x);

    x->held = false;
    if (c->state == CONN_ANSWERING)
        conn_hand_over(c);
}

static void conn_got_head(struct http_conn *c, bool body_has_begun)
{
    http_exchange_open(c);
    http_exchange_read(c);
    if (!c->server->app->on_head(&c->x, c->reader))
        return;
    if (http_reader_content_length(c->reader) > c->server->settings->max_body_bytes)
        conn_refuse(c, 413, "the request body is too large");
    else if (!may_expect(c, body_has_begun))
        return;
    else if (http_reader_expects_body(c->reader))
        http_conn_enter(c, CONN_BODY);
    else
        conn_got_request(c);
}

static bool is_reading(const struct http_conn *c)
{
    return c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY;
}

/* The next request, or part of it, out of `bytes`. */
static void conn_read_some(struct http_conn *c, struct str *bytes)
{
    size_t             eaten;
    enum http_progress progress;

    if (!c->reader)
        c->reader = http_reader_take(c->server->settings);
    progress = http_reader_feed(c->reader, *bytes, &eaten);
    *bytes = str_from(*bytes, eaten);
    if (c->state == CONN_IDLE)
        http_conn_enter(c, CONN_HEAD);
    switch (progress) {
    case HTTP_PROGRESS_MORE: break;
    case HTTP_PROGRESS_HEAD: conn_got_head(c, bytes->n > 0); break;
    case HTTP_PROGRESS_WHOLE: conn_got_request(c); break;
    case HTTP_PROGRESS_BAD: conn_refuse(c, c->reader->status, c->reader->why); break;
    }
}

static void conn_keep(struct http_conn *c, struct str bytes)
{
    buf_add(&c->pending, bytes);
    stream_read(&c->stream, c->pending.n < PENDING_LIMIT);
}

static void conn_feed(struct http_conn *c, struct str bytes)
{
    c->feeding = true;
    while (bytes.n && is_reading(c) && !http_conn_is_full(c))
        conn_read_some(c, &bytes);
    c->feeding = false;
    if (c->state == CONN_CLOSED)
        return;
    http_conn_flush(c);
    if (bytes.n && c->state != CONN_LINGERING)
        conn_keep(c, bytes);
    if (c->pending.n && is_reading(c) && !http_conn_is_full(c))
        note_leave(&c->go_on);                /* the kernel took it all         */
}

/* An answer is out, or its bytes have moved. */
static void conn_read_on(struct http_conn *c)
{
    struct buf taken = c->pending;

    c->pending = BUF(c->pending.limit);
    conn_feed(c, buf_str(&taken));
    buf_release(&taken);
    if (c->state == CONN_CLOSED)
        return;
    stream_read(&c->stream, !c->ended && c->pending.n < PENDING_LIMIT);
    if (is_reading(c) && c->pending.n == 0 && c->ended)
        http_conn_linger(c);
}

/* Who upgrades may send on without waiting for the 101. */
static void conn_tell_pending(struct http_conn *c)
{
    struct buf taken = c->pending;

    c->pending = BUF(taken.limit);
    stream_read(&c->stream, !c->ended);
    if (taken.n)
        c->x.upgrade->bytes(c->x.user, buf_str(&taken));
    buf_release(&taken);
    if (c->state == CONN_UPGRADED && c->ended)
        http_conn_close(c);
}

static void conn_go_on(struct note *n)
{
    struct http_conn *c = LIST_OWNER(n, struct http_conn, go_on);

    if (c->state == CONN_UPGRADED)
        conn_tell_pending(c);
    else if (is_reading(c) && !http_conn_is_full(c))
        conn_read_on(c);
}

/* ---- news from the stream and the clock ----------------------------------------------------- */

static void conn_got_bytes(struct http_conn *c, struct str bytes)
{
    if (c->state == CONN_LINGERING)
        return;
    if (c->state == CONN_UPGRADED && c->pending.n == 0)
        c->x.upgrade->bytes(c->x.user, bytes);
    else if (is_reading(c) && c->pending.n == 0 && !http_conn_is_full(c))
        conn_feed(c, bytes);
    else
        conn_keep(c, bytes);
}

/* While his answer is being made, an end of his bytes means that he has gone (RFC 9112
 * lets us think so); before that, what he sent before he ended is still answered. */
static void conn_got_end(struct http_conn *c)
{
    c->ended = true;
    if (c->state == CONN_ANSWERING || (c->state == CONN_UPGRADED && c->pending.n == 0))
        http_conn_close(c);
    else if (c->state == CONN_LINGERING && stream_queued(&c->stream) == 0)
        http_conn_close(c);
    else if (c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY)
        note_leave(&c->go_on);
}

static void conn_moved(struct http_conn *c)
{
    assert(c->x.chunk_at == 0);
    if (stream_queued(&c->stream) == 0)
        deadline_disarm(&c->stall);
    if (c->state == CONN_LINGERING && c->ended && stream_queued(&c->stream) == 0)
        http_conn_close(c);
    else if ((c->x.phase == HTTP_STREAMING || c->x.phase == HTTP_UPGRADED) && c->x.room &&
             stream_queued(&c->stream) <= c->server->queue_bytes / 2)
        c->x.room(c->x.user);
    else if (is_reading(c))
        note_leave(&c->go_on);
}

static void conn_free(struct http_conn *c)
{
    list_take(&c->server->connections, &c->link);
    metric_set(METRIC_CONNECTIONS, (int64_t)c->server->connections.n);
    http_conn_forget_request(c);
    buf_release(&c->pending);
    mem_free(c);
}

static void on_stream(struct stream *stream, enum stream_news news, struct str bytes)
{
    struct http_conn *c = LIST_OWNER(stream, struct http_conn, stream);

    switch (news) {
    case STREAM_DATA: conn_got_bytes(c, bytes); return;
    case STREAM_EOF: conn_got_end(c); return;
    case STREAM_MOVED: conn_moved(c); return;
    case STREAM_SECURED: return;              /* the proxy before us does TLS   */
    case STREAM_BROKEN: http_conn_close(c); return;
    case STREAM_CLOSED: conn_free(c); return;
    }
}

static void on_deadline(struct deadline *d)
{
    struct http_conn *c = LIST_OWNER(d, struct http_conn, deadline);

    if (c->state == CONN_HEAD)
        conn_refuse(c, 408, "the request head took too long");
    else if (c->state == CONN_BODY)
        conn_refuse(c, 408, "the request body took too long");
    else if (c->state == CONN_IDLE)
        http_conn_linger(c);
    else if (stream_queued(&c->stream))
        http_conn_enter(c, CONN_LINGERING);   /* his last answer is not out yet */
    else
        http_conn_close(c);
}

static void on_stall(struct deadline *d)
{
    struct http_conn *c = LIST_OWNER(d, struct http_conn, stall);

    if (stream_progress(&c->stream) != c->progress) {
        watch_output(c);                      /* slow, but he takes something   */
        return;
    }
    metric_add(METRIC_SLOW_READERS, 1);
    LOG(LOG_WARN, L_MSG("slow reader cut"), L_TEXT("client", c->x.client),
        L_TEXT("request_id", c->x.id), L_INT("queued_bytes", stream_queued(&c->stream)));
    http_conn_cut(c);
}

/* ---- a connection comes -------------------------------------------------------------- */

struct http_conn *http_conn_new(struct http_server *s, int fd, const union address *peer)
{
    struct http_conn *c = mem_new(sizeof *c);

    c->server = s;
    c->pending = BUF(PENDING_LIMIT + LOOP_READ_SIZE);
    c->deadline.run = on_deadline;
    c->stall.run = on_stall;
    c->go_on.run = conn_go_on;
    c->trusted = http_is_trusted(s, peer);
    c->peer = *peer;
    list_push(&s->connections, &c->link);
    metric_add(METRIC_ACCEPTED, 1);
    metric_set(METRIC_CONNECTIONS, (int64_t)s->connections.n);
    http_conn_enter(c, CONN_IDLE);
    if (stream_open(&c->stream, fd, on_stream) != 0) {
        close(fd);
        http_conn_close(c);
    } else {
        stream_read(&c->stream, true);
    }
    return c;
}
