#include "base/gate.h"

#include "base/clock.h"

static void show(const struct gate *g)
{
    if (g->changed)
        g->changed(g);
}

static void hold(struct place *p)
{
    p->state = PLACE_HELD;
    p->gate->held++;
}

static void leave_line(struct place *p)
{
    list_take(&p->gate->line, &p->link);
    deadline_disarm(&p->patience);
    p->state = PLACE_NONE;
}

static void serve_line(struct gate *g)
{
    while (g->line.n && g->held < g->max) {
        struct place *p = LIST_OWNER(list_first(&g->line), struct place, link);

        leave_line(p);
        hold(p);
        p->told(p, true);
    }
    show(g);
}

void gate_init(struct gate *g, void (*changed)(const struct gate *g))
{
    *g = (struct gate){ .changed = changed };
    list_init(&g->line);
}

void gate_configure(struct gate *g, uint64_t max, uint64_t max_waiting, uint64_t max_wait)
{
    g->max = max;
    g->max_waiting = max_waiting;
    g->max_wait = max_wait;
    serve_line(g);
}

bool gate_has_room(const struct gate *g)
{
    return g->line.n == 0 && g->held < g->max;
}

static void lost_patience(struct deadline *d)
{
    struct place *p = LIST_OWNER(d, struct place, patience);

    leave_line(p);
    show(p->gate);
    p->told(p, false);
}

static void stand_in_line(struct place *p)
{
    p->state = PLACE_WAITING;
    list_push(&p->gate->line, &p->link);
    p->patience.run = lost_patience;
    deadline_arm(&p->patience, clock_now() + p->gate->max_wait);
}

void gate_ask(struct gate *g, struct place *p, void (*told)(struct place *p, bool held))
{
    p->gate = g;
    p->told = told;
    if (gate_has_room(g))
        hold(p);
    else if (g->line.n < g->max_waiting && g->max_wait)
        stand_in_line(p);
    show(g);
    if (p->state != PLACE_WAITING)
        told(p, p->state == PLACE_HELD);
}

void gate_give_back(struct place *p)
{
    if (p->state == PLACE_NONE)
        return;
    if (p->state == PLACE_WAITING)
        leave_line(p);
    else
        p->gate->held--;
    p->state = PLACE_NONE;
    serve_line(p->gate);
}
