#include "tool/toolbox.h"

#include "base/mem.h"
#include "tool/builtin.h"

static struct toolset all;

static void add(struct toolset *set, struct tool *t)
{
    set->tools = mem_resize(set->tools, (set->n + 1) * sizeof(struct tool *));
    set->tools[set->n++] = t;
}

void toolset_release(struct toolset *set)
{
    for (size_t i = 0; i < set->n; i++)
        tool_drop(set->tools[i]);
    mem_free(set->tools);
    *set = (struct toolset){ NULL, 0 };
}

struct tool *toolset_find(const struct toolset *set, struct str name)
{
    for (size_t i = 0; i < set->n; i++)
        if (str_eq(set->tools[i]->name, name))
            return set->tools[i];
    return NULL;
}

static void pick(struct toolset *set, struct tool *t)
{
    if (t && !toolset_find(set, t->name))
        add(set, tool_retain(t));
}

void toolset_pick(struct toolset *set, const struct conf_texts *names)
{
    *set = (struct toolset){ NULL, 0 };
    for (size_t i = 0; i < names->n; i++)
        pick(set, toolset_find(&all, names->items[i]));
}

void toolbox_use(const struct settings *s, struct store *store)
{
    (void)s;
    toolset_release(&all);
    for (size_t i = 0; settings_builtin_tools[i]; i++)
        add(&all, builtin_new(str_of(settings_builtin_tools[i]), store));
}

void toolbox_release(void)
{
    toolset_release(&all);
}
