#include "wire/base64.h"

#include <string.h>

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char standard[] = LETTERS_AND_DIGITS "+/";
static const char for_urls[] = LETTERS_AND_DIGITS "-_";

/* One to three bytes as four letters. */
static void encode_group(const char *alphabet, const unsigned char *p, size_t n, char letters[4])
{
    unsigned bits = p[0] << 16 | (n > 1 ? p[1] << 8 : 0) | (n > 2 ? p[2] : 0);

    for (size_t i = 0; i < 4; i++)
        letters[i] = i <= n ? alphabet[bits >> (18 - 6 * i) & 63] : '=';
}

void base64_encode(struct str bytes, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    char                 letters[4];

    if (!buf_reserve(out, (bytes.n + 2) / 3 * 4))
        return;
    for (size_t i = 0; i < bytes.n; i += 3) {
        encode_group(standard, p + i, bytes.n - i < 3 ? bytes.n - i : 3, letters);
        buf_add(out, (struct str){ letters, 4 });
    }
}

void base64url_encode(struct str bytes, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    char                 letters[4];

    if (!buf_reserve(out, (bytes.n * 4 + 2) / 3))
        return;
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t n = bytes.n - i < 3 ? bytes.n - i : 3;

        encode_group(for_urls, p + i, n, letters);
        buf_add(out, (struct str){ letters, n + 1 });
    }
}

/* The number of bytes in four letters; 0: they are none of ours. */
static size_t decode_group(const char *alphabet, const char *letters, char bytes[3])
{
    size_t   n = letters[3] != '=' ? 3 : letters[2] != '=' ? 2 : 1;
    unsigned bits = 0;

    for (size_t i = 0; i < 4; i++) {
        const char *at = letters[i] ? strchr(alphabet, letters[i]) : NULL;

        if (!at && i <= n)
            return 0;
        bits = bits << 6 | (i <= n ? (unsigned)(at - alphabet) : 0);
    }
    for (size_t i = 0; i < 3; i++)
        bytes[i] = (char)(bits >> (16 - 8 * i) & 255);
    return bits & ((1u << (24 - 8 * n)) - 1) ? 0 : n;
}

bool base64_decode(struct str text, struct buf *out)
{
    size_t before = out->n, n;
    char   bytes[3];

    if (text.n % 4)
        return false;
    for (size_t i = 0; i < text.n; i += 4) {
        n = decode_group(standard, text.p + i, bytes);
        if (n == 0 || (n < 3 && i + 4 < text.n)) {
            out->n = before;
            return false;
        }
        buf_add(out, (struct str){ bytes, n });
    }
    return true;
}

bool base64url_decode(struct str text, struct buf *out)
{
    size_t before = out->n, n;
    char   bytes[3];

    if (text.n && memchr(text.p, '=', text.n))
        return false;
    for (size_t i = 0; i < text.n; i += 4) {
        char letters[4] = { '=', '=', '=', '=' };

        memcpy(letters, text.p + i, text.n - i < 4 ? text.n - i : 4);
        n = decode_group(for_urls, letters, bytes);
        if (n == 0) {
            out->n = before;
            return false;
        }
        buf_add(out, (struct str){ bytes, n });
    }
    return true;
}
