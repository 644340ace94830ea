/* str.h - borrowed text: a pointer and a length, owned by somebody else.
 *
 * A str is passed by value and never freed. It need not be terminated and may
 * hold NUL. An empty str may have a NULL pointer.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p;
    size_t      n;
};

#define STR(literal)      ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_INIT(literal) { "" literal, sizeof(literal) - 1 }  /* for static tables */
#define STR_ARG(s)        (int)(s).n, (s).p ? (s).p : ""       /* for "%.*s"        */

struct str str_of(const char *text);          /* terminated text; NULL is empty */
struct str str_from(struct str s, size_t at); /* the rest behind `at`           */
size_t     str_find(struct str s, char c);    /* where the first one is; s.n: none */
struct str str_trim(struct str s);            /* without spaces and tabs around */

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);

/* Cuts the piece before `sep` off `*rest`. False when nothing is left. */
bool str_next(struct str *rest, char sep, struct str *piece);

/* Decimal digits only, no sign, no overflow. */
bool str_to_u64(struct str s, uint64_t *value);

#endif
