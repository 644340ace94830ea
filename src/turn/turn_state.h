/* turn_state.h - a turn from the inside, as turn.c, the files of its steps and turn_log.c
 * share it; nobody else includes this.
 */
#ifndef TURN_TURN_STATE_H
#define TURN_TURN_STATE_H

#include "base/note.h"
#include "chat/context.h"
#include "chat/tally.h"
#include "provider/plan.h"
#include "tool/tenant_tools.h"
#include "turn/bill.h"
#include "turn/tale.h"
#include "turn/turn.h"

enum step {
    STEP_ADMIT,
    STEP_RECALL,
    STEP_AFFORD,
    STEP_CLAIM,
    STEP_REMEMBER,
    STEP_EQUIP,
    STEP_SHORTEN,
    STEP_CHOOSE,
    STEP_PLACE,
    STEP_ANSWER,
    STEP_TOOLS,
    STEP_GO_ON,
    STEP_SAVE,
    STEP_GONE,
};

struct turn_step {
    const char *name;
    void (*ask)(struct turn *t);              /* start one operation            */
    enum step (*got)(struct turn *t, enum fault came); /* it ended: where next? */
    void (*drop)(struct turn *t);             /* abandon it; NULL: it is waited for */
};

struct memory;
struct work;
struct shortening;

struct turn {
    enum step      step;
    bool           waiting;                   /* asked, and not yet answered    */
    bool           chosen;                    /* the plan has somebody for us   */
    bool           paused;
    enum fault     came;                      /* what the last ask came to      */
    enum fault     interrupt;                 /* the first reason to end early  */
    enum fault     fault;                     /* how it ended; NONE is well     */
    enum fault     failed;                    /* of the last call, or why there was none */
    enum finish    finish;
    enum leaving   on_leave;
    struct grammar grammar;
    struct note    note;

    struct place    place;                    /* in this process                */
    struct bill     bill;
    struct place    target_place, provider_place;
    struct deadline pause;                    /* before the next call           */
    struct deadline limit;                    /* of the whole turn, or when it is drained */
    uint64_t        ends_at;                  /* the former                     */

    struct question     *question;
    struct question     *asks;                /* of whom we ask: it, or for a summary of it */
    struct shortening   *shortening;          /* NULL: it was never too long    */
    struct catalog      *catalog;
    const struct model  *model;
    struct plan          plan;   /* whom we ask                    */
    const struct target *last_asked;
    struct call         *call;

    struct tale      *tale;      /* NULL: somebody else tells it   */
    struct memory    *memory;    /* NULL: nothing of it is kept    */
    struct work      *work;      /* NULL: it may use no tools      */
    struct tenant_ask equipment;              /* what of tools its tenant has   */
    uint64_t          bytes_left; /* drained: of text; else no limit */
    struct tally      tally;
    struct str        words;  /* the provider's own, of its failure */
    struct advice     advice; /* and whether to ask it again    */

    struct link link;                         /* among all turns                */
    const char *route;
    struct str  id, request_id, client;
};

void turn_resume(struct turn *t, enum fault came);    /* what was asked for came */
bool turn_is_drained(const struct turn *t);   /* nobody listens: it may cost little more */

/* turn_call.c */
extern const struct turn_step step_choose, step_place, step_answer;
void                          turn_pace(struct tale *tale);

/* turn_keep.c */
extern const struct turn_step step_recall, step_claim, step_remember;
bool turn_joins(const struct turn_keeping *keeping, struct sink *sink);       /* one that runs
                                                 here, and has the same key     */
void turn_keep(struct turn *t, const struct turn_keeping *keeping);
bool turn_is_kept(const struct turn *t);      /* there is something to save     */
void turn_keep_up(struct turn *t);            /* something was told             */
void turn_hurry(struct turn *t, uint64_t until);     /* no claim or save is tried again then */
void turn_forget(struct turn *t);             /* at its end                     */

/* turn_save.c */
extern const struct turn_step step_save;

/* turn_shorten.c */
extern const struct turn_step step_shorten;
bool turn_sums_up(const struct turn *t);      /* whom it asks writes no answer, but a summary */
void turn_hear_summary(struct turn *t, const struct event *ev);
void turn_drop_summary(struct turn *t);       /* at its end, before its bill    */

/* turn_equip.c */
extern const struct turn_step step_equip;
bool turn_has_tenants_tools(const struct turn *t);    /* it may use what its tenant has */

/* turn_tools.c */
extern const struct turn_step step_tools;
void turn_pick_tools(struct turn *t);         /* when its question is as it is asked */
void turn_tell(struct turn *t, const struct event *ev);     /* what a provider has said */
bool turn_wants_tools(const struct turn *t);  /* its provider has finished      */
bool turn_is_too_big(const struct turn *t);   /* with what its tools came to    */
void turn_drop_tools(struct turn *t);         /* at its end                     */

/* turn.c */
void turn_begin_plan(struct turn *t);

/* turn_keep.c */
const struct whose *turn_whose(const struct turn *t);       /* NULL: nothing of it is kept */
bool turn_takes_operations(const struct turn *t);    /* it can be told what a tool came to
                                                 that goes on when it has ended */
bool turn_is_composed(const struct turn *t);  /* of what we keep, not of what a client brings */

/* turn_log.c */
void turn_log_tool(const struct turn *t, struct str tool, uint64_t ns, bool failed);
void turn_trace(const struct turn *t, const char *point);
void turn_log_shortened(const struct turn *t, uint64_t before, const struct context_cut *cut);
void turn_log_failed_call(const struct turn *t, enum fault came);
void turn_log_end(const struct turn *t, const char *step);

#endif
