#include "chat/event_bytes.h"

enum { VERSION = 1, GROUP_BITS = 7, MORE = 0x80 };

static const char letters[] = {
    [EVENT_START] = 'S',     [EVENT_DELTA] = 'D',       [EVENT_REASONING] = 'R',
    [EVENT_TOOL_CALL] = 'T', [EVENT_TOOL_RESULT] = 'O', [EVENT_ROUND] = 'N',
    [EVENT_CITATION] = 'C',  [EVENT_USAGE] = 'U',       [EVENT_FINISH] = 'F',
    [EVENT_ERROR] = 'E',
};

/* The same events, with one thing true of them. */
static const struct variant {
    char            letter;
    enum event_type type;
    bool            stands_in, is_ours, failed;
} variants[] = {
    { 'I', EVENT_START, .stands_in = true },
    { 'W', EVENT_TOOL_CALL, .is_ours = true },
    { 'X', EVENT_TOOL_RESULT, .is_ours = true, .failed = true },
    { 'O', EVENT_TOOL_RESULT, .is_ours = true },
};

static const char finish_letters[] = {
    [FINISH_STOP] = 's',
    [FINISH_LENGTH] = 'l',
    [FINISH_TOOL_CALLS] = 't',
    [FINISH_CONTENT_FILTER] = 'f',
};

/* ---- writing --------------------------------------------------------------------------- */

static void add_number(struct buf *b, uint64_t v)
{
    for (; v >= MORE; v >>= GROUP_BITS)
        buf_add_char(b, (char)(v | MORE));
    buf_add_char(b, (char)v);
}

static void add_text(struct buf *b, struct str s)
{
    add_number(b, s.n);
    buf_add(b, s);
}

static void add_fields(struct buf *b, const struct event *ev)
{
    switch (ev->type) {
    case EVENT_START:
    case EVENT_DELTA:
    case EVENT_REASONING: add_text(b, ev->text); return;
    case EVENT_TOOL_CALL:
        add_number(b, ev->tool.index);
        add_text(b, ev->tool.id);
        add_text(b, ev->tool.name);
        add_text(b, ev->text);
        return;
    case EVENT_TOOL_RESULT:
        add_number(b, ev->tool.index);
        add_text(b, ev->tool.id);
        add_text(b, ev->text);
        return;
    case EVENT_ROUND: return;
    case EVENT_CITATION:
        add_text(b, ev->citation.id);
        add_text(b, ev->citation.title);
        add_text(b, ev->citation.url);
        add_text(b, ev->citation.text);
        return;
    case EVENT_USAGE:
        add_number(b, ev->usage.prompt);
        add_number(b, ev->usage.completion);
        return;
    case EVENT_FINISH: buf_add_char(b, finish_letters[ev->finish]); return;
    case EVENT_ERROR: add_text(b, str_of(fault_name(ev->fault))); return;
    }
}

static bool is_variant(const struct event *ev, const struct variant *v)
{
    return ev->type == v->type && ev->stands_in == v->stands_in && ev->tool.is_ours == v->is_ours &&
           ev->tool.failed == v->failed;
}

static char letter_of(const struct event *ev)
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (is_variant(ev, &variants[i]))
            return variants[i].letter;
    return letters[ev->type];
}

void event_bytes_begin(struct buf *piece)
{
    buf_add_char(piece, VERSION);
}

void event_bytes_add(struct buf *piece, const struct event *ev)
{
    if (piece->n == 0)
        event_bytes_begin(piece);
    buf_add_char(piece, letter_of(ev));
    add_fields(piece, ev);
}

/* ---- reading --------------------------------------------------------------------------- */

struct event_bytes event_bytes_of(struct str piece)
{
    bool is_known = piece.n && piece.p[0] == VERSION;

    return (struct event_bytes){ .rest = is_known ? str_from(piece, 1) : STR(""),
                                 .is_bad = piece.n && !is_known };
}

static unsigned char take_byte(struct event_bytes *b)
{
    unsigned char c = 0;

    b->is_bad = b->is_bad || b->rest.n == 0;
    if (b->is_bad)
        return 0;
    c = (unsigned char)b->rest.p[0];
    b->rest = str_from(b->rest, 1);
    return c;
}

/* One way to write each number: no groups of nothing behind it, no bits beyond 64. */
static uint64_t take_number(struct event_bytes *b)
{
    uint64_t      v = 0;
    unsigned char c = MORE;

    for (unsigned shift = 0; c & MORE && !b->is_bad; shift += GROUP_BITS) {
        c = take_byte(b);
        b->is_bad = b->is_bad || (shift && c == 0) || (shift == 63 && c > 1);
        if (!b->is_bad)
            v |= (uint64_t)(c & (MORE - 1)) << shift;
    }
    return b->is_bad ? 0 : v;
}

static struct str take_text(struct event_bytes *b)
{
    uint64_t   n = take_number(b);
    struct str s = { b->rest.p, (size_t)n };

    b->is_bad = b->is_bad || n > b->rest.n;
    if (b->is_bad)
        return STR("");
    b->rest = str_from(b->rest, s.n);
    return s;
}

static enum finish take_finish(struct event_bytes *b)
{
    char c = (char)take_byte(b);

    for (size_t i = 0; i < sizeof finish_letters; i++)
        if (finish_letters[i] == c)
            return (enum finish)i;
    b->is_bad = true;
    return FINISH_STOP;
}

static enum fault take_fault(struct event_bytes *b)
{
    enum fault fault = fault_read(take_text(b));

    b->is_bad = b->is_bad || fault == FAULT_NONE;
    return fault;
}

static void take_fields(struct event_bytes *b, struct event *ev)
{
    switch (ev->type) {
    case EVENT_START:
    case EVENT_DELTA:
    case EVENT_REASONING: ev->text = take_text(b); return;
    case EVENT_TOOL_CALL:
        ev->tool.index = take_number(b);
        ev->tool.id = take_text(b);
        ev->tool.name = take_text(b);
        ev->text = take_text(b);
        return;
    case EVENT_TOOL_RESULT:
        ev->tool.index = take_number(b);
        ev->tool.id = take_text(b);
        ev->text = take_text(b);
        return;
    case EVENT_ROUND: return;
    case EVENT_CITATION:
        ev->citation.id = take_text(b);
        ev->citation.title = take_text(b);
        ev->citation.url = take_text(b);
        ev->citation.text = take_text(b);
        return;
    case EVENT_USAGE:
        ev->usage.prompt = take_number(b);
        ev->usage.completion = take_number(b);
        return;
    case EVENT_FINISH: ev->finish = take_finish(b); return;
    case EVENT_ERROR: ev->fault = take_fault(b); return;
    }
}

static bool take_variant(char c, struct event *ev)
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        if (variants[i].letter != c)
            continue;
        ev->type = variants[i].type;
        ev->stands_in = variants[i].stands_in;
        ev->tool.is_ours = variants[i].is_ours;
        ev->tool.failed = variants[i].failed;
        return true;
    }
    return false;
}

static void take_type(struct event_bytes *b, struct event *ev)
{
    char c = (char)take_byte(b);

    if (b->is_bad || take_variant(c, ev))
        return;
    for (size_t i = 0; i < sizeof letters; i++) {
        if (letters[i] == c) {
            ev->type = (enum event_type)i;
            return;
        }
    }
    b->is_bad = true;
}

bool event_bytes_next(struct event_bytes *b, struct event *ev)
{
    if (b->is_bad || b->rest.n == 0)
        return false;
    *ev = (struct event){ .type = EVENT_ERROR };
    take_type(b, ev);
    if (!b->is_bad)
        take_fields(b, ev);
    return !b->is_bad;
}
