#include "tool/toolbox.h"

#include "base/conf.h"
#include "base/mem.h"
#include "net/tls.h"
#include "tool/builtin.h"
#include "tool/http_tool.h"
#include "tool/mcp.h"
#include "tool/tenant_tools.h"

#include <stdio.h>

static struct toolset all;
static struct {
    struct mcp_server **items;
    size_t              n;
} servers;

static void pick(struct toolset *set, struct str name)
{
    struct tool *t = toolset_find(&all, name);

    if (t)
        toolset_add(set, t);
}

static void pick_of_server(struct toolset *set, struct str name)
{
    struct tool *const *tools;
    size_t              n;

    for (size_t i = 0; i < servers.n; i++) {
        if (!str_eq(mcp_server_name(servers.items[i]), name))
            continue;
        n = mcp_server_tools(servers.items[i], &tools);
        for (size_t at = 0; at < n; at++)
            toolset_add(set, tools[at]);
    }
}

void toolset_pick(struct toolset *set, const struct conf_texts *names)
{
    *set = (struct toolset){ NULL, 0 };
    for (size_t i = 0; i < names->n; i++) {
        pick(set, names->items[i]);
        pick_of_server(set, names->items[i]);
    }
}

/* ---- settings ------------------------------------------------------------------------------ */

static bool finds_certificates(const struct tool_settings *t, char why[TLS_WHY_MAX])
{
    bool              wants_trust = t->ca_file.n || str_starts(t->url, STR("https://"));
    struct tls_trust *trust = wants_trust ? tls_trust_hold(t->ca_file, why) : NULL;

    tls_trust_drop(trust);
    return trust || !wants_trust;
}

void toolbox_find_mistakes(const struct settings *s, const char *file, struct buf *mistakes)
{
    const struct tool_settings *t = s->tools.items;
    struct conf_load            load = { .file = file, .mistakes = mistakes };
    const char                 *member = "ca_file", *words;
    char                        key[64], why[TLS_WHY_MAX];

    for (size_t i = 0; i < s->tools.n; i++) {
        words = why;
        if (t[i].kind == TOOL_MCP ? mcp_find_mistake(&t[i], &member, &words)
                                  : finds_certificates(&t[i], why))
            continue;
        snprintf(key, sizeof key, "tools[%zu].%s", i, member);
        conf_mistake(&load, t[i].line, key, "%s", words);
        member = "ca_file";
    }
}

/* A server whose settings are what they were stays, with what it has told. */
static struct mcp_server *keep_server(const struct tool_settings *t)
{
    struct mcp_server *s;

    for (size_t i = 0; i < servers.n; i++)
        if (servers.items[i] && mcp_server_fits(servers.items[i], t)) {
            s = servers.items[i];
            servers.items[i] = NULL;
            return s;
        }
    s = mcp_server_new(t);
    if (s)
        mcp_server_begin(s);
    return s;
}

static void release_servers(void)
{
    for (size_t i = 0; i < servers.n; i++)
        mcp_server_free(servers.items[i]);
    mem_free(servers.items);
    servers.items = NULL;
    servers.n = 0;
}

static void use_servers(const struct settings *s)
{
    const struct tool_settings *t = s->tools.items;
    struct mcp_server         **kept = mem_new((s->tools.n + 1) * sizeof *kept);
    size_t                      n = 0;

    for (size_t i = 0; i < s->tools.n; i++) {
        kept[n] = t[i].kind == TOOL_MCP ? keep_server(&t[i]) : NULL;
        n += kept[n] != NULL;
    }
    release_servers();
    servers.items = kept;
    servers.n = n;
}

static void use_one(struct tool *t)
{
    toolset_add(&all, t);
    tool_drop(t);
}

void toolbox_use(const struct settings *s, struct store *store)
{
    const struct tool_settings *t = s->tools.items;
    struct toolset              old = all;

    use_servers(s);
    all = (struct toolset){ NULL, 0 };
    for (size_t i = 0; settings_builtin_tools[i]; i++)
        use_one(builtin_new(str_of(settings_builtin_tools[i]), store));
    for (size_t i = 0; i < s->tools.n; i++)
        if (t[i].kind == TOOL_HTTP)
            use_one(http_tool_new(&t[i]));
    toolset_release(&old);                    /* last: what both trust is not read again */
    tenant_tools_use(s, store);
}

void toolbox_release(void)
{
    tenant_tools_release();
    release_servers();
    toolset_release(&all);
}
