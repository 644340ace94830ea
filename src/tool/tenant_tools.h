/* tenant_tools.h - the tools that tenants have in the database, each for whoever asks for it.
 *
 *     a.done = on_known;
 *     if (!tenant_tools_ask(&a, tenant))
 *         wait;
 *     tenant_tools_pick(&set, tenant, model);
 *
 * What was read is believed for access.cache. While it is read again whoever asks waits, all of a
 * tenant together, but never long: then, or when the database is away, what was known before has
 * to do, and where nothing was known there is nothing.
 *
 * A tenant may word all of its tool but may not use us to look around: these reach public
 * addresses only (http_tool.h), and read neither our files nor our environment.
 */
#ifndef TOOL_TENANT_TOOLS_H
#define TOOL_TENANT_TOOLS_H

#include "base/list.h"
#include "tool/toolset.h"

struct store;
struct shelf;

/* From now on; without a store, or a model that wants them, nothing is ever read. */
void tenant_tools_use(const struct settings *s, struct store *store);
void tenant_tools_release(void);              /* before the store is closed     */

struct tenant_ask {
    void (*done)(struct tenant_ask *a);       /* once, from the top of the stack */

    /* Its own. */
    struct link   link;
    struct shelf *shelf;                      /* NULL: it does not wait         */
};

/* True: nothing is to be waited for, and done() does not come. */
bool tenant_tools_ask(struct tenant_ask *a, int32_t tenant);
void tenant_tools_leave(struct tenant_ask *a);    /* harmless when it is over   */

/* Adds those that are known for this model, as far as there is room. */
void tenant_tools_pick(struct toolset *set, int32_t tenant, struct str model);

#endif
