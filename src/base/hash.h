/* hash.h - a number that two texts hardly ever share, another one in each process. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

#include <stdint.h>

uint64_t hash_text(struct str s);

#endif
