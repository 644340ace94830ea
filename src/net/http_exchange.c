/* http_exchange.c - one request's answer: who asked, the head, whole or in chunks. */
#include "net/http_conn.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    ID_LENGTH = 24,
    CHUNK_HEAD = 10,                          /* eight digits and a line end    */
    REFUSAL_MAX_BYTES = 8192,
};

static struct http_conn *conn_of(struct http_exchange *x)
{
    return LIST_OWNER(x, struct http_conn, x);
}

/* ---- heads ------------------------------------------------------------------------ */

static void write_persistence(const struct http_conn *c, struct buf *out)
{
    if (!c->x.keep_alive)
        buf_lit(out, "connection: close\r\n");
    else if (!c->x.chunked)
        buf_lit(out, "connection: keep-alive\r\n");
}

static void write_field(struct buf *out, struct str name, struct str value)
{
    buf_add(out, name);
    buf_lit(out, ": ");
    buf_add(out, value);
    buf_lit(out, "\r\n");
}

static void write_length(struct buf *out, size_t n)
{
    buf_lit(out, "content-length: ");
    buf_add_u64(out, n);
    buf_lit(out, "\r\n");
}

static void write_head(struct http_conn *c, const struct http_answer *a, bool has_length)
{
    struct buf *out = stream_out(&c->stream);
    char        date[30];

    clock_http_date(date);
    buf_lit(out, "HTTP/1.1 ");
    buf_add_u64(out, (uint64_t)a->status);
    buf_add_char(out, ' ');
    buf_add(out, str_of(http_reason(a->status)));
    buf_lit(out, "\r\n");
    write_field(out, STR("date"), str_of(date));
    write_field(out, c->server->settings->request_id_header, str_of(c->x.id));
    if (a->type.n)
        write_field(out, STR("content-type"), a->type);
    if (has_length && a->status != 204)
        write_length(out, a->body.n);
    else if (!has_length && c->x.chunked)
        buf_lit(out, "transfer-encoding: chunked\r\n");
    if (c->x.phase != HTTP_UPGRADED)
        write_persistence(c, out);
    buf_add(out, str_of(c->x.fields));
    buf_add(out, a->fields);
    buf_lit(out, "\r\n");
}

/* ---- who asks ------------------------------------------------------------------------ */

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

    if (c->trusted && c->reader && http_reader_count(c->reader, name) == 1)
        given = http_reader_header(c->reader, name);
    if (is_good_id(given)) {
        memcpy(c->x.id, given.p, given.n);
        c->x.id[given.n] = '\0';
    } else {
        id_fill(c->x.id, ID_LENGTH);
    }
}

bool http_is_trusted(const struct http_server *s, const union address *a)
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
        if (!http_is_trusted(c->server, &a))
            return false;
        list.n = comma ? (size_t)(comma - list.p) : 0;
    }
    return true;
}

/* The last address in X-Forwarded-For that is not one of our own proxies. */
static void take_client(struct http_conn *c)
{
    struct str name = STR("x-forwarded-for");
    size_t     n = c->trusted ? http_reader_count(c->reader, name) : 0;

    while (n && take_forwarded(c, http_reader_nth(c->reader, name, n - 1)))
        n--;
}

void http_exchange_open(struct http_conn *c)
{
    c->x = (struct http_exchange){ .phase = HTTP_ASKED, .started = clock_exact() };
    address_write_host(&c->peer, c->x.client);
    if (c->reader && c->reader->has_line)     /* a refusal of HEAD has no body either */
        c->x.method = c->reader->method;
    take_id(c);
    c->requests++;
}

/* From HEAD on the request can be read. */
void http_exchange_read(struct http_conn *c)
{
    bool more = c->requests < c->server->settings->max_requests_per_connection;

    c->x.method = c->reader->method;
    c->x.keep_alive = more && !c->server->draining && http_reader_keeps_alive(c->reader);
    c->x.chunked = !http_reader_is_1_0(c->reader);
    take_client(c);
}

static struct str http_exchange_path(const struct http_conn *c)
{
    return c->reader ? c->reader->target.path : STR("");
}

/* The answer has been written. What comes next on this connection? */
static void exchange_close(struct http_conn *c)
{
    bool keep = c->x.keep_alive;

    c->x.phase = HTTP_QUIET;
    c->server->app->on_end(&c->x, http_exchange_path(c));
    mem_free(c->x.fields);
    c->x.fields = NULL;
    if (!keep) {
        http_conn_flush(c);
        http_conn_linger(c);
        return;
    }
    http_conn_forget_request(c);
    http_conn_enter(c, CONN_IDLE);
    if (!c->feeding) {
        http_conn_flush(c);
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
    struct buf        body = BUF(REFUSAL_MAX_BYTES);

    c->server->app->write_refusal(x, http_exchange_path(c), status, why, &body);
    if (c->state == CONN_HEAD && x->keep_alive)   /* a body would stay unread   */
        x->keep_alive = !http_reader_expects_body(c->reader);
    else if (c->state == CONN_BODY)
        x->keep_alive = false;
    http_answer(x,
                &(struct http_answer){ status, STR("application/json"), fields, buf_str(&body) });
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

    assert(x->phase == HTTP_STREAMING || x->phase == HTTP_UPGRADED);
    if (x->chunked && !x->chunk_at && buf_reserve(out, CHUNK_HEAD)) {
        out->n += CHUNK_HEAD;
        x->chunk_at = out->n;
    }
    return out;
}

/* Eight hexadecimal digits and a line end, for every event: by hand. */
static void write_size(char *to, size_t size)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[size >> shift & 15];
    *to++ = '\r';
    *to = '\n';
}

static void seal_chunk(struct http_exchange *x)
{
    struct buf *out = stream_out(&conn_of(x)->stream);

    if (!x->chunk_at)
        return;
    if (out->n == x->chunk_at) {              /* an empty chunk would be the last one */
        out->n -= CHUNK_HEAD;
    } else {
        write_size(out->p + x->chunk_at - CHUNK_HEAD, out->n - x->chunk_at);
        buf_lit(out, "\r\n");
    }
    x->chunk_at = 0;
}

bool http_push(struct http_exchange *x)
{
    struct http_conn *c = conn_of(x);

    seal_chunk(x);
    http_conn_push(c);
    return !http_conn_is_full(c);
}

void http_finish(struct http_exchange *x)
{
    struct http_conn *c = conn_of(x);

    seal_chunk(x);
    if (x->chunked)
        buf_lit(stream_out(&c->stream), "0\r\n\r\n");
    exchange_close(c);
}

void http_upgrade(struct http_exchange *x, struct str fields, const struct http_upgrade *ops)
{
    struct http_conn *c = conn_of(x);

    assert(x->phase == HTTP_ASKED);
    x->phase = HTTP_UPGRADED;
    x->status = 101;
    x->upgrade = ops;
    x->chunked = false;
    http_conn_enter(c, CONN_UPGRADED);
    write_head(c, &(struct http_answer){ .status = 101, .fields = fields }, false);
    mem_free(x->fields);
    x->fields = NULL;
    http_conn_flush(c);
    note_leave(&c->go_on);                    /* for what came with the request */
}

void http_read(struct http_exchange *x, bool on)
{
    struct http_conn *c = conn_of(x);

    if (c->pending.n == 0 && !c->ended)
        stream_read(&c->stream, on);
}

void http_hang_up(struct http_exchange *x)
{
    x->keep_alive = false;
    exchange_close(conn_of(x));
}

void http_cut(struct http_exchange *x)
{
    http_conn_cut(conn_of(x));
}

void http_watch(struct http_exchange *x, void (*gone)(void *user), void (*room)(void *user),
                void                 *user)
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
