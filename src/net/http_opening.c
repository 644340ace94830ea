#include "net/http_opening.h"

enum { HEAD_MAX_BYTES = 64 * 1024, FIELDS_MAX = 200, BODY_MAX_BYTES = 8 * 1024 };
enum { NO_BODY = 1, NOT_YOURS = 2 };          /* what llhttp is told of what follows a head */

static struct http_opening *owner(llhttp_t *parser)
{
    return (struct http_opening *)(void *)((char *)parser - offsetof(struct http_opening, parser));
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

static bool is_wanted(const struct http_opening *o, int status)
{
    return status == o->wanted || (o->wanted == 200 && status / 100 == 2);
}

static bool is_interim(int status)
{
    return status / 100 == 1 && status != 101;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_opening *o = owner(parser);

    if (parser->http_major != 1 || parser->status_code < 100 || parser->status_code > 599)
        return -1;
    if (is_interim(parser->status_code))
        return NO_BODY;
    o->status = parser->status_code;
    o->whole = is_wanted(o, o->status);
    return o->whole || o->status == 101 ? NOT_YOURS : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct http_opening *o = owner(parser);
    size_t               room = BODY_MAX_BYTES - o->body.n;

    buf_add(&o->body, (struct str){ at, n < room ? n : room });
    return n < room ? 0 : HPE_PAUSED;
}

static int on_message_complete(llhttp_t *parser)
{
    if (!is_interim(parser->status_code))
        return HPE_PAUSED;
    http_fields_clear(&owner(parser)->fields, HEAD_MAX_BYTES);
    return 0;
}

static const llhttp_settings_t callbacks = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_opening_init(struct http_opening *o, int wanted)
{
    *o = (struct http_opening){ .body = BUF(BODY_MAX_BYTES), .wanted = wanted };
    http_fields_clear(&o->fields, HEAD_MAX_BYTES);
    llhttp_init(&o->parser, HTTP_RESPONSE, &callbacks);
}

void http_opening_release(struct http_opening *o)
{
    http_fields_release(&o->fields);
    buf_release(&o->body);
}

enum http_opening_result http_opening_feed(struct http_opening *o, struct str bytes, size_t *eaten)
{
    llhttp_errno_t error = llhttp_execute(&o->parser, bytes.p, bytes.n);

    *eaten = bytes.n;
    if (error == HPE_OK)
        return OPENING_MORE;
    if (error != HPE_PAUSED_UPGRADE && error != HPE_PAUSED)
        return OPENING_GARBAGE;
    *eaten = (size_t)(llhttp_get_error_pos(&o->parser) - bytes.p);
    return o->whole ? OPENING_GOOD : OPENING_REFUSED;
}

enum http_opening_result http_opening_end(struct http_opening *o)
{
    return o->status && !o->whole ? OPENING_REFUSED : OPENING_GARBAGE;
}
