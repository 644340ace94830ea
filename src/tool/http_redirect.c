#include "tool/http_redirect.h"

#include "base/host.h"
#include "wire/http_text.h"

bool http_is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

enum tool_method http_redirect_method(int status, enum tool_method method)
{
    if (status == 303 || (method == TOOL_POST && (status == 301 || status == 302)))
        return TOOL_GET;
    return method;
}

bool http_is_same_origin(struct str a, struct str b)
{
    struct http_url x, y;
    struct str      query;

    return http_read_web_url(a, &x, &query) && http_read_web_url(b, &y, &query) &&
           x.is_secure == y.is_secure && x.port == y.port && str_eq_nocase(x.host, y.host);
}

/* ---- RFC 3986, section 5.2 ----------------------------------------------------------------- */

/* Where the first of these is; s.n: none. */
static size_t find_any(struct str s, const char *set)
{
    size_t at = s.n;

    for (; *set; set++) {
        size_t found = str_find(s, *set);

        at = found < at ? found : at;
    }
    return at;
}

static bool has_scheme(struct str s)
{
    size_t colon = str_find(s, ':');

    return colon < s.n && colon < find_any(s, "/?#");
}

static void drop_segment(struct buf *out, size_t from)
{
    while (out->n > from && out->p[out->n - 1] != '/')
        out->n--;
    if (out->n > from)
        out->n--;
}

/* Of a path that begins with "/", without the segments that only lead up and down. */
static void add_path(struct str path, struct buf *out)
{
    size_t     from = out->n;
    struct str rest = str_from(path, 1), segment;
    bool       is_last;

    while (str_next(&rest, '/', &segment)) {
        is_last = !rest.p;
        if (str_eq(segment, STR("..")))
            drop_segment(out, from);
        else if (!str_eq(segment, STR(".")))
            buf_addf(out, "/%.*s", STR_ARG(segment));
        if (is_last && (str_eq(segment, STR("..")) || str_eq(segment, STR("."))))
            buf_add_char(out, '/');
    }
}

static void add_origin(const struct http_url *u, struct buf *out)
{
    buf_addf(out, "%s://%.*s", u->is_secure ? "https" : "http", STR_ARG(u->authority));
}

static void add_relative(const struct http_url *base, struct str base_query, struct str location,
                         struct buf *out)
{
    size_t     n = find_any(location, "?");
    struct str path = { location.p, n }, query = str_from(location, n);
    struct buf whole = BUF(out->limit);
    size_t     dir = base->path.n;

    while (dir && base->path.p[dir - 1] != '/')
        dir--;
    if (path.n && path.p[0] != '/')
        buf_add(&whole, (struct str){ base->path.p, dir });
    buf_add(&whole, path.n ? path : base->path);
    add_origin(base, out);
    if (whole.n)
        add_path(buf_str(&whole), out);
    buf_add(out, query);
    if (!location.n && base_query.n)
        buf_addf(out, "?%.*s", STR_ARG(base_query));
    out->over = out->over || whole.over;
    buf_release(&whole);
}

/* ---- whereto not ---------------------------------------------------------------------------- */

/* What listens below 1024 or here speaks something else, and may take a request for it. */
static bool is_web_port(uint16_t port)
{
    static const uint16_t others[] = { 1433, 3306, 5432, 6379, 11211, 27017 };

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (port == others[i])
            return false;
    return port >= 1024 || port == 80 || port == 443;
}

static const char *find_fault(const struct http_url *from, struct str to)
{
    struct http_url u;
    struct str      query, host;

    if (!http_read_web_url(to, &u, &query) || !host_of_authority(u.authority, &host))
        return "the address it redirects to cannot be read";
    if (from->is_secure && !u.is_secure)
        return "it redirects from https to http";
    if (u.port != from->port && !is_web_port(u.port))
        return "it redirects to a port that is not the web's";
    return NULL;
}

bool http_redirect(struct str from, struct str location, struct buf *to, const char **why)
{
    struct http_url base;
    struct str      query;

    *why = "the address it redirects to cannot be read";
    location.n = str_find(location, '#');
    if (!http_read_web_url(from, &base, &query) || location.n >= to->limit)
        return false;
    if (has_scheme(location)) {
        *why = "it redirects to what is neither http nor https";
        if (!str_eq_nocase((struct str){ location.p, str_find(location, ':') }, STR("http")) &&
            !str_eq_nocase((struct str){ location.p, str_find(location, ':') }, STR("https")))
            return false;
        buf_add(to, location);
    } else if (str_starts(location, STR("//"))) {
        buf_addf(to, "%s:%.*s", base.is_secure ? "https" : "http", STR_ARG(location));
    } else {
        add_relative(&base, query, location, to);
    }
    *why = to->over ? "the address it redirects to is too long" : find_fault(&base, buf_str(to));
    return !*why;
}
