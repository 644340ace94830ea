/* id.h - random identifiers and random bytes, from the kernel. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stddef.h>
#include <stdint.h>

/* Writes n letters and digits (5.95 bits each) and a terminating NUL. */
void id_fill(char *out, size_t n);

void id_fill_bytes(void *out, size_t n);

/* A UUID of version 4 and a terminating NUL. */
enum { ID_UUID_SIZE = 37 };
void id_fill_uuid(char out[ID_UUID_SIZE]);

/* A number below `n`, each as likely. */
uint32_t id_pick(uint32_t n);

void id_forget(void);                         /* behind a fork: bytes that the other has, too */

#endif
