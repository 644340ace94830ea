/* http_client.c - peers and pools.
 *
 * A peer is one connection:  reaching -> asking -> idle -> asking ... -> closing.
 * A pool is a way to an origin: its peers, and the fetches that wait for one. It outlives
 * them, because it remembers TLS sessions. A fetch leaves its
 * peer only by release(), which keeps the peer for the next or closes it.
 */
#include "net/http_client.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/stream.h"

#include <assert.h>
#include <llhttp.h>
#include <string.h>

enum { HEAD_MAX_BYTES = 64 * 1024, FIELDS_MAX = 200, POOLS_MAX = 200 };
enum { NO_BODY = 1 };                         /* llhttp's word, whatever the fields say */

struct http_pool {
    struct link               link;
    struct way                way;            /* with texts of its own          */
    struct http_client_limits limits;         /* of who asked last              */
    struct list               peers, idle, line;
};

enum peer_state { PEER_REACHING, PEER_ASKING, PEER_IDLE, PEER_CLOSING };

struct http_peer {
    struct link        link;                  /* in the pool's peers            */
    struct link        idle_link;
    struct http_pool  *pool;
    enum peer_state    state;
    struct http_fetch *fetch;                 /* NULL: idle or closing          */
    struct reach       reach;
    struct stream      stream;
    struct deadline    idle_time;
    llhttp_t           parser;
    struct http_fields fields;
    bool               used;                  /* it has answered before         */
    bool               whole, keep;           /* the answer is; the connection may be kept */
};

static struct list pools = { .head = { &pools.head, &pools.head } };
static bool        closing;                   /* the process ends               */

static void serve_line(struct http_pool *p);
static void assign(struct http_fetch *f, struct http_peer *peer);

/* ---- peers end ------------------------------------------------------------------------- */

static bool pool_is_empty(const struct http_pool *p)
{
    return p->peers.n == 0 && p->line.n == 0;
}

static void pool_free(struct http_pool *p)
{
    list_take(&pools, &p->link);
    way_release(&p->way);
    mem_free(p);
}

static void pool_free_if_late(struct http_pool *p)
{
    if (closing && pool_is_empty(p))
        pool_free(p);
}

static void peer_free(struct http_peer *peer)
{
    struct http_pool *p = peer->pool;

    list_take(&p->peers, &peer->link);
    http_fields_release(&peer->fields);
    mem_free(peer);
    serve_line(p);
    pool_free_if_late(p);
}

static void peer_close(struct http_peer *peer)
{
    enum peer_state was = peer->state;

    if (was == PEER_CLOSING)
        return;
    peer->state = PEER_CLOSING;
    deadline_disarm(&peer->idle_time);
    if (link_is_in(&peer->idle_link))
        list_take(&peer->pool->idle, &peer->idle_link);
    if (was == PEER_REACHING)
        reach_cancel(&peer->reach);
    if (peer->stream.open)
        stream_close(&peer->stream);
    else
        peer_free(peer);
}

static void idle_too_long(struct deadline *d)
{
    peer_close(LIST_OWNER(d, struct http_peer, idle_time));
}

static void peer_keep(struct http_peer *peer)
{
    peer->state = PEER_IDLE;
    list_push(&peer->pool->idle, &peer->idle_link);
    deadline_arm(&peer->idle_time, clock_now() + peer->pool->limits.idle_timeout);
    stream_read(&peer->stream, true);         /* so that we hear when it closes */
}

/* The fetch and its peer part; the peer serves the next one, waits, or goes. */
static void release(struct http_fetch *f, bool keep)
{
    struct http_peer *peer = f->peer;
    struct http_pool *p = f->pool;

    f->peer = NULL;
    f->pool = NULL;
    buf_release(&f->request);
    peer->fetch = NULL;
    if (!keep || p->idle.n >= p->limits.max_idle) {
        peer_close(peer);
        return;
    }
    peer_keep(peer);
    serve_line(p);
}

static void fetch_end(struct http_fetch *f, enum http_fetch_end how, struct str why)
{
    release(f, how == HTTP_FETCH_WHOLE && f->peer->keep);
    f->ops->end(f, how, why);
}

/* ---- answers -------------------------------------------------------------------------------- */

static struct http_peer *peer_of(llhttp_t *parser)
{
    return (struct http_peer *)(void *)((char *)parser - offsetof(struct http_peer, parser));
}

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
    struct http_fields *fields = &peer_of(parser)->fields;

    return http_fields_add_name(fields, (struct str){ at, n }) && fields->n <= FIELDS_MAX
               ? 0
               : HPE_USER;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    return http_fields_add_value(&peer_of(parser)->fields, (struct str){ at, n }) ? 0 : HPE_USER;
}

static int on_value_complete(llhttp_t *parser)
{
    http_fields_end_value(&peer_of(parser)->fields);
    return 0;
}

static bool is_interim(const llhttp_t *parser)
{
    return parser->status_code >= 100 && parser->status_code < 200;
}

/* Codings we did not ask for and cannot undo would be handed on as text. */
static bool has_strange_coding(const struct http_fields *fields)
{
    struct str transfer = http_fields_nth(fields, STR("transfer-encoding"), 0);
    struct str content = http_fields_nth(fields, STR("content-encoding"), 0);

    return (transfer.p && !str_eq_nocase(transfer, STR("chunked"))) ||
           (content.n && !str_eq_nocase(content, STR("identity")));
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_peer *peer = peer_of(parser);

    parser->upgrade = 0;
    if (is_interim(parser))
        return NO_BODY;
    if (parser->http_major != 1 || parser->status_code < 200 || parser->status_code > 599 ||
        has_strange_coding(&peer->fields))
        return -1;
    peer->fetch->ops->head(peer->fetch, parser->status_code, &peer->fields);
    http_fields_clear(&peer->fields, HEAD_MAX_BYTES);      /* what follows are trailers */
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct http_fetch *f = peer_of(parser)->fetch;

    f->ops->body(f, (struct str){ at, n });
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_peer *peer = peer_of(parser);

    if (is_interim(parser)) {
        http_fields_clear(&peer->fields, HEAD_MAX_BYTES);
        return 0;
    }
    peer->whole = true;
    peer->keep = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void peer_got_bytes(struct http_peer *peer, struct str bytes)
{
    struct http_fetch *f = peer->fetch;
    llhttp_errno_t     error;

    if (!f) {                                 /* an idle server has nothing to say */
        peer_close(peer);
        return;
    }
    f->answered = true;
    buf_release(&f->request);                 /* it will not be repeated        */
    error = llhttp_execute(&peer->parser, bytes.p, bytes.n);
    if (peer->whole) {
        peer->keep = peer->keep && llhttp_get_error_pos(&peer->parser) == bytes.p + bytes.n;
        fetch_end(f, HTTP_FETCH_WHOLE, STR(""));
    } else if (error != HPE_OK) {
        fetch_end(f, HTTP_FETCH_GARBAGE, str_of(llhttp_get_error_reason(&peer->parser)));
    } else {
        f->ops->flush(f);
    }
}

/* ---- connections come and go -------------------------------------------------------------------- */

static void ask(struct http_peer *peer)
{
    struct http_fetch *f = peer->fetch;

    peer->state = PEER_ASKING;
    peer->whole = peer->keep = false;
    http_fields_clear(&peer->fields, HEAD_MAX_BYTES);
    llhttp_init(&peer->parser, HTTP_RESPONSE, &callbacks);
    buf_add(stream_out(&peer->stream), buf_str(&f->request));
    stream_flush(&peer->stream);
    stream_read(&peer->stream, !f->paused);
}

/* The server may close a kept connection at the very moment we ask on it. As long as no
 * byte of an answer has come, a fresh connection may be asked once more. */
static bool repeat(struct http_peer *peer)
{
    struct http_fetch *f = peer->fetch;

    if (!peer->used || f->answered || f->repeated)
        return false;
    f->repeated = true;
    f->peer = NULL;
    peer->fetch = NULL;
    peer_close(peer);
    assign(f, NULL);
    return true;
}

static void peer_lost(struct http_peer *peer, bool orderly)
{
    struct http_fetch *f = peer->fetch;
    struct str         why = str_of(stream_why(&peer->stream));

    if (!f) {
        peer_close(peer);
        return;
    }
    if (repeat(peer))
        return;
    if (orderly && f->answered)
        llhttp_finish(&peer->parser);         /* tells whether it may end like this */
    if (peer->whole)
        fetch_end(f, HTTP_FETCH_CLOSED, STR(""));
    else
        fetch_end(f, HTTP_FETCH_CUT, why);
}

static void on_stream(struct stream *s, enum stream_news news, struct str bytes)
{
    struct http_peer *peer = LIST_OWNER(s, struct http_peer, stream);

    if (news == STREAM_CLOSED)
        peer_free(peer);
    else if (peer->state == PEER_CLOSING)
        return;
    else if (news == STREAM_DATA)
        peer_got_bytes(peer, bytes);
    else if (news == STREAM_EOF || news == STREAM_BROKEN)
        peer_lost(peer, news == STREAM_EOF);
}

/* A failed climb may have left an open stream; then the peer goes with its last news. */
static void on_reached(struct reach *r, bool good)
{
    struct http_peer *peer = LIST_OWNER(r, struct http_peer, reach);
    char              why[REACH_WHY_MAX];

    if (good) {
        ask(peer);
        return;
    }
    memcpy(why, r->why, sizeof why);          /* the peer may go before the word is said */
    fetch_end(peer->fetch, HTTP_FETCH_NO_CONNECTION, str_of(why));
}

static struct http_peer *peer_new(struct http_pool *p)
{
    struct http_peer *peer = mem_new(sizeof *peer);

    peer->pool = p;
    peer->idle_time.run = idle_too_long;
    list_push(&p->peers, &peer->link);
    return peer;
}

/* ---- pools ------------------------------------------------------------------------------------------ */

static struct http_pool *pool_new(const struct way *way)
{
    struct http_pool *p = mem_new(sizeof *p);

    way_copy(&p->way, way);
    list_init(&p->peers);
    list_init(&p->idle);
    list_init(&p->line);
    list_push(&pools, &p->link);
    return p;
}

/* When there are many, the oldest that nobody uses makes room. */
static void make_room(void)
{
    for (struct link *k = pools.head.next, *next; pools.n >= POOLS_MAX && k != &pools.head;
         k = next) {
        next = k->next;
        if (pool_is_empty(LIST_OWNER(k, struct http_pool, link)))
            pool_free(LIST_OWNER(k, struct http_pool, link));
    }
}

static struct http_pool *find_pool(const struct way *way)
{
    LIST_EACH(&pools, k) {
        struct http_pool *p = LIST_OWNER(k, struct http_pool, link);

        if (way_eq(&p->way, way))
            return p;
    }
    make_room();
    return pool_new(way);
}

/* On a kept connection, or (NULL) on a fresh one. */
static void assign(struct http_fetch *f, struct http_peer *peer)
{
    struct http_pool *p = f->pool;

    if (peer) {
        list_take(&p->idle, &peer->idle_link);
        deadline_disarm(&peer->idle_time);
        peer->used = true;
    } else {
        peer = peer_new(p);
    }
    f->peer = peer;
    peer->fetch = f;
    if (peer->used)
        ask(peer);
    else
        reach_start(&peer->reach, &peer->stream, &p->way, on_stream, on_reached);
}

/* The one that was used last: the others may go when their time is up. */
static struct http_peer *freshest(struct http_pool *p)
{
    return p->idle.n ? LIST_OWNER(p->idle.head.prev, struct http_peer, idle_link) : NULL;
}

static void serve_line(struct http_pool *p)
{
    while (p->line.n && (p->idle.n || p->peers.n < p->limits.max_open)) {
        struct http_fetch *f = LIST_OWNER(list_pop(&p->line), struct http_fetch, link);

        assign(f, freshest(p));
    }
}

static void tell_crowded(struct note *n)
{
    struct http_fetch *f = LIST_OWNER(n, struct http_fetch, crowded);
    struct http_pool  *p = f->pool;

    f->pool = NULL;
    buf_release(&f->request);
    pool_free_if_late(p);
    f->ops->end(f, HTTP_FETCH_CROWDED, STR(""));
}

void http_fetch_start(struct http_fetch *f, const struct http_fetch_ops *ops, const struct way *way,
                      const struct http_client_limits *limits, struct buf request)
{
    struct http_pool *p = find_pool(way);

    *f = (struct http_fetch){
        .ops = ops, .request = request, .pool = p, .crowded.run = tell_crowded
    };
    p->limits = *limits;
    p->way.connect_timeout = way->connect_timeout;
    p->way.tls_timeout = way->tls_timeout;
    if (p->line.n >= limits->max_waiting && !p->idle.n && p->peers.n >= limits->max_open) {
        note_leave(&f->crowded);
        return;
    }
    list_push(&p->line, &f->link);
    serve_line(p);
}

void http_fetch_pause(struct http_fetch *f)
{
    f->paused = true;
    if (f->peer && f->peer->state == PEER_ASKING)
        stream_read(&f->peer->stream, false);
}

void http_fetch_resume(struct http_fetch *f)
{
    f->paused = false;
    if (f->peer && f->peer->state == PEER_ASKING)
        stream_read(&f->peer->stream, true);
}

void http_fetch_cancel(struct http_fetch *f)
{
    struct http_pool *p = f->pool;

    if (!p)
        return;
    if (f->peer) {
        release(f, false);
        return;
    }
    if (link_is_in(&f->link))
        list_take(&p->line, &f->link);
    note_tear(&f->crowded);
    f->pool = NULL;
    buf_release(&f->request);
    pool_free_if_late(p);
}

void http_clients_close(void)
{
    closing = true;
    for (struct link *k = pools.head.next, *next; k != &pools.head; k = next) {
        struct http_pool *p = LIST_OWNER(k, struct http_pool, link);

        next = k->next;
        while (p->idle.n)
            peer_close(LIST_OWNER(list_first(&p->idle), struct http_peer, idle_link));
        pool_free_if_late(p);
    }
}
