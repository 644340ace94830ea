/* builtin.h - what we can do ourselves: tell the time, calculate, look into a person's own
 * conversations.
 */
#ifndef TOOL_BUILTIN_H
#define TOOL_BUILTIN_H

#include "tool/tool.h"

struct store;

/* Without a store nobody has conversations. */
struct tool *builtin_new(struct str name, struct store *store);

#endif
