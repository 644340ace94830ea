/* common.h - memory that several processes of one service have in common. */
#ifndef BASE_COMMON_H
#define BASE_COMMON_H

#include <stddef.h>

/* Zeroed, and never given back: whoever is forked from now on sees the same bytes. */
void *common_new(size_t size);

#endif
