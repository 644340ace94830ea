#include "wire/sse.h"

/* Cuts one line off: LF, CR and CRLF all end one. */
static struct str next_line(struct str *rest)
{
    struct str line = *rest;
    size_t     n = 0;

    while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r')
        n++;
    line.n = n;
    if (n + 1 < rest->n && rest->p[n] == '\r' && rest->p[n + 1] == '\n')
        n++;
    *rest =
        n < rest->n ? (struct str){ rest->p + n + 1, rest->n - n - 1 } : (struct str){ NULL, 0 };
    return line;
}

static void add_lines(struct buf *b, struct str prefix, struct str text)
{
    do {
        struct str line = next_line(&text);

        buf_add(b, prefix);
        buf_add(b, line);
        buf_lit(b, "\n");
    } while (text.p);
    buf_lit(b, "\n");
}

void sse_add_data(struct buf *b, struct str text)
{
    add_lines(b, STR(SSE_DATA), text);
}

void sse_add_comment(struct buf *b, struct str text)
{
    add_lines(b, STR(": "), text);
}
