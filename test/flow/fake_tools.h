/* fake_tools.h - stands in for tool/toolbox.h: four tools, a to d, that do as a test says, and a
 * provider's wishes to use them (flow/world.h: the digits of a script). It stands in for
 * tool/tenant_tools.h, too: a tenant has the tool e, once toys_known() has said so.
 *
 * A tool answers at the next reading of the notes, or when toy_answer() says so. The fakes
 * assert the contract of tool.h themselves.
 */
#ifndef FLOW_FAKE_TOOLS_H
#define FLOW_FAKE_TOOLS_H

#include "chat/event.h"
#include "chat/question.h"
#include "tool/tenant_tools.h"

enum {
    TOYS = 4,
    TOY_OF_TENANT = TOYS,
    WISHES = 6,
    RUNS_KEPT = 130,
    HEARD_MAX = 32768,
    QUESTIONS_KEPT = 8
};

struct toy {
    bool        is_slow;                      /* only toy_answer() answers      */
    bool        fails;
    bool        goes_on;                      /* if it may                      */
    const char *output;
};

/* A piece of a call, as the provider says it. */
struct wish {
    uint64_t    index;
    const char *id, *name, *arguments;
};

struct tool_run {
    struct tool    *tool;
    struct tool_ear ear;
    bool            is_live;
    struct str      order; /* its arguments, where they were */
    char            arguments[80], call[40], request_id[40], owner[40], operation[40];
};

/* What was asked of a model: its messages as they are sent, and the options. */
struct asked_text {
    char messages[4096], options[2048];
};

extern struct toys {
    struct toy        toys[TOYS + 1];         /* the last one is the tenant's   */
    struct tool      *tools[TOYS];            /* on offer now                   */
    struct wish       wishes[WISHES];
    bool              counts_up;              /* each wish is another call      */
    struct tool_run   runs[RUNS_KEPT];        /* in the order of their beginning */
    size_t            n_runs, live, most_live, told, cancels, released;
    struct asked_text asked[QUESTIONS_KEPT];
    size_t            n_asked;

    struct tool       *of_tenant;             /* NULL: it has none              */
    bool               is_known;              /* nobody has to wait for it      */
    struct tenant_ask *waits;                 /* for toys_known()               */
    size_t             looks, leaves;

    /* What a reader heard: words as they are, a call of ours [0 id name arguments], a client's
     * <0 id name arguments>, a result (0 text) or, of a failure, (0! text); | a round, u3/2
     * usage, s start, f finish. */
    char   heard[HEARD_MAX];
    size_t n_heard;
} toys;

void toys_begin(void);                        /* behind world_begin(), whose model may use them */
void toys_reload(void);                       /* others of the same names are on offer */
void toys_end(void);                          /* behind settle()                */
void toy_answer(size_t run);
void toys_known(void);                        /* to whoever waits for it; harmless if nobody does */
void toys_give_tenant(void);                  /* the model may use what its tenant has, which is e */

/* For world.c. */
void fake_wish(char digit, struct event *ev);
void toys_note_question(const struct question *q);
void toys_hear(const struct event *ev);

#endif
