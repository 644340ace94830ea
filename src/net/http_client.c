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
#include "net/http_reply.h"
#include "net/stream.h"

#include <assert.h>
#include <string.h>

enum {
    POOLS_MAX = 200,
    REST_MAX_BYTES = 16 * 1024,
    REST_MAX_MS = 1000,
};

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
    struct reach      *reach;                 /* while it is under way          */
    struct http_fetch *fetch;                 /* NULL: idle or closing          */
    enum peer_state    state;
    struct stream      stream;
    struct http_reply  reply;
    struct deadline    idle_time;             /* idle, or reading a rest        */
    struct http_fetch *rest;                  /* stands in for a fetch that left; or NULL */
    size_t             rest_bytes;
    bool               used;                  /* it has answered before         */
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
    http_reply_release(&peer->reply);
    mem_free(peer->rest);
    mem_free(peer);
    serve_line(p);
    pool_free_if_late(p);
}

static void stop_reaching(struct http_peer *peer)
{
    reach_cancel(peer->reach);
    mem_free(peer->reach);
    peer->reach = NULL;
}

static void peer_close(struct http_peer *peer)
{
    if (peer->state == PEER_CLOSING)
        return;
    peer->state = PEER_CLOSING;
    deadline_disarm(&peer->idle_time);
    if (link_is_in(&peer->idle_link))
        list_take(&peer->pool->idle, &peer->idle_link);
    if (peer->reach)
        stop_reaching(peer);
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
    deadline_disarm(&peer->idle_time);
    if (!keep || p->idle.n >= p->limits.max_idle) {
        peer_close(peer);
        return;
    }
    peer_keep(peer);
    serve_line(p);
}

/* A rest is gone as soon as its peer serves the next. */
static void fetch_end(struct http_fetch *f, enum http_fetch_end how, struct str why)
{
    const struct http_fetch_ops *ops = f->ops;

    release(f, how == HTTP_FETCH_WHOLE && f->peer->reply.keep);
    ops->end(f, how, why);
}

/* ---- answers -------------------------------------------------------------------------------- */

static void on_head(struct http_reply *r, int status, const struct http_fields *fields)
{
    struct http_fetch *f = LIST_OWNER(r, struct http_peer, reply)->fetch;

    journey_mark_head(f->pool->way.journey, status, fields);
    f->ops->head(f, status, fields);
}

static void on_body(struct http_reply *r, struct str bytes)
{
    struct http_fetch *f = LIST_OWNER(r, struct http_peer, reply)->fetch;

    f->ops->body(f, bytes);
}

static void peer_got_bytes(struct http_peer *peer, struct str bytes)
{
    struct http_fetch *f = peer->fetch;

    if (!f) {                                 /* an idle server has nothing to say */
        peer_close(peer);
        return;
    }
    if (!f->answered)
        buf_release(&f->request);             /* it will not be repeated        */
    f->answered = true;
    switch (http_reply_feed(&peer->reply, bytes)) {
    case REPLY_WHOLE: fetch_end(f, HTTP_FETCH_WHOLE, STR("")); return;
    case REPLY_GARBAGE:
        fetch_end(f, HTTP_FETCH_GARBAGE, str_of(http_reply_why(&peer->reply)));
        return;
    case REPLY_MORE: f->ops->flush(f); return;
    }
}

/* ---- connections come and go -------------------------------------------------------------------- */

static void ask(struct http_peer *peer)
{
    struct http_fetch *f = peer->fetch;

    peer->state = PEER_ASKING;
    http_reply_begin(&peer->reply);
    buf_add(stream_out(&peer->stream), buf_str(&f->request));
    stream_flush(&peer->stream);
    stream_read(&peer->stream, !f->paused);
}

/* The server may close a kept connection at the very moment we ask on it. As long as no
 * byte of an answer has come, a fresh connection may be asked once more: who ends a kept one
 * without a byte has hardly read what came on it. */
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
    if (orderly && f->answered && http_reply_end(&peer->reply))
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
    struct http_peer *peer = r->user;
    char              why[REACH_WHY_MAX];

    memcpy(why, r->why, sizeof why);          /* the peer may go before the word is said */
    stop_reaching(peer);
    if (good)
        ask(peer);
    else
        fetch_end(peer->fetch, HTTP_FETCH_NO_CONNECTION, str_of(why));
}

static struct http_peer *peer_new(struct http_pool *p)
{
    struct http_peer *peer = mem_new(sizeof *peer);

    peer->pool = p;
    peer->reply.head = on_head;
    peer->reply.body = on_body;
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

static void start_reaching(struct http_peer *peer)
{
    peer->reach = mem_new(sizeof *peer->reach);
    reach_start(peer->reach, &peer->stream, &peer->pool->way, on_stream, on_reached);
    peer->reach->user = peer;
}

/* On a kept connection, or (NULL) on a fresh one. */
static void assign(struct http_fetch *f, struct http_peer *peer)
{
    struct http_pool *p = f->pool;

    if (peer) {
        list_take(&p->idle, &peer->idle_link);
        deadline_disarm(&peer->idle_time);
        mem_free(peer->rest);
        peer->rest = NULL;
        peer->used = true;
    } else {
        peer = peer_new(p);
    }
    f->peer = peer;
    peer->fetch = f;
    if (peer->used)
        ask(peer);
    else
        start_reaching(peer);
}

/* The one that was used last: the others may go when their time is up. */
static struct http_peer *freshest(struct http_pool *p)
{
    return p->idle.n ? LIST_OWNER(p->idle.head.prev, struct http_peer, idle_link) : NULL;
}

/* "Hardly" is not enough for what must not be done twice: a fresh one is not asked again. */
static struct http_peer *peer_for(struct http_pool *p, const struct http_fetch *f)
{
    if (!f->is_once)
        return freshest(p);
    if (p->peers.n >= p->limits.max_open)     /* one that is idle makes room    */
        peer_close(freshest(p));
    return NULL;
}

static void serve_line(struct http_pool *p)
{
    while (p->line.n && (p->idle.n || p->peers.n < p->limits.max_open)) {
        struct http_fetch *f = LIST_OWNER(list_pop(&p->line), struct http_fetch, link);

        assign(f, peer_for(p, f));
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

    *f = (struct http_fetch){ .ops = ops,
                              .is_once = f->is_once,
                              .request = request,
                              .pool = p,
                              .crowded.run = tell_crowded };
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

/* ---- rests: what still comes of an answer that has been heard -------------------------------- */

static void rest_head(struct http_fetch *f, int status, const struct http_fields *fields)
{
    (void)f;
    (void)status;
    (void)fields;
}

static void rest_body(struct http_fetch *f, struct str bytes)
{
    f->peer->rest_bytes += bytes.n;
}

static void rest_flush(struct http_fetch *f)
{
    if (f->peer->rest_bytes > REST_MAX_BYTES)
        release(f, false);
}

static void rest_end(struct http_fetch *f, enum http_fetch_end how, struct str why)
{
    (void)f;
    (void)how;
    (void)why;
}

static const struct http_fetch_ops rest_ops = { rest_head, rest_body, rest_flush, rest_end };

void http_fetch_leave(struct http_fetch *f)
{
    struct http_peer *peer = f->peer;

    if (!f->pool || !peer || !f->answered) {
        http_fetch_cancel(f);
        return;
    }
    peer->rest = mem_new(sizeof *peer->rest);
    *peer->rest =
        (struct http_fetch){ .ops = &rest_ops, .pool = f->pool, .peer = peer, .answered = true };
    peer->rest_bytes = 0;
    peer->fetch = peer->rest;
    deadline_arm(&peer->idle_time, clock_now() + REST_MAX_MS * CLOCK_MS);
    stream_read(&peer->stream, true);
    f->peer = NULL;
    f->pool = NULL;
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

static void close_unused(struct http_pool *p)
{
    for (struct link *k = p->peers.head.next, *next; k != &p->peers.head; k = next) {
        struct http_peer *peer = LIST_OWNER(k, struct http_peer, link);

        next = k->next;
        if (!peer->fetch || peer->fetch == peer->rest)
            peer_close(peer);
    }
}

void http_clients_close(void)
{
    closing = true;
    for (struct link *k = pools.head.next, *next; k != &pools.head; k = next) {
        struct http_pool *p = LIST_OWNER(k, struct http_pool, link);

        next = k->next;
        close_unused(p);
        pool_free_if_late(p);
    }
}
