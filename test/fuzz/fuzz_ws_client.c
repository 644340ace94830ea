/* fuzz_ws_client.c - what a WebSocket server may say, to the real client on a real socket.
 *
 * The first byte: h and the input is the whole answer to the handshake, where the first mark k
 * stands for the right Sec-WebSocket-Accept; else that answer is given for it, and the
 * input is frames. Every other mark is where a read ends, and further p pauses, r goes on,
 * c cancels, s says something. Without those four the same bytes go in whole, cut, and one
 * by one, and must be told as the same messages. What the client says must be lawful. */
#include "net/ws_client.h"

#include "base/mem.h"
#include "far_end.h"
#include "net/loop.h"
#include "script.h"
#include "wire/base64.h"
#include "base/utf8.h"

#include <mbedtls/sha1.h>
#include <string.h>

enum { TEXT_MAX = 1 << 22, MESSAGE_MAX = 1000, DIGEST_BYTES = 20 };

struct talk {
    struct ws *ws;
    bool       is_open, over, owned;          /* owned: neither ended nor cancelled */
    struct buf trace;
    struct buf heard;                         /* all that the client has said   */
};

/* ---- what the client tells -------------------------------------------------------------- */

static void on_open(void *user)
{
    struct talk *t = user;

    MUST(t->owned && !t->is_open);
    t->is_open = true;
    buf_lit(&t->trace, "open\n");
}

static void on_message(void *user, struct str text)
{
    struct talk *t = user;

    MUST(t->owned && t->is_open);
    MUST(text.n <= MESSAGE_MAX && utf8_is_valid(text));
    buf_addf(&t->trace, "[%.*s]\n", STR_ARG(text));
}

static void on_flush(void *user)
{
    MUST(((struct talk *)user)->owned);
}

/* wslay looks at the reason of a close piece by piece and forgets the first two bytes of
 * each, so how a talk ended may depend on the cuts; what was said before may not. */
static void on_end(void *user, enum ws_end how, struct str why)
{
    struct talk      *t = user;
    struct ws_refusal refusal;

    MUST(t->owned);
    MUST(t->is_open || how != WS_CLOSED);
    MUST(!t->is_open || how != WS_REFUSED);
    t->owned = false;
    if (t->is_open)
        buf_lit(&t->trace, "ends\n");
    else
        buf_addf(&t->trace, "ends %d: %.*s\n", (int)how, STR_ARG(why));
    if (how != WS_REFUSED)
        return;
    refusal = ws_refusal(t->ws);
    MUST(refusal.status >= 100 && refusal.status <= 599);
    buf_addf(&t->trace, "%d and %zu bytes\n", refusal.status, refusal.body.n);   /* keys differ */
}

static const struct ws_ops ops = { on_open, on_message, on_flush, on_end };

/* ---- what the client says ----------------------------------------------------------------- */

/* Of a whole frame at the start of `bytes`; 0: there is none. */
static size_t frame_length(struct str bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t               n, head = 2 + 4;

    if (bytes.n < 2)
        return 0;
    n = p[1] & 0x7f;
    MUST_SAY(n < 127, "nothing that long was said");
    if (n == 126 && bytes.n < 4)
        return 0;
    if (n == 126) {
        n = (size_t)p[2] << 8 | p[3];
        MUST_SAY(n >= 126, "a length in more bytes than it takes");
        head += 2;
    }
    return bytes.n >= head + n ? head + n : 0;
}

/* Masked, whole, without extensions, and nothing behind a close. */
static void must_be_lawful(struct str frames)
{
    bool   closed = false;
    size_t n;

    while ((n = frame_length(frames))) {
        unsigned char first = (unsigned char)frames.p[0];

        MUST_SAY(!closed, "it speaks behind its close");
        MUST_SAY(frames.p[1] & 0x80, "a frame without a mask");
        MUST_SAY(first & 0x80 && !(first & 0x70), "%02x", first);
        MUST_SAY(strchr("\1\10\11\12", first & 0xf), "opcode %d", first & 0xf);
        closed = (first & 0xf) == 8;
        frames = str_from(frames, n);
    }
    MUST_SAY(frames.n == 0, "half a frame");
}

static void hear(struct talk *t)
{
    far_end_hear(&t->heard);
}

/* What the server must answer to the key that is in `heard`. */
static void write_accept(const struct talk *t, struct buf *out)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    unsigned char     digest[DIGEST_BYTES];
    struct buf        text = BUF(TEXT_MAX);
    const char       *key = memmem(t->heard.p, t->heard.n, name, strlen(name));

    MUST(key);
    key += strlen(name);
    buf_add(&text, (struct str){ key, 24 });
    buf_lit(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    mbedtls_sha1((unsigned char *)text.p, text.n, digest);
    base64_encode((struct str){ (char *)digest, sizeof digest }, out);
    buf_release(&text);
}

/* ---- the conversation ------------------------------------------------------------------------ */

static void begin(struct talk *t)
{
    static const struct way way = { .host = STR_INIT("h"),
                                    .port = 80,
                                    .tls_timeout = UINT64_MAX / 4 };
    const struct ws_order   order = { .ops = &ops,
                                      .user = t,
                                      .way = &way,
                                      .authority = STR("h"),
                                      .target = STR("/x"),
                                      .fields = STR(""),
                                      .max_message_bytes = MESSAGE_MAX };

    *t = (struct talk){ .owned = true, .trace = BUF(TEXT_MAX), .heard = BUF(TEXT_MAX) };
    t->ws = ws_start(&order);
    far_end_settle();
    hear(t);
}

static void shake_hands(struct talk *t)
{
    struct buf answer = BUF(TEXT_MAX);

    buf_lit(&answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    write_accept(t, &answer);
    buf_lit(&answer, "\r\n\r\n");
    far_end_say(buf_str(&answer));
    MUST(t->is_open && t->owned);
    buf_release(&answer);
}

static void say(struct talk *t, struct str bytes, bool singly)
{
    for (size_t i = 0; singly && i < bytes.n; i++)
        far_end_say((struct str){ bytes.p + i, 1 });
    if (!singly && bytes.n)
        far_end_say(bytes);
    hear(t);
}

static void act(struct talk *t, char mark)
{
    if (!t->owned)
        return;
    if (mark == 'p')
        ws_pause(t->ws);
    if (mark == 'r')
        ws_resume(t->ws);
    if (mark == 's' && t->is_open)
        ws_send(t->ws, STR("a question"));
    if (mark == 'c')
        ws_cancel(t->ws);
    t->owned = t->owned && mark != 'c';
}

/* Whoever hears no more must hear the end. Then all that it said is looked at. */
static void finish(struct talk *t)
{
    const char *head;

    if (t->owned)
        ws_resume(t->ws);
    far_end_hang_up();
    hear(t);
    MUST_SAY(!t->owned, "nothing came of the end");
    ws_clients_close();
    far_end_settle();
    hear(t);
    far_end_leave();
    far_end_settle();
    streams_release();
    head = memmem(t->heard.p, t->heard.n, "\r\n\r\n", 4);
    MUST(head);
    must_be_lawful(str_from(buf_str(&t->heard), (size_t)(head - t->heard.p) + 4));
    buf_release(&t->heard);
}

/* how: 0 whole, 1 cut at the marks, 2 one by one. */
static struct buf run(struct str script, bool by_hand, int how)
{
    struct talk t;
    struct buf  held = BUF(TEXT_MAX);
    struct str  piece;
    char        mark;

    begin(&t);
    if (!by_hand)
        shake_hands(&t);
    while (script_next(&script, &piece, &mark)) {
        buf_add(&held, piece);
        if (mark == 'k' && by_hand)
            write_accept(&t, &held);
        by_hand = by_hand && mark != 'k';
        if (how == 0 || mark == 'k')
            continue;
        say(&t, buf_str(&held), how == 2);
        buf_clear(&held);
        act(&t, mark);
    }
    say(&t, buf_str(&held), how == 2);
    finish(&t);
    buf_release(&held);
    return t.trace;
}

static bool acts(struct str script)
{
    struct str piece;
    char       mark;

    while (script_next(&script, &piece, &mark))
        if (mark && strchr("prcs", mark))
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
    trace = run(STR("\x81\x02hi"), false, 0);
    MUST(str_starts(buf_str(&trace), STR("open\n[hi]\nends")));
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
