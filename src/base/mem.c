#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t allocations;
static size_t   live_bytes;

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
