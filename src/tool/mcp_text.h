/* mcp_text.h - what we say to an MCP server, and what it says. No I/O.
 *
 * Servers come in two flavours: those of 2025 are greeted first (initialize) and may want a
 * session's id with everything that follows; those of 2026-07-28 are told with each question
 * who asks, and keep nothing. Both speak JSON-RPC 2.0.
 */
#ifndef TOOL_MCP_TEXT_H
#define TOOL_MCP_TEXT_H

#include "base/json.h"

enum mcp_flavour { MCP_UNKNOWN, MCP_GREETED, MCP_STATELESS };

#define MCP_GREETED_VERSION   "2025-11-25"
#define MCP_STATELESS_VERSION "2026-07-28"

enum { MCP_WRONG_VERSION = -32022, MCP_NO_METHOD = -32601 };

/* May a server that is greeted answer with this version? */
bool mcp_knows_version(struct str version);

/* A question (id > 0) or a notice; `members` is what stands in its params. */
void mcp_write(enum mcp_flavour flavour, int64_t id, const char *method, struct str members,
               struct buf *out);
void mcp_write_greeting(int64_t id, struct buf *out);

/* An answer to a question of the server's: to a ping, and else that we cannot do it. */
void mcp_write_reply(const struct json *id, struct str method, struct buf *out);

/* A header field's value, of any text. */
void mcp_add_field_value(struct str text, struct buf *out);

/* The header fields for those arguments that the tool's schema wants there too. */
void mcp_add_param_fields(struct str schema, struct str arguments, struct buf *out);

enum mcp_kind { MCP_NOISE, MCP_RESULT, MCP_ERROR, MCP_QUESTION, MCP_NOTICE };

struct mcp_message {
    enum mcp_kind      kind;
    bool               by_id;                 /* it is ours because it says so  */
    const struct json *id;                    /* QUESTION                       */
    struct str         method;                /* QUESTION, NOTICE               */
    const struct json *result;                /* RESULT                         */
    bool               is_cut;                /* RESULT: only its beginning came */
    int64_t            code;                  /* ERROR                          */
    struct str         words;                 /* ERROR                          */
};

/* RESULT and ERROR are answers to the question `ours`; others' are noise. A server that
 * could not even read whose question it was leaves the id of its error empty. */
struct mcp_message mcp_read(const struct json *v, int64_t ours);

/* What a tool said, in words for a model. */
void mcp_add_output(const struct json *result, struct buf *out);

/* JSON that was cut off anywhere, closed as early as its last whole value; of a text that
 * was cut all that came stays. */
void mcp_mend(struct str cut, struct buf *out);

/* How models call a tool of a server: server__tool, in their letters and not too long. With
 * `marked` it ends with a digest of its own name, because another one's would be the same. */
void mcp_add_name(struct str server, struct str tool, bool marked, struct buf *out);

#endif
