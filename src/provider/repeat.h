/* repeat.h - knows an event again that differs from one before in nothing but its text.
 *
 * Most events of a stream are such. Of the bytes before and behind the text only lengths and
 * hashes are kept: a provider that made two of them alike could as well have written what it
 * wants to be read.
 */
#ifndef PROVIDER_REPEAT_H
#define PROVIDER_REPEAT_H

#include "base/str.h"

#include <stdint.h>

struct repeat {
    uint64_t hash_before, hash_behind;
    uint32_t before, behind;                  /* bytes; before 0: none is known */
    uint32_t misses;                          /* in a row                       */
};

/* `event` was read, and nothing came of it but `text`, its only member of that name. */
void repeat_learn(struct repeat *r, struct str event, struct str name, struct str text);

/* True: nothing would come of it but `text`, which is borrowed from it. */
bool repeat_knows(struct repeat *r, struct str event, struct str *text);

#endif
