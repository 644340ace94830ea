/* keys.h - a provider's keys take turns; one that is refused or used up rests. */
#ifndef PROVIDER_KEYS_H
#define PROVIDER_KEYS_H

#include "provider/provider.h"

/* The next that is awake, or else the one that wakes first. */
struct provider_key *keys_pick(struct provider *p, uint64_t now);

/* What a refusal says of the key. True: another one is awake, and may be asked at once. */
bool keys_judge(struct provider *p, struct provider_key *key, enum fault fault, uint64_t after,
                uint64_t now);

#endif
