/* tool.h - something that a model may ask us to do, whoever does it: a web service
 * (http_tool.h), an MCP server (mcp.h), or we ourselves (builtin.h).
 *
 * Contract, for every kind:
 * 1. start() begins one run. Its ear hears once what it came to, never before start() has
 *    returned; the run is gone then.
 * 2. The tool and the order's texts outlive the run.
 * 3. cancel() ends a run that is not gone; nothing is heard after that. It is called from the
 *    top of the stack, and it comes too when the run takes longer than the tool may.
 * 4. What is heard is whole UTF-8 characters, and of a failure words that a model understands
 *    and that hold no secret. Of a longer output than the tool may have tool_cut() leaves the
 *    beginning, and what is behind it is not waited for.
 */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

#include "base/buf.h"
#include "base/settings.h"
#include "store/askers.h"

struct tool;
struct tool_run;                              /* each kind has its own          */

struct tool_order {
    struct str          arguments;            /* a JSON object                  */
    const struct whose *whose;                /* who wants it; NULL: of a turn that keeps nothing */
    struct str          call, request_id;
    struct str          operation;            /* it may go on under this name; empty: it may not */
};

struct tool_ear {
    void (*told)(void *ctx, struct str output, bool failed);
    void *ctx;
    void (*goes_on)(void *ctx);               /* instead: it does, under the order's name */
};

struct tool_ops {
    struct tool_run *(*start)(struct tool *t, const struct tool_order *o, struct tool_ear ear);
    void (*cancel)(struct tool_run *r);
    void (*release)(struct tool *t);          /* what `own` holds; NULL: nothing */
};

/* Whoever runs one retains it: it may be gone from the settings meanwhile. */
struct tool {
    const struct tool_ops *ops;
    unsigned               refs;
    struct str             name;              /* as models say it: TOOL_NAME_MAX of A-Za-z0-9_- */
    struct str             description;
    struct str             parameters;        /* a JSON schema, of an object    */
    uint64_t               timeout;           /* ns                             */
    size_t                 output_limit;      /* bytes                          */
    bool                   runs_alone;        /* not beside others of its round */
    uint64_t               operation_ttl;     /* ns it may go on behind its turn; 0: it does not */
    void                  *own;               /* whatever its kind keeps        */
};

enum { TOOL_NAME_MAX = 64 };

/* Its texts are copied; its caller holds it. */
struct tool *tool_new(const struct tool *like);
struct tool *tool_retain(struct tool *t);
void         tool_drop(struct tool *t);

bool tool_name_is_good(struct str name);

/* What a tool said, as far as it may: whole characters, and words about the rest. */
void tool_cut(const struct tool *t, struct str output, struct buf *out);

#endif
