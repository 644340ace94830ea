/* ws_server.c - talking -> closing.
 *
 * Frames that come are wslay's to read: masks, fragments, UTF-8, lengths, and the answers to
 * pings and closes. Its context takes eight KB, so there is one only while half a frame or half
 * a message is there: a socket that waits has none. Frames that go out are our own, made where
 * they leave, because a server's have no mask.
 */
#include "net/ws_server.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/ws_handshake.h"

#include <wslay/wslay.h>

#include <stdio.h>
#include <string.h>

enum {
    HEAD_MAX = 10,                            /* of a frame without a mask      */
    MASK_BYTES = 4,
    REASON_MAX = 123,
    GOODBYE_MS = 2000,
    FIELDS_MAX = 512,
};

struct ws_conn {
    struct http_exchange     *x;
    const struct ws_app      *app;
    void                     *user;           /* NULL: he has gone, or was told the end */
    struct websocket_settings limits;
    wslay_event_context_ptr   frames;         /* NULL: nothing is half there    */
    struct str                in;             /* of the read that is running    */
    int64_t                   half;           /* bytes of a frame that has not ended; below 0:
                                                 so many of it are missing      */
    bool                      in_message; /* fragments of it are missing    */
    bool                      closing;    /* we have said Close             */
    bool                      deaf;       /* what else comes is not looked at */
    bool                      full;
    uint64_t                  heard, active; /* clock, when: a byte; a message, either way */
    uint64_t                  pong_due;   /* 0: no ping is out              */
    uint64_t                  began;         /* the message that is half there */
    uint64_t                  second;        /* the one in which `n_frames` came */
    uint64_t                  n_frames;
    size_t                    text_at; /* where a message begins that is being written */
    struct deadline           tick;
};

/* ---- the end ---------------------------------------------------------------------------- */

static void drop_frames(struct ws_conn *w)
{
    if (w->frames)
        wslay_event_context_free(w->frames);
    w->frames = NULL;
}

static void ws_free(struct ws_conn *w)
{
    metric_set(METRIC_WEBSOCKETS, metric_value(METRIC_WEBSOCKETS) - 1);
    deadline_disarm(&w->tick);
    drop_frames(w);
    mem_free(w);
}

static void tell_end(struct ws_conn *w)
{
    void *user = w->user;

    w->user = NULL;
    if (user)
        w->app->end(user);
}

/* The other side has said Close as well, or will not. */
static void hang_up(struct ws_conn *w)
{
    struct http_exchange *x = w->x;

    tell_end(w);
    ws_free(w);
    http_hang_up(x);
}

static void client_gone(void *user)
{
    struct ws_conn *w = user;

    tell_end(w);
    ws_free(w);
}

/* Our Close is out; the client has a moment to say his. */
static void await_goodbye(struct ws_conn *w)
{
    w->closing = true;
    http_read(w->x, true);
    deadline_arm(&w->tick, clock_now() + GOODBYE_MS * CLOCK_MS);
}

/* ---- what goes out ---------------------------------------------------------------------- */

static size_t write_frame_head(char *to, unsigned opcode, size_t n)
{
    to[0] = (char)(0x80 | opcode);
    if (n < 126) {
        to[1] = (char)n;
        return 2;
    }
    if (n <= UINT16_MAX) {
        to[1] = 126;
        to[2] = (char)(n >> 8);
        to[3] = (char)n;
        return 4;
    }
    to[1] = 127;
    for (int i = 0; i < 8; i++)
        to[2 + i] = (char)((uint64_t)n >> (56 - 8 * i));
    return HEAD_MAX;
}

static void add_control(struct ws_conn *w, unsigned opcode, struct str text)
{
    struct buf *out = http_body(w->x);
    char        head[HEAD_MAX];
    size_t      n = write_frame_head(head, opcode, text.n);

    buf_add(out, (struct str){ head, n });
    buf_add(out, text);
}

struct buf *ws_begin(struct ws_conn *w)
{
    struct buf *out = http_body(w->x);

    if (buf_reserve(out, HEAD_MAX))
        out->n += HEAD_MAX;
    w->text_at = out->n;
    return out;
}

/* The head has been given the most that it may take; what it did not, the text gives back. */
void ws_end(struct ws_conn *w)
{
    struct buf *out = http_body(w->x);
    size_t      n = out->n - w->text_at, head;
    char       *at;

    if (out->over)
        return;                               /* the connection breaks of it    */
    at = out->p + w->text_at - HEAD_MAX;
    head = n ? write_frame_head(at, WSLAY_TEXT_FRAME, n) : 0;
    memmove(at + head, at + HEAD_MAX, n);
    out->n -= HEAD_MAX - head;
    w->active = clock_now();
}

/* Who does not read is not read from either: he would make us keep a pong for each ping. */
bool ws_push(struct ws_conn *w)
{
    w->full = !http_push(w->x);
    if (w->full)
        http_read(w->x, false);
    return !w->full;
}

static void client_has_room(void *user)
{
    struct ws_conn *w = user;

    if (!w->full)
        return;
    w->full = false;
    http_read(w->x, true);
    if (w->user)
        w->app->room(w->user);
}

/* ---- closing ---------------------------------------------------------------------------- */

void ws_close(struct ws_conn *w, enum ws_code code, const char *why)
{
    char text[2 + REASON_MAX + 1];
    int  n = snprintf(text + 2, REASON_MAX + 1, "%s", why);

    w->user = NULL;
    if (w->closing)
        return;
    text[0] = (char)(code >> 8);
    text[1] = (char)(code & 0xff);
    add_control(w, WSLAY_CONNECTION_CLOSE, (struct str){ text, 2 + (size_t)n });
    http_push(w->x);
    await_goodbye(w);
}

/* Of our own accord, for what the client has done or not done. */
static void turn_out(struct ws_conn *w, enum ws_code code, const char *why)
{
    void *user = w->user;

    ws_close(w, code, why);
    if (user)
        w->app->end(user);
}

/* The same inside wslay, which goes on with what it has read. */
static void fail(struct ws_conn *w, enum ws_code code, const char *why)
{
    w->deaf = true;
    turn_out(w, code, why);
}

/* ---- what comes in ---------------------------------------------------------------------- */

static ssize_t frame_read(wslay_event_context_ptr ctx, uint8_t *to, size_t n, int flags, void *user)
{
    struct ws_conn *w = user;

    (void)flags;
    if (w->in.n == 0 || w->deaf) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    n = n < w->in.n ? n : w->in.n;
    memcpy(to, w->in.p, n);
    w->in = str_from(w->in, n);
    w->half += (int64_t)n;
    return (ssize_t)n;
}

static ssize_t frame_write(wslay_event_context_ptr ctx, const uint8_t *from, size_t n, int flags,
                           void *user)
{
    struct ws_conn *w = user;

    (void)ctx;
    (void)flags;
    buf_add(http_body(w->x), (struct str){ (const char *)from, n });
    return (ssize_t)n;
}

static size_t head_length(uint64_t n)
{
    return MASK_BYTES + (n < 126 ? 2 : n <= UINT16_MAX ? 4 : HEAD_MAX);
}

static bool comes_too_often(struct ws_conn *w)
{
    uint64_t second = clock_now() / CLOCK_S;

    if (second != w->second)
        w->n_frames = 0;
    w->second = second;
    return ++w->n_frames > w->limits.max_frames;
}

static void on_frame(wslay_event_context_ptr                           ctx,
                     const struct wslay_event_on_frame_recv_start_arg *f, void *user)
{
    struct ws_conn *w = user;

    (void)ctx;
    w->half -= (int64_t)(head_length(f->payload_length) + f->payload_length);
    if (!wslay_is_ctrl_frame(f->opcode)) {
        if (f->opcode != WSLAY_CONTINUATION_FRAME)
            w->began = clock_now();
        w->in_message = !f->fin;
    }
    if (!w->deaf && !w->closing && comes_too_often(w))
        fail(w, WS_CODE_POLICY, "too many frames within a second");
}

/* wslay has an answer ready, which stands before those to what comes next. Half of a code it
 * takes for none. */
static void control_came(struct ws_conn *w, const struct wslay_event_on_msg_recv_arg *m)
{
    if (m->opcode == WSLAY_CONNECTION_CLOSE && m->msg_length == 1)
        fail(w, WS_CODE_PROTOCOL, "against the protocol");
    else
        wslay_event_send(w->frames);
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                       void *user)
{
    struct ws_conn *w = user;

    (void)ctx;
    if (w->deaf || w->closing)
        return;
    if (wslay_is_ctrl_frame(m->opcode)) {
        control_came(w, m);
        return;
    }
    w->active = clock_now();
    if (m->opcode != WSLAY_TEXT_FRAME)
        fail(w, WS_CODE_UNSUPPORTED, "only text is understood here");
    else if (w->user)
        w->app->message(w->user, (struct str){ (const char *)m->msg, m->msg_length });
}

static const struct wslay_event_callbacks callbacks = { .recv_callback = frame_read,
                                                        .send_callback = frame_write,
                                                        .on_frame_recv_start_callback = on_frame,
                                                        .on_msg_recv_callback = on_message };

static void make_frames(struct ws_conn *w)
{
    if (w->frames)
        return;
    w->began = clock_now();
    wslay_event_context_server_init(&w->frames, &callbacks, w);
    wslay_event_config_set_max_recv_msg_length(w->frames, w->limits.max_message_bytes);
}

/* What is wrong in a frame is for us to name; wslay only says so of whole messages. */
static void take(struct ws_conn *w, struct str bytes)
{
    make_frames(w);
    w->in = bytes;
    if (wslay_event_recv(w->frames) != 0 && !w->closing)
        fail(w, WS_CODE_PROTOCOL, "against the protocol");
    w->in = STR("");
    if (w->closing)
        return;
    wslay_event_send(w->frames);
    w->deaf = wslay_event_get_close_sent(w->frames);
    ws_push(w);
}

/* A connection on which nothing can be read any more is not waited for (RFC 6455, 7.1.7): the
 * last words are on their way, and behind them the end. */
static void client_said(void *user, struct str bytes)
{
    struct ws_conn *w = user;

    w->heard = clock_now();
    w->pong_due = 0;
    take(w, bytes);
    if (w->deaf || wslay_event_get_close_received(w->frames))
        hang_up(w);
    else if (w->half == 0 && !w->in_message)
        drop_frames(w);
}

/* ---- the clock -------------------------------------------------------------------------- */

/* When it has to be looked at again; all of these are moved on by what comes. */
static uint64_t next_tick(const struct ws_conn *w, uint64_t now)
{
    uint64_t ping = w->pong_due ? w->pong_due : w->heard + w->limits.ping_every;
    uint64_t idle = w->active + w->limits.idle_timeout;
    uint64_t late = w->frames ? w->began + w->limits.message_timeout : UINT64_MAX;
    uint64_t next = w->full ? now + w->limits.ping_every : ping;

    next = idle < next ? idle : next;
    return late < next ? late : next;
}

static void ping(struct ws_conn *w, uint64_t now)
{
    w->pong_due = now + w->limits.pong_timeout;
    add_control(w, WSLAY_PING, STR(""));
    ws_push(w);
    deadline_arm(&w->tick, next_tick(w, now));
}

/* Whoever has output waiting is watched by the connection: a pong may be behind it. */
static void on_tick(struct deadline *d)
{
    struct ws_conn *w = LIST_OWNER(d, struct ws_conn, tick);
    uint64_t        now = clock_now();

    if (w->closing)
        hang_up(w);
    else if (w->pong_due && now >= w->pong_due && !w->full)
        http_cut(w->x);
    else if (w->frames && now >= w->began + w->limits.message_timeout)
        turn_out(w, WS_CODE_POLICY, "the message took too long");
    else if (now >= w->active + w->limits.idle_timeout)
        turn_out(w, WS_CODE_NORMAL, "nothing was said for long");
    else if (!w->full && !w->pong_due && now >= w->heard + w->limits.ping_every)
        ping(w, now);
    else
        deadline_arm(d, next_tick(w, now));
}

static void on_drain(void *user)
{
    struct ws_conn *w = user;

    if (w->user)
        w->app->drain(w->user);
}

/* ---- the beginning ---------------------------------------------------------------------- */

static const struct http_upgrade upgrade = { .bytes = client_said, .drain = on_drain };

struct ws_conn *ws_open(struct http_exchange *x, const struct http_reader *rq, struct str protocol,
                        const struct websocket_settings *settings, const struct ws_app *app,
                        void *user)
{
    struct ws_conn *w = mem_new(sizeof *w);
    struct buf      fields = BUF(FIELDS_MAX);
    char            accept[WS_ACCEPT_SIZE];

    *w = (struct ws_conn){ .x = x, .app = app, .user = user, .limits = *settings };
    w->heard = w->active = clock_now();
    w->tick.run = on_tick;
    deadline_arm(&w->tick, next_tick(w, w->heard));
    ws_accept_of(http_reader_header(rq, STR("sec-websocket-key")), accept);
    buf_addf(&fields, "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: %s\r\n",
             accept);
    if (protocol.n)
        buf_addf(&fields, "sec-websocket-protocol: %.*s\r\n", STR_ARG(protocol));
    http_watch(x, client_gone, client_has_room, w);
    http_upgrade(x, buf_str(&fields), &upgrade);
    buf_release(&fields);
    metric_set(METRIC_WEBSOCKETS, metric_value(METRIC_WEBSOCKETS) + 1);
    return w;
}

struct http_exchange *ws_exchange(struct ws_conn *w)
{
    return w->x;
}
