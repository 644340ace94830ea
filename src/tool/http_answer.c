#include "tool/http_answer.h"

#include "base/utf8.h"
#include "wire/http_text.h"

bool http_answer_is_good(int status)
{
    return status >= 200 && status < 300;
}

/* ---- what it is ------------------------------------------------------------------------------ */

static bool ends(struct str s, struct str end)
{
    return s.n >= end.n && str_eq_nocase(str_from(s, s.n - end.n), end);
}

static bool begins(struct str s, struct str start)
{
    return s.n >= start.n && str_eq_nocase((struct str){ s.p, start.n }, start);
}

bool http_answer_is_text(struct str content_type)
{
    static const struct str others[] = {
        STR_INIT("application/json"),       STR_INIT("application/xml"),
        STR_INIT("application/javascript"), STR_INIT("application/x-ndjson"),
        STR_INIT("application/yaml"),       STR_INIT("application/x-yaml"),
        STR_INIT("application/graphql"),    STR_INIT("application/x-www-form-urlencoded"),
    };
    struct str type = http_media_type(content_type);

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (str_eq_nocase(type, others[i]))
            return true;
    return type.n == 0 || begins(type, STR("text/")) || ends(type, STR("+json")) ||
           ends(type, STR("+xml"));
}

/* Empty: it does not say. */
static struct str charset_of(struct str content_type)
{
    struct str piece, name = STR("charset=");

    while (str_next(&content_type, ';', &piece)) {
        piece = str_trim(piece);
        if (!begins(piece, name))
            continue;
        piece = str_trim(str_from(piece, name.n));
        if (piece.n > 1 && piece.p[0] == '"' && piece.p[piece.n - 1] == '"')
            piece = (struct str){ piece.p + 1, piece.n - 2 };
        return piece;
    }
    return (struct str){ NULL, 0 };
}

static bool is_utf8(struct str charset)
{
    return charset.n == 0 || str_eq_nocase(charset, STR("utf-8")) ||
           str_eq_nocase(charset, STR("utf8")) || str_eq_nocase(charset, STR("us-ascii"));
}

/* ---- its text ---------------------------------------------------------------------------------- */

/* A database cannot keep a NUL in a text, and models need none. */
static size_t good_length(struct str s)
{
    size_t n = 0, next;

    while (n < s.n && s.p[n] && (next = utf8_length(str_from(s, n))))
        n += next;
    return n;
}

static void add_whole(struct str s, struct buf *out)
{
    while (s.n) {
        size_t n = good_length(s);

        buf_add(out, (struct str){ s.p, n });
        s = str_from(s, n);
        if (s.n) {
            buf_lit(out, "\xef\xbf\xbd");
            s = str_from(s, 1);
        }
    }
}

/* Names that the service wrote stay out of our words when they are no plain ones. */
static struct str shown(struct str s)
{
    return http_is_plain_value(s) && s.n <= 100 ? s : STR("(something odd)");
}

/* Of a body that was cut the last character may be, too. */
static bool write_body(const struct http_answer *a, struct buf *out)
{
    struct str charset = charset_of(a->content_type), type = http_media_type(a->content_type);
    bool       is_whole = good_length(a->body) + 4 > a->body.n;

    if (!http_answer_is_text(a->content_type)) {
        buf_addf(out, "The answer is of the type %.*s, which is not text.", STR_ARG(shown(type)));
        return false;
    }
    if (!type.n && !is_whole) {
        buf_lit(out, "The answer is not text.");
        return false;
    }
    if (!is_utf8(charset) && !is_whole) {
        buf_addf(out, "The answer is written in %.*s; only UTF-8 can be read.",
                 STR_ARG(shown(charset)));
        return false;
    }
    add_whole(a->body, out);
    return true;
}

static void write_status(int status, struct buf *out)
{
    const char *reason = http_reason(status);

    buf_addf(out, "The service answered HTTP %d%s%s", status, *reason ? " " : "", reason);
}

bool http_answer_write(const struct http_answer *a, struct buf *out)
{
    static const struct str mark = STR_INIT("\xef\xbb\xbf");
    struct http_answer      said = *a;

    if (str_starts(a->body, mark))
        said.body = str_from(a->body, mark.n);
    if (http_answer_is_good(a->status) && said.body.n)
        return write_body(&said, out);
    write_status(a->status, out);
    if (http_answer_is_good(a->status)) {
        buf_lit(out, ", without content.");
        return true;
    }
    if (!said.body.n) {
        buf_lit(out, ".");
        return false;
    }
    buf_lit(out, ":\n");
    said.body = utf8_clip(said.body, HTTP_ANSWER_ERROR_MAX);
    write_body(&said, out);
    return false;
}
