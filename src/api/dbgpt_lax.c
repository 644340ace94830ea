#include "api/dbgpt_lax.h"

#include <math.h>

enum { DIGITS_MAX = 18 };

void lax_mistake(const struct lax *l, struct str where, const char *what)
{
    buf_lit(l->mistakes, "body");
    if (where.n)
        buf_lit(l->mistakes, ".");
    buf_add(l->mistakes, where);
    buf_addf(l->mistakes, ":%s;", what);
}

void lax_str(const struct lax *l, const char *name, struct arena *a, struct str *out)
{
    const struct json *v = json_get(l->body, name);

    if (json_type(v) == JSON_STRING)
        *out = arena_str(a, json_str(v));
    else if (v)
        lax_mistake(l, str_of(name), "Input should be a valid string");
}

/* ---- true and false ------------------------------------------------------------------------ */

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words; words++)
        if (str_eq_nocase(s, str_of(*words)))
            return true;
    return false;
}

static bool read_bool(const struct json *v, bool *out)
{
    static const char *const yes[] = { "1", "on", "t", "true", "y", "yes", NULL };
    static const char *const no[] = { "0", "off", "f", "false", "n", "no", NULL };
    double                   d;

    if (json_type(v) == JSON_BOOL)
        *out = json_is_true(v);
    else if (json_number(v, &d) && (d == 0 || d == 1))
        *out = d == 1;
    else if (is_one_of(json_str(v), yes) || is_one_of(json_str(v), no))
        *out = is_one_of(json_str(v), yes);
    else
        return false;
    return true;
}

void lax_bool(const struct lax *l, const char *name, bool *out)
{
    const struct json *v = json_get(l->body, name);
    bool               is_near = json_type(v) == JSON_STRING || json_type(v) == JSON_NUMBER;

    if (v && !read_bool(v, out))
        lax_mistake(l, str_of(name),
                    is_near ? "Input should be a valid boolean, unable to interpret input"
                            : "Input should be a valid boolean");
}

/* ---- numbers ------------------------------------------------------------------------------- */

bool lax_read_int(struct str s, int64_t *out)
{
    uint64_t n;
    bool     is_negative = false;

    s = str_trim(s);
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) {
        is_negative = s.p[0] == '-';
        s = str_from(s, 1);
    }
    if (s.n > DIGITS_MAX || !str_to_u64(s, &n))
        return false;
    *out = is_negative ? -(int64_t)n : (int64_t)n;
    return true;
}

void lax_int(const struct lax *l, const char *name, int64_t *out)
{
    const struct json *v = json_get(l->body, name);
    double             d = 0;
    const char        *why = "Input should be a valid integer";

    if (!v || json_int(v, out))
        return;
    if (json_type(v) == JSON_STRING && lax_read_int(json_str(v), out))
        return;
    if (json_type(v) == JSON_BOOL) {
        *out = json_is_true(v);
        return;
    }
    if (json_number(v, &d) && d == floor(d) && fabs(d) < 1e15) {
        *out = (int64_t)d;
        return;
    }
    if (json_type(v) == JSON_STRING)
        why = "Input should be a valid integer, unable to parse string as an integer";
    else if (json_type(v) == JSON_NUMBER)
        why = "Input should be a valid integer, got a number with a fractional part";
    lax_mistake(l, str_of(name), why);
}

/* NULL: it is none. Free the document behind it. */
static struct json_doc *number_in(struct str text)
{
    const char      *why;
    struct json_doc *doc = json_read(str_trim(text), &why);

    if (doc && json_type(json_root(doc)) == JSON_NUMBER)
        return doc;
    json_free(doc);
    return NULL;
}

static void add_number(const char *name, const struct json *v, struct buf *out)
{
    buf_addf(out, ",\"%s\":", name);
    if (json_type(v) == JSON_BOOL)
        buf_add(out, json_is_true(v) ? STR("1") : STR("0"));
    else
        json_add_value(out, v);
}

void lax_number(const struct lax *l, const char *name, struct buf *out)
{
    const struct json *v = json_get(l->body, name);
    struct json_doc   *doc = json_type(v) == JSON_STRING ? number_in(json_str(v)) : NULL;

    if (doc || json_type(v) == JSON_NUMBER || json_type(v) == JSON_BOOL)
        add_number(name, doc ? json_root(doc) : v, out);
    else if (json_type(v) == JSON_STRING)
        lax_mistake(l, str_of(name),
                    "Input should be a valid number, unable to parse string as a number");
    else if (v)
        lax_mistake(l, str_of(name), "Input should be a valid number");
    json_free(doc);
}
