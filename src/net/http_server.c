/* http_server.c - the life of a connection.
 *
 *      idle -> head -> body -> answering -> idle ...
 *        \       \       \         \
 *         +-------+-------+---------+--> lingering -> closed
 *
 * conn_enter() is the only way from one state to the next; it sets the deadline of
 * the new one from a table. Lingering is how a connection ends when we end it: our
 * side says FIN, what the client still sends is read and thrown away for a moment, so
 * that the kernel does not answer it with a reset that destroys our last words on
 * their way.
 *
 * Bytes that arrive while an exchange is open are kept (`pending`) up to a limit and
 * then not read. Reading goes on all the while, because the end of the client's bytes
 * is how we learn that he has gone.
 */
#include "net/http_server.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/loop.h"
#include "net/stream.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum {
    PENDING_LIMIT = 64 * 1024,
    ID_LENGTH = 24,
    CHUNK_HEAD = 10,                          /* eight digits and a line end    */
    REFUSALS_AT_ONCE = 256,
    FILES_KEPT_BACK = 64,                     /* descriptors that are not clients' */
};

enum conn_state { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_ANSWERING, CONN_LINGERING, CONN_CLOSED };

struct http_conn {
    struct stream        stream;
    struct http_server  *server;
    struct link          link;
    enum conn_state      state;
    bool                 feeding;             /* requests are being read from a piece */
    bool                 ended;               /* the client will send no more   */
    bool                 trusted;             /* the peer is one of our proxies */
    uint64_t             requests;
    struct deadline      deadline;            /* of the state                   */
    struct deadline      stall;               /* of output that does not move   */
    struct note          go_on;               /* pending bytes may be read      */
    struct buf           pending;
    struct http_reader   reader;
    struct http_exchange x;
    char                 client[ADDRESS_TEXT_SIZE];
};

static void conn_feed(struct http_conn *c, struct str bytes);

static struct http_conn *conn_of(struct http_exchange *x)
{
    return LIST_OWNER(x, struct http_conn, x);
}

/* ---- states --------------------------------------------------------------------- */

static uint64_t state_timeout(const struct http_conn *c, enum conn_state state)
{
    const struct http_settings *s = c->server->settings;

    switch (state) {
    case CONN_IDLE:      return s->idle_timeout;
    case CONN_HEAD:      return s->header_timeout;
    case CONN_BODY:      return s->body_timeout;
    case CONN_LINGERING: return s->linger_timeout;
    default:             return 0;            /* a turn has its own limits      */
    }
}

static void conn_enter(struct http_conn *c, enum conn_state state)
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

static void conn_close(struct http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    conn_abandon(c);
    conn_enter(c, CONN_CLOSED);
    deadline_disarm(&c->stall);
    note_tear(&c->go_on);
    stream_close(&c->stream);
}

/* Ends the connection so that the client can read what we said last. */
static void conn_linger(struct http_conn *c)
{
    if (c->state == CONN_CLOSED || c->state == CONN_LINGERING)
        return;
    http_reader_release(&c->reader);
    buf_release(&c->pending);
    conn_enter(c, CONN_LINGERING);
    if (c->ended && stream_queued(&c->stream) == 0) {
        conn_close(c);
        return;
    }
    stream_shut(&c->stream);
    stream_read(&c->stream, true);
}

static void conn_flush(struct http_conn *c)
{
    stream_flush(&c->stream);
    if (stream_queued(&c->stream) == 0)
        deadline_disarm(&c->stall);
    else if (!deadline_is_armed(&c->stall))
        deadline_arm(&c->stall, clock_now() + c->server->settings->write_timeout);
}

static bool conn_is_full(const struct http_conn *c)
{
    return stream_queued(&c->stream) > c->server->queue_bytes;
}

/* ---- heads ------------------------------------------------------------------------ */

static void write_head(struct http_conn *c, const struct http_answer *a, bool has_length)
{
    struct buf *out = stream_out(&c->stream);
    char        date[30];

    clock_http_date(date);
    buf_addf(out, "HTTP/1.1 %d %s\r\ndate: %s\r\n%s: %s\r\n", a->status, http_reason(a->status), date,
             c->server->settings->request_id_header.p, c->x.id);
    if (a->type.n)
        buf_addf(out, "content-type: %.*s\r\n", STR_ARG(a->type));
    if (has_length && a->status != 204)
        buf_addf(out, "content-length: %zu\r\n", a->body.n);
    else if (!has_length && c->x.chunked)
        buf_lit(out, "transfer-encoding: chunked\r\n");
    if (!c->x.keep_alive)
        buf_lit(out, "connection: close\r\n");
    else if (http_reader_is_1_0(&c->reader))
        buf_lit(out, "connection: keep-alive\r\n");
    buf_add(out, str_of(c->x.fields));
    buf_add(out, a->fields);
    buf_lit(out, "\r\n");
}

/* ---- exchanges ------------------------------------------------------------------------ */

/* A request id from outside goes into headers and logs: only harmless ones do. */
static bool is_good_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!http_is_tchar((unsigned char)s.p[i]) || strchr("!#$%&'*+^`|~", s.p[i]))
            return false;
    return s.n > 0 && s.n < HTTP_ID_SIZE;
}

static void take_id(struct http_conn *c)
{
    struct str name = c->server->settings->request_id_header, given = { NULL, 0 };

    if (c->trusted && c->reader.inbox && http_reader_count(&c->reader, name) == 1)
        given = http_reader_header(&c->reader, name);
    if (is_good_id(given)) {
        memcpy(c->x.id, given.p, given.n);
        c->x.id[given.n] = '\0';
    } else {
        id_fill(c->x.id, ID_LENGTH);
    }
}

static bool is_trusted(const struct http_server *s, const union address *a)
{
    for (size_t i = 0; i < s->settings->trusted_proxies.n; i++)
        if (address_in_block(a, s->settings->trusted_proxies.items[i]))
            return true;
    return false;
}

/* One field of X-Forwarded-For, from its end. False: the client has been found. */
static bool take_forwarded(struct http_conn *c, struct str list)
{
    union address a;

    while (list.n) {
        const char *comma = memrchr(list.p, ',', list.n);
        struct str  last = comma ? str_from(list, (size_t)(comma - list.p) + 1) : list;

        if (!address_read_host(str_trim(last), &a))
            return false;
        address_write_host(&a, c->x.client);
        if (!is_trusted(c->server, &a))
            return false;
        list.n = comma ? (size_t)(comma - list.p) : 0;
    }
    return true;
}

/* The last address in X-Forwarded-For that is not one of our own proxies. */
static void take_client(struct http_conn *c)
{
    struct str name = STR("x-forwarded-for");
    size_t     n = c->trusted ? http_reader_count(&c->reader, name) : 0;

    while (n && take_forwarded(c, http_reader_nth(&c->reader, name, n - 1)))
        n--;
}

static void exchange_open(struct http_conn *c)
{
    c->x = (struct http_exchange){ .phase = HTTP_ASKED, .started = clock_exact() };
    memcpy(c->x.client, c->client, sizeof c->x.client);
    take_id(c);
    c->requests++;
}

/* From HEAD on the request can be read. */
static void exchange_read(struct http_conn *c)
{
    bool more = c->requests < c->server->settings->max_requests_per_connection;

    c->x.method = c->reader.method;
    c->x.keep_alive = more && !c->server->draining && http_reader_keeps_alive(&c->reader);
    c->x.chunked = !http_reader_is_1_0(&c->reader);
    take_client(c);
}

static struct str exchange_path(const struct http_conn *c)
{
    return c->reader.inbox ? c->reader.target.path : STR("");
}

/* The answer has been written. What comes next on this connection? */
static void exchange_close(struct http_conn *c)
{
    bool keep = c->x.keep_alive;

    c->x.phase = HTTP_QUIET;
    c->server->app->on_end(&c->x, exchange_path(c));
    mem_free(c->x.fields);
    c->x.fields = NULL;
    if (!keep) {
        conn_flush(c);
        conn_linger(c);
        return;
    }
    http_reader_reset(&c->reader, c->server->settings);
    conn_enter(c, CONN_IDLE);
    if (!c->feeding) {
        conn_flush(c);
        note_leave(&c->go_on);
    }
}

void http_answer(struct http_exchange *x, const struct http_answer *a)
{
    struct http_conn *c = conn_of(x);

    assert(x->phase == HTTP_ASKED);
    x->status = a->status;
    write_head(c, a, true);
    if (x->method != HTTP_METHOD_HEAD)
        buf_add(stream_out(&c->stream), a->body);
    exchange_close(c);
}

void http_refuse(struct http_exchange *x, int status, const char *why, struct str fields)
{
    struct http_conn *c = conn_of(x);
    struct buf        body = BUF(8192);

    c->server->app->write_refusal(x, exchange_path(c), status, why, &body);
    if (c->state == CONN_HEAD && x->keep_alive)   /* a body would stay unread   */
        x->keep_alive = !http_reader_expects_body(&c->reader);
    http_answer(x, &(struct http_answer){ status, STR("application/json"), fields, buf_str(&body) });
    buf_release(&body);
}

void http_begin(struct http_exchange *x, int status, struct str type, struct str fields)
{
    struct http_conn *c = conn_of(x);

    assert(x->phase == HTTP_ASKED);
    x->phase = HTTP_STREAMING;
    x->status = status;
    x->keep_alive = x->keep_alive && x->chunked && !c->server->draining;
    write_head(c, &(struct http_answer){ .status = status, .type = type, .fields = fields }, false);
}

/* What is written between two pushes is one chunk; its size is filled in at the end. */
struct buf *http_body(struct http_exchange *x)
{
    struct buf *out = stream_out(&conn_of(x)->stream);

    assert(x->phase == HTTP_STREAMING);
    if (x->chunked && !x->chunk_at && buf_reserve(out, CHUNK_HEAD)) {
        out->n += CHUNK_HEAD;
        x->chunk_at = out->n;
    }
    return out;
}

static void seal_chunk(struct http_exchange *x)
{
    struct buf *out = stream_out(&conn_of(x)->stream);
    char        head[CHUNK_HEAD + 1];

    if (!x->chunk_at)
        return;
    if (out->n == x->chunk_at) {              /* an empty chunk would be the last one */
        out->n -= CHUNK_HEAD;
    } else {
        snprintf(head, sizeof head, "%08x\r\n", (unsigned)(out->n - x->chunk_at));
        memcpy(out->p + x->chunk_at - CHUNK_HEAD, head, CHUNK_HEAD);
        buf_lit(out, "\r\n");
    }
    x->chunk_at = 0;
}

bool http_push(struct http_exchange *x)
{
    struct http_conn *c = conn_of(x);

    seal_chunk(x);
    conn_flush(c);
    return !conn_is_full(c);
}

void http_finish(struct http_exchange *x)
{
    struct http_conn *c = conn_of(x);

    seal_chunk(x);
    if (x->chunked)
        buf_lit(stream_out(&c->stream), "0\r\n\r\n");
    exchange_close(c);
}

void http_watch(struct http_exchange *x, void (*gone)(void *user), void (*room)(void *user), void *user)
{
    x->gone = gone;
    x->room = room;
    x->user = user;
}

void http_add_fields(struct http_exchange *x, struct str fields)
{
    struct str before = str_of(x->fields);
    char      *both = mem_new(before.n + fields.n + 1);

    if (before.n)
        memcpy(both, before.p, before.n);
    memcpy(both + before.n, fields.p, fields.n);
    mem_free(x->fields);
    x->fields = both;
}

/* ---- requests -------------------------------------------------------------------------- */

/* A request that could not be read, or not in time: whatever follows it is noise. */
static void conn_refuse(struct http_conn *c, int status, const char *why)
{
    if (c->x.phase == HTTP_QUIET)
        exchange_open(c);
    c->x.keep_alive = false;
    http_refuse(&c->x, status, why, STR(""));
}

/* RFC 9110, 10.1.1: says "go on" only if the body is wanted and has not begun. */
static bool may_expect(struct http_conn *c, bool body_has_begun)
{
    struct str expect = http_reader_header(&c->reader, STR("expect"));

    if (!expect.p || http_reader_is_1_0(&c->reader))
        return true;
    if (!str_eq_nocase(expect, STR("100-continue"))) {
        conn_refuse(c, 417, "100-continue is the only expectation known here");
        return false;
    }
    if (!body_has_begun && http_reader_expects_body(&c->reader)) {
        buf_lit(stream_out(&c->stream), "HTTP/1.1 100 Continue\r\n\r\n");
        conn_flush(c);
    }
    return true;
}

static void conn_got_request(struct http_conn *c)
{
    conn_enter(c, CONN_ANSWERING);
    c->server->app->on_request(&c->x, &c->reader);
    if (c->state == CONN_ANSWERING)
        http_reader_release(&c->reader);      /* nobody looks at it any more    */
}

static void conn_got_head(struct http_conn *c, bool body_has_begun)
{
    exchange_open(c);
    exchange_read(c);
    if (!c->server->app->on_head(&c->x, &c->reader))
        return;
    if (http_reader_content_length(&c->reader) > c->server->settings->max_body_bytes)
        conn_refuse(c, 413, "the request body is too large");
    else if (!may_expect(c, body_has_begun))
        return;
    else if (http_reader_expects_body(&c->reader))
        conn_enter(c, CONN_BODY);
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
    enum http_progress progress = http_reader_feed(&c->reader, *bytes, &eaten);

    *bytes = str_from(*bytes, eaten);
    if (c->state == CONN_IDLE)
        conn_enter(c, CONN_HEAD);
    switch (progress) {
    case HTTP_PROGRESS_MORE:
        break;
    case HTTP_PROGRESS_HEAD:
        conn_got_head(c, bytes->n > 0);
        break;
    case HTTP_PROGRESS_WHOLE:
        conn_got_request(c);
        break;
    case HTTP_PROGRESS_BAD:
        conn_refuse(c, c->reader.status, c->reader.why);
        break;
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
    while (bytes.n && is_reading(c) && !conn_is_full(c))
        conn_read_some(c, &bytes);
    c->feeding = false;
    if (c->state == CONN_CLOSED)
        return;
    conn_flush(c);
    if (bytes.n && c->state != CONN_LINGERING)
        conn_keep(c, bytes);
}

/* An answer is out, or its bytes have moved: read on with what has waited. */
static void conn_go_on(struct note *n)
{
    struct http_conn *c = LIST_OWNER(n, struct http_conn, go_on);
    struct buf        taken = c->pending;

    if (!is_reading(c) || conn_is_full(c))
        return;
    c->pending = BUF(c->pending.limit);
    conn_feed(c, buf_str(&taken));
    buf_release(&taken);
    if (c->state == CONN_CLOSED)
        return;
    stream_read(&c->stream, !c->ended && c->pending.n < PENDING_LIMIT);
    if (is_reading(c) && c->pending.n == 0 && (c->ended || (c->server->draining && c->state == CONN_IDLE)))
        conn_linger(c);
}

/* ---- news from the stream and the clock ----------------------------------------------------- */

static void conn_got_bytes(struct http_conn *c, struct str bytes)
{
    if (c->state == CONN_LINGERING)
        return;
    if (is_reading(c) && c->pending.n == 0 && !conn_is_full(c))
        conn_feed(c, bytes);
    else
        conn_keep(c, bytes);
}

/* While his answer is being made, an end of his bytes means that he has gone (RFC 9112
 * lets us think so); before that, what he sent before he ended is still answered. */
static void conn_got_end(struct http_conn *c)
{
    c->ended = true;
    if (c->state == CONN_ANSWERING)
        conn_close(c);
    else if (c->state == CONN_LINGERING && stream_queued(&c->stream) == 0)
        conn_close(c);
    else if (c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY)
        note_leave(&c->go_on);
}

static void conn_moved(struct http_conn *c)
{
    assert(c->x.chunk_at == 0);
    if (stream_queued(&c->stream))
        deadline_arm(&c->stall, clock_now() + c->server->settings->write_timeout);
    else
        deadline_disarm(&c->stall);
    if (c->state == CONN_LINGERING && c->ended && stream_queued(&c->stream) == 0)
        conn_close(c);
    else if (c->x.phase == HTTP_STREAMING && c->x.room &&
             stream_queued(&c->stream) <= c->server->queue_bytes / 2)
        c->x.room(c->x.user);
    else if (is_reading(c))
        note_leave(&c->go_on);
}

static void conn_free(struct http_conn *c)
{
    list_take(&c->server->connections, &c->link);
    metric_set(METRIC_CONNECTIONS, (int64_t)c->server->connections.n);
    http_reader_release(&c->reader);
    buf_release(&c->pending);
    mem_free(c);
}

static void on_stream(struct stream *stream, enum stream_news news, struct str bytes)
{
    struct http_conn *c = LIST_OWNER(stream, struct http_conn, stream);

    switch (news) {
    case STREAM_DATA:
        conn_got_bytes(c, bytes);
        return;
    case STREAM_EOF:
        conn_got_end(c);
        return;
    case STREAM_MOVED:
        conn_moved(c);
        return;
    case STREAM_BROKEN:
        conn_close(c);
        return;
    case STREAM_CLOSED:
        conn_free(c);
        return;
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
        conn_linger(c);
    else
        conn_close(c);
}

static void on_stall(struct deadline *d)
{
    struct http_conn *c = LIST_OWNER(d, struct http_conn, stall);

    metric_add(METRIC_SLOW_READERS, 1);
    LOG(LOG_WARN, L_MSG("slow reader cut"), L_STR("client", str_of(c->client)),
        L_TEXT("request_id", c->x.id), L_INT("queued_bytes", stream_queued(&c->stream)));
    conn_abandon(c);
    conn_enter(c, CONN_CLOSED);
    note_tear(&c->go_on);
    stream_reset(&c->stream);
}

/* ---- connections come ------------------------------------------------------------------------ */

static struct http_conn *conn_new(struct http_server *s, int fd, const union address *peer)
{
    struct http_conn *c = mem_new(sizeof *c);

    c->server = s;
    c->pending = BUF(PENDING_LIMIT + LOOP_READ_SIZE);
    c->deadline.run = on_deadline;
    c->stall.run = on_stall;
    c->go_on.run = conn_go_on;
    c->trusted = is_trusted(s, peer);
    address_write_host(peer, c->client);
    list_push(&s->connections, &c->link);
    metric_add(METRIC_ACCEPTED, 1);
    metric_set(METRIC_CONNECTIONS, (int64_t)s->connections.n);
    http_reader_reset(&c->reader, s->settings);
    conn_enter(c, CONN_IDLE);
    if (stream_open(&c->stream, fd, on_stream) != 0)
        conn_close(c);
    else
        stream_read(&c->stream, true);
    return c;
}

static void on_connection(struct listener *l, int fd, const union address *peer)
{
    struct http_server *s = LIST_OWNER(l, struct http_server, listener);
    size_t              open = s->connections.n;
    uint64_t            max = s->settings->max_connections;
    struct http_conn   *c;

    if (max > s->max_connections)
        max = s->max_connections;
    c = conn_new(s, fd, peer);
    if (open < max)
        return;
    metric_add(METRIC_REFUSED, 1);
    if (open >= max + REFUSALS_AT_ONCE) {     /* not even time for a word       */
        conn_close(c);
        return;
    }
    exchange_open(c);
    c->x.keep_alive = false;
    http_refuse(&c->x, 503, "the service has too many connections; try again shortly",
                STR("retry-after: 1\r\n"));
}

/* ---- the server ---------------------------------------------------------------------------------- */

/* Every descriptor the process may have, less a few for itself. */
static uint64_t affordable_connections(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return UINT64_MAX;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return files.rlim_cur > 2 * FILES_KEPT_BACK ? files.rlim_cur - FILES_KEPT_BACK : files.rlim_cur / 2;
}

int http_server_open(struct http_server *s, const struct http_app *app,
                     const struct http_settings *settings, uint64_t queue_bytes,
                     const union address *at, union address *bound)
{
    s->app = app;
    s->settings = settings;
    s->queue_bytes = queue_bytes;
    s->max_connections = affordable_connections();
    list_init(&s->connections);
    return listener_open(&s->listener, at, bound, on_connection);
}

void http_server_configure(struct http_server *s, const struct http_settings *settings,
                           uint64_t queue_bytes)
{
    s->settings = settings;
    s->queue_bytes = queue_bytes;
    LIST_EACH(&s->connections, k)
        LIST_OWNER(k, struct http_conn, link)->reader.limits = settings;
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
    listener_close(&s->listener);
    LIST_EACH(&s->connections, k) {
        struct http_conn *c = LIST_OWNER(k, struct http_conn, link);

        c->x.keep_alive = false;
        if (c->state == CONN_IDLE)
            note_leave(&c->go_on);
    }
}

void http_server_cut(struct http_server *s)
{
    LIST_EACH(&s->connections, k)
        conn_close(LIST_OWNER(k, struct http_conn, link));
}

bool http_server_is_empty(const struct http_server *s)
{
    return s->connections.n == 0;
}
