#include "base/buf.h"

#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_SIZE = 256 };

void buf_release(struct buf *b)
{
    mem_free(b->p);
    *b = BUF(b->limit);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->over = false;
}

struct str buf_str(const struct buf *b)
{
    return (struct str){ b->p, b->n };
}

static void grow(struct buf *b, size_t room)
{
    size_t cap = b->cap ? b->cap : FIRST_SIZE;

    if (room <= b->cap - b->n)
        return;
    while (cap < b->n + room)
        cap *= 2;
    if (cap > b->limit)
        cap = b->limit > b->n + room ? b->limit : b->n + room;
    b->p = mem_resize(b->p, cap);
    b->cap = cap;
}

bool buf_reserve(struct buf *b, size_t n)
{
    if (b->over || n > b->limit - b->n) {
        b->over = true;
        return false;
    }
    if (n > b->cap - b->n)
        grow(b, n);
    return true;
}

void buf_add(struct buf *b, struct str s)
{
    if (s.n == 0 || !buf_reserve(b, s.n))
        return;
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}

void buf_add_char(struct buf *b, char c)
{
    if (buf_reserve(b, 1))
        b->p[b->n++] = c;
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char   digits[20];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    buf_add(b, (struct str){ digits + at, sizeof digits - at });
}

void buf_add_i64(struct buf *b, int64_t v)
{
    if (v < 0)
        buf_add_char(b, '-');
    buf_add_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    size_t  room = b->cap - b->n;
    va_list args, again;
    int     n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(room ? b->p + b->n : NULL, room, format, args);
    assert(n >= 0);
    if (buf_reserve(b, (size_t)n)) {
        if ((size_t)n >= room) {
            grow(b, (size_t)n + 1);           /* for a NUL that we do not keep  */
            vsnprintf(b->p + b->n, (size_t)n + 1, format, again);
        }
        b->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void buf_drop_front(struct buf *b, size_t n)
{
    assert(n <= b->n);
    b->n -= n;
    if (b->n)
        memmove(b->p, b->p + n, b->n);
}
