#include "net/reach.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_stream(struct stream *s, enum stream_news news, struct str bytes);

/* ---- ways --------------------------------------------------------------------------- */

static struct str copy(struct str s)
{
    return (struct str){ mem_copy(s.p, s.n), s.n };
}

void way_copy(struct way *to, const struct way *from)
{
    *to = *from;
    to->host = copy(from->host);
    to->proxy_host = copy(from->proxy_host);
    to->proxy_credentials = copy(from->proxy_credentials);
    if (from->trust)
        tls_trust_share(from->trust);
    if (from->memory)
        tls_memory_share(from->memory);
    else if (from->is_secure)
        to->memory = tls_memory_new();
}

void way_release(struct way *w)
{
    mem_free((char *)w->host.p);
    mem_free((char *)w->proxy_host.p);
    mem_free((char *)w->proxy_credentials.p);
    tls_memory_drop(w->memory);
    tls_trust_drop(w->trust);
}

/* The same connection would do for both; how long one waits for it may differ. */
bool way_eq(const struct way *a, const struct way *b)
{
    return a->port == b->port && a->is_secure == b->is_secure && a->trust == b->trust &&
           a->only_public == b->only_public && str_eq_nocase(a->host, b->host) &&
           a->proxy_port == b->proxy_port && str_eq_nocase(a->proxy_host, b->proxy_host) &&
           str_eq(a->proxy_credentials, b->proxy_credentials);
}

static struct reach *climber(struct stream *s)
{
    return s->user;
}

/* ---- the end ------------------------------------------------------------------------ */

static void leave(struct reach *r)
{
    if (r->rung == REACH_TUNNEL)
        http_opening_release(&r->opening);
    deadline_disarm(&r->patience);
    dial_cancel(&r->dial);
    r->rung = REACH_OVER;
    gate_give_back(&r->turn);
    r->stream->on = r->on;
}

static void fail(struct reach *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct reach *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
    leave(r);
    r->done(r, false);
}

static void succeed(struct reach *r)
{
    leave(r);
    r->done(r, true);
}

static void out_of_patience(struct deadline *d)
{
    struct reach *r = LIST_OWNER(d, struct reach, patience);

    fail(r, "%s took too long", r->rung == REACH_TLS ? "the TLS handshake" : "the proxy");
}

/* ---- TLS ---------------------------------------------------------------------------- */

static void climb_tls(struct reach *r)
{
    const struct way *w = r->way;

    if (!w->is_secure) {
        succeed(r);
        return;
    }
    if (!w->trust) {
        fail(r, "TLS: there are no certificates to trust");
        return;
    }
    r->rung = REACH_TLS;
    stream_secure(r->stream, tls_new(w->trust, w->memory, w->host));
}

/* ---- the tunnel --------------------------------------------------------------------- */

static void write_authority(const struct way *w, struct buf *out)
{
    bool is_ipv6 = w->host.n && memchr(w->host.p, ':', w->host.n);

    buf_addf(out, is_ipv6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(w->host), (unsigned)w->port);
}

static void climb_tunnel(struct reach *r)
{
    const struct way *w = r->way;
    struct buf       *out = stream_out(r->stream);

    deadline_arm(&r->patience, clock_now() + w->tls_timeout);
    if (!w->proxy_host.n) {
        climb_tls(r);
        return;
    }
    r->rung = REACH_TUNNEL;
    http_opening_init(&r->opening, 200);
    buf_lit(out, "CONNECT ");
    write_authority(w, out);
    buf_lit(out, " HTTP/1.1\r\nhost: ");
    write_authority(w, out);
    if (w->proxy_credentials.n)
        buf_addf(out, "\r\nproxy-authorization: Basic %.*s", STR_ARG(w->proxy_credentials));
    buf_lit(out, "\r\n\r\n");
    stream_flush(r->stream);
    stream_read(r->stream, true);
}

static void refused(struct reach *r)
{
    fail(r, "the proxy refused: HTTP %d", r->opening.status);
}

static void tunnel_got(struct reach *r, struct str bytes)
{
    size_t eaten = 0;

    switch (http_opening_feed(&r->opening, bytes, &eaten)) {
    case OPENING_MORE: return;
    case OPENING_REFUSED: refused(r); return;
    case OPENING_GARBAGE: fail(r, "the proxy's answer is not HTTP"); return;
    case OPENING_GOOD: break;
    }
    if (eaten < bytes.n) {                    /* the other end must wait for us */
        fail(r, "something spoke before us through the proxy");
        return;
    }
    http_opening_release(&r->opening);
    stream_read(r->stream, false);
    journey_mark(r->way->journey, JOURNEY_TUNNELLED);
    climb_tls(r);
}

/* ---- news --------------------------------------------------------------------------- */

static void lost(struct reach *r)
{
    const char *why = stream_why(r->stream);

    if (r->rung == REACH_TUNNEL && http_opening_end(&r->opening) == OPENING_REFUSED)
        refused(r);
    else if (r->rung == REACH_TUNNEL)
        fail(r, "the proxy closed the connection");
    else
        fail(r, "TLS: %s", *why ? why : "the connection was lost in the handshake");
}

static void on_stream(struct stream *s, enum stream_news news, struct str bytes)
{
    struct reach *r = climber(s);

    switch (news) {
    case STREAM_DATA:
        if (r->rung == REACH_TUNNEL)
            tunnel_got(r, bytes);
        return;
    case STREAM_SECURED:
        journey_mark(r->way->journey, JOURNEY_SECURED);
        succeed(r);
        return;
    case STREAM_EOF:
    case STREAM_BROKEN: lost(r); return;
    case STREAM_MOVED:
    case STREAM_CLOSED: return;               /* the owner closes, and hears it himself */
    }
}

/* The addresses are in nobody's words: who asked may want to learn what is where. */
static void kept_out(struct reach *r)
{
    LOG(LOG_WARN, L_MSG("kept from an address that is not public"), L_STR("host", r->way->host),
        L_INT("port", r->way->port));
    fail(r, "its address is not a public one");
}

static void on_dialled(struct dial *d, int fd, int rc)
{
    struct reach *r = LIST_OWNER(d, struct reach, dial);

    if (r->way->journey)
        r->way->journey->at[JOURNEY_NAMED] = d->named_at;
    if (rc == 0) {
        journey_mark(r->way->journey, JOURNEY_CONNECTED);
        rc = stream_open(r->stream, fd, on_stream);
        r->stream->user = r;
        if (rc != 0)
            close(fd);
    }
    if (rc == UV_EACCES && r->way->only_public)
        kept_out(r);
    else if (rc != 0)
        fail(r, "%s", uv_strerror(rc));
    else
        climb_tunnel(r);
}

static void climb_dial(struct reach *r)
{
    const struct way *w = r->way;
    bool              by_proxy = w->proxy_host.n > 0;

    r->rung = REACH_DIAL;
    if (w->only_public) {
        assert(!by_proxy);
        dial_start_public(&r->dial, w->host, w->port, w->connect_timeout, on_dialled);
        return;
    }
    dial_start(&r->dial, by_proxy ? w->proxy_host : w->host, by_proxy ? w->proxy_port : w->port,
               w->connect_timeout, on_dialled);
}

/* As long as others get through, one's turn will come. */
static void on_turn(struct place *p, bool held)
{
    struct reach *r = LIST_OWNER(p, struct reach, turn);

    if (held)
        climb_dial(r);
    else if (tls_memory_is_lively(r->way->memory, r->way->tls_timeout))
        gate_ask(p->gate, p, on_turn);
    else
        fail(r, "TLS: no handshake with it has come to an end");
}

void reach_start(struct reach *r, struct stream *s, const struct way *way,
                 void (*on)(struct stream *s, enum stream_news news, struct str bytes),
                 void (*done)(struct reach *r, bool good))
{
    *r = (struct reach){ .rung = REACH_TURN, .way = way, .stream = s, .on = on, .done = done };
    s->open = false;
    r->patience.run = out_of_patience;
    if (!way->is_secure) {
        climb_dial(r);
        return;
    }
    tls_memory_gate(way->memory)->max_wait = way->tls_timeout;
    gate_ask(tls_memory_gate(way->memory), &r->turn, on_turn);
}

void reach_cancel(struct reach *r)
{
    if (r->rung != REACH_OVER)
        leave(r);
}
