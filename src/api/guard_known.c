#include "api/guard_known.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { BUCKETS = 1024, KNOWN_MAX = 10000 };

static struct list buckets[BUCKETS];
static struct list all = { .head = { &all.head, &all.head } };        /* the oldest first */

static struct list *bucket_of(const unsigned char *digest)
{
    struct list *l = &buckets[(digest[0] | digest[1] << 8) % BUCKETS];

    if (!l->head.next)
        list_init(l);
    return l;
}

static void known_free(struct known *k)
{
    verb_drop(&k->call.verb);
    arena_release(&k->arena);
    mem_free(k);
}

/* Out of sight; whoever uses it keeps it. */
static void hide(struct known *k)
{
    list_take(bucket_of(k->digest), &k->in_bucket);
    list_take(&all, &k->by_age);
    if (k->users == 0)
        known_free(k);
}

void known_forget_all(void)
{
    while (all.n)
        hide(LIST_OWNER(list_first(&all), struct known, by_age));
}

struct known *known_find(const unsigned char *digest)
{
    LIST_EACH(bucket_of(digest), l) {
        struct known *k = LIST_OWNER(l, struct known, in_bucket);

        if (memcmp(k->digest, digest, SHA256_BYTES) == 0)
            return k;
    }
    return NULL;
}

struct known *known_new(const unsigned char *digest)
{
    struct known *k = mem_new(sizeof *k);

    memcpy(k->digest, digest, SHA256_BYTES);
    list_init(&k->visitors);
    list_push(bucket_of(digest), &k->in_bucket);
    list_push(&all, &k->by_age);
    if (all.n > KNOWN_MAX)
        hide(LIST_OWNER(list_first(&all), struct known, by_age));
    return k;
}

void known_refuse(struct known *k, int status, const char *why)
{
    k->is_strange = false;
    k->status = status;
    snprintf(k->why, sizeof k->why, "%s", why);
}

void known_unuse(struct known *k)
{
    if (--k->users == 0 && !link_is_in(&k->by_age))
        known_free(k);
}
