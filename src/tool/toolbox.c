#include "tool/toolbox.h"

#include "base/conf.h"
#include "base/mem.h"
#include "net/tls.h"
#include "tool/builtin.h"
#include "tool/http_tool.h"

#include <stdio.h>

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

void toolbox_find_mistakes(const struct settings *s, const char *file, struct buf *mistakes)
{
    const struct tool_settings *t = s->tools.items;
    struct conf_load            load = { .file = file, .mistakes = mistakes };
    char                        key[64], why[TLS_WHY_MAX];

    for (size_t i = 0; i < s->tools.n; i++) {
        bool              wants_trust = t[i].ca_file.n || str_starts(t[i].url, STR("https://"));
        struct tls_trust *trust = wants_trust ? tls_trust_hold(t[i].ca_file, why) : NULL;

        snprintf(key, sizeof key, "tools[%zu].ca_file", i);
        if (wants_trust && !trust)
            conf_mistake(&load, t[i].line, key, "%s", why);
        tls_trust_drop(trust);
    }
}

void toolbox_use(const struct settings *s, struct store *store)
{
    const struct tool_settings *t = s->tools.items;
    struct toolset              old = all;

    all = (struct toolset){ NULL, 0 };
    for (size_t i = 0; settings_builtin_tools[i]; i++)
        add(&all, builtin_new(str_of(settings_builtin_tools[i]), store));
    for (size_t i = 0; i < s->tools.n; i++)
        if (t[i].kind == TOOL_HTTP)
            add(&all, http_tool_new(&t[i]));
    toolset_release(&old);                    /* last: what both trust is not read again */
}

void toolbox_release(void)
{
    toolset_release(&all);
}
