#include "provider/keys.h"

#include "base/clock.h"

enum { REFUSED_REST_S = 300, USED_UP_REST_S = 30 };

struct provider_key *keys_pick(struct provider *p, uint64_t now)
{
    struct provider_key *best = NULL;

    for (size_t i = 0; i < p->n_keys; i++) {
        struct provider_key *k = &p->keys[(p->next_key + i) % p->n_keys];

        if (!best || (best->rest_until > now && k->rest_until < best->rest_until))
            best = k;
    }
    p->next_key = (size_t)(best - p->keys + 1) % p->n_keys;
    return best;
}

static bool another_is_awake(const struct provider *p, uint64_t now)
{
    for (size_t i = 0; i < p->n_keys; i++)
        if (p->keys[i].rest_until <= now)
            return true;
    return false;
}

bool keys_judge(struct provider *p, struct provider_key *key, enum fault fault, uint64_t after,
                uint64_t now)
{
    if (fault == FAULT_SERVICE_DENIED)
        key->rest_until = now + REFUSED_REST_S * CLOCK_S;
    else if (fault == FAULT_SERVICE_BUSY)
        key->rest_until = now + (after ? after : USED_UP_REST_S * CLOCK_S);
    else
        return false;
    return another_is_awake(p, now);
}
