#include "tool/http_order.h"

#include "base/json.h"
#include "wire/http_text.h"

enum { VALUE_MAX_BYTES = 4 << 20 };

struct writing {
    const struct http_order *order;
    const struct json       *arguments;
    struct buf              *url, *body, *why;
};

bool http_order_has_body(enum tool_method method)
{
    return method != TOOL_GET && method != TOOL_DELETE;
}

/* ---- the template ------------------------------------------------------------------------ */

/* Cuts what is before the next argument off the rest, and its name. False: there is none. */
static bool next_argument(struct str *rest, struct str *before, struct str *name)
{
    size_t open = str_find(*rest, '{'), close = str_find(*rest, '}');

    *before = (struct str){ rest->p, open };
    if (open >= close)
        return false;
    *name = (struct str){ rest->p + open + 1, close - open - 1 };
    *rest = str_from(*rest, close + 1);
    return true;
}

static bool is_in_url(const struct http_order *o, struct str name)
{
    struct str rest = o->url, before, found;

    while (next_argument(&rest, &before, &found))
        if (str_eq(found, name))
            return true;
    return false;
}

static void add_value(const struct json *v, struct buf *out)
{
    if (json_type(v) == JSON_STRING)
        buf_add(out, json_str(v));
    else
        json_add_value(out, v);
}

static bool is_upward(struct str piece)
{
    return str_eq(piece, STR(".")) || str_eq(piece, STR(".."));
}

/* Some servers decode "%2F" before they read a path, and some read "\" as "/". What is neither
 * empty nor dots does not become such a piece beside its neighbours either. */
static bool goes_up(struct str value)
{
    size_t from = 0;

    for (size_t i = 0; i <= value.n; i++) {
        if (i < value.n && value.p[i] != '/' && value.p[i] != '\\')
            continue;
        if (is_upward((struct str){ value.p + from, i - from }))
            return true;
        from = i + 1;
    }
    return false;
}

static bool refuse(struct writing *w, struct str name, const char *what)
{
    buf_addf(w->why, "The argument \"%.*s\" %s.", STR_ARG(name), what);
    return false;
}

static bool write_argument(struct writing *w, struct str name, bool in_path)
{
    const struct json *v = json_get_n(w->arguments, name);
    struct buf         text = BUF(VALUE_MAX_BYTES);
    bool               good = true;

    if (!v)
        return refuse(w, name, "is missing");
    add_value(v, &text);
    if (in_path && text.n == 0)
        good = refuse(w, name, "is empty");
    else if (in_path && goes_up(buf_str(&text)))
        good = refuse(w, name, "has \".\" or \"..\" between slashes");
    else
        http_encode(buf_str(&text), w->url);
    buf_release(&text);
    return good;
}

static bool write_url(struct writing *w)
{
    struct str rest = w->order->url, before, name;
    bool       in_path = true, more = true;

    while (more) {
        more = next_argument(&rest, &before, &name);
        in_path = in_path && str_find(before, '?') == before.n;
        buf_add(w->url, before);
        if (more && !write_argument(w, name, in_path))
            return false;
    }
    return true;
}

/* ---- the others -------------------------------------------------------------------------- */

static void write_query(struct writing *w)
{
    struct json_members members = json_members(w->arguments);
    struct str          name;
    const struct json  *value;
    bool                has_query = str_find(w->order->url, '?') < w->order->url.n;

    while (json_members_next(&members, &name, &value)) {
        struct buf text = BUF(VALUE_MAX_BYTES);

        if (json_type(value) == JSON_NONE || is_in_url(w->order, name))
            continue;
        add_value(value, &text);
        buf_add_char(w->url, has_query ? '&' : '?');
        http_encode(name, w->url);
        buf_add_char(w->url, '=');
        http_encode(buf_str(&text), w->url);
        buf_release(&text);
        has_query = true;
    }
}

static void write_body(struct writing *w)
{
    struct json_members members = json_members(w->arguments);
    struct str          name;
    const struct json  *value;
    bool                is_first = true;

    buf_lit(w->body, "{");
    while (json_members_next(&members, &name, &value)) {
        if (is_in_url(w->order, name))
            continue;
        if (!is_first)
            buf_lit(w->body, ",");
        json_add_str(w->body, name);
        buf_lit(w->body, ":");
        if (json_type(value) == JSON_NONE)
            buf_lit(w->body, "null");
        else
            json_add_value(w->body, value);
        is_first = false;
    }
    buf_lit(w->body, "}");
}

/* ---- all of them ------------------------------------------------------------------------- */

/* A member that is null is there. */
static bool has_member(const struct json *object, struct str name)
{
    struct json_members members = json_members(object);
    struct str          found;
    const struct json  *value;

    while (json_members_next(&members, &found, &value))
        if (str_eq(found, name))
            return true;
    return false;
}

static bool has_required(struct writing *w)
{
    const char        *ignored;
    struct json_doc   *schema = json_read(w->order->parameters, &ignored);
    struct json_walk   walk = json_walk(json_get(json_root(schema), "required"));
    const struct json *name;
    bool               good = true;

    while (good && (name = json_walk_next(&walk)))
        if (json_type(name) == JSON_STRING && !has_member(w->arguments, json_str(name)))
            good = refuse(w, json_str(name), "is missing");
    json_free(schema);
    return good;
}

static bool write_all(struct writing *w)
{
    if (!has_required(w) || !write_url(w))
        return false;
    if (http_order_has_body(w->order->method))
        write_body(w);
    else
        write_query(w);
    if (w->url->over || w->body->over) {
        buf_lit(w->why, "The arguments are too long.");
        return false;
    }
    return true;
}

bool http_order_write(const struct http_order *o, struct str arguments, struct buf *url,
                      struct buf *body, struct buf *why)
{
    const char      *wrong = "";
    struct json_doc *doc = json_read(str_trim(arguments).n ? arguments : STR("{}"), &wrong);
    struct writing   w = { .order = o, .url = url, .body = body, .why = why };
    bool             good = false;

    w.arguments = json_root(doc);
    if (!doc)
        buf_addf(why, "The arguments are not JSON: %s.", wrong);
    else if (json_type(w.arguments) != JSON_OBJECT)
        buf_lit(why, "The arguments are not a JSON object.");
    else
        good = write_all(&w);
    json_free(doc);
    return good;
}
