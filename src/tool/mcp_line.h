/* mcp_line.h - a line to an MCP server, opened when the first question wants it.
 *
 *     closed -> discovering -> open (stateless)
 *                    |
 *                    v
 *               greeting -> greeted -> open (with the session that it gave us, if any)
 *
 * Of which flavour a server is is remembered until it no longer fits. A server that has lost
 * the session refuses whatever comes in it (404, with many 400) and has done nothing of it:
 * then the line is opened again, and the question asked again, once.
 */
#ifndef TOOL_MCP_LINE_H
#define TOOL_MCP_LINE_H

#include "base/list.h"
#include "tool/mcp_talk.h"

struct mcp_line {
    /* The owner's: its tools are others now; may be NULL. */
    void (*changed)(struct mcp_line *l);

    /* Its own. */
    const struct mcp_place *place;
    struct str              name;             /* for the log                    */
    enum mcp_flavour        flavour;
    enum mcp_step { MCP_CLOSED, MCP_DISCOVERING, MCP_GREETING, MCP_THANKING, MCP_OPEN } step;
    bool            discovers; /* its flavour is not remembered  */
    uint64_t        openings;
    struct buf      fields; /* session and version, for each request */
    bool            has_session;
    int64_t         last_id;
    struct list     waiting; /* asks                           */
    struct list     sides;   /* what is said without a question */
    struct mcp_talk opening;
};

/* The place and the name outlive it. All asks are over or dropped before the release. */
void mcp_line_init(struct mcp_line *l, const struct mcp_place *p, struct str name);
void mcp_line_release(struct mcp_line *l);

/* A question. Its texts must last until it is over. */
struct mcp_ask {
    const char *method;
    struct str  members;                      /* of its params                  */
    struct str  fields;                       /* beside the line's; only stateless servers get them */
    size_t      limit;                        /* bytes of one message of the answer */
    uint64_t    timeout;                      /* ns; 0: the asker has his own   */
    /* Once, from the top of the stack; the ask may be gone then. */
    void (*done)(struct mcp_ask *a, const struct mcp_answer *answer);

    /* Its own. */
    struct mcp_line *line;
    struct link      link;                    /* while it waits for the line    */
    uint64_t         opening;                 /* which one it was asked in, */
    enum mcp_flavour flavour;                 /* of whom,                   */
    bool             in_session;              /* and whether in a session   */
    bool             asked, again;
    struct mcp_talk  talk;
};

void mcp_ask_start(struct mcp_ask *a, struct mcp_line *l);
void mcp_ask_drop(struct mcp_ask *a);         /* the server is told; harmless when it is over */

#endif
