#include "net/http_rules.h"

#include "base/buf.h"

/* ---- the request line --------------------------------------------------------------- */

static bool is_version(struct str s)
{
    return s.n == 8 && str_starts(s, STR("HTTP/")) && s.p[5] >= '0' && s.p[5] <= '9' &&
           s.p[6] == '.' && s.p[7] >= '0' && s.p[7] <= '9';
}

static bool find_method(struct http_reader *r, struct str name)
{
    for (enum http_method m = 0; m <= HTTP_METHOD_OPTIONS; m++)
        if (str_eq(name, str_of(http_method_name(m)))) {
            r->method = m;
            return true;
        }
    return false;
}

/* method SP request-target SP HTTP-version CRLF (RFC 9112, 3). */
int http_check_line(struct http_reader *r, struct str line)
{
    struct str rest = line, method, target, version;

    if (line.n < 2 || line.p[line.n - 2] != '\r')
        return http_refuse_reading(r, 400, "a line must end with CRLF");
    rest.n -= 2;
    if (!str_next(&rest, ' ', &method) || !http_is_token(method))
        return http_refuse_reading(r, 400, "this is not an HTTP request");
    if (!str_next(&rest, ' ', &target) || !target.n || !str_next(&rest, '\0', &version) ||
        !is_version(version))
        return http_refuse_reading(r, 400, "the request line is malformed");
    if (!str_eq(version, STR("HTTP/1.1")) && !str_eq(version, STR("HTTP/1.0")))
        return http_refuse_reading(r, 505, "this service speaks HTTP/1.1 and HTTP/1.0");
    if (!find_method(r, method))
        return http_refuse_reading(r, 501, "the request method is not known here");
    if (target.n > r->limits.max_uri_bytes)
        return http_refuse_reading(r, 414, "the request target is too long");
    return 0;
}

static int check_host(struct http_reader *r)
{
    size_t n = http_reader_count(r, STR("host"));

    if (n == 0 && http_reader_is_1_0(r))
        return 0;
    if (n != 1)
        return http_refuse_reading(
            r, 400, n ? "there is more than one Host field" : "the Host field is missing");
    if (!http_is_host(http_reader_header(r, STR("host"))))
        return http_refuse_reading(r, 400, "the Host field is not a host");
    return 0;
}

static int check_target(struct http_reader *r)
{
    if (!http_read_target(http_reader_target(r), &r->target))
        return http_refuse_reading(r, 400, "the request target is malformed");
    if (r->target.path.p[0] == '*' && r->method != HTTP_METHOD_OPTIONS)
        return http_refuse_reading(r, 400, "only OPTIONS may ask for *");
    return 0;
}

/* How often chunked stands among the transfer codings, and how many others do. */
static size_t count_codings(const struct http_reader *r, size_t *others)
{
    size_t chunked = 0;

    *others = 0;
    for (size_t i = 0; i < http_reader_count(r, STR("transfer-encoding")); i++) {
        struct str list = http_reader_nth(r, STR("transfer-encoding"), i), piece;

        while (str_next(&list, ',', &piece)) {
            bool is_chunked = str_eq_nocase(str_trim(piece), STR("chunked"));

            if (str_trim(piece).n == 0)
                return 0;
            chunked += is_chunked;
            *others += !is_chunked;
        }
    }
    return chunked;
}

/* RFC 9112, 6.1 to 6.3. Anything that two servers could read differently is refused. */
static int check_framing(struct http_reader *r)
{
    size_t others, chunked = count_codings(r, &others);

    if (http_reader_count(r, STR("content-length")) > 1)
        return http_refuse_reading(r, 400, "there is more than one Content-Length field");
    if (http_reader_count(r, STR("transfer-encoding")) == 0)
        return 0;
    if (http_reader_count(r, STR("content-length")))
        return http_refuse_reading(r, 400,
                                   "Content-Length and Transfer-Encoding exclude each other");
    if (http_reader_is_1_0(r))
        return http_refuse_reading(r, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (chunked != 1 || !http_reader_is_chunked(r))
        return http_refuse_reading(r, 400, "the Transfer-Encoding field is malformed");
    if (others)
        return http_refuse_reading(r, 501, "chunked is the only transfer coding known here");
    return 0;
}

int http_check_head(struct http_reader *r)
{
    if (check_framing(r) || check_host(r) || check_target(r))
        return HPE_USER;
    return 0;
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
