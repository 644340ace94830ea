#include "api/cors.h"

/* The origin to name in the answer; empty when this page may not call. No cookies are
 * used anywhere, so "*" never travels together with credentials. */
static struct str allowed_origin(const struct http_reader *rq, const struct http_settings *settings)
{
    struct str origin = http_reader_header(rq, STR("origin"));

    for (size_t i = 0; origin.n && i < settings->cors_origins.n; i++) {
        struct str allowed = settings->cors_origins.items[i];

        if (str_eq(allowed, STR("*")) || str_eq(allowed, origin))
            return allowed;
    }
    return (struct str){ NULL, 0 };
}

void cors_add_fields(struct http_exchange *x, const struct http_reader *rq,
                     const struct http_settings *settings)
{
    struct str origin = allowed_origin(rq, settings);
    struct buf fields = BUF(64 * 1024);

    if (settings->cors_origins.n && !str_eq(settings->cors_origins.items[0], STR("*")))
        buf_lit(&fields, "vary: origin\r\n");
    if (origin.n) {
        buf_lit(&fields, "access-control-allow-origin: ");
        buf_add(&fields, origin);
        buf_lit(&fields, "\r\naccess-control-expose-headers: ");
        buf_add(&fields, settings->request_id_header);
        buf_lit(&fields, ", retry-after, x-should-retry, x-ratelimit-limit-requests, "
                         "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
                         "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, "
                         "x-ratelimit-reset-tokens, x-conversation-id\r\n");
    }
    if (fields.n)
        http_add_fields(x, buf_str(&fields));
    buf_release(&fields);
}

/* Every header a page wants to send is fine: none of them changes who it is. */
void cors_write_preflight(const struct http_reader *rq, const struct http_settings *settings,
                          struct buf *out)
{
    struct str wanted = http_reader_header(rq, STR("access-control-request-headers"));

    if (!allowed_origin(rq, settings).n ||
        !http_reader_count(rq, STR("access-control-request-method")))
        return;
    buf_lit(out, "access-control-allow-methods: GET, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                 "access-control-max-age: 600\r\n");
    if (wanted.n && wanted.n < 4096 && http_is_plain_value(wanted)) {
        buf_lit(out, "access-control-allow-headers: ");
        buf_add(out, wanted);
        buf_lit(out, "\r\n");
    }
}
