#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t allocations;
static size_t   live_bytes;

enum {
    LARGE_BYTES = 16 * 1024,
    KEPT_BYTES = 1 << 20,                     /* on the heap, when it could shrink */
};

/* Large pieces are pages of their own, which cost nothing until they are touched: TLS holds
 * two of 16 KB for every connection, and a stream of short events touches half of them. The
 * heap gets no spare room at its top, for what is cut from there is wiped, and so touched. */
void mem_begin(void)
{
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_TOP_PAD, 0);
}

static void out_of_memory(size_t size)
{
    fprintf(stderr, "runnel: out of memory (%zu bytes asked)\n", size);
    abort();
}

static void *counted(void *p, size_t size)
{
    if (!p)
        out_of_memory(size);
    allocations++;
    live_bytes += malloc_usable_size(p);
    return p;
}

void *mem_hook_malloc(size_t size)
{
    return counted(malloc(size ? size : 1), size);
}

void *mem_hook_calloc(size_t count, size_t size)
{
    return counted(calloc(count ? count : 1, size ? size : 1), size);
}

void *mem_hook_realloc(void *p, size_t size)
{
    if (p)
        live_bytes -= malloc_usable_size(p);
    return counted(realloc(p, size ? size : 1), size);
}

void *mem_new(size_t size)
{
    return mem_hook_calloc(1, size);
}

void *mem_resize(void *p, size_t size)
{
    return mem_hook_realloc(p, size);
}

void mem_free(void *p)
{
    if (!p)
        return;
    live_bytes -= malloc_usable_size(p);
    free(p);
}

char *mem_copy(const char *bytes, size_t n)
{
    char *copy = mem_hook_malloc(n + 1);

    if (n)
        memcpy(copy, bytes, n);
    copy[n] = '\0';
    return copy;
}

uint64_t mem_allocations(void)
{
    return allocations;
}

size_t mem_live_bytes(void)
{
    return live_bytes;
}
