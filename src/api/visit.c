#include "api/visit.h"

#include "api/guard.h"
#include "base/mem.h"

static void client_gone(void *user)
{
    visit_end(user);
}

struct visit *visit_new(struct http_exchange *x, const char *dialect)
{
    struct visit *v = mem_new(sizeof *v);

    v->x = x;
    v->whose = (struct whose){ guard_asker(x)->tenant, str_of(dialect), guard_owner(x, &v->arena) };
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
    json_free(v->body);
    arena_release(&v->arena);
    mem_free(v);
}
