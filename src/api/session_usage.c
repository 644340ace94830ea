/* session_usage.c - what who asks has used, today and within 30 days, and what is left of what he
 * may use.
 */
#include "api/api.h"
#include "api/guard.h"
#include "api/session_visit.h"
#include "turn/offer.h"

#include <inttypes.h>
#include <string.h>

enum { ANSWER_LIMIT = 16 << 20, MILLION = 1000000 };

static void add_number(struct buf *out, const char *member, int64_t n)
{
    buf_addf(out, ",\"%s\":%" PRId64, member, n);
}

static void add_money(struct buf *out, const char *member, int64_t millionths)
{
    buf_addf(out, ",\"%s\":%" PRId64 ".%06" PRId64, member, millionths / MILLION,
             millionths % MILLION);
}

/* ---- what was used ------------------------------------------------------------------------- */

/* A model that has lost its price since has cost something all the same. */
static bool has_price(const struct usage_of_model *m)
{
    const struct model *offered = offer_find(m->model);

    return m->days.money || (offered && offer_has_price(offered));
}

static void add_sum(struct buf *out, const struct usage_sum *s, bool has_cost)
{
    buf_addf(out, "\"requests\":%" PRId64, s->requests);
    add_number(out, "failures", s->failures);
    add_number(out, "prompt_tokens", s->prompt);
    add_number(out, "completion_tokens", s->completion);
    add_number(out, "total_tokens", s->prompt + s->completion);
    add_number(out, "estimated_requests", s->estimated);
    if (has_cost)
        add_money(out, "cost", s->money);
    else
        buf_lit(out, ",\"cost\":null");
}

static void add_up(struct usage_sum *total, const struct usage_sum *s)
{
    total->requests += s->requests;
    total->failures += s->failures;
    total->prompt += s->prompt;
    total->completion += s->completion;
    total->estimated += s->estimated;
    total->money += s->money;
}

static const struct usage_sum *sum_of(const struct usage_of_model *m, bool today)
{
    return today ? &m->today : &m->days;
}

static void add_models(struct buf *out, const struct usage_call *c, bool today)
{
    const char *comma = "";

    buf_lit(out, ",\"models\":[");
    for (size_t i = 0; i < c->n; i++) {
        const struct usage_sum *s = sum_of(&c->models[i], today);

        if (!s->requests)
            continue;
        buf_addf(out, "%s{\"model\":", comma);
        json_add_str(out, c->models[i].model);
        buf_lit(out, ",");
        add_sum(out, s, has_price(&c->models[i]));
        buf_lit(out, "}");
        comma = ",";
    }
    buf_lit(out, "]");
}

static void add_period(struct buf *out, const struct usage_call *c, bool today)
{
    struct usage_sum total = { 0 };
    bool             has_cost = false;

    for (size_t i = 0; i < c->n; i++) {
        const struct usage_sum *s = sum_of(&c->models[i], today);

        add_up(&total, s);
        has_cost = has_cost || (s->requests && has_price(&c->models[i]));
    }
    buf_lit(out, "{\"total\":{");
    add_sum(out, &total, has_cost);
    buf_lit(out, "}");
    add_models(out, c, today);
    session_add_time(out, "since", today ? c->today : c->first);
    buf_lit(out, "}");
}

/* ---- what is left ---------------------------------------------------------------------------- */

static void add_limit(struct buf *out, const struct usage_limit *l)
{
    int64_t left = l->most > l->used ? l->most - l->used : 0;
    void (*add)(struct buf *, const char *, int64_t) =
        str_eq(l->name, STR("money_per_day")) ? add_money : add_number;

    buf_lit(out, "{\"of\":");
    json_add_str(out, l->of);
    buf_lit(out, ",\"limit\":");
    json_add_str(out, l->name);
    add(out, "most", l->most);
    add(out, "used", l->used);
    add(out, "left", left);
    if (l->anew_at)
        session_add_time(out, "resets_at", l->anew_at);
    else
        buf_lit(out, ",\"resets_at\":null");
    buf_lit(out, "}");
}

static void on_usage(struct verb *verb)
{
    struct visit            *v = LIST_OWNER(verb, struct visit, usage.verb);
    const struct usage_call *c = &v->usage;
    struct buf               out = BUF(ANSWER_LIMIT);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    buf_lit(&out, "{\"today\":");
    add_period(&out, c, true);
    buf_lit(&out, ",\"last_30_days\":");
    add_period(&out, c, false);
    buf_lit(&out, ",\"limits\":[");
    for (size_t i = 0; i < c->n_limits; i++) {
        if (i)
            buf_lit(&out, ",");
        add_limit(&out, &c->limits[i]);
    }
    buf_lit(&out, "]}");
    session_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

void session_serve_usage(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v)
        return;
    v->usage.verb.done = on_usage;
    usage_of(api_store(), &v->usage, guard_asker(x));
}
