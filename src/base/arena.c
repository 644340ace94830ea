#include "base/arena.h"

#include "base/mem.h"

#include <stdalign.h>
#include <string.h>

/* Small: most turns need little beside their texts, and thousands of them live at once. */
enum { CHUNK_SIZE = 224 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t              used, size;
    alignas(max_align_t) char bytes[];
};

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *c = mem_new(sizeof *c + size);

    c->size = size;
    return c;
}

void *arena_new(struct arena *a, size_t size)
{
    size_t              want = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_chunk *c = a->chunks;

    if (!c || want > c->size - c->used) {
        c = chunk_new(want > CHUNK_SIZE ? want : CHUNK_SIZE);
        c->next = a->chunks;
        a->chunks = c;
    }
    c->used += want;
    return c->bytes + c->used - want;
}

char *arena_text(struct arena *a, struct str s)
{
    char *copy = arena_new(a, s.n + 1);

    if (s.n)
        memcpy(copy, s.p, s.n);
    return copy;
}

struct str arena_str(struct arena *a, struct str s)
{
    return (struct str){ arena_text(a, s), s.n };
}

void arena_release(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *c = a->chunks;

        a->chunks = c->next;
        mem_free(c);
    }
}
