/* id.h - random identifiers. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stddef.h>

/* Writes n letters and digits (5.95 bits each) and a terminating NUL. */
void id_fill(char *out, size_t n);

#endif
