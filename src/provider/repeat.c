#include "provider/repeat.h"

#include "base/hash.h"
#include "base/utf8.h"

#include <string.h>

enum {
    EVENT_MAX = 4096,                         /* longer ones are mostly text    */
    MISSES_MAX = 8,                           /* whose events are never alike   */
};

/* Stands for itself between quotation marks. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == '"' || text.p[i] == '\\')
            return false;
    return text.n > 0 && utf8_is_valid(text);
}

/* Where the text of the only member of that name begins; 0: there is none, or more. */
static size_t find_text(struct str event, struct str name)
{
    const char *at = memmem(event.p, event.n, name.p, name.n), *end = event.p + event.n;
    const char *text;

    if (!at || memmem(at + 1, (size_t)(end - at) - 1, name.p, name.n))
        return 0;
    text = at + name.n;
    while (text < end && *text == ' ')
        text++;
    return text < end && *text == '"' ? (size_t)(text - event.p) + 1 : 0;
}

void repeat_learn(struct repeat *r, struct str event, struct str name, struct str text)
{
    size_t before = event.n <= EVENT_MAX && is_plain(text) ? find_text(event, name) : 0;

    r->before = 0;
    if (!before || !str_starts(str_from(event, before), text))
        return;
    r->before = (uint32_t)before;
    r->behind = (uint32_t)(event.n - before - text.n);
    r->hash_before = hash_text((struct str){ event.p, before });
    r->hash_behind = hash_text(str_from(event, before + text.n));
}

bool repeat_knows(struct repeat *r, struct str event, struct str *text)
{
    if (!r->before || r->misses >= MISSES_MAX || event.n <= (size_t)r->before + r->behind)
        return false;
    *text = (struct str){ event.p + r->before, event.n - r->before - r->behind };
    if (hash_text((struct str){ event.p, r->before }) != r->hash_before ||
        hash_text(str_from(event, event.n - r->behind)) != r->hash_behind) {
        r->misses++;
        return false;
    }
    r->misses = 0;
    return is_plain(*text);
}
