#include "base/str.h"

#include <string.h>

struct str str_of(const char *text)
{
    return (struct str){ text, text ? strlen(text) : 0 };
}

struct str str_from(struct str s, size_t at)
{
    if (at >= s.n)
        return (struct str){ NULL, 0 };
    return (struct str){ s.p + at, s.n - at };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

size_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

struct str str_trim(struct str s)
{
    while (s.n && is_blank(s.p[0]))
        s = str_from(s, 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    size_t i = 0;

    while (i < a.n && i < b.n && lower(a.p[i]) == lower(b.p[i]))
        i++;
    return i == a.n && i == b.n;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq((struct str){ s.p, prefix.n }, prefix);
}

bool str_next(struct str *rest, char sep, struct str *piece)
{
    const char *end;

    if (!rest->p)
        return false;
    end = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    if (!end) {
        *piece = *rest;
        *rest = (struct str){ NULL, 0 };
        return true;
    }
    *piece = (struct str){ rest->p, (size_t)(end - rest->p) };
    *rest = (struct str){ end + 1, rest->n - piece->n - 1 };
    return true;
}

bool str_to_u64(struct str s, uint64_t *value)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *value = v;
    return true;
}
