#include "base/json.h"

#include "base/half.h"
#include "base/mem.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yyjson.h>

enum {
    MAX_DEPTH = 64,
    SMALL_BYTES = 4096,
    DESK_SIZE = 256 * 1024,
    DESK_EXTRA = 1024,
    MEMBERS_MAX = 1000,
    COMPARISONS_MAX = 1000000
};

/* ---- reading ------------------------------------------------------------- */

static void *hook_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return mem_hook_malloc(size);
}

static void *hook_realloc(void *ctx, void *p, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return mem_hook_realloc(p, size);
}

static void hook_free(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

static const yyjson_alc hooks = { hook_malloc, hook_realloc, hook_free, NULL };

/* Most documents are small, and read one after the other: they share one piece of
 * memory, which keeps their short lives from leaving holes between the long ones. */
static struct {
    _Alignas(16) char bytes[DESK_SIZE];
    bool taken;
} desk;

static yyjson_doc *read_at_desk(struct str text, yyjson_read_err *err)
{
    char       *bytes = (char *)(uintptr_t)text.p;
    yyjson_alc  alc;
    yyjson_doc *doc;

    if (desk.taken || yyjson_read_max_memory_usage(text.n, 0) + DESK_EXTRA > sizeof desk.bytes)
        return yyjson_read_opts(bytes, text.n, 0, &hooks, err);
    yyjson_alc_pool_init(&alc, desk.bytes, sizeof desk.bytes);
    doc = yyjson_read_opts(bytes, text.n, 0, &alc, err);
    desk.taken = doc != NULL;
    return doc;
}

static void leave_desk(yyjson_doc *doc)
{
    bool at_desk = (char *)doc >= desk.bytes && (char *)doc < desk.bytes + sizeof desk.bytes;

    yyjson_doc_free(doc);
    if (at_desk)
        desk.taken = false;
}

/* Brackets outside strings. */
static bool counts_too_deep(struct str text)
{
    size_t depth = 0;
    bool   quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == '{') && ++depth > MAX_DEPTH)
            return true;
        else if (!quoted && (c == ']' || c == '}') && depth)
            depth--;
    }
    return false;
}

/* No walker of ours ever meets a text that is nested deeper. A large one is looked at before
 * it is parsed; a small one (a token's event) only if it has as many values as that takes. */
static bool is_too_deep(struct str text, const yyjson_doc *doc)
{
    if (text.n > SMALL_BYTES)
        return !doc && counts_too_deep(text);
    return doc && yyjson_doc_get_val_count((yyjson_doc *)(uintptr_t)doc) > MAX_DEPTH &&
           counts_too_deep(text);
}

static const char too_deep[] = "it is nested more than 64 levels deep";

/* NULL and `why` when it is no JSON or too deep. */
static yyjson_doc *read_text(struct str text, const char **why)
{
    yyjson_read_err err;
    yyjson_doc     *doc;

    *why = too_deep;
    if (is_too_deep(text, NULL))
        return NULL;
    doc = read_at_desk(text, &err);
    if (!doc) {
        *why = text.n ? err.msg : "it is empty";
    } else if (is_too_deep(text, doc)) {
        leave_desk(doc);
        doc = NULL;
    }
    return doc;
}

static size_t comparisons;                    /* of names, in the document at hand */

static bool has_twins(yyjson_val *object)
{
    yyjson_obj_iter outer = yyjson_obj_iter_with(object);
    yyjson_val     *key, *other;

    comparisons += yyjson_obj_size(object) * yyjson_obj_size(object) / 2;
    if (yyjson_obj_size(object) > MEMBERS_MAX || comparisons > COMPARISONS_MAX)
        return true;                          /* quadratic below; nobody honest sends this */
    while ((key = yyjson_obj_iter_next(&outer))) {
        yyjson_obj_iter inner = outer;

        while ((other = yyjson_obj_iter_next(&inner)))
            if (yyjson_equals(key, other))
                return true;
    }
    return false;
}

static const char *what_is_ambiguous(yyjson_val *v)
{
    size_t      at, max;
    yyjson_val *key, *child;
    const char *why = NULL;

    if (yyjson_is_str(v) && memchr(yyjson_get_str(v), 0, yyjson_get_len(v)))
        return "a string holds the character U+0000";
    if (yyjson_is_obj(v) && has_twins(v))
        return "an object has the same member twice (or over 1000 members)";
    if (yyjson_is_obj(v)) {
        yyjson_obj_foreach(v, at, max, key, child)
            if ((why = what_is_ambiguous(key)) || (why = what_is_ambiguous(child)))
                return why;
    } else if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, at, max, child)
            if ((why = what_is_ambiguous(child)))
                return why;
    }
    return NULL;
}

struct json_doc *json_read(struct str text, const char **why)
{
    yyjson_doc *doc = read_text(text, why);

    if (!doc)
        return NULL;
    comparisons = 0;
    *why = what_is_ambiguous(yyjson_doc_get_root(doc));
    if (!*why)
        return (struct json_doc *)doc;
    leave_desk(doc);
    return NULL;
}

/* ---- reading with patience ---------------------------------------------------------- */

static bool is_escape_between(const char *p, const char *end, const char *low, const char *high)
{
    return end - p >= 6 && p[0] == '\\' && p[1] == 'u' && strncasecmp(p + 2, low, 2) >= 0 &&
           strncasecmp(p + 2, high, 2) <= 0 && isxdigit((unsigned char)p[4]) &&
           isxdigit((unsigned char)p[5]);
}

static unsigned unit_of(const char *escape)
{
    char digits[5] = { 0 };

    memcpy(digits, escape + 2, 4);
    return (unsigned)strtoul(digits, NULL, 16);
}

/* Writes every half of a surrogate pair that stands alone in its own way, and returns the
 * shorter text. */
static struct str mend_surrogates(char *text, size_t n)
{
    const char *p = text, *end = text + n;
    char       *to = text;

    while (p < end) {
        size_t whole = *p == '\\' && end - p > 1 ? 2 : 1;

        if (is_escape_between(p, end, "d8", "db") && is_escape_between(p + 6, end, "dc", "df"))
            whole = 12;
        if (whole == 12 || !is_escape_between(p, end, "d8", "df")) {
            memmove(to, p, whole);
            to += whole;
            p += whole;
        } else {
            half_write(to, unit_of(p));
            to += HALF_BYTES;
            p += 6;
        }
    }
    return (struct str){ text, (size_t)(to - text) };
}

struct json_doc *json_read_patiently(struct str text, const char **why)
{
    yyjson_doc *doc = read_text(text, why);
    char       *copy;

    if (!doc && text.n && *why != too_deep) {
        copy = mem_copy(text.p, text.n);
        doc = read_text(mend_surrogates(copy, text.n), why);
        mem_free(copy);
    }
    return (struct json_doc *)doc;
}

void json_free(struct json_doc *doc)
{
    leave_desk((yyjson_doc *)doc);
}

static yyjson_val *val(const struct json *v)
{
    return (yyjson_val *)(uintptr_t)v;
}

const struct json *json_root(const struct json_doc *doc)
{
    return (const struct json *)yyjson_doc_get_root((yyjson_doc *)(uintptr_t)doc);
}

enum json_type json_type(const struct json *v)
{
    switch (yyjson_get_type(val(v))) {
    case YYJSON_TYPE_BOOL: return JSON_BOOL;
    case YYJSON_TYPE_NUM:  return JSON_NUMBER;
    case YYJSON_TYPE_STR:  return JSON_STRING;
    case YYJSON_TYPE_ARR:  return JSON_ARRAY;
    case YYJSON_TYPE_OBJ:  return JSON_OBJECT;
    default:               return JSON_NONE;
    }
}

const struct json *json_get_n(const struct json *object, struct str name)
{
    yyjson_val *v = yyjson_obj_getn(val(object), name.p, name.n);

    return yyjson_is_null(v) ? NULL : (const struct json *)v;
}

struct str json_str(const struct json *v)
{
    if (!yyjson_is_str(val(v)))
        return (struct str){ NULL, 0 };
    return (struct str){ yyjson_get_str(val(v)), yyjson_get_len(val(v)) };
}

bool json_is_true(const struct json *v)
{
    return yyjson_is_true(val(v));
}

/* 16, 16.0 and 1.6e1 are the same number in JSON. */
bool json_int(const struct json *v, int64_t *out)
{
    double d = yyjson_get_num(val(v));

    if (!yyjson_is_num(val(v)) || d < -9007199254740991.0 || d > 9007199254740991.0)
        return false;
    if ((double)(int64_t)d != d)
        return false;
    *out = (int64_t)d;
    return true;
}

bool json_number(const struct json *v, double *out)
{
    if (!yyjson_is_num(val(v)))
        return false;
    *out = yyjson_get_num(val(v));
    return true;
}

size_t json_count(const struct json *array)
{
    return yyjson_arr_size(val(array));
}

struct json_walk json_walk(const struct json *array)
{
    return (struct json_walk){ (const struct json *)yyjson_arr_get_first(val(array)),
                               yyjson_arr_size(val(array)) };
}

const struct json *json_walk_next(struct json_walk *w)
{
    const struct json *v = w->next;

    if (w->left == 0)
        return NULL;
    if (--w->left)
        w->next = (const struct json *)unsafe_yyjson_get_next(val(v));
    return v;
}

struct json_members json_members(const struct json *object)
{
    struct json_members m = { { NULL, 0 } };

    if (yyjson_is_obj(val(object)) && yyjson_obj_size(val(object)))
        m.walk = (struct json_walk){ (const struct json *)(val(object) + 1),
                                     yyjson_obj_size(val(object)) };
    return m;
}

/* In the library's document a member's value stands right behind its name. */
bool json_members_next(struct json_members *m, struct str *name, const struct json **value)
{
    const struct json *key = json_walk_next(&m->walk);

    if (!key)
        return false;
    *name = json_str(key);
    *value = (const struct json *)(val(key) + 1);
    if (m->walk.left)
        m->walk.next = (const struct json *)unsafe_yyjson_get_next(val(*value));
    return true;
}

/* Most names differ in their length or their first letter. */
static size_t find_name(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (names[i].n == name.n && names[i].p[0] == name.p[0] && str_eq(names[i], name))
            return i;
    return n;
}

void json_get_all(const struct json *object, const struct str *names, const struct json **values,
                  size_t n)
{
    struct json_members m = json_members(object);
    struct str          name;
    const struct json  *value;

    memset(values, 0, n * sizeof *values);
    while (json_members_next(&m, &name, &value)) {
        size_t i = find_name(name, names, n);

        if (i < n && !values[i])
            values[i] = value;
    }
    for (size_t i = 0; i < n; i++)
        if (yyjson_is_null(val(values[i])))
            values[i] = NULL;
}

/* ---- writing ------------------------------------------------------------- */

static void add_escape(struct buf *b, unsigned char c)
{
    static const char named[] = "btn\0fr";    /* 0x08 to 0x0d; 0x0b has no name */

    if (c == '"' || c == '\\')
        buf_add(b, (struct str){ (char[]){ '\\', (char)c }, 2 });
    else if (c >= 0x08 && c <= 0x0d && c != 0x0b)
        buf_add(b, (struct str){ (char[]){ '\\', named[c - 8] }, 2 });
    else
        buf_addf(b, "\\u%04x", c);
}

static bool must_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

void json_add_value(struct buf *b, const struct json *v)
{
    yyjson_write_err err;
    size_t           n;
    char            *text = yyjson_val_write_opts(val(v), 0, &hooks, &n, &err);

    assert(text);                             /* what was read can be written   */
    buf_add(b, (struct str){ text, n });
    mem_free(text);
}

void json_add_text(struct buf *b, struct str s)
{
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (!must_escape(c))
            continue;
        buf_add(b, (struct str){ s.p + from, i - from });
        add_escape(b, c);
        from = i + 1;
    }
    buf_add(b, str_from(s, from));
}

void json_add_str(struct buf *b, struct str s)
{
    buf_add_char(b, '"');
    json_add_text(b, s);
    buf_add_char(b, '"');
}

/* For logs: bytes over 0x7e come out one by one, as Latin-1 escapes. It is a
 * log of what was sent, not a rendering of it. */
void json_add_ascii_text(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (must_escape(c) || c >= 0x7f)
            add_escape(b, c);
        else
            buf_add_char(b, (char)c);
    }
}

void json_add_ascii(struct buf *b, struct str s)
{
    buf_add_char(b, '"');
    json_add_ascii_text(b, s);
    buf_add_char(b, '"');
}
