#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool read_port(struct str s, in_port_t *port)
{
    uint64_t v;

    if (s.n > 5 || !str_to_u64(s, &v) || v > 65535)
        return false;
    *port = htons((uint16_t)v);
    return true;
}

bool address_read_host(struct str s, union address *out)
{
    char text[INET6_ADDRSTRLEN];

    memset(out, 0, sizeof *out);
    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, 0, s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1)
        return false;
    out->v6.sin6_family = AF_INET6;
    return true;
}

bool address_read_endpoint(struct str s, union address *out)
{
    const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
    struct str  host, port;
    bool        bracketed;

    if (!colon)
        return false;
    host = (struct str){ s.p, (size_t)(colon - s.p) };
    port = str_from(s, host.n + 1);
    bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracketed)
        host = (struct str){ host.p + 1, host.n - 2 };
    if (!address_read_host(host, out) || bracketed != (out->any.sa_family == AF_INET6))
        return false;
    return read_port(port, bracketed ? &out->v6.sin6_port : &out->v4.sin_port);
}

bool address_is_endpoint(struct str s)
{
    union address a;

    return address_read_endpoint(s, &a);
}

static struct str address_bytes(const union address *a)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    const char                *v6 = (const char *)&a->v6.sin6_addr;

    if (a->any.sa_family == AF_INET)
        return (struct str){ (const char *)&a->v4.sin_addr, 4 };
    if (memcmp(v6, mapped, sizeof mapped) == 0)   /* an IPv4 peer of an IPv6 socket */
        return (struct str){ v6 + 12, 4 };
    return (struct str){ v6, 16 };
}

static bool read_block(struct str s, union address *base, size_t *bits)
{
    struct str host;
    size_t     written;
    uint64_t   v;

    str_next(&s, '/', &host);
    if (!address_read_host(host, base))
        return false;
    *bits = address_bytes(base).n * 8;
    if (!s.p)
        return true;
    /* A mapped address is written with all its 128 bits and compared by its last 32. */
    written = base->any.sa_family == AF_INET6 ? 128 : 32;
    if (!str_to_u64(s, &v) || v > written || v < written - *bits)
        return false;
    *bits -= written - (size_t)v;
    return true;
}

bool address_is_block(struct str s)
{
    union address base;
    size_t        bits;

    return read_block(s, &base, &bits);
}

bool address_in_block(const union address *a, struct str block)
{
    union address base;
    size_t        bits, whole;
    struct str    x = address_bytes(a), y;

    if (!read_block(block, &base, &bits))
        return false;
    y = address_bytes(&base);
    whole = bits / 8;
    if (x.n != y.n || (whole && memcmp(x.p, y.p, whole) != 0))
        return false;
    return bits % 8 == 0 || ((x.p[whole] ^ y.p[whole]) & (0xff << (8 - bits % 8)) & 0xff) == 0;
}

void address_write_host(const union address *a, char out[ADDRESS_TEXT_SIZE])
{
    struct str bytes = address_bytes(a);

    if (!inet_ntop(bytes.n == 4 ? AF_INET : AF_INET6, bytes.p, out, ADDRESS_TEXT_SIZE))
        snprintf(out, ADDRESS_TEXT_SIZE, "?");
}

void address_write_endpoint(const union address *a, char out[ADDRESS_TEXT_SIZE])
{
    char     host[ADDRESS_TEXT_SIZE];
    unsigned port = ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);

    address_write_host(a, host);
    snprintf(out, ADDRESS_TEXT_SIZE, strchr(host, ':') ? "[%.46s]:%u" : "%.46s:%u", host, port);
}
