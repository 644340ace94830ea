/* toolset.h - the tools that one turn may use. */
#ifndef TOOL_TOOLSET_H
#define TOOL_TOOLSET_H

#include "tool/tool.h"

struct toolset {
    struct tool **tools;                      /* each retained                  */
    size_t        n;
};

enum { TOOLSET_MAX = 128 };                   /* OpenAI takes no more           */

/* Of one name the first one stays. */
void         toolset_add(struct toolset *set, struct tool *t);
struct tool *toolset_find(const struct toolset *set, struct str name);
void         toolset_release(struct toolset *set);

#endif
