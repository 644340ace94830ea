#include "wire/sha256.h"

#include <assert.h>
#include <mbedtls/sha256.h>

void sha256(struct str bytes, unsigned char digest[SHA256_BYTES])
{
    int rc = mbedtls_sha256((const unsigned char *)(bytes.n ? bytes.p : ""), bytes.n, digest, 0);

    assert(rc == 0);                          /* no hardware is asked           */
    (void)rc;
}

void sha256_hex(struct str bytes, char text[SHA256_HEX_SIZE])
{
    unsigned char digest[SHA256_BYTES];

    sha256(bytes, digest);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    text[2 * SHA256_BYTES] = '\0';
}
