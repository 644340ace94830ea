/* event.h - the only words an answer is made of.
 *
 * A source (one per provider dialect) turns what it hears into events; a sink (one
 * per client dialect) turns events into bytes. Neither knows the other, so N
 * providers and M dialects cost N + M.
 *
 *     START  ( DELTA | REASONING | TOOL_CALL | CITATION )*  USAGE?  ( FINISH | ERROR )
 *
 * A tool call comes in pieces: the first names it, every piece adds to its arguments, and
 * calls are numbered from 0 in the order in which they begin. Those that are ours, which are
 * numbered apart, are carried out here: a turn tells what each of them came to, then that the
 * model goes on, and then what it says next, numbering its calls on. Sources know nothing of that.
 *
 *     ( ... ( TOOL_RESULT )+  ROUND )*  ...
 *
 * ERROR may also come first: a provider that fails before its first word. Text is
 * whole UTF-8 characters. What an event points to lives until the function it was
 * handed to returns.
 */
#ifndef CHAT_EVENT_H
#define CHAT_EVENT_H

#include "base/str.h"
#include "chat/fault.h"

enum event_type {
    EVENT_START,                              /* a provider took the question   */
    EVENT_DELTA,                              /* a piece of the answer          */
    EVENT_REASONING,                          /* a piece of the thoughts before it */
    EVENT_TOOL_CALL,                          /* a piece of a wish to use a tool */
    EVENT_TOOL_RESULT,                        /* what a call of ours came to    */
    EVENT_ROUND,                              /* the model goes on, with the results */
    EVENT_CITATION,                           /* a document the answer rests on */
    EVENT_USAGE,                              /* token counts                   */
    EVENT_FINISH,                             /* the last word, good            */
    EVENT_ERROR,                              /* the last word, bad             */
};

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_TOOL_CALLS, FINISH_CONTENT_FILTER };

struct usage {
    uint64_t prompt, completion;              /* tokens                         */
};

struct tool_piece {
    uint64_t   index;
    struct str id, name;                      /* with the first piece of a call */
    bool       is_ours;                       /* in every piece of it           */
    bool       failed;                        /* TOOL_RESULT                    */
};

struct citation {
    struct str id, title, url, text;          /* whichever of them are known    */
};

/* What a provider that failed says about asking it again. */
struct advice {
    bool     not_again;                       /* the same call would fail again */
    bool     at_once;                         /* it will not: another key is there */
    uint64_t after;                           /* ns to wait; 0: it did not say  */
};

struct event {
    enum event_type   type;
    struct str        text;                   /* DELTA, REASONING; TOOL_CALL: arguments;
                                                 TOOL_RESULT: the whole of it;
                                                 START: the provider's session, if it has any;
                                                 ERROR: the provider's own words, for the log */
    bool              stands_in;              /* START: for the model that was asked, another one */
    struct tool_piece tool;                   /* TOOL_CALL, TOOL_RESULT         */
    struct citation   citation;               /* CITATION                       */
    struct usage      usage;  /* USAGE                          */
    enum finish       finish; /* FINISH                         */
    enum fault        fault;  /* ERROR                          */
    struct advice     advice; /* ERROR                          */
};

const char *event_name(enum event_type type);
struct str  finish_name(enum finish finish);  /* as OpenAI calls it             */
enum finish finish_read(struct str name);     /* FINISH_STOP: or none of them   */

/* Where a source puts its events. put() for each; flush() when what came together
 * has been put, so that it can leave together. */
struct outlet {
    void (*put)(void *ctx, const struct event *ev);
    void (*flush)(void *ctx);
    void *ctx;
};

/* Checks the grammar above, one event after the other. Starts zeroed. */
struct grammar {
    bool started, counted, ended;
};
bool grammar_allows(struct grammar *g, enum event_type next);

#endif
