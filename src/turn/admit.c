#include "turn/admit.h"

#include "base/metrics.h"

static void show(const struct gate *g)
{
    metric_set(METRIC_TURNS_RUNNING, (int64_t)g->held);
    metric_set(METRIC_TURNS_WAITING, (int64_t)g->line.n);
}

static struct gate gate = { .line.head = { &gate.line.head, &gate.line.head }, .changed = show };

struct gate *admit_gate(void)
{
    return &gate;
}

void admit_configure(const struct turn_settings *settings)
{
    gate_configure(&gate, settings->max_running, settings->max_waiting, settings->max_wait);
}
