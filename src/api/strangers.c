#include "api/strangers.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/common.h"
#include "base/id.h"

#include <string.h>

enum { SETS = 1024, WAYS = 4, MINUTE_S = 60 };

struct stranger {
    uint64_t address, until;                  /* clock, ns; over: the place is free */
    uint64_t failures;
};

/* Where processes share it nobody locks it: a failure more or less is all that can be lost. */
static struct strangers {
    uint64_t        salt;                     /* nobody can choose who is in a set with whom */
    struct stranger sets[SETS][WAYS];
} own, *strangers = &own;

void strangers_share(void)
{
    strangers = common_new(sizeof *strangers);
    id_fill_bytes(&strangers->salt, sizeof strangers->salt);
}

void strangers_forget(void)
{
    memset(strangers->sets, 0, sizeof strangers->sets);
}

/* The last bytes of an IPv4 address, also where it is written as one of IPv6. */
static uint64_t number_of(struct str text)
{
    union address a;
    unsigned char bytes[8] = { 0, 0, 0xff, 0xff };
    uint64_t      n;

    if (!address_read_host(text, &a))
        return 0;
    if (a.any.sa_family == AF_INET)
        memcpy(bytes + 4, &a.v4.sin_addr, 4);
    else if (IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr))
        memcpy(bytes + 4, (const char *)&a.v6.sin6_addr + 12, 4);
    else
        memcpy(bytes, &a.v6.sin6_addr, sizeof bytes);
    memcpy(&n, bytes, sizeof n);
    return n;
}

static struct stranger *set_of(uint64_t address)
{
    uint64_t mixed;

    while (strangers->salt == 0)
        id_fill_bytes(&strangers->salt, sizeof strangers->salt);
    mixed = (address ^ strangers->salt) * 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 32) * 0x9e3779b97f4a7c15;
    return strangers->sets[mixed >> 32 & (SETS - 1)];
}

static bool is_over(const struct stranger *s)
{
    return clock_now() >= s->until;
}

/* His own place, or one that is free, or his who failed least. */
static struct stranger *place_of(uint64_t address)
{
    struct stranger *set = set_of(address), *least = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].address == address && !is_over(&set[i]))
            return &set[i];
        if (!is_over(least) && (is_over(&set[i]) || set[i].failures < least->failures))
            least = &set[i];
    }
    *least = (struct stranger){ address, clock_now() + MINUTE_S * CLOCK_S, 0 };
    return least;
}

uint64_t strangers_note(struct str address, uint64_t most)
{
    struct stranger *s = place_of(number_of(address));

    if (++s->failures <= most)
        return 0;
    return (s->until - clock_now() + CLOCK_S - 1) / CLOCK_S;
}
