#include "turn/admit.h"

#include "base/clock.h"
#include "base/metrics.h"

static uint64_t    max_running, max_waiting, max_wait;
static uint64_t    running;
static struct list line = { .head = { &line.head, &line.head } };

static void show(void)
{
    metric_set(METRIC_TURNS_RUNNING, (int64_t)running);
    metric_set(METRIC_TURNS_WAITING, (int64_t)line.n);
}

static void hold(struct place *p)
{
    p->state = PLACE_HELD;
    running++;
}

static void leave_line(struct place *p)
{
    list_take(&line, &p->link);
    deadline_disarm(&p->patience);
    p->state = PLACE_NONE;
}

static void serve_line(void)
{
    while (line.n && running < max_running) {
        struct place *p = LIST_OWNER(list_first(&line), struct place, link);

        leave_line(p);
        hold(p);
        p->told(p, FAULT_NONE);
    }
    show();
}

void admit_configure(const struct turn_settings *settings)
{
    max_running = settings->max_running;
    max_waiting = settings->max_waiting;
    max_wait = settings->max_wait;
    serve_line();
}

static void lost_patience(struct deadline *d)
{
    struct place *p = LIST_OWNER(d, struct place, patience);

    leave_line(p);
    show();
    p->told(p, FAULT_OVERLOADED);
}

static void stand_in_line(struct place *p)
{
    p->state = PLACE_WAITING;
    list_push(&line, &p->link);
    p->patience.run = lost_patience;
    deadline_arm(&p->patience, clock_now() + max_wait);
}

void admit_ask(struct place *p, void (*told)(struct place *p, enum fault fault))
{
    enum fault fault = FAULT_NONE;

    p->told = told;
    if (line.n == 0 && running < max_running)
        hold(p);
    else if (line.n < max_waiting && max_wait)
        stand_in_line(p);
    else
        fault = FAULT_OVERLOADED;
    show();
    if (p->state != PLACE_WAITING)
        told(p, fault);
}

void admit_give_back(struct place *p)
{
    if (p->state == PLACE_WAITING)
        leave_line(p);
    else if (p->state == PLACE_HELD)
        running--;
    p->state = PLACE_NONE;
    serve_line();
}
