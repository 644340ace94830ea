/* json.h - the dozen things we do with JSON.
 *
 * Reading: json_read() makes a document of strict RFC 8259 text; values are
 * borrowed from it. Depth, duplicate member names and NUL in strings are refused,
 * because two readers of such a text may see two different things. A member that is
 * null reads as absent: json_get() gives NULL for both, and every reader takes NULL.
 * Writing: straight into a buf.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

#include <string.h>

struct json;                                  /* one value                      */
struct json_doc;

enum json_type { JSON_NONE, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* NULL when the text is not JSON; `why` then says what is wrong, in a sentence. */
struct json_doc   *json_read(struct str text, const char **why);
void               json_free(struct json_doc *doc);
const struct json *json_root(const struct json_doc *doc);

enum json_type     json_type(const struct json *v);
const struct json *json_get_n(const struct json *object, struct str name);

/* Inline, so that the length of a literal is known to the compiler. */
static inline const struct json *json_get(const struct json *object, const char *name)
{
    return json_get_n(object, (struct str){ name, strlen(name) });
}

/* Some members in one walk, for what is read with every word: values[i] is the one that
 * names[i] names, as json_get() gives it. */
void json_get_all(const struct json *object, const struct str *names, const struct json **values,
                  size_t n);

struct str json_str(const struct json *v); /* empty if no string   */
bool       json_is_true(const struct json *v);
bool       json_int(const struct json *v, int64_t *out); /* a whole number; else *out stays */
bool       json_number(const struct json *v, double *out);
size_t     json_count(const struct json *array);

struct json_walk {
    const struct json *next;
    size_t             left;
};
struct json_walk   json_walk(const struct json *array);
const struct json *json_walk_next(struct json_walk *w);     /* NULL at the end      */

/* The members of an object, in order; false at the end. Null members come too. */
struct json_members {
    struct json_walk walk;
};
struct json_members json_members(const struct json *object);
bool json_members_next(struct json_members *m, struct str *name, const struct json **value);

/* What providers send is read with more patience: half a surrogate pair (an emoji cut in
 * two) is let through as half.h says, and so are the ambiguities above. */
struct json_doc *json_read_patiently(struct str text, const char **why);

void json_add_value(struct buf *b, const struct json *v);         /* as JSON, minified */
void json_add_str(struct buf *b, struct str s);   /* quoted; valid UTF-8 stays as it is */
void json_add_text(struct buf *b, struct str s);  /* the same without the quotes        */
void json_add_ascii(struct buf *b, struct str s); /* quoted; any bytes, ASCII comes out */
void json_add_ascii_text(struct buf *b, struct str s);            /* without the quotes */

#endif
