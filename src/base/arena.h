/* arena.h - memory with one lifetime: a request, a turn, a settings file.
 *
 * Nothing in an arena is freed by itself; arena_release() frees it all.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks;               /* the newest first               */
};

void      *arena_new(struct arena *a, size_t size);         /* zeroed, aligned  */
struct str arena_str(struct arena *a, struct str s);        /* a copy           */
char      *arena_text(struct arena *a, struct str s);       /* a terminated one */
void       arena_release(struct arena *a);

#endif
