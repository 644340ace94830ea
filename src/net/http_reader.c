#include "net/http_reader.h"

#include "base/buf.h"
#include "base/mem.h"

#include <assert.h>
#include <string.h>

enum { FIELD_OVERHEAD = 4, CHUNK_ALLOWANCE = 16, INBOX_KEEP = 64 * 1024 };

struct field {
    uint32_t name_at, name_n, value_at, value_n;
};

/* What one request needs while it is being read. The spare one serves every request
 * that comes in a single piece, which is nearly all of them. */
struct http_inbox {
    struct buf    text;                       /* target, names and values       */
    uint32_t      target_n;
    struct field *fields;
    size_t        n_fields, max_fields;
    struct buf    body;
};

static struct http_inbox *spare;

static void inbox_free(struct http_inbox *box)
{
    buf_release(&box->text);
    buf_release(&box->body);
    mem_free(box->fields);
    mem_free(box);
}

static struct http_inbox *inbox_take(const struct http_settings *limits)
{
    struct http_inbox *box = spare ? spare : mem_new(sizeof *box);

    spare = NULL;
    buf_clear(&box->text);
    buf_clear(&box->body);
    box->text.limit = limits->max_header_bytes + limits->max_uri_bytes + 1;
    box->body.limit = limits->max_body_bytes;
    box->n_fields = box->target_n = 0;
    return box;
}

static void inbox_give_back(struct http_inbox *box)
{
    if (!spare && box->body.cap <= INBOX_KEEP && box->text.cap <= INBOX_KEEP)
        spare = box;
    else
        inbox_free(box);
}

void http_readers_release(void)
{
    if (spare)
        inbox_free(spare);
    spare = NULL;
}

static struct http_reader *reader_of(llhttp_t *parser)
{
    return (struct http_reader *)(void *)((char *)parser - offsetof(struct http_reader, parser));
}

/* ---- refusing ------------------------------------------------------------------- */

static int bad(struct http_reader *r, int status, const char *why)
{
    if (!r->status) {
        r->status = status;
        r->why = why;
    }
    return HPE_USER;
}

/* ---- what llhttp finds ------------------------------------------------------------- */

static int count_head(struct http_reader *r, size_t n)
{
    r->head_bytes += n;
    if (r->head_bytes > r->limits->max_header_bytes)
        return bad(r, 431, "the request's header fields are too large");
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    struct http_reader *r = reader_of(parser);

    if (r->inbox->target_n + n > r->limits->max_uri_bytes)
        return bad(r, 414, "the request target is too long");
    buf_add(&r->inbox->text, (struct str){ at, n });
    r->inbox->target_n += (uint32_t)n;
    return 0;
}

static struct field *new_field(struct http_inbox *box)
{
    if (box->n_fields == box->max_fields) {
        box->max_fields = box->max_fields ? box->max_fields * 2 : 32;
        box->fields = mem_resize(box->fields, box->max_fields * sizeof *box->fields);
    }
    box->fields[box->n_fields] = (struct field){ .name_at = (uint32_t)box->text.n };
    return &box->fields[box->n_fields++];
}

/* A name may come in pieces; the first piece after a whole value is a new field. */
static int on_field(llhttp_t *parser, const char *at, size_t n)
{
    struct http_reader *r = reader_of(parser);
    struct http_inbox  *box = r->inbox;
    struct field       *f = box->n_fields ? &box->fields[box->n_fields - 1] : NULL;

    if (r->in_body)
        return 0;                             /* a trailer; nobody here reads them */
    if (!f || f->value_at) {
        if (box->n_fields == r->limits->max_headers)
            return bad(r, 431, "the request has too many header fields");
        f = new_field(box);
        if (count_head(r, FIELD_OVERHEAD) != 0)
            return HPE_USER;
    }
    f->name_n += (uint32_t)n;
    buf_add(&box->text, (struct str){ at, n });
    return count_head(r, n);
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    struct http_reader *r = reader_of(parser);
    struct field       *f = &r->inbox->fields[r->inbox->n_fields - 1];

    if (r->in_body)
        return 0;
    if (!f->value_at)
        f->value_at = (uint32_t)r->inbox->text.n;
    f->value_n += (uint32_t)n;
    buf_add(&r->inbox->text, (struct str){ at, n });
    return count_head(r, n);
}

static int on_value_complete(llhttp_t *parser)
{
    struct http_reader *r = reader_of(parser);

    if (!r->in_body && !r->inbox->fields[r->inbox->n_fields - 1].value_at)
        r->inbox->fields[r->inbox->n_fields - 1].value_at = (uint32_t)r->inbox->text.n;
    return 0;
}

/* Returning HPE_PAUSED gives the word to the owner: is this request wanted at all? */
static int on_headers_complete(llhttp_t *parser)
{
    struct http_reader *r = reader_of(parser);

    parser->upgrade = 0;                      /* upgrades are not taken up: RFC 9110, 7.8 */
    r->in_body = true;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct http_reader *r = reader_of(parser);

    buf_add(&r->inbox->body, (struct str){ at, n });
    if (r->inbox->body.over)
        return bad(r, 413, "the request body is too large");
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- what llhttp leaves to us -------------------------------------------------------- */

static int check_version(struct http_reader *r)
{
    if (r->parser.http_major != 1 || r->parser.http_minor > 1)
        return bad(r, 505, "this service speaks HTTP/1.1 and HTTP/1.0");
    return 0;
}

static int check_method(struct http_reader *r)
{
    static const struct {
        int              llhttp;
        enum http_method ours;
    } known[] = {
        { HTTP_GET, HTTP_METHOD_GET },       { HTTP_HEAD, HTTP_METHOD_HEAD },
        { HTTP_POST, HTTP_METHOD_POST },     { HTTP_PUT, HTTP_METHOD_PUT },
        { HTTP_PATCH, HTTP_METHOD_PATCH },   { HTTP_DELETE, HTTP_METHOD_DELETE },
        { HTTP_OPTIONS, HTTP_METHOD_OPTIONS },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].llhttp == r->parser.method) {
            r->method = known[i].ours;
            return 0;
        }
    return bad(r, 501, "the request method is not known here");
}

static int check_host(struct http_reader *r)
{
    size_t n = http_reader_count(r, STR("host"));

    if (n == 0 && http_reader_is_1_0(r))
        return 0;
    if (n != 1)
        return bad(r, 400, n ? "there is more than one Host field" : "the Host field is missing");
    if (!http_is_host(http_reader_header(r, STR("host"))))
        return bad(r, 400, "the Host field is not a host");
    return 0;
}

static int check_target(struct http_reader *r)
{
    struct str target = { r->inbox->text.p, r->inbox->target_n };

    if (!http_read_target(target, &r->target))
        return bad(r, 400, "the request target is malformed");
    if (r->target.path.p[0] == '*' && r->method != HTTP_METHOD_OPTIONS)
        return bad(r, 400, "only OPTIONS may ask for *");
    return 0;
}

/* RFC 9112, 6.1 to 6.3. Anything that two servers could read differently is refused. */
static int check_framing(struct http_reader *r)
{
    size_t     n = http_reader_count(r, STR("transfer-encoding"));
    struct str coding = http_reader_header(r, STR("transfer-encoding"));

    if (http_reader_count(r, STR("content-length")) > 1)
        return bad(r, 400, "there is more than one Content-Length field");
    if (n == 0)
        return 0;
    if (http_reader_count(r, STR("content-length")))
        return bad(r, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (http_reader_is_1_0(r))
        return bad(r, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (n != 1 || !http_reader_is_chunked(r))
        return bad(r, 400, "the Transfer-Encoding field is malformed");
    if (str_eq_nocase(coding, STR("chunked")))
        return 0;
    if (!http_list_has(coding, STR("")))
        return bad(r, 501, "chunked is the only transfer coding known here");
    return bad(r, 400, "the Transfer-Encoding field is malformed");
}

static int check_head(struct http_reader *r)
{
    if (check_version(r) || check_method(r) || check_framing(r) || check_host(r) || check_target(r))
        return HPE_USER;
    return 0;
}

/* A token that llhttp does not know is a method all the same (RFC 9110, 9.1): llhttp
 * stops at the first byte that no method of its list has there. */
static int refuse_method(struct http_reader *r, struct str bytes)
{
    const char   *pos = llhttp_get_error_pos(&r->parser);
    unsigned char c = pos && pos < bytes.p + bytes.n ? (unsigned char)*pos : 0;

    if (http_is_tchar(c) || (c == ' ' && pos > bytes.p))
        return bad(r, 501, "the request method is not known here");
    return bad(r, 400, "this is not an HTTP request");
}

static int refuse_version(struct http_reader *r, struct str bytes)
{
    const char   *pos = llhttp_get_error_pos(&r->parser);
    unsigned char c = pos && pos < bytes.p + bytes.n ? (unsigned char)*pos : 0;

    if ((c >= '0' && c <= '9') || strcmp(llhttp_get_error_reason(&r->parser), "Invalid HTTP version") == 0)
        return bad(r, 505, "this service speaks HTTP/1.1 and HTTP/1.0");
    return bad(r, 400, "the HTTP version is malformed");
}

static int refuse_syntax(struct http_reader *r, llhttp_errno_t error, struct str bytes)
{
    switch (error) {
    case HPE_INVALID_METHOD:
        return refuse_method(r, bytes);
    case HPE_INVALID_VERSION:
        return refuse_version(r, bytes);
    case HPE_INVALID_URL:
        return bad(r, 400, "the request target is malformed");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return bad(r, 400, "the Content-Length field is malformed");
    case HPE_INVALID_TRANSFER_ENCODING:
        return bad(r, 400, "the Transfer-Encoding field is malformed");
    case HPE_INVALID_CHUNK_SIZE:
    case HPE_STRICT:
        return bad(r, 400, "the chunked body is malformed");
    default:
        return bad(r, 400, r->in_body ? "the request body is malformed" : "the request head is malformed");
    }
}

/* Chunk sizes, extensions and trailers carry no text, so they get no more room than a
 * head does, plus a few bytes for each byte of text that may stand in its own chunk. */
static int count_frame(struct http_reader *r, size_t eaten, size_t text)
{
    r->frame_bytes += eaten - text;
    if (r->frame_bytes > r->limits->max_header_bytes + CHUNK_ALLOWANCE * r->inbox->body.n)
        return bad(r, 413, "the chunked body has more framing than text");
    return 0;
}

/* ---- the owner's side -------------------------------------------------------------------- */

void http_reader_init(struct http_reader *r)
{
    memset(r, 0, sizeof *r);
}

void http_reader_reset(struct http_reader *r, const struct http_settings *limits)
{
    http_reader_release(r);
    memset(r, 0, sizeof *r);
    r->limits = limits;
    llhttp_init(&r->parser, HTTP_REQUEST, &callbacks);
}

void http_reader_release(struct http_reader *r)
{
    if (r->inbox)
        inbox_give_back(r->inbox);
    r->inbox = NULL;
}

bool http_reader_has_begun(const struct http_reader *r)
{
    return r->inbox != NULL;
}

static enum http_progress paused(struct http_reader *r, bool was_in_body)
{
    llhttp_resume(&r->parser);
    if (was_in_body)
        return HTTP_PROGRESS_WHOLE;
    return check_head(r) == 0 ? HTTP_PROGRESS_HEAD : HTTP_PROGRESS_BAD;
}

enum http_progress http_reader_feed(struct http_reader *r, struct str bytes, size_t *eaten)
{
    bool           was_in_body = r->in_body;
    size_t         text_before;
    llhttp_errno_t error;

    if (!r->inbox)
        r->inbox = inbox_take(r->limits);
    text_before = r->inbox->body.n;
    error = llhttp_execute(&r->parser, bytes.p, bytes.n);
    *eaten = bytes.n;
    if (error == HPE_PAUSED)
        *eaten = (size_t)(llhttp_get_error_pos(&r->parser) - bytes.p);
    else if (error != HPE_OK && !r->status)
        refuse_syntax(r, error, bytes);
    if (was_in_body && !r->status)
        count_frame(r, *eaten, r->inbox->body.n - text_before);
    else if (!r->in_body && !r->status && r->head_bytes + r->inbox->target_n == 0)
        count_head(r, bytes.n);               /* empty lines before the request */
    if (r->status)
        return HTTP_PROGRESS_BAD;
    return error == HPE_PAUSED ? paused(r, was_in_body) : HTTP_PROGRESS_MORE;
}

static struct str field_name(const struct http_inbox *box, const struct field *f)
{
    return (struct str){ box->text.p + f->name_at, f->name_n };
}

struct str http_reader_header(const struct http_reader *r, struct str name)
{
    const struct http_inbox *box = r->inbox;

    for (size_t i = 0; i < box->n_fields; i++)
        if (str_eq_nocase(field_name(box, &box->fields[i]), name))
            return str_trim((struct str){ box->text.p + box->fields[i].value_at,
                                          box->fields[i].value_n });
    return (struct str){ NULL, 0 };
}

size_t http_reader_count(const struct http_reader *r, struct str name)
{
    size_t n = 0;

    for (size_t i = 0; i < r->inbox->n_fields; i++)
        n += str_eq_nocase(field_name(r->inbox, &r->inbox->fields[i]), name);
    return n;
}

struct str http_reader_method_text(const struct http_reader *r)
{
    return str_of(http_method_name(r->method));
}

bool http_reader_is_chunked(const struct http_reader *r)
{
    return (r->parser.flags & F_CHUNKED) != 0;
}

uint64_t http_reader_content_length(const struct http_reader *r)
{
    uint64_t n = 0;

    str_to_u64(http_reader_header(r, STR("content-length")), &n);
    return n;
}

bool http_reader_expects_body(const struct http_reader *r)
{
    return http_reader_is_chunked(r) || http_reader_content_length(r) > 0;
}

bool http_reader_is_1_0(const struct http_reader *r)
{
    return r->parser.http_minor == 0;
}

/* Asked of the field itself: llhttp before 9.4.2 overlooks "close" before a tab. */
bool http_reader_keeps_alive(const struct http_reader *r)
{
    bool close = false, keep = !http_reader_is_1_0(r);

    for (size_t i = 0; i < r->inbox->n_fields; i++) {
        const struct field *f = &r->inbox->fields[i];
        struct str          value = { r->inbox->text.p + f->value_at, f->value_n };

        if (!str_eq_nocase(field_name(r->inbox, f), STR("connection")))
            continue;
        close = close || http_list_has(value, STR("close"));
        keep = keep || http_list_has(value, STR("keep-alive"));
    }
    return keep && !close;
}

struct str http_reader_body(const struct http_reader *r)
{
    return buf_str(&r->inbox->body);
}

const char *http_method_name(enum http_method m)
{
    static const char *const names[] = {
        [HTTP_METHOD_GET] = "GET",         [HTTP_METHOD_HEAD] = "HEAD",
        [HTTP_METHOD_POST] = "POST",       [HTTP_METHOD_PUT] = "PUT",
        [HTTP_METHOD_PATCH] = "PATCH",     [HTTP_METHOD_DELETE] = "DELETE",
        [HTTP_METHOD_OPTIONS] = "OPTIONS",
    };

    return names[m];
}
