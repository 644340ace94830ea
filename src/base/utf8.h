/* utf8.h - whole characters. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/arena.h"

bool       utf8_is_valid(struct str s);         /* strict: no overlong, no surrogates */
struct str utf8_clip(struct str s, size_t max);   /* at most so many bytes, whole characters */
struct str utf8_first(struct str s, size_t n);    /* so many characters, of valid text */
size_t     utf8_count(struct str s);              /* characters, of valid text      */
size_t     utf8_length(struct str s);             /* bytes of the first character; 0 if broken */

/* No database keeps U+0000, and no reader misses it: U+FFFD stands for it. The text itself where
 * there is none; else what is made of it, in `room`. */
struct str utf8_without_nul(struct str s, struct arena *room);

#endif
