/* turn.c - one question, one answer.
 *
 *      admit ---> afford ---> choose ---> place ---> answer ---> (gone)
 *        |          |         ^    |        |          |            ^
 *        |          |         +----|--------+----------+ somebody else, or the same
 *        |          |              |                     again, while nothing was said
 *        +-- fault -+--------------+--------------------------------+
 *
 * The table `script` is the flow; read it first. A step asks for one thing and
 * waits. When the thing comes, got_*() says where to go next.
 *
 * Two doors lead into a waiting turn, and both only leave a note: turn_resume() (the
 * thing came) and turn_interrupt() (somebody wants an end). The notes are read from
 * the top of the stack (base/note.h), so a step never runs inside another module's
 * callback, never recurses, and the turn may free itself.
 *
 * Deltas do not wait for any of this: on_event() hands them straight from the source
 * to the sinks. Only the last word is held back and spoken by turn_end(), because only
 * the script knows whether it is true.
 */
#include "turn/turn.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mem.h"
#include "turn/admit.h"
#include "turn/turn_state.h"

#include <assert.h>

static struct list all = { .head = { &all.head, &all.head } };

/* ---- the two doors ---------------------------------------------------------- */

static void turn_resume(struct turn *t, enum fault came)
{
    assert(t->waiting);
    t->waiting = false;
    t->came = came;
    note_leave(&t->note);
}

void turn_interrupt(struct turn *t, enum fault why)
{
    if (t->interrupt)
        return;
    t->interrupt = why;
    note_leave(&t->note);
}

void turns_interrupt_all(enum fault why)
{
    LIST_EACH(&all, k)
        turn_interrupt(LIST_OWNER(k, struct turn, link), why);
}

static void limit_reached(struct deadline *d)
{
    turn_interrupt(LIST_OWNER(d, struct turn, limit), FAULT_TIMEOUT);
}

/* ---- the sinks ---------------------------------------------------------------- */

static void turn_tell(struct turn *t, const struct event *ev)
{
    LIST_EACH(&t->sinks, k) {
        struct sink *s = LIST_OWNER(k, struct sink, link);

        s->ops->event(s, ev);
    }
}

static void turn_flush(void *ctx)
{
    struct turn *t = ctx;

    LIST_EACH(&t->sinks, k) {
        struct sink *s = LIST_OWNER(k, struct sink, link);

        s->ops->flush(s);
    }
}

/* A call that speaks is paused while any reader is full. */
static void turn_pace(struct turn *t)
{
    const struct provider_ops *ops = plan_target(&t->plan)->provider->ops;
    bool                       pause = t->full > 0;

    if (!t->call || pause == t->paused)
        return;
    t->paused = pause;
    if (pause)
        ops->pause(t->call);
    else
        ops->resume(t->call);
}

void turn_hold(struct sink *k)
{
    if (k->full)
        return;
    k->full = true;
    k->turn->full++;
    turn_pace(k->turn);
}

void turn_go_on(struct sink *k)
{
    if (!k->full)
        return;
    k->full = false;
    k->turn->full--;
    turn_pace(k->turn);
}

static void turn_let_go(struct turn *t, struct sink *k)
{
    list_take(&t->sinks, &k->link);
    k->turn = NULL;
    k->ops->close(k);
}

/* Nobody listens any more: stop paying for an answer that nobody keeps. */
void turn_leave(struct sink *k)
{
    struct turn *t = k->turn;

    turn_go_on(k);
    turn_let_go(t, k);
    if (t->sinks.n == 0)
        turn_interrupt(t, FAULT_CLIENT_GONE);
}

/* ---- what the provider says ------------------------------------------------------ */

static void turn_count(struct turn *t, const struct event *ev)
{
    bool     first = t->tally.events == 0;
    uint64_t gap = tally_add(&t->tally, ev, clock_exact());

    metric_add(METRIC_EVENTS, 1);
    metric_observe(first ? METRIC_FIRST_EVENT : METRIC_EVENT_GAP, gap);
    if (t->tally.text_bytes > t->catalog->settings->turns.max_answer_bytes)
        turn_interrupt(t, FAULT_ANSWER_TOO_BIG);
}

static void call_is_over(struct turn *t, enum fault how)
{
    t->call = NULL;
    metric_add_labelled(METRIC_CALLS, fault_name(how), "");
}

static void on_event(void *ctx, const struct event *ev)
{
    struct turn *t = ctx;

    if (ev->type == EVENT_FINISH || ev->type == EVENT_ERROR)
        call_is_over(t, ev->fault);           /* gone with its last word        */
    if (t->interrupt)
        return;                               /* on the way out already         */
    if (ev->type == EVENT_ERROR) {
        t->words = arena_str(&t->question->arena, ev->text);
        t->advice = ev->advice;
        turn_resume(t, ev->fault);            /* told once nobody else can answer */
        return;
    }
    assert(grammar_allows(&t->grammar, ev->type));
    if (ev->type == EVENT_START)
        plan_answered(&t->plan);
    turn_count(t, ev);
    if (ev->type == EVENT_FINISH) {
        t->finish = ev->finish;
        turn_resume(t, FAULT_NONE);
    } else {
        turn_tell(t, ev);
    }
}

/* ---- admit: wait for a place ------------------------------------------------------ */

static void admitted(struct place *p, bool held)
{
    turn_resume(LIST_OWNER(p, struct turn, place), held ? FAULT_NONE : FAULT_OVERLOADED);
}

static void ask_admit(struct turn *t)
{
    gate_ask(admit_gate(), &t->place, admitted);
}

static enum step got_admit(struct turn *t, enum fault came)
{
    t->fault = came;
    return came ? STEP_GONE : STEP_AFFORD;
}

static void drop_admit(struct turn *t)
{
    gate_give_back(&t->place);
}

/* ---- afford: may its asker use what it may use ---------------------------------------- */

static void told_of_room(struct bill *b, enum fault fault)
{
    struct turn *t = LIST_OWNER(b, struct turn, bill);

    t->advice.after = fault ? b->call.wait * CLOCK_S : 0;
    t->advice.not_again = fault == FAULT_USED_UP;
    LIST_EACH(&t->sinks, k) {
        struct sink *s = LIST_OWNER(k, struct sink, link);

        s->ops->room(s, &b->call);
    }
    turn_resume(t, fault);
}

static void ask_afford(struct turn *t)
{
    const struct turn_settings *s = &t->catalog->settings->turns;

    bill_reserve(&t->bill, t->question, s->answer_tokens, s->max_time, told_of_room);
}

static enum step got_afford(struct turn *t, enum fault came)
{
    t->fault = came;
    return came ? STEP_GONE : STEP_CHOOSE;
}

static void drop_afford(struct turn *t)
{
    bill_drop(&t->bill);
}

/* ---- choose: whom to ask, now or after a pause ------------------------------------- */

static void pause_is_over(struct deadline *d)
{
    turn_resume(LIST_OWNER(d, struct turn, pause), FAULT_NONE);
}

static void ask_choose(struct turn *t)
{
    uint64_t       now = clock_now(), until;
    enum plan_step next = plan_next(&t->plan, now, &until);

    t->chosen = next == PLAN_ASK;
    if (next == PLAN_WAIT) {
        deadline_arm(&t->pause, until);
        return;
    }
    if (next == PLAN_STOP && until != UINT64_MAX)
        t->advice.after = until - now;
    turn_resume(t, next == PLAN_STOP ? t->failed : FAULT_NONE);
}

static enum step got_choose(struct turn *t, enum fault came)
{
    t->fault = came;
    if (came)
        return STEP_GONE;
    return t->chosen ? STEP_PLACE : STEP_CHOOSE;
}

static void drop_choose(struct turn *t)
{
    deadline_disarm(&t->pause);
}

/* ---- place: as many talk to a target, and to its provider, as may -------------------- */

static void provider_place_told(struct place *p, bool held)
{
    turn_resume(LIST_OWNER(p, struct turn, provider_place),
                held ? FAULT_NONE : FAULT_PROVIDER_BUSY);
}

static void target_place_told(struct place *p, bool held)
{
    struct turn *t = LIST_OWNER(p, struct turn, target_place);

    if (held)
        gate_ask(&plan_target(&t->plan)->provider->standing->gate, &t->provider_place,
                 provider_place_told);
    else
        turn_resume(t, FAULT_PROVIDER_BUSY);
}

static void ask_place(struct turn *t)
{
    gate_ask(&plan_target(&t->plan)->standing->gate, &t->target_place, target_place_told);
}

static void drop_place(struct turn *t)
{
    gate_give_back(&t->provider_place);
    gate_give_back(&t->target_place);
}

static enum step got_place(struct turn *t, enum fault came)
{
    if (came == FAULT_NONE && plan_may_ask(&t->plan, clock_now()))
        return STEP_ANSWER;
    drop_place(t);
    if (came == FAULT_NONE)
        return STEP_CHOOSE;                   /* it has failed others meanwhile */
    t->fault = came;
    if (t->interrupt)
        return STEP_GONE;
    if (!t->plan.calls)
        t->failed = came;
    plan_crowded(&t->plan);
    return STEP_CHOOSE;
}

/* ---- answer: one call ------------------------------------------------------------------ */

static void ask_answer(struct turn *t)
{
    const struct target *at = plan_target(&t->plan);
    struct outlet        out = { .put = on_event, .flush = turn_flush, .ctx = t };

    plan_ask(&t->plan);
    if (t->plan.calls > 1)
        metric_add_labelled(METRIC_RETRIES, at == t->last_asked ? "again" : "elsewhere", "");
    t->last_asked = at;
    t->paused = false;
    t->call = at->provider->ops->start(at->provider, t->question, at->model, out);
    turn_pace(t);
}

static enum step got_answer(struct turn *t, enum fault came)
{
    bool silent = !t->grammar.started;

    drop_place(t);
    t->fault = t->failed = came;
    if (came == FAULT_NONE) {
        plan_finished(&t->plan);
        return STEP_GONE;
    }
    if (t->interrupt) {
        plan_left(&t->plan);
        return STEP_GONE;
    }
    turn_log_failed_call(t, came);
    plan_failed(&t->plan, came, &t->advice, clock_now());
    return silent && fault_may_retry(came) ? STEP_CHOOSE : STEP_GONE;
}

static void drop_answer(struct turn *t)
{
    if (!t->call)
        return;                               /* it ended behind the interrupt  */
    plan_target(&t->plan)->provider->ops->cancel(t->call);
    call_is_over(t, t->interrupt);
}

/* ---- the flow ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*ask)(struct turn *t);              /* start one operation            */
    enum step (*got)(struct turn *t, enum fault came); /* it ended: where next? */
    void (*drop)(struct turn *t);             /* abandon it                     */
} script[] = {
    [STEP_ADMIT] = { "admit", ask_admit, got_admit, drop_admit },
    [STEP_AFFORD] = { "afford", ask_afford, got_afford, drop_afford },
    [STEP_CHOOSE] = { "choose", ask_choose, got_choose, drop_choose },
    [STEP_PLACE] = { "place", ask_place, got_place, drop_place },
    [STEP_ANSWER] = { "answer", ask_answer, got_answer, drop_answer },
};

static void turn_enter(struct turn *t, enum step step)
{
    LOG(LOG_DEBUG, L_MSG("step"), L_STR("request_id", t->request_id),
        L_TEXT("step", script[step].name));
    t->step = step;
    t->waiting = true;
    if (t->interrupt)
        turn_resume(t, t->interrupt);
    else
        script[step].ask(t);
}

/* Says the last word, closes every sink, and frees the turn. */
static void turn_end(struct turn *t)
{
    struct event last = { .type = EVENT_FINISH, .finish = t->finish };

    if (t->fault)
        last = (struct event){ .type = EVENT_ERROR, .fault = t->fault };
    if (t->fault != t->interrupt)             /* else it is about a call before */
        last.advice = t->advice;
    turn_tell(t, &last);
    turn_flush(t);
    turn_log_end(t, script[t->step].name);
    bill_settle(&t->bill, &t->tally, fault_end(t->fault) == END_ERROR);
    while (t->sinks.n)
        turn_let_go(t, LIST_OWNER(list_first(&t->sinks), struct sink, link));
    gate_give_back(&t->place);
    deadline_disarm(&t->limit);
    note_tear(&t->note);
    list_take(&all, &t->link);
    catalog_drop(t->catalog);
    question_free(t->question);
    mem_free(t);
}

/* Steps that are over as soon as they are asked follow each other in one reading. */
static void turn_step(struct note *n)
{
    struct turn *t = LIST_OWNER(n, struct turn, note);
    enum step    next;

    do {
        note_tear(&t->note);
        if (t->waiting) {                     /* an interrupt, not a result     */
            script[t->step].drop(t);
            t->waiting = false;
            t->came = t->interrupt;
        }
        next = script[t->step].got(t, t->came);
        if (next == STEP_GONE) {
            turn_end(t);
            return;
        }
        turn_enter(t, next);
    } while (!t->waiting);
}

struct turn *turn_start(const struct turn_order *order)
{
    struct turn *t = mem_new(sizeof *t);

    t->question = order->question;
    t->catalog = catalog_retain(offer_catalog());
    t->model = order->model;
    t->route = order->route;
    t->request_id = arena_str(&t->question->arena, order->request_id);
    t->client = arena_str(&t->question->arena, order->client);
    bill_begin(&t->bill, order->asker, t->question, t->model, t->request_id);
    t->tally.asked = clock_exact();
    t->note.run = turn_step;
    t->failed = FAULT_RESTING;                /* unless somebody can be asked   */
    plan_begin(&t->plan, t->model, t->question, t->catalog->settings->turns.max_pause,
               &t->question->arena);
    t->pause.run = pause_is_over;
    t->limit.run = limit_reached;
    deadline_arm(&t->limit, clock_now() + t->catalog->settings->turns.max_time);
    list_push(&all, &t->link);
    list_init(&t->sinks);
    list_push(&t->sinks, &order->sink->link);
    order->sink->turn = t;
    turn_enter(t, STEP_ADMIT);
    return t;
}

size_t turns_alive(void)
{
    return all.n;
}
