/* fuzz_ws_server.c - what a WebSocket client may say, to the real server on a real socket.
 *
 * The first byte: h and the input is all that comes, from the first request on; else a good
 * handshake comes first, and the input is frames. Every mark is where a read ends, and further s
 * says something, c closes, d drains. Without those three the same bytes go in whole, cut, and
 * one by one, and must be told as the same messages. What the server says must be lawful, and
 * nothing may be left of it. */
#include "net/ws_server.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "far_end.h"
#include "net/dial.h"
#include "net/http_conn.h"
#include "net/loop.h"
#include "net/ws_handshake.h"
#include "script.h"

#include <string.h>

enum { TEXT_MAX = 1 << 22, MESSAGE_MAX = 1000, QUEUE_BYTES = 1 << 20 };

static struct {
    struct ws_conn *ws;                       /* NULL: not yet, or no more      */
    bool            was_open;
    struct buf      trace;
    struct buf      heard;                    /* all that the server has said   */
} talk;

/* ---- the app ------------------------------------------------------------------------------ */

static void say_something(struct str text)
{
    buf_add(ws_begin(talk.ws), text);
    ws_end(talk.ws);
    ws_push(talk.ws);
}

static void on_message(void *user, struct str text)
{
    (void)user;
    MUST(talk.ws);
    MUST(text.n <= MESSAGE_MAX && utf8_is_valid(text));
    buf_addf(&talk.trace, "[%.*s]\n", STR_ARG(text));
    say_something(text);
}

static void on_room(void *user)
{
    (void)user;
    MUST(talk.ws);
}

static void on_drain(void *user)
{
    struct ws_conn *ws = talk.ws;

    (void)user;
    MUST(ws);
    talk.ws = NULL;
    ws_close(ws, WS_CODE_GOING_AWAY, "drained");
}

static void on_end(void *user)
{
    (void)user;
    MUST(talk.ws);
    talk.ws = NULL;
    buf_lit(&talk.trace, "ends\n");
}

static const struct ws_app ws_app = { on_message, on_room, on_drain, on_end };

static const struct websocket_settings ws_settings = { .max_message_bytes = MESSAGE_MAX,
                                                       .max_frames = 1 << 30,
                                                       .ping_every = UINT64_MAX / 8,
                                                       .pong_timeout = UINT64_MAX / 8,
                                                       .message_timeout = UINT64_MAX / 8,
                                                       .idle_timeout = UINT64_MAX / 8 };

static bool on_head(struct http_exchange *x, const struct http_reader *rq)
{
    (void)x;
    (void)rq;
    return true;
}

static void on_request(struct http_exchange *x, const struct http_reader *rq)
{
    static const struct conf_texts nobody;
    struct ws_objection            o = ws_object(rq, &nobody);

    if (o.status) {
        http_refuse(x, o.status, o.why, str_of(o.fields));
        return;
    }
    MUST(!talk.was_open);
    talk.was_open = true;
    talk.ws = ws_open(x, rq, STR(""), &ws_settings, &ws_app, &talk);
}

static void write_refusal(const struct http_exchange *x, struct str path, int status,
                          const char *why, struct buf *body)
{
    (void)x;
    (void)path;
    buf_addf(body, "%d %s", status, why);
}

static void on_exchange_end(const struct http_exchange *x, struct str path)
{
    (void)x;
    (void)path;
}

static const struct http_app      app = { on_head, on_request, write_refusal, on_exchange_end };
static const struct http_settings http_settings = { .max_connections = 10,
                                                    .max_requests_per_connection = 1000,
                                                    .max_header_bytes = 4096,
                                                    .max_headers = 30,
                                                    .max_uri_bytes = 256,
                                                    .max_body_bytes = 1024,
                                                    .header_timeout = UINT64_MAX / 4,
                                                    .body_timeout = UINT64_MAX / 4,
                                                    .idle_timeout = UINT64_MAX / 4,
                                                    .write_timeout = UINT64_MAX / 4,
                                                    .linger_timeout = UINT64_MAX / 4,
                                                    .request_id_header = STR_INIT("x-id") };
static struct http_server         server = {
            .app = &app, .settings = &http_settings, .queue_bytes = QUEUE_BYTES, .max_connections = 10
};

/* ---- what the server says ------------------------------------------------------------------- */

/* Of a whole frame at the start of `bytes`; 0: there is none. */
static size_t frame_length(struct str bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t               n, head = 2;

    if (bytes.n < 2)
        return 0;
    n = p[1];
    MUST_SAY(n < 127, "masked, or longer than anything that was said");
    if (n == 126 && bytes.n < 4)
        return 0;
    if (n == 126) {
        n = (size_t)p[2] << 8 | p[3];
        MUST_SAY(n >= 126, "a length in more bytes than it takes");
        head += 2;
    }
    return bytes.n >= head + n ? head + n : 0;
}

/* Without masks and extensions, whole, and nothing behind a close. */
static void must_be_lawful(struct str frames)
{
    bool   closed = false;
    size_t n;

    while ((n = frame_length(frames))) {
        unsigned char first = (unsigned char)frames.p[0];

        MUST_SAY(!closed, "it speaks behind its close");
        MUST_SAY(first & 0x80 && !(first & 0x70), "%02x", first);
        MUST_SAY(strchr("\1\10\11\12", first & 0xf), "opcode %d", first & 0xf);
        MUST_SAY((first & 0xf) == 1 || n <= 2 + 125, "a long control frame");
        closed = (first & 0xf) == 8;
        frames = str_from(frames, n);
    }
    MUST_SAY(frames.n == 0, "half a frame");
}

static void look_at_all(void)
{
    const char *upgraded =
        memmem(talk.heard.p ? talk.heard.p : "", talk.heard.n, "HTTP/1.1 101", 12);
    const char *head;
    size_t      left;

    MUST(!upgraded == !talk.was_open);
    if (!upgraded)
        return;
    left = talk.heard.n - (size_t)(upgraded - talk.heard.p);
    head = memmem(upgraded, left, "\r\n\r\n", 4);
    MUST(head);
    must_be_lawful((struct str){ head + 4, left - (size_t)(head - upgraded) - 4 });
}

/* ---- the conversation ------------------------------------------------------------------------ */

static void on_dialled(struct dial *d, int fd, int rc)
{
    union address peer;

    (void)d;
    MUST(rc == 0 && address_read_host(STR("127.0.0.1"), &peer));
    http_conn_new(&server, fd, &peer);
}

static void say(struct str bytes, bool singly)
{
    for (size_t i = 0; singly && i < bytes.n; i++)
        far_end_say((struct str){ bytes.p + i, 1 });
    if (!singly && bytes.n)
        far_end_say(bytes);
    far_end_hear(&talk.heard);
}

static void act(char mark)
{
    struct ws_conn *ws = talk.ws;

    if (!ws)
        return;
    if (mark == 's')
        say_something(STR("something"));
    if (mark == 'c') {
        talk.ws = NULL;
        ws_close(ws, WS_CODE_NORMAL, "closed");
    }
    if (mark == 'd')
        ws_exchange(ws)->upgrade->drain(ws);
    far_end_settle();
    far_end_hear(&talk.heard);
}

static void begin(bool by_hand, struct dial *d)
{
    talk.ws = NULL;
    talk.was_open = false;
    talk.trace = talk.heard = BUF(TEXT_MAX);
    dial_start(d, STR(""), 0, 0, on_dialled);
    far_end_settle();
    if (by_hand)
        return;
    say(STR("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"),
        false);
    MUST(talk.ws);
}

static void finish(void)
{
    far_end_hang_up();
    far_end_hear(&talk.heard);
    far_end_leave();
    far_end_settle();
    http_server_cut(&server);                 /* those who linger for the rest of a request */
    far_end_settle();
    MUST_SAY(!talk.ws, "nothing came of the end");
    MUST(server.connections.n == 0);
    look_at_all();
    buf_release(&talk.heard);
    http_readers_release();
    streams_release();
}

/* how: 0 whole, 1 cut at the marks, 2 one by one. */
static struct buf run(struct str script, bool by_hand, int how)
{
    struct buf  held = BUF(TEXT_MAX);
    struct dial d;
    struct str  piece;
    char        mark;

    begin(by_hand, &d);
    while (script_next(&script, &piece, &mark)) {
        buf_add(&held, piece);
        if (how == 0)
            continue;
        say(buf_str(&held), how == 2);
        buf_clear(&held);
        act(mark);
    }
    say(buf_str(&held), how == 2);
    finish();
    buf_release(&held);
    return talk.trace;
}

static bool acts(struct str script)
{
    struct str piece;
    char       mark;

    while (script_next(&script, &piece, &mark))
        if (mark && strchr("scd", mark))
            return true;
    return false;
}

static void must_be_same(const struct buf *a, const struct buf *b)
{
    MUST_SAY(str_eq(buf_str(a), buf_str(b)), "\n%.*s\n--- and ---\n%.*s", STR_ARG(buf_str(a)),
             STR_ARG(buf_str(b)));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct buf trace;

    (void)argc;
    (void)argv;
    loop_open();
    list_init(&server.connections);
    trace = run(STR("\x81\x82\0\0\0\0hi"), false, 0);
    MUST(str_eq(buf_str(&trace), STR("[hi]\nends\n")));
    buf_release(&trace);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str script = { (const char *)data, size };
    size_t     before = mem_live_bytes();
    struct buf traces[3];
    bool       by_hand = size && data[0] == 'h';
    int        ways;

    if (size == 0)
        return 0;
    script = str_from(script, 1);
    ways = acts(script) ? 1 : 3;
    for (int i = 0; i < ways; i++)
        traces[i] = run(script, by_hand, ways == 1 ? 1 : i);
    for (int i = ways - 1; i >= 0; i--) {
        must_be_same(&traces[0], &traces[i]);
        buf_release(&traces[i]);
    }
    MUST_SAY(mem_live_bytes() == before, "%zu bytes, then %zu", before, mem_live_bytes());
    return 0;
}
