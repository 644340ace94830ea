/* mcp_talk.h - one POST to an MCP server and the answer to it, however it comes: as JSON, as
 * an event stream with the server's own questions and notices before it, or as a stream that
 * breaks and is taken up again (GET with Last-Event-ID).
 *
 * Whoever asks embeds it, zeroed but for what is his. done() comes once, from the top of the
 * stack and later than mcp_talk_start(), unless mcp_talk_drop() comes before. Connections are
 * not kept: on one that the server is about to close a call might be carried out twice.
 */
#ifndef TOOL_MCP_TALK_H
#define TOOL_MCP_TALK_H

#include "base/deadline.h"
#include "base/settings.h"
#include "net/http_client.h"
#include "tool/mcp_text.h"
#include "wire/sse_reader.h"

/* Where a server is, and how we show ourselves there. It outlives its talks. */
struct mcp_place {
    struct way   way;
    struct arena texts;
    struct str   authority, target;
    struct str   fields;                      /* the operator's, each with its line end */
};

/* False: `why` says what is wrong with the setting `key`, and there is nothing to release. */
bool mcp_place_init(struct mcp_place *p, const struct tool_settings *s, const char **key,
                    const char **why);
void mcp_place_release(struct mcp_place *p);

enum mcp_end {
    MCP_ANSWERED,                             /* with a result or an error      */
    MCP_TAKEN,                                /* 2xx; there was no question     */
    MCP_REFUSED,                              /* with `status`                  */
    MCP_AWAY,                                 /* there is no connection         */
    MCP_LOST,                                 /* it was asked, but its answer did not come */
    MCP_ODD,                                  /* what came is no answer         */
};

struct mcp_answer {
    enum mcp_end       end;
    int                status;
    struct mcp_message message;               /* kind NOISE: none could be read */
    struct str         session;               /* of the head; empty: none       */
    const char        *why;                   /* for the log                    */
};

struct mcp_talk {
    /* The answer is gone when done() returns; the talk may be gone then too. */
    void (*done)(struct mcp_talk *t, const struct mcp_answer *a);
    /* What the server says before its answer; NULL: nobody wants to know. No drop in here. */
    void (*heard)(struct mcp_talk *t, const struct mcp_message *m);

    /* Its own. */
    const struct mcp_place *place;
    struct http_fetch       fetch;
    int64_t                 id;
    size_t                  limit;            /* of one message                 */
    int                     status;
    bool                    is_stream, greeted, over;
    enum mcp_end            end;
    size_t                  bytes;            /* all that came                  */
    struct buf              body;
    struct sse_reader       sse;
    struct buf              session, event;   /* ids                            */
    struct buf              fields;           /* for taking it up again         */
    struct json_doc        *doc;              /* the answer's                   */
    struct mcp_message      message;
    unsigned                resumed;
    bool                    has_new_event;    /* since it was taken up          */
    uint64_t                pause;            /* before that, ns                */
    struct deadline         patience, resume;
    struct note             tell;
    char                    why[REACH_WHY_MAX];
};

struct mcp_words {
    enum mcp_flavour flavour;
    int64_t          id;                      /* 0: a notice or a reply         */
    struct str       fields;                  /* for this request, each with its line end */
    struct str       body;
    size_t           limit;                   /* bytes of one message of the answer */
    uint64_t         timeout;                 /* ns; 0: the asker has his own   */
};

void mcp_talk_start(struct mcp_talk *t, const struct mcp_place *p, const struct mcp_words *w);
void mcp_talk_drop(struct mcp_talk *t);       /* harmless when it is over       */

#endif
