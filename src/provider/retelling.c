#include "provider/retelling.h"

#include "base/half.h"
#include "base/utf8.h"

#include <string.h>

enum { GROWTHS_MIN = 3 };

void retelling_init(struct retelling *r, size_t max_bytes)
{
    *r = (struct retelling){ .whole = BUF(max_bytes), .pieces = BUF(max_bytes) };
}

void retelling_release(struct retelling *r)
{
    buf_release(&r->whole);
    buf_release(&r->pieces);
}

void retelling_restart(struct retelling *r)
{
    size_t max_bytes = r->whole.limit;

    retelling_release(r);
    retelling_init(r, max_bytes);
}

/* A half of a character at the end, kept or given up by the service: a retelling may bring
 * the other half next time. */
static struct str without_half(struct str text)
{
    struct str lost = STR("\xef\xbf\xbd");

    text = half_cut_off(text);
    while (text.n >= lost.n && memcmp(text.p + text.n - lost.n, lost.p, lost.n) == 0)
        text.n -= lost.n;
    return text;
}

static struct str tell_up_to(struct retelling *r, struct buf *b, size_t n)
{
    struct str fresh = { b->p ? b->p + r->told : NULL, n - r->told };

    r->told = n;
    return fresh;
}

/* In whole characters. */
static size_t agreed(const struct retelling *r)
{
    size_t n = 0, max = r->whole.n < r->pieces.n ? r->whole.n : r->pieces.n;

    while (n < max && r->whole.p[n] == r->pieces.p[n])
        n++;
    return n < r->whole.n ? utf8_clip(buf_str(&r->whole), n).n : n;
}

static void set_whole(struct retelling *r, struct str text)
{
    buf_add(&r->whole, str_from(text, r->whole.n));
}

static struct str add_unsure(struct retelling *r, struct str text)
{
    struct str firm = without_half(text), before = buf_str(&r->whole);

    buf_add(&r->pieces, text);
    if (!str_starts(firm, before)) {
        r->kind = RETELLING_PIECES;
        return tell_up_to(r, &r->pieces, r->pieces.n);
    }
    r->growths += before.n > 0 && firm.n > before.n;
    set_whole(r, firm);
    if (r->growths < GROWTHS_MIN)
        return tell_up_to(r, &r->whole, agreed(r));
    r->kind = RETELLING_WHOLE;
    return tell_up_to(r, &r->whole, r->whole.n);
}

static bool add_whole(struct retelling *r, struct str text, struct str *fresh)
{
    struct str firm = without_half(text), before = buf_str(&r->whole);

    if (!str_starts(firm, before))
        return str_starts(before, firm);
    set_whole(r, firm);
    *fresh = tell_up_to(r, &r->whole, r->whole.n);
    return true;
}

bool retelling_add(struct retelling *r, struct str text, struct str *fresh)
{
    bool fits = true;

    *fresh = (struct str){ NULL, 0 };
    r->was_silent = text.n == 0;
    if (r->kind == RETELLING_PIECES)
        *fresh = text;
    else if (text.n && r->kind == RETELLING_UNSURE)
        *fresh = add_unsure(r, text);
    else if (text.n)
        fits = add_whole(r, text, fresh);
    return fits && !r->whole.over && !r->pieces.over;
}

struct str retelling_settle(struct retelling *r)
{
    bool        in_pieces = r->was_silent;
    struct buf *b = in_pieces ? &r->pieces : &r->whole;

    if (r->kind != RETELLING_UNSURE)
        return (struct str){ NULL, 0 };
    r->kind = in_pieces ? RETELLING_PIECES : RETELLING_WHOLE;
    return tell_up_to(r, b, b->n);
}
