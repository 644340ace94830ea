/* mem.h - memory that cannot fail quietly.
 *
 * Every allocation of the program goes through here (libuv's and yyjson's too:
 * see net/loop.c and base/json.c). Running out aborts with the size asked for:
 * a chat server that cannot get 200 bytes has nothing sensible left to do.
 * "Too big" is never decided here; every buffer has its own limit (buf.h).
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

void mem_begin(void);                         /* before the first allocation    */

void *mem_new(size_t size);                   /* zeroed; free with mem_free()  */
void *mem_resize(void *p, size_t size);       /* new bytes are not zeroed      */
void  mem_free(void *p);                      /* NULL is fine                  */
char *mem_copy(const char *bytes, size_t n);  /* n bytes and a terminating NUL */

/* The same four in libc's own signatures, for libraries that take hooks. */
void *mem_hook_malloc(size_t size);
void *mem_hook_calloc(size_t count, size_t size);
void *mem_hook_realloc(void *p, size_t size);

uint64_t mem_allocations(void);               /* since the start               */
size_t   mem_live_bytes(void);                /* as the allocator rounds them  */

#endif
