#include "provider/standing.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

enum { BREAK_TIMES_MAX = 8 };

static struct list all = { .head = { &all.head, &all.head } };

static struct str copy(struct str s)
{
    return (struct str){ mem_copy(s.p, s.n), s.n };
}

struct standing *standing_hold(struct str provider, struct str model)
{
    struct standing *s;

    LIST_EACH(&all, k) {
        s = LIST_OWNER(k, struct standing, link);
        if (str_eq(s->provider, provider) && str_eq(s->model, model)) {
            s->owners++;
            return s;
        }
    }
    s = mem_new(sizeof *s);
    s->owners = 1;
    s->provider = copy(provider);
    s->model = copy(model);
    gate_init(&s->gate, NULL);
    list_push(&all, &s->link);
    return s;
}

static void show_breakers(int change)
{
    metric_add(METRIC_BREAKERS_OPEN, change);
}

void standing_drop(struct standing *s)
{
    if (--s->owners)
        return;
    if (s->broken_until)
        show_breakers(-1);
    list_take(&all, &s->link);
    mem_free((char *)s->provider.p);
    mem_free((char *)s->model.p);
    mem_free(s);
}

bool standing_may_ask(const struct standing *s, uint64_t now, uint64_t *until)
{
    *until = s->tried ? UINT64_MAX : s->broken_until;
    if (*until < s->rest_until)
        *until = s->rest_until;
    return *until <= now;
}

bool standing_begin(struct standing *s)
{
    if (!s->broken_until)
        return false;
    s->tried = true;
    LOG(LOG_INFO, L_MSG("breaker tries"), L_STR("provider", s->provider), L_STR("model", s->model));
    return true;
}

static void close_breaker(struct standing *s)
{
    if (!s->broken_until)
        return;
    s->broken_until = 0;
    s->break_time = 0;
    s->tried = false;
    show_breakers(-1);
    LOG(LOG_INFO, L_MSG("breaker closed"), L_STR("provider", s->provider),
        L_STR("model", s->model));
}

void standing_answered(struct standing *s)
{
    close_breaker(s);
    s->rest_until = 0;
}

void standing_finished(struct standing *s)
{
    s->failures = 0;
}

static void open_breaker(struct standing *s, uint64_t time, enum fault fault, uint64_t now)
{
    uint64_t next = s->break_time * 2;

    if (!s->broken_until)
        show_breakers(1);
    s->break_time = next ? next : time;
    if (s->break_time > time * BREAK_TIMES_MAX)
        s->break_time = time * BREAK_TIMES_MAX;
    s->broken_until = now + s->break_time;
    s->tried = false;
    metric_add(METRIC_BREAKS, 1);
    LOG(LOG_WARN, L_MSG("breaker opened"), L_STR("provider", s->provider), L_STR("model", s->model),
        L_TEXT("fault", fault_name(fault)), L_INT("failures", s->failures),
        L_MS("for_ms", s->break_time));
}

/* With the breaker open, failures of calls that began before say nothing new. */
void standing_failed(struct standing *s, const struct provider_settings *p, enum fault fault,
                     bool tries, uint64_t now)
{
    if (!fault_breaks(fault)) {
        if (tries)
            standing_left(s);
        return;
    }
    s->failures++;
    if (tries || (!s->broken_until && p->breaker_failures && s->failures >= p->breaker_failures))
        open_breaker(s, p->breaker_time, fault, now);
}

void standing_left(struct standing *s)
{
    s->tried = false;
}

void standing_rest(struct standing *s, uint64_t until)
{
    s->rest_until = until;
}
