#include "base/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *fill(FILE *f, struct buf *out)
{
    char   bytes[4096];
    size_t n;

    while (!out->over && (n = fread(bytes, 1, sizeof bytes, f)) > 0)
        buf_add(out, (struct str){ bytes, n });
    if (ferror(f))
        return strerror(errno);
    return out->over ? "it is too large" : NULL;
}

static void cut_line_end(struct buf *b, size_t start)
{
    while (b->n > start && (b->p[b->n - 1] == '\n' || b->p[b->n - 1] == '\r'))
        b->n--;
}

const char *secret_file_read(const char *path, struct buf *out)
{
    size_t      start = out->n;
    FILE       *f = fopen(path, "re");
    const char *why;

    if (!f)
        return strerror(errno);
    why = fill(f, out);
    fclose(f);
    cut_line_end(out, start);
    errno = 0;
    if (!why && out->n == start) {
        why = "it is empty";
        errno = ENOENT;
    }
    if (!why && memchr(out->p + start, 0, out->n - start))
        why = "it holds a NUL character";
    if (why)
        out->n = start;
    return why;
}
