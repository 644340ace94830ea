/* mcp.h - the tools of an MCP server, over streamable HTTP.
 *
 * A server is asked what it can, and again when that has become old; while it cannot be asked
 * its last list stays. What it lists are tools like any other (tool.h), which can be run as
 * long as they are retained, also after the server is gone from the settings: it lives as long
 * as the last of its tools.
 */
#ifndef TOOL_MCP_H
#define TOOL_MCP_H

#include "tool/tool.h"

struct mcp_server;

/* False: `why` says what is wrong with the setting `key`. */
bool mcp_find_mistake(const struct tool_settings *s, const char **key, const char **why);

/* The settings are copied. NULL when there is a mistake in them, which has been logged. */
struct mcp_server *mcp_server_new(const struct tool_settings *s);
void               mcp_server_free(struct mcp_server *s);   /* NULL is fine         */

/* Would one of these settings be the same? Then it can stay when they are read again. */
bool       mcp_server_fits(const struct mcp_server *s, const struct tool_settings *settings);
struct str mcp_server_name(const struct mcp_server *s);

/* From now on it is asked for its tools. */
void mcp_server_begin(struct mcp_server *s);

/* Those that it has now, until the next pass of the loop; retain what shall last. */
size_t mcp_server_tools(const struct mcp_server *s, struct tool *const **tools);

#endif
