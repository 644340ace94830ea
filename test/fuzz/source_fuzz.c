#include "source_fuzz.h"

#include "base/mem.h"
#include "script.h"
#include "base/utf8.h"

#include <string.h>

enum { LOST = 'l', WHOLE = 'w' };

struct tape {
    struct buf     text;                      /* all that was told              */
    struct grammar grammar;
    uint64_t       n_calls;
    size_t         n_last;                    /* last words                     */
};

/* How one answer is handed over. */
struct way {
    struct str script;                        /* with its marks                 */
    size_t     every;                         /* bytes, or 0: at the marks      */
    bool       lost, whole;
};

/* ---- what is told -------------------------------------------------------------------- */

static void add(struct tape *t, struct str s)
{
    MUST_SAY(utf8_is_valid(s), "%.*s", STR_ARG(s));
    buf_add_u64(&t->text, s.n);
    buf_add_char(&t->text, ' ');
    buf_add(&t->text, s);
}

static void put(void *ctx, const struct event *ev)
{
    struct tape *t = ctx;

    MUST_SAY(grammar_allows(&t->grammar, ev->type), "%s", event_name(ev->type));
    buf_add(&t->text, str_of(event_name(ev->type)));
    t->n_last += ev->type == EVENT_FINISH || ev->type == EVENT_ERROR;
    MUST(ev->type != EVENT_DELTA || ev->text.n);
    MUST(ev->type != EVENT_REASONING || ev->text.n);
    if (ev->type == EVENT_TOOL_CALL) {
        MUST_SAY(ev->tool.index <= t->n_calls, "%d of %d", (int)ev->tool.index, (int)t->n_calls);
        t->n_calls += ev->tool.index == t->n_calls;
        add(t, ev->tool.id);
        add(t, ev->tool.name);
    }
    if (ev->type == EVENT_ERROR) {
        MUST(ev->fault != FAULT_NONE && ev->text.n <= TELLER_WORDS_MAX);
        buf_add(&t->text, str_of(fault_name(ev->fault)));
        return;
    }
    buf_addf(&t->text, " %d %llu %llu ", (int)ev->finish, (unsigned long long)ev->usage.prompt,
             (unsigned long long)ev->usage.completion);
    add(t, ev->text);
    add(t, ev->citation.id);
    add(t, ev->citation.title);
    add(t, ev->citation.url);
    add(t, ev->citation.text);
}

static void flush(void *ctx)
{
    (void)ctx;
}

/* ---- how it is handed over ------------------------------------------------------------ */

/* In memory of its own, so that what looks past its end is seen. */
static void hand(struct source *s, struct str piece,
                 void (*take)(struct source *s, struct str bytes))
{
    char *copy = mem_resize(NULL, piece.n + !piece.n);

    if (piece.n)
        memcpy(copy, piece.p, piece.n);
    take(s, (struct str){ copy, piece.n });
    mem_free(copy);
}

static void hand_every(const struct source_ops *ops, struct source *s, struct str bytes,
                       size_t every)
{
    while (bytes.n) {
        size_t n = bytes.n < every ? bytes.n : every;

        hand(s, (struct str){ bytes.p, n }, ops->feed);
        bytes = str_from(bytes, n);
    }
}

static void hand_at_marks(const struct source_ops *ops, struct source *s, struct str script)
{
    struct str piece;
    char       mark;

    while (script_next(&script, &piece, &mark))
        if (piece.n)
            hand(s, piece, ops->feed);
}

static void hand_lines(const struct source_ops *ops, struct source *s, struct str text)
{
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        struct str  line = { text.p, end ? (size_t)(end - text.p) : text.n };

        hand(s, line, ops->whole);
        text = str_from(text, line.n + (end != NULL));
    }
}

static struct buf tell(const struct source_ops *ops, enum source_input input, struct way way)
{
    struct tape    tape = { .text = BUF(SIZE_MAX / 2) };
    struct teller  teller = { .out = { put, flush, &tape } };
    struct source *s = ops->open(&teller);
    struct buf     bytes = BUF(SIZE_MAX / 2);

    script_text(way.script, &bytes);
    if (input == SOURCE_MESSAGES)
        hand_lines(ops, s, buf_str(&bytes));
    else if (way.whole)
        hand(s, buf_str(&bytes), ops->whole);
    else if (way.every)
        hand_every(ops, s, buf_str(&bytes), way.every);
    else
        hand_at_marks(ops, s, way.script);
    MUST(tape.n_last <= 1);
    ops->end(s, way.lost);
    MUST_SAY(tape.n_last == 1, "%.*s", STR_ARG(buf_str(&tape.text)));
    ops->feed(s, STR("data: {}\n\n"));        /* nothing is told after the last word */
    ops->whole(s, STR("{}"));
    ops->close(s);
    buf_release(&bytes);
    return tape.text;
}

int source_fuzz(const struct source_ops *ops, enum source_input input, const uint8_t *data,
                size_t size)
{
    static const size_t everies[] = { 1, 3, SIZE_MAX };
    size_t              before = mem_live_bytes();
    struct str          text = { (const char *)data, size };
    struct way          way = { .script = text };
    struct buf          first, other;

    while (way.script.n >= 2 && (unsigned char)way.script.p[0] == SCRIPT_MARK &&
           (way.script.p[1] == LOST || way.script.p[1] == WHOLE)) {
        way.lost = way.lost || way.script.p[1] == LOST;
        way.whole = way.whole || way.script.p[1] == WHOLE;
        way.script = str_from(way.script, 2);
    }
    first = tell(ops, input, way);
    for (size_t i = 0; i < sizeof everies / sizeof *everies; i++) {
        way.every = everies[i];
        other = tell(ops, input, way);
        MUST_SAY(str_eq(buf_str(&first), buf_str(&other)),
                 "every %zu:\n%.*s\n--- at the marks:\n%.*s", way.every, STR_ARG(buf_str(&other)),
                 STR_ARG(buf_str(&first)));
        buf_release(&other);
    }
    buf_release(&first);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
