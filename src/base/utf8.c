#include "base/utf8.h"

#include <string.h>

static bool is_tail(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

/* The table of RFC 3629 section 4, row by row. */
size_t utf8_length(struct str s)
{
    static const struct {
        unsigned char low, high;              /* first byte                     */
        unsigned char second_low, second_high;
        size_t        length;
    } rows[] = {
        { 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    const unsigned char *b = (const unsigned char *)s.p;

    for (size_t i = 0; s.n && i < sizeof rows / sizeof *rows; i++) {
        if (b[0] < rows[i].low || b[0] > rows[i].high)
            continue;
        if (s.n < rows[i].length)
            return 0;
        if (rows[i].length > 1 && !is_tail(b[1], rows[i].second_low, rows[i].second_high))
            return 0;
        for (size_t k = 2; k < rows[i].length; k++)
            if (!is_tail(b[k], 0x80, 0xbf))
                return 0;
        return rows[i].length;
    }
    return 0;
}

struct str utf8_clip(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max && ((unsigned char)s.p[max] & 0xc0) == 0x80)
        max--;
    return (struct str){ s.p, max };
}

bool utf8_is_valid(struct str s)
{
    while (s.n) {
        size_t n = utf8_length(s);

        if (n == 0)
            return false;
        s = str_from(s, n);
    }
    return true;
}

size_t utf8_count(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

struct str utf8_first(struct str s, size_t n)
{
    size_t at = 0;

    for (; at < s.n; at++)
        if (((unsigned char)s.p[at] & 0xc0) != 0x80 && n-- == 0)
            break;
    return (struct str){ s.p, at };
}

struct str utf8_without_nul(struct str s, struct arena *room)
{
    static const char lost[] = { '\xef', '\xbf', '\xbd' };
    size_t            n = 0;
    char             *to;

    if (s.n == 0 || !memchr(s.p, 0, s.n))
        return s;
    to = arena_new(room, s.n * sizeof lost);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i]) {
            to[n++] = s.p[i];
        } else {
            memcpy(to + n, lost, sizeof lost);
            n += sizeof lost;
        }
    }
    return (struct str){ to, n };
}
