#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "provider/catalog.h"
#include "turn/turn_state.h"

void turn_log_failed_call(const struct turn *t, enum fault came)
{
    const struct target *at = plan_target(&t->plan);

    LOG(LOG_INFO, L_MSG("call failed"), L_STR("request_id", t->request_id),
        L_STR("provider", at->provider->settings->name), L_STR("model", at->model),
        L_INT("call", t->plan.calls), L_TEXT("fault", fault_name(came)), L_STR("words", t->words),
        L_MS("retry_after_ms", t->advice.after));
}

void turn_trace(const struct turn *t, const char *point)
{
    uint64_t every = t->catalog->settings->turns.trace_every;

    if (!every)
        return;
    LOG(LOG_INFO, L_MSG("trace"), L_TEXT("point", point), L_STR("request_id", t->request_id),
        L_STR("turn", t->id), L_INT("events", t->tally.events),
        L_INT("text_bytes", t->tally.text_bytes), L_MS("ms", clock_exact() - t->tally.asked));
}

/* What is missing without a word to the model is worth a warning. */
void turn_log_shortened(const struct turn *t, uint64_t before, const struct context_cut *cut)
{
    LOG(cut->drops_system || !cut->has_summary ? LOG_WARN : LOG_INFO, L_MSG("shortened"),
        L_STR("request_id", t->request_id), L_STR("turn", t->id), L_STR("model", t->model->name),
        L_INT("tokens", before), L_INT("left", cut->tokens), L_INT("from", cut->from),
        L_TEXT("summary", cut->has_summary ? "yes" : "no"),
        L_TEXT("system", cut->drops_system ? "no" : "yes"));
}

void turn_log_tool(const struct turn *t, struct str tool, uint64_t ns, bool failed)
{
    metric_add_labelled(METRIC_TOOL_RUNS, failed ? "failed" : "done", "");
    LOG(LOG_INFO, L_MSG("tool"), L_STR("request_id", t->request_id), L_STR("turn", t->id),
        L_STR("tool", tool), L_TEXT("end", failed ? "failed" : "done"), L_MS("ms", ns));
}

void turn_log_end(const struct turn *t, const char *step)
{
    const struct target            *at = plan_target(&t->plan);
    const struct provider_settings *p = at->provider->settings;
    enum end                        end = fault_end(t->fault);
    uint64_t                        first = t->tally.first ? t->tally.first - t->tally.asked : 0;

    metric_add_labelled(METRIC_TURNS, end_name(end), "");
    LOG(end == END_ERROR ? LOG_WARN : LOG_INFO, L_MSG("turn"), L_STR("request_id", t->request_id),
        L_STR("turn", t->id), L_TEXT("route", t->route), L_STR("client", t->client),
        L_STR("model", t->model->name), L_STR("provider", p->name),
        L_INT("tenant", t->bill.asker.tenant), L_INT("key", t->bill.asker.key),
        L_INT("account", t->bill.asker.account), L_TEXT("end", end_name(end)),
        L_TEXT("fault", fault_name(t->fault)), L_TEXT("step", step), L_STR("words", t->words),
        L_INT("target", at - t->model->targets), L_INT("calls", t->plan.calls),
        L_INT("events", t->tally.events), L_INT("text_bytes", t->tally.text_bytes),
        L_INT("prompt_tokens", t->tally.usage.prompt),
        L_INT("completion_tokens", t->tally.usage.completion), L_MS("first_ms", first),
        L_MS("ms", clock_exact() - t->tally.asked));
}
