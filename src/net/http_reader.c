#include "net/http_reader.h"

#include "base/buf.h"
#include "base/mem.h"
#include "net/http_rules.h"

#include <assert.h>
#include <string.h>

enum {
    EMPTY_LINE = 2,                           /* ends the fields                */
    LINE_OVERHEAD = 64,                       /* a request line without its target */
    CHUNK_ALLOWANCE = 16,
    SPARE_MAX_BYTES = 64 * 1024,
};

/* The spare one serves every request that comes in a single piece: nearly all of them. */
static struct http_reader *spare;

static void reader_free(struct http_reader *r)
{
    buf_release(&r->line);
    buf_release(&r->target_text);
    buf_release(&r->body);
    http_fields_release(&r->fields);
    mem_free(r);
}

void http_readers_release(void)
{
    if (spare)
        reader_free(spare);
    spare = NULL;
}

static struct http_reader *reader_of(llhttp_t *parser)
{
    return (struct http_reader *)(void *)((char *)parser - offsetof(struct http_reader, parser));
}

/* ---- refusing ------------------------------------------------------------------- */

int http_refuse_reading(struct http_reader *r, int status, const char *why)
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
    if (r->head_bytes > r->limits.max_header_bytes + EMPTY_LINE)
        return http_refuse_reading(r, 431, "the request's header fields are too large");
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    buf_add(&reader_of(parser)->target_text, (struct str){ at, n });
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
    struct http_reader *r = reader_of(parser);

    if (r->in_body)
        return 0;                             /* a trailer; nobody here reads them */
    if (!http_fields_add_name(&r->fields, (struct str){ at, n }))
        return http_refuse_reading(r, 431, "the request's header fields are too large");
    if (r->fields.n > r->limits.max_headers)
        return http_refuse_reading(r, 431, "the request has too many header fields");
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    struct http_reader *r = reader_of(parser);

    if (!r->in_body && !http_fields_add_value(&r->fields, (struct str){ at, n }))
        return http_refuse_reading(r, 431, "the request's header fields are too large");
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct http_reader *r = reader_of(parser);

    if (!r->in_body)
        http_fields_end_value(&r->fields);
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

/* Chunk sizes, extensions and trailers carry no text, so they get no more room than a
 * head does, plus a few bytes for each byte of text that may stand in its own chunk. Asked
 * where text begins and where a piece or the body ends, the answer is the same however the
 * bytes are cut. */
static int check_frame(struct http_reader *r, const char *up_to)
{
    size_t text = r->body.n, frame = r->body_bytes + (size_t)(up_to - r->piece) - text;

    if (frame > r->limits.max_header_bytes + CHUNK_ALLOWANCE * text)
        return http_refuse_reading(r, 413, "the chunked body has more framing than text");
    return 0;
}

/* Refused at its announcement: nobody waits for a chunk that may not come in. */
static int on_chunk_header(llhttp_t *parser)
{
    struct http_reader *r = reader_of(parser);

    if (parser->content_length > r->limits.max_body_bytes - r->body.n)
        return http_refuse_reading(r, 413, "the request body is too large");
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct http_reader *r = reader_of(parser);

    if (check_frame(r, at) != 0)
        return HPE_USER;
    buf_add(&r->body, (struct str){ at, n });
    if (r->body.over)
        return http_refuse_reading(r, 413, "the request body is too large");
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
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- the request line -------------------------------------------------------------- */

/* A line that has no end yet: what cannot become one is refused at once. */
static int check_torn_line(struct http_reader *r, bool too_long)
{
    struct str rest = buf_str(&r->line), method, target;

    str_next(&rest, ' ', &method);
    if (!http_is_token(method) && !str_eq(method, STR("\r")))
        return http_refuse_reading(r, 400, "this is not an HTTP request");
    if (!too_long)
        return 0;
    if (str_next(&rest, ' ', &target) && rest.p)
        return http_refuse_reading(r, 400, "the request line is malformed");
    return http_refuse_reading(r, 414, "the request target is too long");
}

static int refuse_syntax(struct http_reader *r, llhttp_errno_t error);

/* Eats one line, or what there is of it. llhttp gets it when it is whole and good. */
static int read_line(struct http_reader *r, struct str bytes, size_t *eaten)
{
    struct buf    *held = &r->line;
    const char    *end = memchr(bytes.p, '\n', bytes.n);
    struct str     line = { bytes.p, end ? (size_t)(end - bytes.p) + 1 : bytes.n };
    bool           too_long = line.n > held->limit - held->n;
    llhttp_errno_t error;

    *eaten = line.n;
    if (held->n || !end || too_long) {
        if (too_long)                         /* what fits tells the reason     */
            line.n = held->limit - held->n;
        buf_add(held, line);
        line = buf_str(held);
    }
    if (!end || too_long)
        return check_torn_line(r, too_long);
    held->n = 0;
    if (str_eq(line, STR("\r\n")))            /* RFC 9112, 2.2: may stand before it */
        return count_head(r, 2);
    if (http_check_line(r, line) != 0)
        return HPE_USER;
    r->has_line = true;
    error = llhttp_execute(&r->parser, line.p, line.n);
    return error == HPE_OK ? 0 : refuse_syntax(r, error);
}

/* ---- what llhttp refuses ------------------------------------------------------------- */

static int refuse_syntax(struct http_reader *r, llhttp_errno_t error)
{
    switch (error) {
    case HPE_INVALID_URL: return http_refuse_reading(r, 400, "the request target is malformed");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return http_refuse_reading(r, 400, "the Content-Length field is malformed");
    case HPE_INVALID_TRANSFER_ENCODING:
        return http_refuse_reading(r, 400, "the Transfer-Encoding field is malformed");
    case HPE_INVALID_CHUNK_SIZE:
    case HPE_STRICT: return http_refuse_reading(r, 400, "the chunked body is malformed");
    default:
        return http_refuse_reading(
            r, 400, r->in_body ? "the request body is malformed" : "the request head is malformed");
    }
}

/* ---- the owner's side -------------------------------------------------------------------- */

struct http_reader *http_reader_take(const struct http_settings *limits)
{
    struct http_reader *r = spare ? spare : mem_new(sizeof *r);
    struct http_reader  old = *r;

    spare = NULL;
    *r = (struct http_reader){ .limits = { limits->max_header_bytes, limits->max_headers,
                                           limits->max_uri_bytes, limits->max_body_bytes },
                               .line = old.line,
                               .target_text = old.target_text,
                               .fields = old.fields,
                               .body = old.body };
    buf_clear(&r->line);
    buf_clear(&r->target_text);
    buf_clear(&r->body);
    http_fields_clear(&r->fields, limits->max_header_bytes + 1);
    r->line.limit = limits->max_uri_bytes + LINE_OVERHEAD;
    r->target_text.limit = limits->max_uri_bytes;
    r->body.limit = limits->max_body_bytes;
    llhttp_init(&r->parser, HTTP_REQUEST, &callbacks);
    return r;
}

void http_reader_give_back(struct http_reader *r)
{
    if (!r)
        return;
    if (!spare && r->body.cap <= SPARE_MAX_BYTES && r->fields.text.cap <= SPARE_MAX_BYTES)
        spare = r;
    else
        reader_free(r);
}

static enum http_progress paused(struct http_reader *r, bool was_in_body)
{
    llhttp_resume(&r->parser);
    if (was_in_body)
        return HTTP_PROGRESS_WHOLE;
    return http_check_head(r) == 0 ? HTTP_PROGRESS_HEAD : HTTP_PROGRESS_BAD;
}

/* Fields and body: llhttp's part. */
static int execute(struct http_reader *r, struct str bytes, size_t *eaten)
{
    bool           was_in_body = r->in_body;
    llhttp_errno_t error;

    r->piece = bytes.p;
    error = llhttp_execute(&r->parser, bytes.p, bytes.n);
    *eaten = bytes.n;
    if (error == HPE_PAUSED)
        *eaten = (size_t)(llhttp_get_error_pos(&r->parser) - bytes.p);
    else if (error != HPE_OK && !r->status)
        refuse_syntax(r, error);
    if (!r->status && was_in_body) {
        check_frame(r, bytes.p + *eaten);
        r->body_bytes += *eaten;
    } else if (!r->status) {
        count_head(r, *eaten);
    }
    return r->status ? HPE_USER : (int)error;
}

enum http_progress http_reader_feed(struct http_reader *r, struct str bytes, size_t *eaten)
{
    bool was_in_body = r->in_body;
    int  error;

    if (r->has_line)
        error = execute(r, bytes, eaten);
    else
        error = read_line(r, bytes, eaten);
    if (r->status)
        return HTTP_PROGRESS_BAD;
    return error == HPE_PAUSED ? paused(r, was_in_body) : HTTP_PROGRESS_MORE;
}

struct str http_reader_nth(const struct http_reader *r, struct str name, size_t n)
{
    return http_fields_nth(&r->fields, name, n);
}

struct str http_reader_header(const struct http_reader *r, struct str name)
{
    return http_reader_nth(r, name, 0);
}

size_t http_reader_count(const struct http_reader *r, struct str name)
{
    return http_fields_count(&r->fields, name);
}

struct str http_reader_target(const struct http_reader *r)
{
    return buf_str(&r->target_text);
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

    for (size_t i = 0; i < http_reader_count(r, STR("connection")); i++) {
        struct str value = http_reader_nth(r, STR("connection"), i);

        close = close || http_list_has(value, STR("close"));
        keep = keep || http_list_has(value, STR("keep-alive"));
    }
    return keep && !close;
}

struct str http_reader_body(const struct http_reader *r)
{
    return buf_str(&r->body);
}
