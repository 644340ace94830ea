#include "base/half.h"

#include <string.h>

enum { FIRST = 0xD800, SECOND = 0xDC00, LEAD = 0xF4, LEAD_2 = 0x8F };

void half_write(char *to, unsigned unit)
{
    unsigned bits = unit - FIRST;

    to[0] = (char)LEAD;
    to[1] = (char)LEAD_2;
    to[2] = (char)(0x80 | bits >> 6);
    to[3] = (char)(0x80 | (bits & 0x3F));
}

/* The unit, or 0 if there is something else. */
static unsigned half_at(struct str text)
{
    const unsigned char *p = (const unsigned char *)text.p;

    if (text.n < HALF_BYTES || p[0] != LEAD || p[1] != LEAD_2 || p[2] >= 0xA0)
        return 0;
    return FIRST + ((p[2] & 0x1Fu) << 6 | (p[3] & 0x3Fu));
}

bool half_is_in(struct str text)
{
    const char *p;

    while (text.n && (p = memchr(text.p, LEAD, text.n))) {
        text = str_from(text, (size_t)(p - text.p));
        if (half_at(text))
            return true;
        text = str_from(text, 1);
    }
    return false;
}

struct str half_cut_off(struct str text)
{
    while (text.n >= HALF_BYTES && half_at(str_from(text, text.n - HALF_BYTES)))
        text.n -= HALF_BYTES;
    return text;
}

static void add_joined(struct buf *out, unsigned first, unsigned second)
{
    unsigned c = 0x10000 + ((first - FIRST) << 10) + (second - SECOND);

    buf_add_char(out, (char)(0xF0 | c >> 18));
    buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3F)));
    buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3F)));
    buf_add_char(out, (char)(0x80 | (c & 0x3F)));
}

void half_join(uint16_t *held, struct str text, struct buf *out)
{
    while (text.n) {
        unsigned unit = half_at(text);

        if (*held && unit >= SECOND) {
            add_joined(out, *held, unit);
            *held = 0;
        } else {
            if (*held)
                buf_add(out, HALF_LOST);
            *held = unit < SECOND ? (uint16_t)unit : 0;
            if (unit >= SECOND)
                buf_add(out, HALF_LOST);
            else if (!unit)
                buf_add_char(out, text.p[0]);
        }
        text = str_from(text, unit ? HALF_BYTES : 1);
    }
}

struct str half_mend(struct str text, struct buf *out)
{
    size_t   from = out->n;
    uint16_t held = 0;

    if (!half_is_in(text))
        return text;
    half_join(&held, text, out);
    if (held)
        buf_add(out, HALF_LOST);
    return str_from(buf_str(out), from);
}
