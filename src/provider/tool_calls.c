#include "provider/tool_calls.h"

#include "base/json.h"
#include "base/mem.h"
#include "wire/utf8.h"

#include <string.h>

void tool_calls_release(struct tool_calls *c)
{
    mem_free(c->all);
    *c = (struct tool_calls){ .n = 0 };
}

static struct tool_call *open_call(struct tool_calls *c, int64_t index)
{
    if (c->n == TOOL_CALLS_MAX)
        return NULL;
    c->all = mem_resize(c->all, (c->n + 1) * sizeof *c->all);
    c->all[c->n] = (struct tool_call){ .index = index };
    return &c->all[c->n++];
}

static bool has_id(const struct tool_call *call, struct str id)
{
    return str_eq((struct str){ call->id, call->id_n }, id);
}

/* The newest call with that index; without an index the one with that id, or the newest. */
static struct tool_call *find_call(struct tool_calls *c, bool numbered, int64_t index,
                                   struct str id)
{
    for (size_t i = c->n; i-- > 0;) {
        struct tool_call *call = &c->all[i];

        if (numbered ? call->index == index : (!id.n || has_id(call, id)))
            return call;
    }
    return NULL;
}

bool tool_calls_read(struct tool_calls *c, const struct json *v, struct tool_piece *piece)
{
    struct str        id = utf8_clip(json_str(json_get(v, "id")), TOOL_ID_MAX);
    struct str        name = json_str(json_get(json_get(v, "function"), "name"));
    int64_t           index = (int64_t)c->n;
    bool              numbered = json_int(json_get(v, "index"), &index);
    struct tool_call *call = find_call(c, numbered, index, id);

    if (!call || (id.n && call->id_n && !has_id(call, id)))
        call = open_call(c, index);
    if (!call)
        return false;
    *piece = (struct tool_piece){ .index = (uint64_t)(call - c->all) };
    if (id.n && !call->id_n) {
        memcpy(call->id, id.p, id.n);
        call->id_n = id.n;
        piece->id = id;
    }
    if (!call->named)
        piece->name = name;
    call->named = call->named || name.n;
    return true;
}

struct str tool_calls_arguments(const struct json *v)
{
    return json_str(json_get(json_get(v, "function"), "arguments"));
}
