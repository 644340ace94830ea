#include "base/hash.h"

#include "base/id.h"

#include <string.h>

static uint64_t seed;

static uint64_t stir(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

uint64_t hash_text(struct str s)
{
    const char *at = s.p, *end = s.p + (s.n - s.n % sizeof(uint64_t));
    uint64_t    h, word;

    while (!seed)
        id_fill_bytes(&seed, sizeof seed);
    h = stir(seed, s.n);
    for (; at < end; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        h = stir(h, word);
    }
    word = 0;
    if (s.n % sizeof word)
        memcpy(&word, at, s.n % sizeof word);
    return stir(h, word);
}
