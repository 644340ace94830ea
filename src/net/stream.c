#include "net/stream.h"

#include "base/mem.h"
#include "base/metrics.h"
#include "net/loop.h"
#include "net/stream_secure.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    OUT_LIMIT = 256 << 20,
    SPARES = 32,                              /* more than write in one go      */
    SPARE_MAX = 64 * 1024,

    /* What the kernel may hold unsent for one peer. Without a limit it takes megabytes from
     * a slow reader's stream before we notice that he is slow. */
    NOT_SENT_MAX = 16 * 1024,
};

/* Bytes handed to libuv because the kernel was full; they stay put until it is done. */
struct flight {
    uv_write_t     request;
    struct stream *stream;
    struct buf     bytes;
};

static void shut_if_drained(struct stream *s);

/* The output memory of those who wrote last: the next writers take it from here, so in
 * steady state nothing is allocated and the same cache lines are used again. */
static struct buf spares[SPARES];
static size_t     n_spares;

static void give_memory_back(struct buf *b)
{
    if (b->p && n_spares < SPARES && b->cap <= SPARE_MAX) {
        spares[n_spares++] = *b;
        *b = BUF(OUT_LIMIT);
    }
    buf_release(b);
}

void streams_release(void)
{
    while (n_spares)
        buf_release(&spares[--n_spares]);
}

struct buf *stream_out(struct stream *s)
{
    if (!s->out.p && n_spares) {
        s->out = spares[--n_spares];
        buf_clear(&s->out);
    }
    return &s->out;
}

size_t stream_queued(const struct stream *s)
{
    size_t sealed = s->secure ? secure_wire((struct stream *)s)->n : 0;

    return s->out.n + sealed + (s->flight ? s->flight->bytes.n : 0);
}

/* Grows with every byte that the kernel takes from us and with every byte that the peer
 * acknowledges. It asks the kernel, so it is not for every event. */
uint64_t stream_progress(const struct stream *s)
{
    size_t     queued = uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp);
    uint64_t   handed = s->handed + (s->flight ? s->flight->bytes.n - queued : 0);
    uv_os_fd_t fd;
    int        unread = 0;

    if (uv_fileno((const uv_handle_t *)&s->tcp, &fd) != 0 || ioctl(fd, SIOCOUTQ, &unread) != 0 ||
        (uint64_t)unread > handed)
        return handed;
    return handed + handed - (uint64_t)unread;
}

/* ---- news from libuv ------------------------------------------------------------ */

static void tell_broken(struct note *n)
{
    struct stream *s = LIST_OWNER(n, struct stream, broken);

    if (!s->closing)
        s->on(s, STREAM_BROKEN, STR(""));
}

static void lend_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)handle;
    (void)wanted;
    *buf = uv_buf_init(loop_read_buffer(), LOOP_READ_SIZE);
}

static void take(struct stream *s, struct str bytes)
{
    if (s->secure)
        secure_take(s, bytes);
    else
        s->on(s, STREAM_DATA, bytes);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = handle->data;

    if (n == 0)
        return;
    if (n > 0) {
        metric_add(METRIC_RECEIVED, n);
        take(s, (struct str){ buf->base, (size_t)n });
        return;
    }
    s->reading = false;
    stream_watch(s, false);
    if (n != UV_EOF)
        note_leave(&s->broken);
    else if (s->secure)
        secure_eof(s);
    else
        s->on(s, STREAM_EOF, STR(""));
}

static void count_sent(struct stream *s, size_t n)
{
    metric_add(METRIC_SENT, (int64_t)n);
    s->handed += n;
}

static void on_written(uv_write_t *request, int rc)
{
    struct flight *f = LIST_OWNER(request, struct flight, request);
    struct stream *s = f->stream;

    if (rc == 0)
        count_sent(s, f->bytes.n);
    give_memory_back(&f->bytes);
    s->flight = NULL;
    mem_free(f);
    if (s->closing)
        return;
    if (rc != 0) {
        note_leave(&s->broken);
        return;
    }
    stream_flush(s);
    shut_if_drained(s);
    s->on(s, STREAM_MOVED, STR(""));
}

static void on_shut(uv_shutdown_t *request, int rc)
{
    (void)rc;                                 /* a lost connection is told by the read side */
    mem_free(request);
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;

    note_tear(&s->broken);
    buf_release(&s->out);
    if (s->secure)
        secure_free(s);
    s->open = false;
    s->on(s, STREAM_CLOSED, STR(""));
}

/* ---- what the owner asks for ------------------------------------------------------- */

int stream_open(struct stream *s, int fd,
                void (*on)(struct stream *s, enum stream_news news, struct str bytes))
{
    int rc;

    *s =
        (struct stream){ .on = on, .out = BUF(OUT_LIMIT), .broken.run = tell_broken, .open = true };
    uv_tcp_init(loop_get(), &s->tcp);
    s->tcp.data = s;
    rc = uv_tcp_open(&s->tcp, fd);
    if (rc != 0)
        return rc;
    uv_tcp_nodelay(&s->tcp, 1);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){ NOT_SENT_MAX }, sizeof(int));
    return 0;
}

void stream_break(struct stream *s)
{
    note_leave(&s->broken);
}

void stream_watch(struct stream *s, bool on)
{
    if (s->closing || s->watched == on)
        return;
    s->watched = on;
    if (on && uv_read_start((uv_stream_t *)&s->tcp, lend_buffer, on_read) != 0)
        note_leave(&s->broken);
    else if (!on)
        uv_read_stop((uv_stream_t *)&s->tcp);
}

void stream_read(struct stream *s, bool on)
{
    if (on == s->reading || s->closing)
        return;
    s->reading = on;
    stream_watch(s, on);
}

/* The kernel is full: libuv gets the bytes, and whatever is written meanwhile waits
 * in `out` until it is done. */
static void send_later(struct stream *s, struct buf *bytes)
{
    struct flight *f = mem_new(sizeof *f);
    uv_buf_t       piece = uv_buf_init(bytes->p, (unsigned)bytes->n);

    f->stream = s;
    f->bytes = *bytes;
    *bytes = BUF(OUT_LIMIT);
    s->flight = f;
    if (uv_write(&f->request, (uv_stream_t *)&s->tcp, &piece, 1, on_written) == 0)
        return;
    s->flight = NULL;
    buf_release(&f->bytes);
    mem_free(f);
    note_leave(&s->broken);
}

static void send_now(struct stream *s, struct buf *bytes)
{
    uv_buf_t piece = uv_buf_init(bytes->p, (unsigned)bytes->n);
    int      n = uv_try_write((uv_stream_t *)&s->tcp, &piece, 1);

    if (n < 0 && n != UV_EAGAIN) {
        buf_clear(bytes);
        note_leave(&s->broken);
        return;
    }
    if (n > 0) {
        count_sent(s, (size_t)n);
        buf_drop_front(bytes, (size_t)n);
    }
    if (bytes->n)
        send_later(s, bytes);
    else
        give_memory_back(bytes);
}

void stream_flush(struct stream *s)
{
    struct buf *bytes = s->secure ? secure_wire(s) : &s->out;

    if (s->closing || s->flight || stream_queued(s) == 0)
        return;
    if (s->out.over || bytes->over || (s->secure && !secure_seal(s)))
        note_leave(&s->broken);
    else if (bytes->n)
        send_now(s, bytes);
    if (s->secure && s->out.n == 0)
        give_memory_back(&s->out);
}

/* libuv's shutdown waits for what libuv has; what is still in `out` it does not know of. */
static void shut_if_drained(struct stream *s)
{
    uv_shutdown_t *request;

    if (!s->shut_wanted || s->closing || stream_queued(s))
        return;
    s->shut_wanted = false;
    request = mem_new(sizeof *request);
    if (uv_shutdown(request, (uv_stream_t *)&s->tcp, on_shut) != 0)
        mem_free(request);
}

void stream_shut(struct stream *s)
{
    s->shut_wanted = true;
    shut_if_drained(s);
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    if (s->secure)
        secure_say_goodbye(s);
    s->closing = true;
    uv_close((uv_handle_t *)&s->tcp, on_closed);
}

void stream_reset(struct stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    if (uv_tcp_close_reset(&s->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&s->tcp, on_closed);
}
