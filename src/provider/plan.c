#include "provider/plan.h"

#include "base/clock.h"
#include "base/id.h"

enum {
    JITTER_PERCENT = 25,
    LONGEST_REST_S = 60,                      /* for others than who was told to wait */
};

/* ---- the order ------------------------------------------------------------------- */

static uint64_t sum_of_weights(const struct model *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->n_targets; i++)
        sum += m->targets[i].weight;
    return sum;
}

/* The one whose share of the weights the dice fall on; the first when there are none. */
static size_t pick_first(const struct model *m)
{
    uint64_t sum = sum_of_weights(m);
    uint64_t dice = sum ? id_pick((uint32_t)sum) : 0;
    size_t   i = 0;

    while (sum && dice >= m->targets[i].weight)
        dice -= m->targets[i++].weight;
    return i;
}

void plan_begin(struct plan *p, const struct model *m, const struct question *q, uint64_t max_pause,
                struct arena *a)
{
    size_t first = pick_first(m), n = 0;

    *p = (struct plan){ .n = m->n_targets, .max_pause = max_pause };
    p->targets = arena_new(a, p->n * sizeof *p->targets);
    p->targets[n++].target = &m->targets[first];
    for (int weighted = 1; weighted >= 0; weighted--)
        for (size_t i = 0; i < m->n_targets; i++)
            if (i != first && (m->targets[i].weight > 0) == (weighted == 1))
                p->targets[n++].target = &m->targets[i];
    for (size_t i = 0; i < p->n; i++)
        p->targets[i].out = !target_takes(p->targets[i].target, q);
}

bool plan_has_any(const struct plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->targets[i].out)
            return true;
    return false;
}

const struct target *plan_target(const struct plan *p)
{
    return p->targets[p->at].target;
}

/* ---- the next ---------------------------------------------------------------------- */

static bool is_better(const struct plan_target *a, const struct plan_target *b)
{
    bool a_has_room = target_has_room(a->target), b_has_room = target_has_room(b->target);

    return a_has_room != b_has_room ? a_has_room : a->asked < b->asked;
}

static bool may_ask(const struct plan_target *t, uint64_t now, uint64_t *until)
{
    bool may = standing_may_ask(t->target->standing, now, until);

    if (*until < t->not_before)
        *until = t->not_before;
    return may && t->not_before <= now;
}

bool plan_may_ask(const struct plan *p, uint64_t now)
{
    uint64_t until;

    return may_ask(&p->targets[p->at], now, &until);
}

/* Worth waiting for are pauses that a failed call of this very turn has to make, and those
 * that a service asks of everybody; not an open breaker, whose turn may never come. */
static bool is_worth_waiting(const struct plan *p, const struct plan_target *t, uint64_t until,
                             uint64_t now)
{
    return !t->target->standing->broken_until && until - now <= p->max_pause;
}

enum plan_step plan_next(struct plan *p, uint64_t now, uint64_t *until)
{
    struct plan_target *best = NULL;
    uint64_t            when;
    bool                worth = false;

    *until = UINT64_MAX;
    for (size_t i = 0; i < p->n; i++) {
        struct plan_target *t = &p->targets[i];

        if (t->out)
            continue;
        if (!may_ask(t, now, &when)) {
            *until = when < *until ? when : *until;
            worth = worth || is_worth_waiting(p, t, when, now);
        } else if (!best || is_better(t, best)) {
            best = t;
        }
    }
    if (!best)
        return worth ? PLAN_WAIT : PLAN_STOP;
    p->at = (size_t)(best - p->targets);
    return PLAN_ASK;
}

/* ---- what became of it ------------------------------------------------------------------ */

static struct standing *standing_of(const struct plan *p)
{
    return plan_target(p)->standing;
}

void plan_ask(struct plan *p)
{
    p->calls++;
    p->targets[p->at].asked++;
    p->tries = standing_begin(standing_of(p));
}

void plan_answered(struct plan *p)
{
    standing_answered(standing_of(p));
    p->tries = false;
}

void plan_finished(struct plan *p)
{
    standing_finished(standing_of(p));
}

void plan_crowded(struct plan *p)
{
    p->targets[p->at].out = true;
}

/* Doubles with every call, and is a little shorter each time, so that turns that failed
 * together do not come back together. */
static uint64_t pause_after(const struct provider_settings *s, uint64_t calls)
{
    uint64_t pause = s->retry_pause;

    while (--calls && pause < s->longest_retry_pause)
        pause *= 2;
    if (pause > s->longest_retry_pause)
        pause = s->longest_retry_pause;
    return pause * (100 - id_pick(JITTER_PERCENT + 1)) / 100;
}

/* What it asks of us it asks of all, but only for so long: it may be better before. */
static void rest(struct plan *p, uint64_t after, uint64_t now)
{
    uint64_t longest = LONGEST_REST_S * CLOCK_S;

    standing_rest(standing_of(p), now + (after < longest ? after : longest));
}

void plan_failed(struct plan *p, enum fault fault, const struct advice *advice, uint64_t now)
{
    struct plan_target             *t = &p->targets[p->at];
    const struct provider_settings *s = t->target->provider->settings;

    if (advice->at_once)
        plan_left(p);
    else
        standing_failed(standing_of(p), s, fault, p->tries, now);
    p->tries = false;
    t->out = t->asked > s->retries || advice->not_again || !(fault_again(fault) || advice->at_once);
    if (advice->at_once)
        return;
    t->not_before = now + (advice->after ? advice->after : pause_after(s, t->asked));
    if (advice->after)
        rest(p, advice->after, now);
}

void plan_left(struct plan *p)
{
    if (p->tries)
        standing_left(standing_of(p));
    p->tries = false;
}
