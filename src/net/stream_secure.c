/* stream_secure.c - TLS around a stream.
 *
 * Handshakes are the dearest thing on the loop: some of their steps take a millisecond. So
 * they wait in a line, and each reading of the notes does about a millisecond of them; a
 * thousand new connections then slow the running streams by that much and not by seconds.
 * Bytes that come for a handshake in the line are held until its turn.
 */
#include "net/stream_secure.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/loop.h"
#include "net/tls.h"

enum {
    WIRE_LIMIT = 256 << 20,
    HELD_LIMIT = 512 * 1024,
    SLICE = 1 * CLOCK_MS,                     /* of handshakes, at a time       */
    ROOM_FOR_PARTS = 32 * 1024,               /* a record that began in an earlier read */
};

struct secure {
    struct stream *stream;
    struct tls    *tls;
    struct link    turn;                      /* in the line of handshakes      */
    struct buf     held;                      /* came during the handshake      */
    struct buf     wire;
    bool           done, failed;
};

static void work(struct note *n);

static struct list line = { .head = { &line.head, &line.head } };
static struct note again = { .run = work };
static char        plain[LOOP_READ_SIZE + ROOM_FOR_PARTS];

struct buf *secure_wire(struct stream *s)
{
    return &s->secure->wire;
}

static void fail(struct secure *x)
{
    if (!x->done)
        metric_add_labelled(METRIC_TLS_HANDSHAKES, "failed", "");
    x->failed = true;
    stream_flush(x->stream);                  /* the alert that says why        */
    stream_break(x->stream);
}

/* ---- reading ------------------------------------------------------------------------ */

/* One read from the wire is one DATA, so that what was said together is told together. It
 * fits: what comes out of TLS is less than what goes in, and of earlier reads it can hold
 * back no more than one record. */
static void open_up(struct secure *x, struct str bytes)
{
    struct stream  *s = x->stream;
    size_t          n = 0, more = 0;
    enum tls_result r;

    while ((r = tls_read(x->tls, &bytes, &x->wire, plain + n, sizeof plain - n, &more)) == TLS_DONE)
        n += more;
    if (n)
        s->on(s, STREAM_DATA, (struct str){ plain, n });
    if (s->closing)
        return;
    if (r == TLS_BROKEN)
        fail(x);
    else
        stream_flush(s);                      /* answers that TLS itself has to give */
    if (r == TLS_CLOSED) {
        stream_read(s, false);
        s->on(s, STREAM_EOF, STR(""));
    }
}

void secure_take(struct stream *s, struct str bytes)
{
    struct secure *x = s->secure;

    if (x->failed)
        return;
    if (x->done) {
        open_up(x, bytes);
        return;
    }
    buf_add(&x->held, bytes);
    if (!link_is_in(&x->turn))
        list_push(&line, &x->turn);
    note_leave(&again);
}

/* Whoever ends without a goodbye may have been cut short by somebody else. */
void secure_eof(struct stream *s)
{
    stream_break(s);
}

/* ---- the handshake ------------------------------------------------------------------ */

static void handshake_over(struct secure *x)
{
    struct stream *s = x->stream;
    struct buf     rest = x->held;

    x->done = true;
    x->held = BUF(HELD_LIMIT);
    metric_add_labelled(METRIC_TLS_HANDSHAKES, tls_was_resumed(x->tls) ? "resumed" : "full", "");
    stream_watch(s, s->reading);
    s->on(s, STREAM_SECURED, STR(""));
    if (rest.n && !s->closing)
        open_up(x, buf_str(&rest));
    buf_release(&rest);
}

static void step(struct secure *x)
{
    struct str      in = buf_str(&x->held);
    enum tls_result r = tls_handshake(x->tls, &in, &x->wire);

    buf_drop_front(&x->held, x->held.n - in.n);
    if (r == TLS_BROKEN || x->held.over) {
        fail(x);
        return;
    }
    if (r == TLS_WORKING)
        list_push(&line, &x->turn);
    else
        stream_flush(x->stream);
    if (r == TLS_DONE)
        handshake_over(x);
}

static void work(struct note *n)
{
    uint64_t started = clock_exact();

    while (line.n && clock_exact() - started < SLICE)
        step(LIST_OWNER(list_pop(&line), struct secure, turn));
    if (line.n)
        note_leave(n);
}

void stream_secure(struct stream *s, struct tls *tls)
{
    struct secure *x = mem_new(sizeof *x);

    x->stream = s;
    x->tls = tls;
    x->held = BUF(HELD_LIMIT);
    x->wire = BUF(WIRE_LIMIT);
    s->secure = x;
    stream_watch(s, true);
    list_push(&line, &x->turn);
    note_leave(&again);
}

const char *stream_why(const struct stream *s)
{
    return s->secure && s->secure->failed ? tls_why(s->secure->tls) : "";
}

/* ---- writing ------------------------------------------------------------------------ */

bool secure_seal(struct stream *s)
{
    struct secure *x = s->secure;
    bool           good;

    if (!x->done || x->failed || s->out.n == 0)
        return true;
    good = tls_write(x->tls, buf_str(&s->out), &x->wire);
    buf_clear(&s->out);
    return good;
}

/* Best effort: what the kernel does not take now does not go any more. */
void secure_say_goodbye(struct stream *s)
{
    struct secure *x = s->secure;

    if (!x->done || x->failed || s->flight || x->wire.n)
        return;
    tls_say_goodbye(x->tls, &x->wire);
    stream_flush(s);
}

void secure_free(struct stream *s)
{
    struct secure *x = s->secure;

    if (link_is_in(&x->turn))
        list_take(&line, &x->turn);
    buf_release(&x->held);
    buf_release(&x->wire);
    tls_free(x->tls);
    mem_free(x);
    s->secure = NULL;
}
