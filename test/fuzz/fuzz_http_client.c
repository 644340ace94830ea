/* fuzz_http_client.c - what a server may answer, to the real client on a real socket.
 *
 * A mark n ends the answer to one question, and the next is asked; every other mark is
 * where a read ends, and further p pauses, r goes on, c cancels. Without those three the
 * same bytes go in whole, cut, and one by one, and must be told as the same answers. */
#include "net/http_client.h"

#include "base/mem.h"
#include "far_end.h"
#include "net/loop.h"
#include "net/stream.h"
#include "script.h"

#include <string.h>

enum { TEXT_MAX = 1 << 22, QUESTIONS_MAX = 8 };

static const char request[] = "POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi";

/* How far one fetch has come; what it has told goes into `trace`. */
struct answer {
    struct http_fetch fetch;
    struct buf       *trace;
    bool              has_head, over;
    int               flushes_wanted;         /* a body without a flush is never heard */
};

static struct answer *answer_of(struct http_fetch *f)
{
    return LIST_OWNER(f, struct answer, fetch);
}

static void on_head(struct http_fetch *f, int status, const struct http_fields *fields)
{
    struct answer *a = answer_of(f);

    MUST(!a->over && !a->has_head);
    MUST(status >= 200 && status <= 599);
    a->has_head = true;
    buf_addf(a->trace, "%d ", status);
    for (size_t i = 0; i < fields->n; i++) {
        const struct http_field *k = &fields->items[i];

        MUST((size_t)k->name_at + k->name_n <= fields->text.n);
        MUST((size_t)k->value_at + k->value_n <= fields->text.n);
        MUST(k->name_n > 0);
    }
    buf_add(a->trace, buf_str(&fields->text));
    buf_lit(a->trace, " [");
}

static void on_body(struct http_fetch *f, struct str bytes)
{
    struct answer *a = answer_of(f);

    MUST(!a->over && a->has_head && bytes.n);
    a->flushes_wanted = 1;
    buf_add(a->trace, bytes);
}

static void on_flush(struct http_fetch *f)
{
    MUST(!answer_of(f)->over);
    answer_of(f)->flushes_wanted = 0;
}

static void on_end(struct http_fetch *f, enum http_fetch_end how, struct str why)
{
    struct answer *a = answer_of(f);

    (void)why;
    MUST(!a->over);
    MUST(how != HTTP_FETCH_WHOLE || a->has_head);
    MUST(how != HTTP_FETCH_CLOSED || a->has_head);
    MUST(how != HTTP_FETCH_NO_CONNECTION && how != HTTP_FETCH_CROWDED);
    a->over = true;
    buf_addf(a->trace, "] ends %d\n", (int)how);
}

static const struct http_fetch_ops ops = { on_head, on_body, on_flush, on_end };

static void ask(struct answer *a, struct buf *trace)
{
    static const struct way                way = { .host = STR_INIT("h"), .port = 80 };
    static const struct http_client_limits limits = {
        .max_open = 4, .max_idle = 4, .max_waiting = 4, .idle_timeout = UINT64_MAX / 4
    };
    struct buf bytes = BUF(TEXT_MAX);

    *a = (struct answer){ .trace = trace };
    buf_add(&bytes, str_of(request));
    http_fetch_start(&a->fetch, &ops, &way, &limits, bytes);
    far_end_settle();
    far_end_hear(NULL);
}

/* Whoever says no more must hear the end; a kept connection may be tried once more. */
static void finish(struct answer *a)
{
    http_fetch_resume(&a->fetch);
    for (int tries = 0; tries < 2 && !a->over; tries++)
        far_end_hang_up();
    MUST_SAY(a->over, "nothing came of the end");
}

struct driver {
    struct answer answer;
    struct buf   *trace;
    size_t        questions;
    bool          cancelled;
};

static void act(struct driver *d, char mark)
{
    if (d->answer.over || d->cancelled)
        return;
    if (mark == 'p')
        http_fetch_pause(&d->answer.fetch);
    if (mark == 'r')
        http_fetch_resume(&d->answer.fetch);
    if (mark == 'c')
        http_fetch_cancel(&d->answer.fetch);
    d->cancelled = mark == 'c';
}

static void next_question(struct driver *d)
{
    if (!d->answer.over && !d->cancelled)
        finish(&d->answer);
    d->cancelled = false;
    buf_addf(d->trace, "question: ");
    ask(&d->answer, d->trace);
    d->questions++;
}

/* What comes behind the end of an answer comes at once. */
static void say(struct driver *d, struct str bytes, bool singly)
{
    while (singly && bytes.n && !d->answer.over) {
        far_end_say((struct str){ bytes.p, 1 });
        bytes = str_from(bytes, 1);
    }
    if (bytes.n)
        far_end_say(bytes);
}

/* how: 0 whole answers, 1 cut at the marks, 2 one by one. */
static void run(struct str script, int how, struct buf *trace)
{
    struct driver d = { .trace = trace, .answer.over = true };
    struct buf    held = BUF(TEXT_MAX);
    size_t        before = far_end_dials();
    struct str    piece;
    char          mark;

    next_question(&d);
    while (script_next(&script, &piece, &mark) && d.questions < QUESTIONS_MAX) {
        buf_add(&held, piece);
        if (how == 0 && mark && mark != 'n')
            continue;
        say(&d, buf_str(&held), how == 2);
        buf_clear(&held);
        act(&d, mark);
        if (mark == 'n')
            next_question(&d);
    }
    say(&d, buf_str(&held), how == 2);
    if (!d.answer.over && !d.cancelled)
        finish(&d.answer);
    buf_addf(trace, "%zu dials", far_end_dials() - before);
    buf_release(&held);
    http_clients_close();
    far_end_settle();
    far_end_leave();
    far_end_settle();
    streams_release();
}

static bool acts(struct str script)
{
    struct str piece;
    char       mark;

    while (script_next(&script, &piece, &mark))
        if (mark && strchr("prc", mark))
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
    struct buf trace = BUF(TEXT_MAX);

    (void)argc;
    (void)argv;
    loop_open();
    run(STR("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 0, &trace);
    buf_release(&trace);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str script = { (const char *)data, size };
    struct buf traces[3] = { BUF(TEXT_MAX), BUF(TEXT_MAX), BUF(TEXT_MAX) };
    size_t     before = mem_live_bytes();
    int        ways = acts(script) ? 1 : 3;

    for (int i = 0; i < ways; i++)
        run(script, ways == 1 ? 1 : i, &traces[i]);
    for (int i = 1; i < ways; i++)
        must_be_same(&traces[0], &traces[i]);
    for (int i = 0; i < 3; i++)
        buf_release(&traces[i]);
    MUST_SAY(mem_live_bytes() == before, "%zu bytes, then %zu", before, mem_live_bytes());
    return 0;
}
