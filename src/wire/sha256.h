/* sha256.h - a digest: what is kept of a secret, and how a text is known again. */
#ifndef WIRE_SHA256_H
#define WIRE_SHA256_H

#include "base/str.h"

enum { SHA256_BYTES = 32, SHA256_HEX_SIZE = 65 };

void sha256(struct str bytes, unsigned char digest[SHA256_BYTES]);
void sha256_hex(struct str bytes, char digest[SHA256_HEX_SIZE]);  /* lower case, terminated */

#endif
