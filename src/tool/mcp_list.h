/* mcp_list.h - what an MCP server says it can, page by page, and the tools made of it. No I/O. */
#ifndef TOOL_MCP_LIST_H
#define TOOL_MCP_LIST_H

#include "base/arena.h"
#include "base/json.h"
#include "base/settings.h"

/* OpenAI takes no more tools. */
enum { MCP_TOOLS_MAX = 128, MCP_PAGES_MAX = 50, MCP_CURSOR_MAX_BYTES = 4096 };

struct mcp_listed {
    struct str own_name;                      /* as the server calls it         */
    struct str name;                          /* as models do; when all are read */
    struct str description, parameters;
};

struct mcp_list {
    bool               quiet;                 /* set by the caller: what is left out was logged before */
    struct arena       texts;
    struct mcp_listed *tools;
    size_t             n, left_out;
    size_t             pages;
    bool               over;                  /* there were more than we take   */
    uint64_t           max_age;               /* ns                             */
    struct str         cursor;                /* of the next page; empty: it was the last */
};

void mcp_list_release(struct mcp_list *l);

/* A result of tools/list. Tools that models could not use are left out, and logged with the
 * server's name; of `only`, unless it is empty, no others are taken. */
void mcp_list_read(struct mcp_list *l, const struct json *result, struct str server,
                   const struct conf_texts *only);

/* After the last page: names that differ from each other, and do not depend on the order. */
void mcp_list_name(struct mcp_list *l, struct str server);

#endif
