#include "wire/http_text.h"

#include "base/address.h"
#include "base/utf8.h"

#include <string.h>

static bool is_alnum(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool http_is_tchar(unsigned char c)
{
    return is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!http_is_tchar((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

bool http_list_has(struct str list, struct str word)
{
    struct str piece;

    while (str_next(&list, ',', &piece))
        if (str_eq_nocase(str_trim(piece), word))
            return true;
    return false;
}

/* ---- host ------------------------------------------------------------------ */

static bool is_port(struct str s)
{
    uint64_t port;

    return s.n == 0 || (s.n <= 5 && str_to_u64(s, &port) && port <= 65535);
}

static bool is_ip_literal(struct str s)
{
    union address a;

    return s.n > 2 && address_read_host((struct str){ s.p + 1, s.n - 2 }, &a) &&
           a.any.sa_family == AF_INET6;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum((unsigned char)s.p[i]) && !strchr("-._~!$&'()*+;=", s.p[i]))
            return false;
    return s.n > 0;
}

bool http_is_host(struct str s)
{
    const char *end;
    size_t      n;

    if (s.n == 0 || memchr(s.p, 0, s.n))
        return false;
    if (s.p[0] == '[') {
        end = memchr(s.p, ']', s.n);
        n = end ? (size_t)(end - s.p) + 1 : 0;
        if (!n || !is_ip_literal((struct str){ s.p, n }))
            return false;
    } else {
        end = memchr(s.p, ':', s.n);
        n = end ? (size_t)(end - s.p) : s.n;
        if (!is_name((struct str){ s.p, n }))
            return false;
    }
    return n == s.n || (s.p[n] == ':' && is_port((struct str){ s.p + n + 1, s.n - n - 1 }));
}

struct str http_media_type(struct str content_type)
{
    struct str type = { NULL, 0 };

    str_next(&content_type, ';', &type);
    return str_trim(type);
}

/* ---- target ---------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_escape(struct str s)
{
    return s.n >= 3 && hex_digit(s.p[1]) >= 0 && hex_digit(s.p[2]) >= 0;
}

/* RFC 3986's characters; in a query also those that browsers leave as they are. */
static bool is_target_text(struct str s, bool in_query)
{
    const char *more = in_query ? "[]{}|^`\\" : "";

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%' ? !is_escape(str_from(s, i))
                     : !c || !(is_alnum((unsigned char)c) || strchr("-._~!$&'()*+,;=:@/?", c) ||
                               strchr(more, c)))
            return false;
    }
    return true;
}

static void split_path(struct str s, struct http_target *out)
{
    str_next(&s, '?', &out->path);
    if (s.p)
        out->query = s;
}

/* What comes behind "scheme://". */
static bool read_absolute(struct str rest, struct http_target *out)
{
    size_t n = 0;

    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    out->authority = (struct str){ rest.p, n };
    split_path(str_from(rest, n), out);
    if (!out->path.n)
        out->path = STR("/");
    return http_is_host(out->authority) && is_target_text(out->path, false) &&
           is_target_text(out->query, true);
}

static const struct scheme {
    struct str name;
    bool       is_secure, is_web_socket;
} schemes[] = {
    { STR_INIT("http://"), false, false },
    { STR_INIT("https://"), true, false },
    { STR_INIT("ws://"), false, true },
    { STR_INIT("wss://"), true, true },
};

static const struct scheme *find_scheme(struct str url)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = schemes[i].name.n;

        if (url.n > n && str_eq_nocase((struct str){ url.p, n }, schemes[i].name))
            return &schemes[i];
    }
    return NULL;
}

bool http_read_target(struct str target, struct http_target *out)
{
    const struct scheme *scheme;

    *out = (struct http_target){ 0 };
    if (target.n && (target.p[0] == '/' || str_eq(target, STR("*")))) {
        split_path(target, out);
        return is_target_text(out->path, false) && is_target_text(out->query, true);
    }
    scheme = find_scheme(target);
    return scheme && !scheme->is_web_socket && read_absolute(str_from(target, scheme->name.n), out);
}

static bool split_authority(struct http_url *u)
{
    struct str  a = u->authority;
    const char *colon = memrchr(a.p, ':', a.n);
    uint64_t    port = u->is_secure ? 443 : 80;

    if (colon && memchr(colon, ']', a.n - (size_t)(colon - a.p)))
        colon = NULL;                         /* it is inside an IPv6 address   */
    if (colon && !str_to_u64(str_from(a, (size_t)(colon - a.p) + 1), &port))
        return false;
    u->host = (struct str){ a.p, colon ? (size_t)(colon - a.p) : a.n };
    if (u->host.p[0] == '[')
        u->host = (struct str){ u->host.p + 1, u->host.n - 2 };
    u->port = (uint16_t)port;
    return port > 0;
}

static bool read_url(const struct scheme *scheme, struct str url, struct http_url *out,
                     struct str *query)
{
    struct http_target target = { .query = STR("") };

    *out = (struct http_url){ .port = 0 };
    if (!scheme || !read_absolute(str_from(url, scheme->name.n), &target))
        return false;
    out->authority = target.authority;
    out->is_secure = scheme->is_secure;
    out->path = target.path;
    *query = target.query;
    return split_authority(out);
}

bool http_read_url(struct str url, struct http_url *out)
{
    struct str query;

    if (!read_url(find_scheme(url), url, out, &query) || query.n)
        return false;
    while (out->path.n && out->path.p[out->path.n - 1] == '/')
        out->path.n--;
    return true;
}

bool http_read_web_url(struct str url, struct http_url *out, struct str *query)
{
    const struct scheme *scheme = find_scheme(url);

    return read_url(scheme, url, out, query) && !scheme->is_web_socket;
}

bool http_decode(struct str s, struct arena *a, struct str *out)
{
    char  *to = arena_new(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        to[n] = s.p[i];
        if (s.p[i] == '%') {
            if (!is_escape(str_from(s, i)))
                return false;
            to[n] = (char)(hex_digit(s.p[i + 1]) * 16 + hex_digit(s.p[i + 2]));
            i += 2;
        }
        if (!to[n++])
            return false;
    }
    *out = (struct str){ to, n };
    return utf8_is_valid(*out);
}

static struct str with_spaces(struct str s, struct arena *a)
{
    char *to = arena_new(a, s.n + 1);

    for (size_t i = 0; i < s.n; i++)
        to[i] = s.p[i] == '+' ? ' ' : s.p[i];
    return (struct str){ to, s.n };
}

enum http_query http_query_get(struct str query, struct str name, struct arena *a,
                               struct str *value)
{
    struct str pair, found;

    while (str_next(&query, '&', &pair)) {
        size_t n = str_find(pair, '=');

        if (!http_decode(with_spaces((struct str){ pair.p, n }, a), a, &found))
            return HTTP_QUERY_BROKEN;
        if (!str_eq(found, name))
            continue;
        pair = str_from(pair, n < pair.n ? n + 1 : n);
        return http_decode(with_spaces(pair, a), a, value) ? HTTP_QUERY_FOUND : HTTP_QUERY_BROKEN;
    }
    return HTTP_QUERY_ABSENT;
}

static void encode(struct str s, char space, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == ' ' && space)
            buf_add_char(out, space);
        else if (is_alnum(c) || (c && strchr("-._~", c)))
            buf_add_char(out, (char)c);
        else
            buf_add(out, (struct str){ (char[]){ '%', digits[c >> 4], digits[c & 15] }, 3 });
    }
}

void http_encode(struct str s, struct buf *out)
{
    encode(s, 0, out);
}

void http_encode_query(struct str s, struct buf *out)
{
    encode(s, '+', out);
}

bool http_is_plain_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return true;
}

static bool read_number(struct str s, size_t at, size_t n, int64_t *out)
{
    uint64_t v = 0;
    bool     good = str_to_u64((struct str){ s.p + at, n }, &v);

    *out = (int64_t)v;
    return good;
}

static bool read_month(struct str s, int64_t *month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (*month = 0; *month < 12; ++*month)
        if (memcmp(s.p, names + *month * 3, 3) == 0)
            return true;
    return false;
}

/* Days since 1970 in the proleptic Gregorian calendar, counting years from March. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month < 2 ? year - 1 : year, m = (month + 10) % 12;

    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719468;
}

bool http_read_date(struct str s, int64_t *seconds)
{
    int64_t day, month, year, hour, minute, second;

    if (s.n != 29 || memcmp(s.p + 3, ", ", 2) != 0 || memcmp(s.p + 25, " GMT", 4) != 0 ||
        s.p[7] != ' ' || s.p[11] != ' ' || s.p[16] != ' ' || s.p[19] != ':' || s.p[22] != ':')
        return false;
    if (!read_number(s, 5, 2, &day) || !read_month(str_from(s, 8), &month) ||
        !read_number(s, 12, 4, &year) || !read_number(s, 17, 2, &hour) ||
        !read_number(s, 20, 2, &minute) || !read_number(s, 23, 2, &second))
        return false;
    if (year < 1970 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return false;
    *seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}

const char *http_reason(int status)
{
    static const struct {
        int         status;
        const char *reason;
    } reasons[] = {
        { 101, "Switching Protocols" },
        { 200, "OK" },
        { 204, "No Content" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 422, "Unprocessable Content" },
        { 429, "Too Many Requests" },
        { 426, "Upgrade Required" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}
