#include "api/visit.h"

#include "api/guard.h"
#include "base/mem.h"
#include "wire/sha256.h"

#include <stdio.h>

enum { UID_BYTES = 20 };

static void client_gone(void *user)
{
    visit_end(user);
}

static struct visit *make(struct http_exchange *x, struct whose whose)
{
    struct visit *v = mem_new(sizeof *v);

    v->x = x;
    v->whose = whose;
    return v;
}

struct visit *visit_new_of(struct http_exchange *x, struct whose whose)
{
    struct visit *v = make(x, whose);

    http_watch(x, client_gone, NULL, v);
    return v;
}

struct visit *visit_of(struct http_exchange *x, const char *dialect)
{
    struct visit *v = make(x, (struct whose){ guard_asker(x)->tenant, str_of(dialect), STR("") });

    v->whose.owner = guard_owner(x, &v->arena);
    return v;
}

struct visit *visit_new(struct http_exchange *x, const char *dialect)
{
    struct visit *v = visit_of(x, dialect);

    http_watch(x, client_gone, NULL, v);
    return v;
}

void visit_end(struct visit *v)
{
    if (v->release)
        v->release(v);
    verb_drop(&v->chats.verb);
    verb_drop(&v->messages.verb);
    verb_drop(&v->turn.verb);
    verb_drop(&v->lookup.verb);
    verb_drop(&v->running.verb);
    verb_drop(&v->pending.verb);
    verb_drop(&v->usage.verb);
    verb_drop(&v->operation.verb);
    json_free(v->body);
    arena_release(&v->arena);
    mem_free(v);
}

void visit_name(struct visit *v, struct str name)
{
    struct buf    both = BUF(v->whose.owner.n + name.n + 1);
    unsigned char digest[SHA256_BYTES];
    char          uid[2 * UID_BYTES + 1];

    buf_add(&both, v->whose.owner);
    buf_add_char(&both, '\n');
    buf_add(&both, name);
    sha256(buf_str(&both), digest);
    buf_release(&both);
    for (size_t i = 0; i < UID_BYTES; i++)
        snprintf(uid + 2 * i, 3, "%02x", digest[i]);
    v->chat = (struct chat_name){ .uid = arena_str(&v->arena, str_of(uid)) };
}
