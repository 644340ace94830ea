/* ws_client.c - reaching -> asking -> talking -> closing.
 *
 * The frames are wslay's: masks, fragments, pings, UTF-8 and the lengths of control
 * frames. What it leaves to its user is here: the handshake with every check of RFC 6455
 * section 4.1, the whole message, and the end.
 */
#include "net/ws_client.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "net/ws_handshake.h"
#include "wire/base64.h"
#include "wire/http_text.h"

#include <wslay/wslay.h>

#include <stdio.h>
#include <string.h>

enum {
    GOODBYE_MS = 2000,
    KEY_BYTES = 16,
    TEXT_MAX = 64,
    PONGS_MAX_BYTES = 1 << 20,
};

enum ws_state { WS_REACHING, WS_ASKING, WS_TALKING, WS_CLOSING };

struct ws {
    struct link             link;
    enum ws_state           state;
    const struct ws_ops    *ops;
    void                   *user; /* NULL: the owner has gone       */
    struct way              way;
    struct reach            reach;
    struct stream           stream;
    struct buf              request;
    char                    accept[WS_ACCEPT_SIZE]; /* what the server must answer */
    struct http_opening     opening;
    wslay_event_context_ptr frames;
    struct str              in; /* of the read that is running    */
    size_t                  max_message_bytes;
    size_t                  max_queued;       /* what we said, sealed, and some pongs */
    struct deadline         goodbye;
    struct note             leave; /* from the top of the stack      */
    bool                    paused;
    bool                    spoiled; /* what else comes is not told    */
};

static struct list all = { .head = { &all.head, &all.head } };

/* ---- the end -------------------------------------------------------------------------- */

static void ws_free(struct ws *w)
{
    list_take(&all, &w->link);
    deadline_disarm(&w->goodbye);
    note_tear(&w->leave);
    http_opening_release(&w->opening);
    if (w->frames)
        wslay_event_context_free(w->frames);
    buf_release(&w->request);
    way_release(&w->way);
    mem_free(w);
}

static void hang_up(struct ws *w)
{
    if (w->state == WS_REACHING)
        reach_cancel(&w->reach);
    w->state = WS_CLOSING;
    if (w->stream.open)
        stream_close(&w->stream);
    else
        ws_free(w);
}

static void hang_up_noted(struct note *n)
{
    hang_up(LIST_OWNER(n, struct ws, leave));
}

static void waited_for_goodbye(struct deadline *d)
{
    hang_up(LIST_OWNER(d, struct ws, goodbye));
}

/* Says Close and gives the peer a moment to say it too. */
static void part(struct ws *w, uint16_t code)
{
    bool was_talking = w->state == WS_TALKING;

    if (w->state == WS_CLOSING)
        return;
    if (was_talking && !wslay_event_get_close_sent(w->frames)) {
        wslay_event_queue_close(w->frames, code, NULL, 0);
        wslay_event_send(w->frames);
        stream_flush(&w->stream);
    }
    if (was_talking && !wslay_event_get_close_received(w->frames)) {
        w->state = WS_CLOSING;
        stream_read(&w->stream, true);
        deadline_arm(&w->goodbye, clock_now() + GOODBYE_MS * CLOCK_MS);
    } else {
        note_leave(&w->leave);
    }
}

static void end(struct ws *w, enum ws_end how, struct str why)
{
    void *user = w->user;

    w->user = NULL;
    if (user)
        w->ops->end(user, how, why);
    part(w, how == WS_GARBAGE ? WSLAY_CODE_PROTOCOL_ERROR : WSLAY_CODE_NORMAL_CLOSURE);
}

void ws_cancel(struct ws *w)
{
    w->user = NULL;
    part(w, WSLAY_CODE_NORMAL_CLOSURE);
}

/* ---- frames --------------------------------------------------------------------------- */

static ssize_t frame_read(wslay_event_context_ptr ctx, uint8_t *to, size_t n, int flags, void *user)
{
    struct ws *w = user;

    (void)flags;
    if (w->in.n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    n = n < w->in.n ? n : w->in.n;
    memcpy(to, w->in.p, n);
    w->in = str_from(w->in, n);
    return (ssize_t)n;
}

static ssize_t frame_write(wslay_event_context_ptr ctx, const uint8_t *from, size_t n, int flags,
                           void *user)
{
    struct ws *w = user;

    (void)ctx;
    (void)flags;
    buf_add(stream_out(&w->stream), (struct str){ (const char *)from, n });
    return (ssize_t)n;
}

static int make_mask(wslay_event_context_ptr ctx, uint8_t *mask, size_t n, void *user)
{
    (void)ctx;
    (void)user;
    id_fill_bytes(mask, n);
    return 0;
}

/* Also told of control frames, which wslay has answered already. */
static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                       void *user)
{
    struct ws *w = user;

    if (!w->user || w->spoiled || wslay_is_ctrl_frame(m->opcode))
        return;
    if (m->opcode == WSLAY_TEXT_FRAME) {
        w->ops->message(w->user, (struct str){ (const char *)m->msg, m->msg_length });
        return;
    }
    w->spoiled = true;
    wslay_event_queue_close(ctx, WSLAY_CODE_UNSUPPORTED_DATA, NULL, 0);
}

static const struct wslay_event_callbacks callbacks = { .recv_callback = frame_read,
                                                        .send_callback = frame_write,
                                                        .genmask_callback = make_mask,
                                                        .on_msg_recv_callback = on_message };

static void closed_by_peer(struct ws *w)
{
    char why[TEXT_MAX];

    snprintf(why, sizeof why, "closed with %d",
             (int)wslay_event_get_status_code_received(w->frames));
    end(w, WS_CLOSED, str_of(why));
}

static void broke_the_rules(struct ws *w)
{
    char why[TEXT_MAX];

    snprintf(why, sizeof why, "against the protocol (%d)",
             (int)wslay_event_get_status_code_sent(w->frames));
    end(w, WS_GARBAGE, str_of(why));
}

/* Who only pings and never reads makes us keep a pong for each. */
static void does_not_listen(struct ws *w)
{
    stream_reset(&w->stream);
    end(w, WS_GARBAGE, STR("it pings and does not read"));
}

static void talking_got(struct ws *w, struct str bytes)
{
    bool good;

    w->in = bytes;
    good = wslay_event_recv(w->frames) == 0 && wslay_event_send(w->frames) == 0;
    w->in = STR("");
    stream_flush(&w->stream);
    if (w->user && !w->spoiled && wslay_event_get_close_received(w->frames))
        closed_by_peer(w);
    else if (w->user && (!good || wslay_event_get_close_sent(w->frames)))
        broke_the_rules(w);
    else if (stream_queued(&w->stream) > w->max_queued)
        does_not_listen(w);
    else if (w->user)
        w->ops->flush(w->user);
    else if (wslay_event_get_close_received(w->frames))
        hang_up(w);
}

/* ---- the handshake ---------------------------------------------------------------------- */

static void write_request(struct ws *w, const struct ws_order *o)
{
    unsigned char bytes[KEY_BYTES];
    struct buf    key = BUF(TEXT_MAX);

    id_fill_bytes(bytes, sizeof bytes);
    base64_encode((struct str){ (char *)bytes, sizeof bytes }, &key);
    buf_addf(&w->request,
             "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: %.*s\r\nSec-WebSocket-Version: 13\r\nUser-Agent: runnel\r\n"
             "%.*s\r\n",
             STR_ARG(o->target), STR_ARG(o->authority), STR_ARG(buf_str(&key)), STR_ARG(o->fields));
    ws_accept_of(buf_str(&key), w->accept);
    buf_release(&key);
}

/* What is wrong with a 101, or NULL. */
static const char *objection(const struct ws *w)
{
    const struct http_fields *f = &w->opening.fields;

    if (!str_eq_nocase(http_fields_nth(f, STR("upgrade"), 0), STR("websocket")))
        return "the server changes to another protocol";
    if (!http_list_has(http_fields_nth(f, STR("connection"), 0), STR("upgrade")))
        return "the server's Connection does not say upgrade";
    if (http_fields_count(f, STR("sec-websocket-accept")) != 1 ||
        !str_eq(http_fields_nth(f, STR("sec-websocket-accept"), 0), str_of(w->accept)))
        return "the server's answer does not belong to our key";
    if (http_fields_count(f, STR("sec-websocket-extensions")) ||
        http_fields_count(f, STR("sec-websocket-protocol")))
        return "the server chose an extension that was not offered";
    return NULL;
}

static void begin_to_talk(struct ws *w, struct str rest)
{
    w->state = WS_TALKING;
    wslay_event_context_client_init(&w->frames, &callbacks, w);
    wslay_event_config_set_max_recv_msg_length(w->frames, w->max_message_bytes);
    deadline_disarm(&w->goodbye);
    w->goodbye.run = waited_for_goodbye;
    stream_read(&w->stream, !w->paused);
    if (w->user)
        w->ops->open(w->user);
    if (rest.n)
        talking_got(w, rest);
}

static void refuse(struct ws *w)
{
    journey_mark_head(w->way.journey, w->opening.status, &w->opening.fields);
    end(w, WS_REFUSED, STR(""));
}

static void asking_got(struct ws *w, struct str bytes)
{
    size_t eaten = 0;

    switch (http_opening_feed(&w->opening, bytes, &eaten)) {
    case OPENING_MORE: return;
    case OPENING_GARBAGE: end(w, WS_GARBAGE, STR("the answer is not HTTP")); return;
    case OPENING_REFUSED: refuse(w); return;
    case OPENING_GOOD: break;
    }
    journey_mark_head(w->way.journey, w->opening.status, &w->opening.fields);
    if (objection(w))
        end(w, WS_GARBAGE, str_of(objection(w)));
    else
        begin_to_talk(w, str_from(bytes, eaten));
}

struct ws_refusal ws_refusal(const struct ws *w)
{
    const struct http_fields *f = &w->opening.fields;

    return (struct ws_refusal){ w->opening.status, buf_str(&w->opening.body),
                                http_fields_nth(f, STR("date"), 0),
                                http_fields_nth(f, STR("retry-after"), 0) };
}

/* ---- news ---------------------------------------------------------------------------------- */

static void lost(struct ws *w)
{
    if (w->state == WS_CLOSING)
        hang_up(w);
    else if (w->state == WS_ASKING && http_opening_end(&w->opening) == OPENING_REFUSED)
        refuse(w);
    else if (!link_is_in(&w->leave.link))
        end(w, WS_CUT, str_of(stream_why(&w->stream)));
}

static void on_stream(struct stream *s, enum stream_news news, struct str bytes)
{
    struct ws *w = LIST_OWNER(s, struct ws, stream);

    if (news == STREAM_CLOSED)
        ws_free(w);
    else if (news == STREAM_EOF || news == STREAM_BROKEN)
        lost(w);
    else if (news == STREAM_DATA && w->state == WS_ASKING)
        asking_got(w, bytes);
    else if (news == STREAM_DATA && w->frames)
        talking_got(w, bytes);
}

/* The patience of the way's last rung is the handshake's as well. */
static void handshake_too_long(struct deadline *d)
{
    struct ws *w = LIST_OWNER(d, struct ws, goodbye);

    w->goodbye.run = waited_for_goodbye;
    end(w, WS_NO_CONNECTION, STR("the WebSocket handshake took too long"));
}

static void on_reached(struct reach *r, bool good)
{
    struct ws *w = LIST_OWNER(r, struct ws, reach);

    if (!good) {
        end(w, WS_NO_CONNECTION, str_of(r->why));
        return;
    }
    w->state = WS_ASKING;
    w->goodbye.run = handshake_too_long;
    deadline_arm(&w->goodbye, clock_now() + w->way.tls_timeout);
    buf_add(stream_out(&w->stream), buf_str(&w->request));
    buf_release(&w->request);
    stream_flush(&w->stream);
    stream_read(&w->stream, true);
}

/* ---- what the owner asks for ----------------------------------------------------------------- */

struct ws *ws_start(const struct ws_order *order)
{
    struct ws *w = mem_new(sizeof *w);

    w->ops = order->ops;
    w->user = order->user;
    w->max_message_bytes = order->max_message_bytes;
    w->max_queued = PONGS_MAX_BYTES;
    w->request = BUF(64 * 1024);
    w->goodbye.run = waited_for_goodbye;
    w->leave.run = hang_up_noted;
    way_copy(&w->way, order->way);
    http_opening_init(&w->opening, 101);
    write_request(w, order);
    list_push(&all, &w->link);
    reach_start(&w->reach, &w->stream, &w->way, on_stream, on_reached);
    return w;
}

void ws_send(struct ws *w, struct str text)
{
    struct wslay_event_msg m = { WSLAY_TEXT_FRAME, (const uint8_t *)text.p, text.n };

    w->max_queued += text.n + text.n / 64;
    wslay_event_queue_msg(w->frames, &m);
    wslay_event_send(w->frames);
    stream_flush(&w->stream);
}

void ws_pause(struct ws *w)
{
    w->paused = true;
    if (w->state == WS_TALKING)
        stream_read(&w->stream, false);
}

void ws_resume(struct ws *w)
{
    w->paused = false;
    if (w->state == WS_TALKING)
        stream_read(&w->stream, true);
}

void ws_clients_close(void)
{
    for (struct link *k = all.head.next, *next; k != &all.head; k = next) {
        next = k->next;
        hang_up(LIST_OWNER(k, struct ws, link));
    }
}
