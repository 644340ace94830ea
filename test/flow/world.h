/* world.h - a provider, a budget and a reader that do as they are told, and a clock that goes
 * by when a test says so.
 *
 * A pass here is what the loop does: read the notes, let a millisecond go by, run what
 * is due, let the provider speak. The fakes assert the contracts (provider.h, budget.h,
 * sink.h) themselves; settle() asserts what must hold after every turn, however it ended. */
#ifndef FLOW_WORLD_H
#define FLOW_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/note.h"
#include "provider/catalog.h"
#include "turn/admit.h"
#include "turn/bill.h"
#include "flow/fake_store.h"
#include "turn/keeper.h"
#include "turn/reading.h"
#include "turn/turn.h"

enum { PASSES = 40, PATIENCE_MS = 300, LIMIT_MS = 500 };

/* ---- a provider that says what its script says ------------------------------------ */

struct call {
    struct provider *provider;
    struct outlet    out;
    const char      *at;                      /* what it still has to say       */
    bool             paused;
};

enum { STARTS_KEPT = 12 };

/* What a call was asked. */
struct fake_asked {
    size_t   n_messages;
    uint64_t max_tokens;
    char     first[200], last[400];           /* of the messages                */
    char     second[200], options[100];
};

/* A script is a letter an event: s start, S start with a session, d delta, w a delta of two
 * characters and six bytes, r reasoning, t tool call, 0 to 5 wishes (flow/fake_tools.h), u usage,
 * f finish, l finish for length, p finish for a filter, T finish for tools, - a pass of silence; e
 * a fault that somebody else may not have, x one that nobody can help, c a broken connection, b
 * too many questions, k a wrong key, n a wrong question. It ends with a last word, or the call
 * stays silent for ever. After | comes what the next call says; the last call is repeated. */
struct fake_provider {
    struct provider          provider;
    struct provider_settings settings;
    const char              *script;
    struct advice            advice;          /* goes with every fault          */
    struct usage             usage;           /* what u says                    */
    struct call              call;
    bool                     live;
    struct fake_asked        asked[STARTS_KEPT];
    int                      starts, cancels, pauses, resumes;
    uint64_t                 asked_at[STARTS_KEPT]; /* ms                       */
};

/* One pass: everything up to the next silence, in one breath, and then the flush. */
void fake_speak(struct fake_provider *f);

/* ---- a reader that writes down what it hears --------------------------------------- */

struct tape_sink {
    struct sink  sink;
    struct tape *tape;
};

struct tape {
    char              text[4096];
    size_t            n;
    int               last_words, closed, unflushed;
    enum fault        fault;
    struct advice     advice;
    enum finish       finish;
    int               hold_at;                /* holds the turn at this flush; 0: never */
    int               flushes;
    int               rooms;                  /* how often it heard of room     */
    int               begins;
    bool              stood_in;               /* the model that was asked did not answer */
    int64_t           first;                  /* what it heard at the beginning */
    struct turn_facts facts;
    char              turn[40];               /* its id, to which they point    */
    struct tape_sink *sink;                   /* NULL: closed                   */

    struct budget_call room;
};

/* ---- a budget that has room for whom it is told to let in ----------------------------- */

/* It stands in for all of store/budget.c. Every turn of a world is asked by `asker`, whom no
 * allowance speaks of at first. What is reserved is answered at the next reading of the
 * notes, or when budget_answer() says so; and so is a round that follows. */
struct fake_budget {
    struct asker       asker;
    bool               is_missing;            /* there is no database at all    */
    bool               is_slow;
    enum store_end     end;                   /* the answer: this, and of the room */
    struct budget_call room;                  /* its limit, wait and rooms      */
    bool               is_slow_to_go_on;
    enum store_end     round_end;             /* the answer to a round, with round_limit and the
                                                 wait of the room */
    enum budget_limit  round_limit;
    int                good_rounds; /* so many are let in before      */

    struct note         note;
    struct budget_call *under_way;
    struct verb        *kept;                 /* used, and not dropped yet      */
    bool                goes_on;              /* what is under way is a round   */
    int                 turns, asks, refusals, bills, rounds;
    struct budget_ask   ask;                  /* the last one, without its texts */
    struct budget_round round;                /* the same                       */
    struct budget_bill  bill;
    char                turn[40];             /* of the last one that was asked */
};

void budget_answer(void);                     /* nothing where nobody waits     */

/* ---- a world ------------------------------------------------------------------------- */

extern struct fake_provider one, two, three;
extern struct tape          tape;
extern struct fake_budget   budget;
extern struct catalog      *catalog;
extern struct model         model;
extern struct target        targets[3];
extern struct place         holders[3];       /* somebody else's places         */
extern uint64_t             now_ms;

/* Three providers, of which the model has as many as have a script. Nobody is asked twice
 * and nothing breaks, unless a test changes their settings. */
void world_begin(const char *first, const char *second);
void world_third(const char *script);

/* It asks again, and waits for as long as that takes. */
enum { LONG = 200 * 1000 };
void patient_world(const char *first, const char *second, uint64_t retries);

void world_without_database(void);

/* From now on everything is kept that is asked (flow/fake_store.h), in a chat, and nothing
 * happens to an answer that its last reader leaves but what `on_leave` says. */
extern struct turn_keeping keeping;
extern enum leaving        on_leave;
void                       world_keeps(void);
void                       settle(void);

struct sink *new_reader(struct tape *t);
struct turn *ask(void);
struct turn *ask_on(struct tape *t);
struct turn *ask_for(struct tape *t, struct question *q);
void         ask_another(void);               /* with the tape empty again      */
void         pass(void);
void         pass_for(int ms);
void         pass_until_over(int limit);      /* until nothing is alive, or so many */

void    told(const char *events, enum fault fault);
void    hold_place(struct gate *g, struct place *p);
int64_t labelled_metric(const char *row);     /* name{label="value"}            */

#endif
