#include "tool/mcp_list.h"

#include "base/clock.h"
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tool/mcp_text.h"
#include "tool/tool.h"

enum {
    NAME_MAX_BYTES = 128,
    DESCRIPTION_MAX_BYTES = 8 * 1024,
    SCHEMA_MAX_BYTES = 64 * 1024,
    AGE_S = 300,
    AGE_MIN_MS = 30 * 1000,                 /* many say 0, and mean nothing by it */
    AGE_MAX_MS = 3600 * 1000,
};

void mcp_list_release(struct mcp_list *l)
{
    arena_release(&l->texts);
    mem_free(l->tools);
    *l = (struct mcp_list){ .n = 0 };
}

/* ---- one tool ------------------------------------------------------------------------------ */

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

static bool is_wanted(struct str name, const struct conf_texts *only)
{
    for (size_t i = 0; i < only->n; i++)
        if (str_eq(only->items[i], name))
            return true;
    return only->n == 0;
}

/* Providers refuse the whole question when one schema is not an object's. */
static const char *read_schema(const struct json *schema, struct buf *out)
{
    if (json_type(schema) != JSON_OBJECT ||
        !str_eq(json_str(json_get(schema, "type")), STR("object")))
        return "its inputSchema is not that of an object";
    json_add_value(out, schema);
    return out->over ? "its inputSchema is too long" : NULL;
}

static struct str copy_words(struct mcp_list *l, struct str words)
{
    struct buf room = BUF(2 * DESCRIPTION_MAX_BYTES);
    struct str copy =
        arena_str(&l->texts, half_mend(utf8_clip(words, DESCRIPTION_MAX_BYTES), &room));

    buf_release(&room);
    return copy;
}

static void add_tool(struct mcp_list *l, const struct json *tool, struct str schema)
{
    struct str words = json_str(json_get(tool, "description"));

    if (!words.n)
        words = json_str(json_get(tool, "title"));
    l->tools = mem_resize(l->tools, (l->n + 1) * sizeof *l->tools);
    l->tools[l->n++] =
        (struct mcp_listed){ .own_name = arena_str(&l->texts, json_str(json_get(tool, "name"))),
                             .description = copy_words(l, words),
                             .parameters = arena_str(&l->texts, schema) };
}

static bool has_name(const struct mcp_list *l, struct str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->tools[i].own_name, name))
            return true;
    return false;
}

static void log_left_out(struct mcp_list *l, struct str server, struct str name, const char *why)
{
    if (l->left_out++ < MCP_TOOLS_MAX && !l->quiet)
        LOG(LOG_WARN, L_MSG("a tool of an MCP server is left out"), L_STR("tool", server),
            L_STR("name", utf8_clip(name, NAME_MAX_BYTES)), L_TEXT("why", why));
}

static const char *read_tool(struct mcp_list *l, const struct json *tool)
{
    struct str  name = json_str(json_get(tool, "name"));
    struct buf  schema = BUF(SCHEMA_MAX_BYTES);
    const char *wrong = NULL;

    if (!is_name(name))
        wrong = "it has no good name";
    else if (has_name(l, name))
        wrong = "another one has its name";
    else if (l->n == MCP_TOOLS_MAX)
        wrong = "there are too many";
    else
        wrong = read_schema(json_get(tool, "inputSchema"), &schema);
    if (!wrong)
        add_tool(l, tool, buf_str(&schema));
    buf_release(&schema);
    return wrong;
}

/* ---- a page -------------------------------------------------------------------------------- */

static void read_age(struct mcp_list *l, const struct json *result)
{
    int64_t  ms = 0;
    uint64_t age = AGE_S * CLOCK_S;

    if (json_int(json_get(result, "ttlMs"), &ms) && ms >= 0)
        age = (uint64_t)(ms < AGE_MIN_MS   ? AGE_MIN_MS
                         : ms > AGE_MAX_MS ? AGE_MAX_MS
                                           : ms) *
              CLOCK_MS;
    if (!l->max_age || age < l->max_age)
        l->max_age = age;
}

void mcp_list_read(struct mcp_list *l, const struct json *result, struct str server,
                   const struct conf_texts *only)
{
    struct json_walk   w = json_walk(json_get(result, "tools"));
    struct str         cursor = json_str(json_get(result, "nextCursor"));
    const struct json *tool;
    const char        *wrong;

    while ((tool = json_walk_next(&w))) {
        if (!is_wanted(json_str(json_get(tool, "name")), only))
            continue;
        wrong = read_tool(l, tool);
        if (wrong)
            log_left_out(l, server, json_str(json_get(tool, "name")), wrong);
    }
    read_age(l, result);
    l->over = ++l->pages == MCP_PAGES_MAX && cursor.n;
    l->cursor = l->over || cursor.n > MCP_CURSOR_MAX_BYTES ? STR("") : arena_str(&l->texts, cursor);
}

/* ---- names --------------------------------------------------------------------------------- */

static struct str name_of(struct mcp_list *l, struct str server, struct str own, bool marked)
{
    struct buf name = BUF(2 * TOOL_NAME_MAX);
    struct str copy;

    mcp_add_name(server, own, marked, &name);
    copy = arena_str(&l->texts, buf_str(&name));
    buf_release(&name);
    return copy;
}

/* Is it called what it calls itself? Then others make room. */
static bool is_plain(const struct mcp_listed *t)
{
    return t->name.n >= t->own_name.n &&
           str_eq(str_from(t->name, t->name.n - t->own_name.n), t->own_name);
}

static bool is_unique(const struct mcp_list *l, size_t at)
{
    for (size_t i = 0; i < l->n; i++)
        if (i != at && str_eq(l->tools[i].name, l->tools[at].name))
            return false;
    return true;
}

static void leave_out(struct mcp_list *l, size_t at, struct str server)
{
    log_left_out(l, server, l->tools[at].own_name, "another one is called like it");
    l->tools[at] = l->tools[--l->n];
}

void mcp_list_name(struct mcp_list *l, struct str server)
{
    bool marked[MCP_TOOLS_MAX];

    for (size_t i = 0; i < l->n; i++)
        l->tools[i].name = name_of(l, server, l->tools[i].own_name, false);
    for (size_t i = 0; i < l->n; i++)
        marked[i] = !is_plain(&l->tools[i]) && !is_unique(l, i);
    for (size_t i = 0; i < l->n; i++)
        if (marked[i])
            l->tools[i].name = name_of(l, server, l->tools[i].own_name, true);
    for (size_t i = l->n; i-- > 0;)           /* somebody means it              */
        if (!is_unique(l, i))
            leave_out(l, i, server);
}
