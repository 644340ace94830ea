/* toolbox.h - the tools there are now, by the settings. */
#ifndef TOOL_TOOLBOX_H
#define TOOL_TOOLBOX_H

#include "tool/toolset.h"

struct store;

/* What settings.c cannot see: whether certificates are there. */
void toolbox_find_mistakes(const struct settings *s, const char *file, struct buf *mistakes);

/* From now on new turns get these; whoever runs others keeps them until they are done. */
void toolbox_use(const struct settings *s, struct store *store);
void toolbox_release(void);                   /* before the loop is closed      */

/* Those of these names, tools or whole servers, that can be had now. */
void toolset_pick(struct toolset *set, const struct conf_texts *names);

#endif
