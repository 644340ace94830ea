#include "script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool script_next(struct str *rest, struct str *text, char *mark)
{
    const char *at = rest->n ? memchr(rest->p, SCRIPT_MARK, rest->n) : NULL;
    size_t      n = at ? (size_t)(at - rest->p) : rest->n;
    bool        own = at && n + 1 < rest->n && (unsigned char)at[1] == SCRIPT_MARK;

    if (rest->n == 0)
        return false;
    *text = (struct str){ rest->p, n + own };
    *mark = at && n + 1 < rest->n && !own ? at[1] : '\0';
    n = at ? n + 2 : n;
    *rest = str_from(*rest, n < rest->n ? n : rest->n);
    return true;
}

void script_text(struct str script, struct buf *out)
{
    struct str text;
    char       mark;

    while (script_next(&script, &text, &mark))
        buf_add(out, text);
}

void script_fail(const char *file, int line, const char *claim, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "\n%s:%d: does not hold: %s\n    ", file, line, claim);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
