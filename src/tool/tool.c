#include "tool/tool.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>

static struct str copy(struct str s)
{
    return (struct str){ mem_copy(s.p, s.n), s.n };
}

struct tool *tool_new(const struct tool *like)
{
    struct tool *t = mem_new(sizeof *t);

    *t = *like;
    t->refs = 1;
    t->name = copy(like->name);
    t->description = copy(like->description);
    t->parameters = copy(like->parameters);
    return t;
}

struct tool *tool_retain(struct tool *t)
{
    t->refs++;
    return t;
}

void tool_drop(struct tool *t)
{
    assert(t->refs);
    if (--t->refs)
        return;
    if (t->ops->release)
        t->ops->release(t);
    mem_free((char *)t->name.p);
    mem_free((char *)t->description.p);
    mem_free((char *)t->parameters.p);
    mem_free(t);
}

void tool_cut(const struct tool *t, struct str output, struct buf *out)
{
    struct str   first = utf8_clip(output, t->output_limit);
    struct arena room = { NULL };

    buf_add(out, utf8_without_nul(first, &room));
    if (first.n < output.n)
        buf_lit(out, "\n[cut: the rest is too long]");
    arena_release(&room);
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool tool_name_is_good(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_name_char(name.p[i]))
            return false;
    return name.n > 0 && name.n <= TOOL_NAME_MAX;
}
