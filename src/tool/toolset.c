#include "tool/toolset.h"

#include "base/mem.h"

void toolset_add(struct toolset *set, struct tool *t)
{
    if (toolset_find(set, t->name))
        return;
    set->tools = mem_resize(set->tools, (set->n + 1) * sizeof(struct tool *));
    set->tools[set->n++] = tool_retain(t);
}

struct tool *toolset_find(const struct toolset *set, struct str name)
{
    for (size_t i = 0; i < set->n; i++)
        if (str_eq(set->tools[i]->name, name))
            return set->tools[i];
    return NULL;
}

void toolset_release(struct toolset *set)
{
    for (size_t i = 0; i < set->n; i++)
        tool_drop(set->tools[i]);
    mem_free(set->tools);
    *set = (struct toolset){ NULL, 0 };
}
