/* fuzz_http_opening.c - the answer that opens a tunnel or a WebSocket, whole and in pieces.
 *
 * The first byte says what is wanted: t for a tunnel's 200, else 101. A mark (script.h) is
 * where a read ends. The same bytes go in whole, cut at the marks, and one by one, and must
 * come to the same end at the same byte. */
#include "net/http_opening.h"

#include "base/mem.h"
#include "script.h"

enum { TEXT_MAX = 1 << 20, FIELDS_KEPT = 201, HEAD_KEPT = 64 * 1024, BODY_KEPT = 8 * 1024 };

struct run {
    struct http_opening      o;
    enum http_opening_result result;
    size_t                   eaten;
};

static void feed(struct run *run, struct str piece)
{
    size_t eaten = SIZE_MAX;

    if (run->result != OPENING_MORE)
        return;
    run->result = http_opening_feed(&run->o, piece, &eaten);
    MUST(eaten <= piece.n);
    MUST(run->result != OPENING_MORE || eaten == piece.n);
    run->eaten += eaten;
    MUST(run->o.body.n <= BODY_KEPT && !run->o.body.over);
    MUST(run->o.fields.n <= FIELDS_KEPT && run->o.fields.text.n <= HEAD_KEPT);
}

static void end(struct run *run)
{
    if (run->result == OPENING_MORE)
        run->result = http_opening_end(&run->o);
    MUST(run->result != OPENING_MORE);
    MUST(run->result != OPENING_GOOD || run->o.whole);
    MUST(run->result == OPENING_GARBAGE || (run->o.status >= 100 && run->o.status <= 599));
}

static void must_be_same(const struct run *a, const struct run *b)
{
    MUST_SAY(a->result == b->result, "%d and %d", (int)a->result, (int)b->result);
    if (a->result == OPENING_GARBAGE)
        return;
    MUST(a->o.status == b->o.status);
    MUST(a->result != OPENING_GOOD || a->eaten == b->eaten);
    MUST(str_eq(buf_str(&a->o.body), buf_str(&b->o.body)));
    MUST(str_eq(buf_str(&a->o.fields.text), buf_str(&b->o.fields.text)));
    MUST(a->o.fields.n == b->o.fields.n);
}

static void try_ways(struct str script, int wanted)
{
    struct run whole = { .eaten = 0 }, cut = whole, single = whole;
    struct buf text = BUF(TEXT_MAX);
    struct str piece;
    char       mark;

    script_text(script, &text);
    http_opening_init(&whole.o, wanted);
    http_opening_init(&cut.o, wanted);
    http_opening_init(&single.o, wanted);
    if (text.n)
        feed(&whole, buf_str(&text));
    while (script_next(&script, &piece, &mark))
        if (piece.n)
            feed(&cut, piece);
    for (size_t i = 0; i < text.n; i++)
        feed(&single, (struct str){ text.p + i, 1 });
    end(&whole);
    end(&cut);
    end(&single);
    must_be_same(&whole, &cut);
    must_be_same(&whole, &single);
    http_opening_release(&whole.o);
    http_opening_release(&cut.o);
    http_opening_release(&single.o);
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str script = { (const char *)data, size };
    size_t     before = mem_live_bytes();

    if (size)
        try_ways(str_from(script, 1), data[0] == 't' ? 200 : 101);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
