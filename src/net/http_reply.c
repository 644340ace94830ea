#include "net/http_reply.h"

enum { HEAD_MAX_BYTES = 64 * 1024, FIELDS_MAX = 200 };
enum { NO_BODY = 1 };                         /* llhttp's word, whatever the fields say */

static struct http_reply *owner(llhttp_t *parser)
{
    return (struct http_reply *)(void *)((char *)parser - offsetof(struct http_reply, parser));
}

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
    struct http_fields *fields = &owner(parser)->fields;

    return http_fields_add_name(fields, (struct str){ at, n }) && fields->n <= FIELDS_MAX
               ? 0
               : HPE_USER;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    return http_fields_add_value(&owner(parser)->fields, (struct str){ at, n }) ? 0 : HPE_USER;
}

static int on_value_complete(llhttp_t *parser)
{
    http_fields_end_value(&owner(parser)->fields);
    return 0;
}

static bool is_interim(const llhttp_t *parser)
{
    return parser->status_code >= 100 && parser->status_code < 200;
}

/* Codings we did not ask for and cannot undo would be handed on as text. */
static bool has_strange_coding(const struct http_fields *fields)
{
    struct str transfer = http_fields_nth(fields, STR("transfer-encoding"), 0);
    struct str content = http_fields_nth(fields, STR("content-encoding"), 0);

    return (transfer.p && !str_eq_nocase(transfer, STR("chunked"))) ||
           (content.n && !str_eq_nocase(content, STR("identity")));
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_reply *r = owner(parser);

    parser->upgrade = 0;
    if (is_interim(parser))
        return NO_BODY;
    if (parser->http_major != 1 || parser->status_code < 200 || parser->status_code > 599 ||
        has_strange_coding(&r->fields))
        return -1;
    r->head(r, parser->status_code, &r->fields);
    http_fields_release(&r->fields);          /* a stream may be long           */
    http_fields_clear(&r->fields, HEAD_MAX_BYTES);         /* what follows are trailers */
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct http_reply *r = owner(parser);

    r->body(r, (struct str){ at, n });
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_reply *r = owner(parser);

    if (is_interim(parser)) {
        http_fields_clear(&r->fields, HEAD_MAX_BYTES);
        return 0;
    }
    r->whole = true;
    r->keep = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_reply_begin(struct http_reply *r)
{
    r->whole = r->keep = false;
    http_fields_clear(&r->fields, HEAD_MAX_BYTES);
    llhttp_init(&r->parser, HTTP_RESPONSE, &callbacks);
}

void http_reply_release(struct http_reply *r)
{
    http_fields_release(&r->fields);
}

enum http_reply_result http_reply_feed(struct http_reply *r, struct str bytes)
{
    llhttp_errno_t error = llhttp_execute(&r->parser, bytes.p, bytes.n);

    if (r->whole)
        r->keep = r->keep && llhttp_get_error_pos(&r->parser) == bytes.p + bytes.n;
    else if (error != HPE_OK)
        return REPLY_GARBAGE;
    return r->whole ? REPLY_WHOLE : REPLY_MORE;
}

bool http_reply_end(struct http_reply *r)
{
    llhttp_finish(&r->parser);
    return r->whole;
}

const char *http_reply_why(const struct http_reply *r)
{
    const char *why = llhttp_get_error_reason(&r->parser);

    return why ? why : "";
}
