/* base64.h - RFC 4648: section 4, the standard alphabet, padded; section 5, the alphabet for
 * addresses, which we write and read without padding, as tokens have it. No I/O. */
#ifndef WIRE_BASE64_H
#define WIRE_BASE64_H

#include "base/buf.h"

void base64_encode(struct str bytes, struct buf *out);
void base64url_encode(struct str bytes, struct buf *out);

/* False, and then nothing is added, unless `text` is what the encoder of the same name writes:
 * padded or not, without blanks, and no bits behind the last byte. */
bool base64_decode(struct str text, struct buf *out);
bool base64url_decode(struct str text, struct buf *out);

#endif
