#include "base/host.h"

#include <string.h>

enum { NAME_MAX_BYTES = 253, LABEL_MAX_BYTES = 63 };

/* ---- spelling ------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

static bool is_label(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_name_char(s.p[i]))
            return false;
    return s.n > 0 && s.n <= LABEL_MAX_BYTES && s.p[0] != '-' && s.p[s.n - 1] != '-';
}

/* inet_aton(3) and browsers take 127.1, 0x7f.1 and 2130706433 for addresses: what ends like
 * this is never a name. */
static bool is_number(struct str label)
{
    size_t i = 0;

    while (i < label.n && is_digit(label.p[i]))
        i++;
    return i == label.n || (label.n >= 2 && str_eq_nocase((struct str){ label.p, 2 }, STR("0x")));
}

static bool is_name(struct str s)
{
    struct str label = { NULL, 0 };

    if (s.n == 0 || s.n > NAME_MAX_BYTES || s.p[s.n - 1] == '.')
        return false;
    while (str_next(&s, '.', &label))
        if (!is_label(label))
            return false;
    return !is_number(label);
}

bool host_is_plain(struct str host)
{
    union address a;

    return address_read_host(host, &a) || is_name(host);
}

static bool is_port(struct str s)
{
    uint64_t port;

    return s.n <= 5 && str_to_u64(s, &port) && port > 0 && port <= 65535;
}

bool host_of_authority(struct str authority, struct str *host)
{
    bool       bracketed = authority.n && authority.p[0] == '[';
    size_t     n = str_find(authority, bracketed ? ']' : ':');
    struct str rest = str_from(authority, n + (bracketed && n < authority.n));
    bool       is_v6;

    if (bracketed && n == authority.n)
        return false;
    *host = (struct str){ authority.p, n };
    if (bracketed)
        *host = str_from(*host, 1);
    is_v6 = str_find(*host, ':') < host->n;
    if (is_v6 != bracketed || !host_is_plain(*host))
        return false;
    return rest.n == 0 || (rest.p[0] == ':' && is_port(str_from(rest, 1)));
}

/* ---- whose it is ------------------------------------------------------------------------ */

/* IANA's registries of special addresses: what is not for the whole Internet. */
static const char *const not_public_v4[] = {
    "0.0.0.0/8",       "10.0.0.0/8",     "100.64.0.0/10", /* behind a carrier's NAT         */
    "127.0.0.0/8",     "169.254.0.0/16",                  /* clouds tell secrets there      */
    "172.16.0.0/12",   "192.0.0.0/24",   "192.0.2.0/24",  "192.88.99.0/24", /* 6to4 relays                    */
    "192.168.0.0/16",  "198.18.0.0/15", /* benchmarks                     */
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",   "240.0.0.0/4",    NULL,
};

/* Within 2000::/3, outside of which nothing is public. */
static const char *const not_public_v6[] = {
    "2001::/23",                              /* Teredo, ORCHID, benchmarks     */
    "2001:db8::/32", "2002::/16", /* 6to4: an IPv4 address inside   */
    "3fff::/20",     NULL,
};

static bool is_in(const union address *a, const char *const *blocks)
{
    for (; *blocks; blocks++)
        if (address_in_block(a, str_of(*blocks)))
            return true;
    return false;
}

bool host_is_public(const union address *a)
{
    union address inner = { .v4 = { .sin_family = AF_INET } };

    if (a->any.sa_family == AF_INET)
        return !is_in(a, not_public_v4);
    if (a->any.sa_family != AF_INET6)
        return false;
    /* Behind a translator the whole IPv4 Internet looks like this (RFC 6052). */
    if (address_in_block(a, STR("64:ff9b::/96"))) {
        memcpy(&inner.v4.sin_addr, &a->v6.sin6_addr.s6_addr[12], 4);
        return host_is_public(&inner);
    }
    return address_in_block(a, STR("2000::/3")) && !is_in(a, not_public_v6);
}

/* ---- those who may ------------------------------------------------------------------------ */

static struct str without_brackets(struct str s)
{
    return s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']' ? (struct str){ s.p + 1, s.n - 2 } : s;
}

bool host_is_among(struct str host, const struct conf_texts *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq_nocase(without_brackets(list->items[i]), without_brackets(host)))
            return true;
    return false;
}
