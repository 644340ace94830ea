#include "answers.h"

#include "base/buf.h"
#include "events.h"
#include "script.h"
#include "wire/http_text.h"

#include <ctype.h>
#include <string.h>
#include <yyjson.h>

enum { FIELDS_MAX = 32 };

struct head {
    int        status;
    struct str names[FIELDS_MAX], values[FIELDS_MAX];
    size_t     n;
};

/* ---- chunks ------------------------------------------------------------------------ */

static bool is_field_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

/* A line with CRLF; `line` comes without it. */
static enum chunked take_line(struct str *rest, struct str *line)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

    if (!end)
        return CHUNKED_TORN;
    *line = (struct str){ rest->p, (size_t)(end - rest->p) };
    *rest = str_from(*rest, line->n + 1);
    if (line->n == 0 || line->p[line->n - 1] != '\r')
        return CHUNKED_BAD;
    line->n--;
    return is_field_text(*line) ? CHUNKED_WHOLE : CHUNKED_BAD;
}

static bool read_chunk_size(struct str line, uint64_t *size)
{
    size_t n = 0;

    *size = 0;
    while (n < line.n && isxdigit((unsigned char)line.p[n])) {
        char c = line.p[n++];

        if (*size >> 56)
            return false;
        *size = *size * 16 + (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    line = str_trim(str_from(line, n));
    return n > 0 && (line.n == 0 || line.p[0] == ';');
}

static enum chunked take_trailers(struct str *rest)
{
    struct str   line;
    enum chunked is;

    while ((is = take_line(rest, &line)) == CHUNKED_WHOLE && line.n) {
        const char *colon = memchr(line.p, ':', line.n);

        if (!colon || !http_is_token((struct str){ line.p, (size_t)(colon - line.p) }))
            return CHUNKED_BAD;
    }
    return is;
}

enum chunked chunked_read(struct str bytes, struct buf *out, size_t *length)
{
    struct str   rest = bytes, line;
    uint64_t     size;
    enum chunked is;

    while ((is = take_line(&rest, &line)) == CHUNKED_WHOLE) {
        if (!read_chunk_size(line, &size))
            return CHUNKED_BAD;
        if (size == 0) {
            is = take_trailers(&rest);
            *length = bytes.n - rest.n;
            return is;
        }
        buf_add(out, (struct str){ rest.p, size < rest.n ? size : rest.n });
        if (size + 2 > rest.n)
            return CHUNKED_TORN;
        if (memcmp(rest.p + size, "\r\n", 2) != 0)
            return CHUNKED_BAD;
        rest = str_from(rest, size + 2);
    }
    return is;
}

/* ---- heads ------------------------------------------------------------------------- */

static struct str field(const struct head *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (str_eq(h->names[i], str_of(name)))
            return h->values[i];
    return (struct str){ NULL, 0 };
}

static void read_status(struct head *h, struct str line)
{
    MUST_SAY(line.n > 13 && str_starts(line, STR("HTTP/1.1 ")), "%.*s", STR_ARG(line));
    MUST(isdigit((unsigned char)line.p[9]) && isdigit((unsigned char)line.p[10]) &&
         isdigit((unsigned char)line.p[11]) && line.p[12] == ' ');
    MUST(http_is_plain_value(line));
    h->status = (line.p[9] - '0') * 100 + (line.p[10] - '0') * 10 + line.p[11] - '0';
}

static void read_field(struct head *h, struct str line)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct str  name, value;

    MUST_SAY(colon, "%.*s", STR_ARG(line));
    name = (struct str){ line.p, (size_t)(colon - line.p) };
    value = str_from(line, name.n + 1);
    MUST_SAY(http_is_token(name) && value.n > 1 && value.p[0] == ' ', "%.*s", STR_ARG(line));
    value = str_from(value, 1);
    MUST_SAY(http_is_plain_value(value) && str_trim(value).n == value.n, "%.*s", STR_ARG(line));
    for (size_t i = 0; i < h->n; i++)
        MUST_SAY(!str_eq_nocase(h->names[i], name), "twice: %.*s", STR_ARG(name));
    MUST(h->n < FIELDS_MAX);
    h->names[h->n] = name;
    h->values[h->n++] = value;
}

/* False when the head is not whole. */
static bool read_head(struct head *h, struct str *rest)
{
    struct str   line;
    enum chunked is;

    h->n = 0;
    h->status = 0;
    while ((is = take_line(rest, &line)) == CHUNKED_WHOLE && line.n) {
        if (!h->status)
            read_status(h, line);
        else
            read_field(h, line);
    }
    MUST_SAY(is != CHUNKED_BAD, "a line of the head is malformed");
    MUST_SAY(is == CHUNKED_TORN || h->status, "an empty line where a status should be");
    return is == CHUNKED_WHOLE;
}

static void check_head(const struct head *h)
{
    MUST(field(h, "date").n == 29);
    MUST(field(h, "x-request-id").n > 0);
    MUST(!field(h, "content-length").p || !field(h, "transfer-encoding").p);
    MUST(!field(h, "transfer-encoding").p || str_eq(field(h, "transfer-encoding"), STR("chunked")));
    MUST(h->status != 204 || (!field(h, "content-length").p && !field(h, "transfer-encoding").p));
    MUST(h->status == 200 || h->status == 204 || (h->status >= 400 && h->status <= 505));
    MUST(h->status != 405 || field(h, "allow").n);
    MUST(h->status != 503 || field(h, "retry-after").n || field(h, "content-type").n);
}

/* ---- bodies ------------------------------------------------------------------------ */

static void check_json(const struct head *h, struct str body)
{
    yyjson_doc *doc = yyjson_read(body.p, body.n, 0);
    yyjson_val *error;

    MUST_SAY(doc, "%d: not JSON: %.*s", h->status, STR_ARG(body));
    error = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
    MUST(str_eq(field(h, "content-type"), STR("application/json")));
    if (h->status >= 400 && !yyjson_obj_get(yyjson_doc_get_root(doc), "status")) {
        MUST_SAY(yyjson_obj_size(error) == 4, "%.*s", STR_ARG(body));
        MUST(yyjson_get_len(yyjson_obj_get(error, "message")) > 0);
        MUST(yyjson_is_str(yyjson_obj_get(error, "type")));
        MUST(yyjson_obj_get(error, "param") && yyjson_obj_get(error, "code"));
    } else {
        MUST_SAY(!error, "an error under %d", h->status);
    }
    yyjson_doc_free(doc);
}

static void check_body(const struct head *h, struct str body, bool whole)
{
    struct str type = field(h, "content-type");

    if (str_starts(type, STR("text/event-stream"))) {
        MUST(h->status == 200);
        events_must_be_chat(body, whole);
    } else if (str_starts(type, STR("text/plain"))) {
        MUST(h->status == 200);
        MUST(!whole || (body.n && body.p[body.n - 1] == '\n'));
    } else if (whole) {
        check_json(h, body);
    }
}

/* Cuts the body off. False when it is not whole. */
static bool take_body(const struct head *h, struct str *rest, bool maybe_cut, bool maybe_head)
{
    struct str   given = field(h, "content-length");
    struct str   body = { rest->p, rest->n };
    struct buf   text = BUF(SIZE_MAX / 2);
    uint64_t     length = 0;
    size_t       coded = 0;
    enum chunked is = CHUNKED_WHOLE;

    if (h->status == 204)
        return true;
    if (given.p) {
        MUST(str_to_u64(given, &length));
        if (maybe_head && (rest->n == 0 || str_starts(*rest, STR("HTTP/1.1 "))))
            return true;
        body.n = rest->n < length ? rest->n : length;
        check_body(h, body, body.n == length);
        *rest = str_from(*rest, body.n);
        return body.n == length;
    }
    if (!field(h, "transfer-encoding").p) {
        MUST_SAY(str_eq(field(h, "connection"), STR("close")), "no length, and not the last");
        check_body(h, body, !maybe_cut);
        *rest = str_from(*rest, rest->n);
        return true;
    }
    is = chunked_read(*rest, &text, &coded);
    MUST_SAY(is != CHUNKED_BAD, "%.*s", STR_ARG(*rest));
    check_body(h, buf_str(&text), is == CHUNKED_WHOLE);
    buf_release(&text);
    *rest = str_from(*rest, is == CHUNKED_WHOLE ? coded : rest->n);
    return is == CHUNKED_WHOLE;
}

struct answers answers_read(struct str bytes, bool maybe_cut, bool maybe_head)
{
    struct answers all = { .n = 0 };
    struct head    h;

    while (bytes.n) {
        MUST_SAY(!all.closing, "more after the last answer: %.*s", STR_ARG(bytes));
        if (!read_head(&h, &bytes)) {
            MUST_SAY(maybe_cut, "a head is torn");
            return all;
        }
        if (h.status == 100) {
            MUST(h.n == 0);
            continue;
        }
        check_head(&h);
        if (!take_body(&h, &bytes, maybe_cut, maybe_head)) {
            MUST_SAY(maybe_cut, "a body is torn after %d", h.status);
            return all;
        }
        if (all.n < sizeof all.statuses / sizeof *all.statuses)
            all.statuses[all.n] = h.status;
        all.n++;
        all.closing = str_eq(field(&h, "connection"), STR("close"));
    }
    return all;
}
