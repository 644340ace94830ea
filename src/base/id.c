#include "base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* The kernel is asked for 256 bytes at a time; one identifier needs about 25. */
static unsigned char pool[256];
static size_t        pool_left;

static unsigned char random_byte(void)
{
    if (pool_left == 0) {
        if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool) {
            fputs("runnel: the kernel gives no random bytes\n", stderr);
            abort();
        }
        pool_left = sizeof pool;
    }
    return pool[--pool_left];
}

void id_forget(void)
{
    pool_left = 0;
}

void id_fill(char *out, size_t n)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    for (size_t i = 0; i < n;) {
        unsigned char b = random_byte();

        if (b < 248)                          /* 4 x 62: keeps every digit as likely */
            out[i++] = digits[b % 62];
    }
    out[n] = '\0';
}

void id_fill_bytes(void *out, size_t n)
{
    unsigned char *to = out;

    while (n--)
        *to++ = random_byte();
}

void id_fill_uuid(char out[ID_UUID_SIZE])
{
    unsigned char b[16];
    size_t        n = 0;

    id_fill_bytes(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[n++] = '-';
        n += (size_t)snprintf(out + n, ID_UUID_SIZE - n, "%02x", b[i]);
    }
}

/* 32 random bits spread over n: off from even by less than n in four thousand million. */
uint32_t id_pick(uint32_t n)
{
    uint32_t r;

    id_fill_bytes(&r, sizeof r);
    return (uint32_t)(((uint64_t)r * n) >> 32);
}
