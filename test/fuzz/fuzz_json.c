/* fuzz_json.c - any bytes as JSON; every value that is read is written and read again.
 *
 * yyjson's own reader, called directly, is the second opinion: what json.h accepts is
 * strict JSON, and what it refuses beyond that is refused for one of its own reasons. */
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"

#include "script.h"

#include <string.h>
#include <yyjson.h>

enum { TEXT_MAX = 1 << 24, OWN_MAX_DEPTH = 64, OWN_MAX_MEMBERS = 1000 };

static bool same(struct str a, yyjson_val *b)
{
    return yyjson_equals_strn(b, a.n ? a.p : "", a.n);
}

/* ---- strings, there and back ----------------------------------------------------------- */

static void read_back(struct buf *text, struct str want)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(buf_str(text), &why);

    MUST_SAY(doc, "%s: %.*s", why, STR_ARG(buf_str(text)));
    MUST(json_type(json_root(doc)) == JSON_STRING);
    MUST(str_eq(json_str(json_root(doc)), want));
    json_free(doc);
}

static void try_string(struct str s)
{
    struct buf text = BUF(TEXT_MAX);

    json_add_str(&text, s);
    read_back(&text, s);
    buf_release(&text);
}

/* Any bytes come out as visible ASCII that is a JSON string: one character per byte. */
static void try_ascii(struct str bytes)
{
    struct buf  text = BUF(TEXT_MAX);
    yyjson_doc *doc;

    json_add_ascii(&text, bytes);
    for (size_t i = 0; i < text.n; i++)
        MUST(text.p[i] >= ' ' && text.p[i] < 0x7f);
    doc = yyjson_read(text.p, text.n, 0);
    MUST_SAY(doc && yyjson_is_str(yyjson_doc_get_root(doc)), "%.*s", STR_ARG(buf_str(&text)));
    yyjson_doc_free(doc);
    buf_release(&text);
}

/* ---- the walk --------------------------------------------------------------------------- */

static void compare(const struct json *ours, yyjson_val *theirs);

static void compare_array(const struct json *ours, yyjson_val *theirs)
{
    struct json_walk   w = json_walk(ours);
    const struct json *v;
    yyjson_arr_iter    iter = yyjson_arr_iter_with(theirs);
    size_t             n = 0;

    for (; (v = json_walk_next(&w)); n++)
        compare(v, yyjson_arr_iter_next(&iter));
    MUST(n == json_count(ours) && n == yyjson_arr_size(theirs));
    MUST(json_walk_next(&w) == NULL);
}

static void compare_object(const struct json *ours, yyjson_val *theirs)
{
    yyjson_obj_iter     iter = yyjson_obj_iter_with(theirs);
    struct json_walk    w = json_walk(ours);
    struct json_members m = json_members(ours);
    struct str          name;
    const struct json  *v;

    MUST_SAY(json_walk_next(&w) == NULL && json_count(ours) == 0, "an object is no array");
    while (json_members_next(&m, &name, &v)) {
        yyjson_val *key = yyjson_obj_iter_next(&iter), *value = yyjson_obj_iter_get_val(key);

        MUST(same(name, key));
        MUST(json_get(ours, yyjson_get_str(key)) == (yyjson_is_null(value) ? NULL : v));
        compare(v, value);
        try_string(name);
    }
    MUST(!yyjson_obj_iter_has_next(&iter));
    MUST(!json_members_next(&m, &name, &v));
}

static void compare_number(const struct json *ours, yyjson_val *theirs)
{
    int64_t n;
    double  d = yyjson_get_num(theirs);

    if (json_int(ours, &n))
        MUST((double)n == d && n >= -9007199254740991 && n <= 9007199254740991);
    else
        MUST(d > 9e15 || d < -9e15 || d != (double)(long long)d);
}

static void compare(const struct json *ours, yyjson_val *theirs)
{
    int64_t n;

    MUST(json_is_true(ours) == yyjson_is_true(theirs));
    MUST(json_type(ours) == JSON_NUMBER || !json_int(ours, &n));
    MUST(json_type(ours) == JSON_STRING || json_str(ours).n == 0);
    switch (json_type(ours)) {
    case JSON_NONE: MUST(yyjson_is_null(theirs)); return;
    case JSON_BOOL: MUST(yyjson_is_bool(theirs)); return;
    case JSON_NUMBER: compare_number(ours, theirs); return;
    case JSON_STRING:
        MUST(same(json_str(ours), theirs));
        MUST(utf8_is_valid(json_str(ours)));
        try_string(json_str(ours));
        return;
    case JSON_ARRAY:
        MUST(yyjson_is_arr(theirs));
        compare_array(ours, theirs);
        return;
    case JSON_OBJECT:
        MUST(yyjson_is_obj(theirs));
        compare_object(ours, theirs);
        return;
    }
}

/* ---- whole values, there and back ------------------------------------------------------ */

static void try_value(const struct json *v, yyjson_val *want)
{
    struct buf  text = BUF(TEXT_MAX);
    yyjson_doc *doc;

    json_add_value(&text, v);
    MUST(!text.over);
    doc = yyjson_read(text.p, text.n, 0);
    MUST_SAY(doc && yyjson_equals(yyjson_doc_get_root(doc), want), "%.*s", STR_ARG(buf_str(&text)));
    yyjson_doc_free(doc);
    buf_release(&text);
}

/* The patient reader takes all that the strict one takes, and gives valid text only. */
static void must_be_utf8(const struct json *v)
{
    struct json_walk    w = json_walk(v);
    struct json_members m = json_members(v);
    struct str          name;
    const struct json  *item;

    MUST(utf8_is_valid(json_str(v)));
    while ((item = json_walk_next(&w)))
        must_be_utf8(item);
    while (json_members_next(&m, &name, &item)) {
        MUST(utf8_is_valid(name));
        must_be_utf8(item);
    }
}

static void try_patience(struct str text, const struct json_doc *strict)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read_patiently(text, &why);

    MUST(doc || (!strict && why && *why));
    if (!doc)
        return;
    must_be_utf8(json_root(doc));
    if (strict)
        try_value(json_root(doc), (yyjson_val *)(uintptr_t)json_root(strict));
    json_free(doc);
}

/* ---- why it may be refused ------------------------------------------------------------- */

static bool has_own_reason(yyjson_val *v, size_t depth)
{
    yyjson_obj_iter iter = yyjson_obj_iter_with(v);
    yyjson_val     *key, *item;
    size_t          at, max;

    if (yyjson_is_ctn(v) && (depth == OWN_MAX_DEPTH || yyjson_obj_size(v) > OWN_MAX_MEMBERS))
        return true;
    if (yyjson_is_str(v) && memchr(yyjson_get_str(v), 0, yyjson_get_len(v)))
        return true;
    while ((key = yyjson_obj_iter_next(&iter))) {
        yyjson_val *first = yyjson_obj_getn(v, yyjson_get_str(key), yyjson_get_len(key));

        if (first != yyjson_obj_iter_get_val(key) || has_own_reason(key, depth) ||
            has_own_reason(yyjson_obj_iter_get_val(key), depth + 1))
            return true;
    }
    yyjson_arr_foreach(v, at, max, item)
        if (has_own_reason(item, depth + 1))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str       text = { (const char *)data, size };
    size_t           before = mem_live_bytes();
    const char      *why = NULL;
    struct json_doc *doc = json_read(text, &why);
    yyjson_doc      *other = yyjson_read(text.p, text.n, 0);

    MUST(doc || (why && *why));
    if (doc) {
        MUST(other && !has_own_reason(yyjson_doc_get_root(other), 0));
        compare(json_root(doc), yyjson_doc_get_root(other));
        try_value(json_root(doc), yyjson_doc_get_root(other));
    } else {
        MUST_SAY(!other || has_own_reason(yyjson_doc_get_root(other), 0), "refused: %s", why);
    }
    try_patience(text, doc);
    json_free(doc);
    yyjson_doc_free(other);
    try_ascii(text);
    if (utf8_is_valid(text) && !(text.n && memchr(text.p, 0, text.n)))
        try_string(text);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
