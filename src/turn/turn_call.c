/* turn_call.c - whom a turn asks, and what it hears: the steps choose, place and answer. */
#include "base/clock.h"
#include "base/metrics.h"
#include "turn/turn_state.h"

#include <assert.h>

/* A call that speaks is paused while any reader is full. */
void turn_pace(struct tale *tale)
{
    struct turn               *t = tale->teller;
    const struct provider_ops *ops = plan_target(&t->plan)->provider->ops;
    bool                       pause = tale->full > 0;

    if (!t->call || pause == t->paused)
        return;
    t->paused = pause;
    if (pause)
        ops->pause(t->call);
    else
        ops->resume(t->call);
}

/* ---- what the provider says ------------------------------------------------------ */

static void count_text(struct turn *t, uint64_t before)
{
    uint64_t said = t->tally.text_bytes - before;

    if (turn_is_too_big(t))
        turn_interrupt(t, FAULT_ANSWER_TOO_BIG);
    if (said > t->bytes_left)
        turn_interrupt(t, FAULT_CLIENT_GONE);
    else if (turn_is_drained(t))
        t->bytes_left -= said;
}

static void trace_events(const struct turn *t)
{
    uint64_t every = t->catalog->settings->turns.trace_every;

    if (every && t->tally.events % every == 0)
        turn_trace(t, "events");
}

static void turn_count(struct turn *t, const struct event *ev)
{
    bool     first = t->tally.events == 0;
    uint64_t before = t->tally.text_bytes;
    uint64_t gap = tally_add(&t->tally, ev, clock_exact());

    metric_add(METRIC_EVENTS, 1);
    metric_observe(first ? METRIC_FIRST_EVENT : METRIC_EVENT_GAP, gap);
    trace_events(t);
    count_text(t, before);
}

static void call_is_over(struct turn *t, enum fault how)
{
    t->call = NULL;
    metric_add_labelled(METRIC_CALLS, fault_name(how), "");
}

/* Whoever stands in is paid at his own price. */
static void tell_start(struct turn *t, struct event start)
{
    const struct model *other = plan_target(&t->plan)->stands_in;

    plan_answered(&t->plan);
    start.stands_in = other != NULL;
    if (other)
        t->bill.model = other;
    turn_tell(t, &start);
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
    if (turn_sums_up(t)) {
        turn_hear_summary(t, ev);
        return;
    }
    turn_count(t, ev);
    if (ev->type == EVENT_FINISH) {
        t->finish = ev->finish;
        turn_resume(t, FAULT_NONE);
    } else if (ev->type == EVENT_START) {
        tell_start(t, *ev);
    } else {
        turn_tell(t, ev);
    }
}

static void on_flush(void *ctx)
{
    struct turn *t = ctx;

    tale_flush(t->tale);
    turn_keep_up(t);
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
        t->pause.run = pause_is_over;
        deadline_arm(&t->pause, until);
        return;
    }
    if (next == PLAN_STOP && until != UINT64_MAX)
        t->advice.after = until - now;
    turn_resume(t, next == PLAN_STOP ? t->failed : FAULT_NONE);
}

/* An answer can do without a summary. */
static enum step without_answer(const struct turn *t)
{
    return turn_sums_up(t) && !t->interrupt ? STEP_SHORTEN : STEP_GONE;
}

static enum step got_choose(struct turn *t, enum fault came)
{
    t->fault = came;
    if (came)
        return without_answer(t);
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
    struct outlet        out = { .put = on_event, .flush = on_flush, .ctx = t };

    plan_ask(&t->plan);
    if (t->plan.calls > 1)
        metric_add_labelled(METRIC_RETRIES, at == t->last_asked ? "again" : "elsewhere", "");
    t->last_asked = at;
    t->paused = false;
    turn_trace(t, "call");
    t->call = at->provider->ops->start(at->provider, t->asks, at->model, out);
    turn_pace(t->tale);
}

static enum step got_answer(struct turn *t, enum fault came)
{
    bool silent = !t->grammar.started;

    drop_place(t);
    t->fault = t->failed = came;
    if (came == FAULT_NONE) {
        plan_finished(&t->plan);
        if (turn_sums_up(t))
            return STEP_SHORTEN;
        return turn_wants_tools(t) ? STEP_TOOLS : STEP_GONE;
    }
    if (t->interrupt) {
        plan_left(&t->plan);
        return STEP_GONE;
    }
    turn_log_failed_call(t, came);
    plan_failed(&t->plan, came, &t->advice, clock_now());
    return silent && fault_may_retry(came) ? STEP_CHOOSE : without_answer(t);
}

static void drop_answer(struct turn *t)
{
    if (!t->call)
        return;                               /* it ended behind the interrupt  */
    plan_target(&t->plan)->provider->ops->cancel(t->call);
    call_is_over(t, t->interrupt);
}

const struct turn_step step_choose = { "choose", ask_choose, got_choose, drop_choose };
const struct turn_step step_place = { "place", ask_place, got_place, drop_place };
const struct turn_step step_answer = { "answer", ask_answer, got_answer, drop_answer };
