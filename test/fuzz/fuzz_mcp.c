/* fuzz_mcp.c - what an MCP server may answer, to the real client on a real socket.
 *
 * The first byte says what head comes by itself: of JSON (j), of an event stream (s), or none.
 * A mark h is where the server hangs up, and if the stream is taken up again the rest is the
 * next answer; every other mark is where a read ends. The same bytes go in whole, cut, and one
 * by one, and must be told as the same answer; and once more to a client with little room.
 * What is understood is then made into an output and a list of tools, and the text itself is
 * cut off at its first mark and mended. */
#include "tool/mcp_list.h"
#include "tool/mcp_talk.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "far_end.h"
#include "net/loop.h"
#include "net/stream.h"
#include "script.h"
#include "tool/tool.h"

#include <string.h>

enum { TEXT_MAX = 1 << 22, ROOM = 1 << 20, LITTLE_ROOM = 300, OURS = 7, CONNECTIONS_MAX = 40 };

struct trial {
    struct mcp_talk talk;
    struct buf     *trace;
    int             told;
};

static const struct conf_texts all = { NULL, 0 };

/* ---- what is told ------------------------------------------------------------------------ */

static void must_be_shown(struct buf *out)
{
    MUST(out->n > 0 || out->over);
    MUST(utf8_is_valid(buf_str(out)));
}

static void try_output(const struct json *result, struct buf *trace)
{
    struct buf out = BUF(TEXT_MAX);

    mcp_add_output(result, &out);
    must_be_shown(&out);
    buf_add(trace, buf_str(&out));
    buf_release(&out);
}

static void try_list(const struct json *result, struct buf *trace)
{
    struct mcp_list l = { .n = 0 };

    mcp_list_read(&l, result, STR("s"), &all);
    mcp_list_read(&l, result, STR("s"), &all);
    mcp_list_name(&l, STR("s"));
    MUST(l.n <= MCP_TOOLS_MAX && l.max_age >= CLOCK_S);
    for (size_t i = 0; i < l.n; i++) {
        MUST(tool_name_is_good(l.tools[i].name));
        MUST(utf8_is_valid(l.tools[i].description) && utf8_is_valid(l.tools[i].parameters));
        for (size_t k = 0; k < i; k++)
            MUST(!str_eq(l.tools[i].name, l.tools[k].name));
        buf_add(trace, l.tools[i].name);
    }
    mcp_list_release(&l);
}

static void done(struct mcp_talk *talk, const struct mcp_answer *a)
{
    struct trial *t = LIST_OWNER(talk, struct trial, talk);

    MUST(t->told++ == 0);
    MUST(a->end != MCP_TAKEN);
    MUST(a->end != MCP_ANSWERED || a->message.kind == MCP_RESULT || a->message.kind == MCP_ERROR);
    buf_addf(t->trace, "end %d, status %d, kind %d, code %lld, session ", a->end, a->status,
             a->message.kind, (long long)a->message.code);
    buf_add(t->trace, a->session);
    buf_add(t->trace, a->message.words);
    if (a->message.kind == MCP_RESULT) {
        try_output(a->message.result, t->trace);
        try_list(a->message.result, t->trace);
    }
}

static void heard(struct mcp_talk *talk, const struct mcp_message *m)
{
    struct trial *t = LIST_OWNER(talk, struct trial, talk);
    struct buf    reply = BUF(TEXT_MAX);

    MUST(t->told == 0 && m->method.p);
    if (m->kind == MCP_QUESTION)
        mcp_write_reply(m->id, m->method, &reply);
    buf_addf(t->trace, "heard %d ", m->kind);
    buf_add(t->trace, buf_str(&reply));
    buf_release(&reply);
}

/* ---- one trial --------------------------------------------------------------------------- */

static void say_head(char kind)
{
    if (kind == 'j')
        far_end_say(STR("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"));
    else if (kind == 's')
        far_end_say(STR("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"));
}

static void say(struct str bytes, bool one_by_one)
{
    for (size_t i = 0; one_by_one && i < bytes.n; i++)
        far_end_say((struct str){ bytes.p + i, 1 });
    if (!one_by_one)
        far_end_say(bytes);
}

/* True: it was taken up again. */
static bool hang_up(const struct trial *t)
{
    size_t before = far_end_dials();

    far_end_hang_up();
    if (!t->told)
        deadlines_run(clock_now() + 60 * CLOCK_S);
    far_end_settle();
    return far_end_dials() > before;
}

static void play(struct trial *t, char kind, struct str script, int how)
{
    struct buf held = BUF(TEXT_MAX);
    struct str piece;
    char       mark;
    int        connections = 1;

    say_head(kind);
    while (!t->told && connections < CONNECTIONS_MAX && script_next(&script, &piece, &mark)) {
        buf_add(&held, piece);
        if (how == 0 && mark && mark != 'h')
            continue;
        if (how == 0 && !mark && script.n)
            continue;
        say(buf_str(&held), how == 2);
        buf_clear(&held);
        if (mark != 'h')
            continue;
        if (!hang_up(t))
            break;
        connections++;
        say_head(kind);
    }
    if (!t->told)
        say(buf_str(&held), how == 2);
    buf_release(&held);
    while (!t->told && connections++ < CONNECTIONS_MAX && hang_up(t))
        ;
}

static void run(char kind, struct str script, int how, size_t room, struct buf *trace)
{
    static const struct tool_settings settings = { .url = STR_INIT("http://h/mcp") };
    struct trial                      t = { .trace = trace };
    struct mcp_place                  place;
    const char                       *key, *why;

    MUST(mcp_place_init(&place, &settings, &key, &why));
    t.talk.done = done;
    t.talk.heard = heard;
    mcp_talk_start(&t.talk, &place,
                   &(struct mcp_words){ .flavour = MCP_GREETED,
                                        .id = OURS,
                                        .fields = STR(""),
                                        .body = STR("{}"),
                                        .limit = room });
    far_end_settle();
    play(&t, kind, script, how);
    MUST_SAY(t.told, "nothing was told");
    mcp_talk_drop(&t.talk);
    far_end_leave();
    far_end_settle();
    http_clients_close();
    far_end_settle();
    streams_release();
    mcp_place_release(&place);
}

/* A text that is JSON stays JSON wherever it is cut. */
static void try_mend(struct str script)
{
    struct buf       text = BUF(TEXT_MAX), mended = BUF(TEXT_MAX);
    struct str       rest = script, first = { NULL, 0 };
    const char      *why;
    struct json_doc *whole, *part;
    char             mark;

    script_text(script, &text);
    script_next(&rest, &first, &mark);
    whole = json_read_patiently(buf_str(&text), &why);
    mcp_mend(first, &mended);
    part = json_read_patiently(buf_str(&mended), &why);
    if (json_type(json_root(whole)) == JSON_OBJECT && memchr(first.p, '{', first.n))
        MUST_SAY(part, "%.*s: %s", STR_ARG(buf_str(&mended)), why);
    json_free(whole);
    json_free(part);
    buf_release(&text);
    buf_release(&mended);
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
    log_setup(LOG_ERROR, LOG_LOGFMT);
    loop_open();
    run('j', STR("{}"), 0, ROOM, &trace);
    buf_release(&trace);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str script = { (const char *)data + 1, size - 1 };
    struct buf traces[4] = { BUF(TEXT_MAX), BUF(TEXT_MAX), BUF(TEXT_MAX), BUF(TEXT_MAX) };
    size_t     before = mem_live_bytes();

    if (size < 1)
        return 0;
    for (int how = 0; how < 3; how++)
        run((char)data[0], script, how, ROOM, &traces[how]);
    must_be_same(&traces[0], &traces[1]);
    must_be_same(&traces[0], &traces[2]);
    run((char)data[0], script, 1, LITTLE_ROOM, &traces[3]);
    try_mend(script);
    for (int i = 0; i < 4; i++)
        buf_release(&traces[i]);
    MUST_SAY(mem_live_bytes() == before, "%zu bytes, then %zu", before, mem_live_bytes());
    return 0;
}
