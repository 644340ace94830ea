#include "pg/pg_pool.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <string.h>

enum {
    UNITS_AT_ONCE = 64,                       /* on one connection              */
    TRIES_MIN = 4,
    CLIMB_AT_ONCE = 2,
    FIRST_REST = 50,                          /* ms; doubles up to the last     */
    LAST_REST = 1000,
};

struct pg_pool {
    struct pg_server server;
    struct list      ready, climbing, resting;
    struct list      line;                    /* units, the oldest first        */
    const char      *aside;                   /* NULL: it is the one that tells */
    size_t           max_waiting, at_once;
    struct deadline  knock;
    uint64_t         rest;                    /* ms                             */
    bool             is_away;                 /* none was ready when one was lost or failed */
    bool             is_unfit;                /* it is there, and not what we need */
    bool             is_closing;
    struct note      news;                    /* units that ended without being sent */
    struct list      over;
    char             why[PG_WHY_MAX];
    size_t           n;
    struct pg_member {
        struct pg       pg;
        struct pg_pool *pool;
        struct list    *in;                   /* ready, climbing or resting     */
    } members[];
};

static struct pg_pool *pool_of(struct pg *c)
{
    return LIST_OWNER(c, struct pg_member, pg)->pool;
}

static const char *pool_name(const struct pg_pool *p)
{
    return p->aside ? p->aside : "store";
}

static void show(const struct pg_pool *p)
{
    if (p->aside)
        return;
    metric_set(METRIC_DB_READY, (int64_t)p->ready.n);
    metric_set(METRIC_DB_WAITING, (int64_t)p->line.n);
}

/* ---- ends of units ------------------------------------------------------------------- */

void pg_tell(struct pg_work *w, enum pg_end end)
{
    deadline_disarm(&w->patience);
    if (!w->is_batch)
        metric_add_labelled(METRIC_DB_UNITS, pg_end_name(end), "");
    if (w->ops)
        w->ops->done(w, end);
    pg_work_free(w);
}

static enum pg_end end_of_waiting(const struct pg_pool *p, const struct pg_work *w)
{
    if (w->is_unsure)
        return PG_UNKNOWN;
    return p->ready.n ? PG_BUSY : PG_AWAY;
}

static void waited_too_long(struct deadline *d)
{
    struct pg_work *w = LIST_OWNER(d, struct pg_work, patience);
    struct pg_pool *p = w->pool;

    list_take(&p->line, &w->link);
    show(p);
    pg_tell(w, end_of_waiting(p, w));
}

static void tell_over(struct note *n)
{
    struct pg_pool *p = LIST_OWNER(n, struct pg_pool, news);
    struct link    *k;

    while ((k = list_pop(&p->over))) {
        struct pg_work *w = LIST_OWNER(k, struct pg_work, link);

        pg_tell(w, w->sqlstate[0] ? PG_REFUSED : end_of_waiting(p, w));
    }
}

/* ---- the line ------------------------------------------------------------------------ */

static struct pg *least_busy(struct pg_pool *p)
{
    struct pg *best = NULL;

    LIST_EACH(&p->ready, k) {
        struct pg *c = LIST_OWNER(k, struct pg, link);

        if (!best || c->works.n < best->works.n)
            best = c;
    }
    return best && best->works.n < p->at_once ? best : NULL;
}

static void serve_line(struct pg_pool *p)
{
    struct pg *c;

    while (p->line.n && (c = least_busy(p))) {
        struct pg_work *w = LIST_OWNER(list_pop(&p->line), struct pg_work, link);

        deadline_disarm(&w->patience);
        if (w->is_forgotten)
            pg_tell(w, PG_DONE);
        else
            pg_send(c, w);
    }
    show(p);
}

static void stand_in_line(struct pg_pool *p, struct pg_work *w)
{
    list_push(&p->line, &w->link);
    w->patience.run = waited_too_long;
    deadline_arm(&w->patience, clock_now() + w->max_wait);
}

void pg_do(struct pg_pool *p, struct pg_work *w)
{
    w->pool = p;
    w->asked = clock_now();
    if (w->is_text_bad || w->bytes.over)
        memcpy(w->sqlstate, w->is_text_bad ? "22021" : "54000", sizeof w->sqlstate);
    if (p->is_closing || w->is_text_bad || w->bytes.over || p->line.n >= p->max_waiting) {
        list_push(&p->over, &w->link);
        note_leave(&p->news);
        return;
    }
    stand_in_line(p, w);
    serve_line(p);
}

/* It leaves the line when its turn comes. */
void pg_forget(struct pg_work *w)
{
    w->ops = NULL;
    w->is_forgotten = true;
}

/* Before all others: it has waited once already. */
static void stand_in_front(struct pg_pool *p, struct pg_work *w)
{
    stand_in_line(p, w);
    list_take(&p->line, &w->link);
    list_push_first(&p->line, &w->link);
}

/* ---- connections --------------------------------------------------------------------- */

static void move(struct pg *c, struct list *to)
{
    struct pg_member *m = LIST_OWNER(c, struct pg_member, pg);

    if (m->in)
        list_take(m->in, &c->link);
    list_push(to, &c->link);
    m->in = to;
}

/* Each instance at another moment, so that a database that comes back is not run over. */
static void rest(struct pg_pool *p)
{
    uint64_t ms = p->rest / 2 + id_pick((uint32_t)p->rest / 2 + 1);

    p->rest = p->rest * 2 < LAST_REST ? p->rest * 2 : LAST_REST;
    if (!deadline_is_armed(&p->knock))
        deadline_arm(&p->knock, clock_now() + ms * CLOCK_MS);
}

/* One knocks; the others follow when it got through. Few at once: showing a password takes
 * some milliseconds of the loop's time. */
static void climb(struct pg_pool *p)
{
    while (p->resting.n && p->climbing.n < (p->ready.n ? CLIMB_AT_ONCE : 1)) {
        struct pg *c = LIST_OWNER(list_first(&p->resting), struct pg, link);

        move(c, &p->climbing);
        pg_climb(c);
    }
}

static void on_knock(struct deadline *d)
{
    climb(LIST_OWNER(d, struct pg_pool, knock));
}

static void on_ready(struct pg *c)
{
    struct pg_pool *p = pool_of(c);

    move(c, &p->ready);
    if (p->is_away)
        LOG(LOG_INFO, L_MSG("database connected"), L_TEXT("pool", pool_name(p)));
    p->is_away = p->is_unfit = false;
    p->why[0] = '\0';
    p->rest = FIRST_REST;
    climb(p);
    serve_line(p);
}

/* A few times, and then as long as it would have waited for a connection. */
static bool may_try_again(const struct pg_work *w)
{
    return w->tries < TRIES_MIN || clock_now() < w->asked + w->max_wait;
}

/* What was not done and may go better next time: here, or, with words, on a new connection. */
static const struct hope {
    const char *sqlstate, *why_not_here;
} hopes[] = {
    { "40001", NULL },
    { "40P01", NULL },
    { "57P01", NULL },                        /* it ends by itself              */
    { "57P02", NULL },
    { "57P03", NULL },
    { "57P05", NULL },
    { "25006", "the server takes no writes" },
    { "0A000", "a statement was prepared for tables that have changed" },
    { "26000", "the prepared statements are gone" },
};

static const struct hope *hope_for(const struct pg_work *w)
{
    const struct hope *hope = NULL;

    for (size_t i = 0; w->failed && i < sizeof hopes / sizeof *hopes; i++)
        if (strcmp(w->sqlstate, hopes[i].sqlstate) == 0)
            hope = &hopes[i];
    return hope && hope->why_not_here && w->is_foreign ? NULL : hope;
}

static void on_over(struct pg *c, struct pg_work *w)
{
    struct pg_pool    *p = pool_of(c);
    const struct hope *hope = hope_for(w);

    if (hope && may_try_again(w))
        stand_in_front(p, w);
    else
        pg_tell(w, w->failed ? PG_REFUSED : PG_DONE);
    if (hope && hope->why_not_here)
        pg_break(c, hope->why_not_here);
    else
        serve_line(p);
}

static bool may_be_sent_again(const struct pg_work *w)
{
    if (w->is_late)
        return w->insists && !w->once && clock_now() < w->asked + w->max_wait;
    return !w->once && may_try_again(w);
}

/* From the newest to the oldest, so that they stand in the line as they were sent. */
static void take_back(struct pg_pool *p, struct pg *c)
{
    while (c->works.n) {
        struct pg_work *w = LIST_OWNER(c->works.head.prev, struct pg_work, link);

        list_take(&c->works, &w->link);
        deadline_disarm(&w->patience);
        w->on = NULL;
        w->is_unsure = true;
        if (may_be_sent_again(w))
            stand_in_front(p, w);
        else
            pg_tell(w, PG_UNKNOWN);
    }
}

/* Once for each reason, however often it is tried. */
static void note_why(struct pg_pool *p, const struct pg *c)
{
    bool is_news = p->ready.n == 0 && (!p->is_away || strcmp(p->why, c->why) != 0);

    p->is_away = p->is_away || p->ready.n == 0;
    p->is_unfit = c->is_unfit;
    memcpy(p->why, c->why, sizeof p->why);
    if (is_news)
        LOG(LOG_WARN, L_MSG(p->is_unfit ? "database not fit" : "database away"),
            L_TEXT("pool", pool_name(p)), L_TEXT("words", p->why));
}

static void on_lost(struct pg *c)
{
    struct pg_pool *p = pool_of(c);

    move(c, &p->resting);
    note_why(p, c);
    take_back(p, c);
    rest(p);
    serve_line(p);
}

static const struct pg_ops pool_ops = { .ready = on_ready, .lost = on_lost, .over = on_over };

/* ---- the pool ------------------------------------------------------------------------ */

/* So that what nobody waits for any more does not go on in the server, where it may hold
 * locks and one of its places. */
static const char session[] = "-c statement_timeout=30s -c client_connection_check_interval=2s";

struct pg_pool *pg_pool_open(const struct pg_pool_settings *s,
                             const struct pg_statement *statements, char why[PG_WHY_MAX])
{
    struct pg_pool *p = mem_new(sizeof *p + s->connections * sizeof *p->members);

    if (!pg_where_read(&p->server.where, s->conninfo, why)) {
        pg_where_release(&p->server.where);
        mem_free(p);
        return NULL;
    }
    if (s->prepares)                          /* a pooler would refuse it       */
        pg_where_default(&p->server.where, "options", session);
    p->server.statements = statements;
    p->server.check = s->check;
    p->server.prepares = s->prepares;
    p->server.connect_timeout = s->connect_timeout;
    p->max_waiting = s->max_waiting;
    p->at_once = s->at_once ? s->at_once : UNITS_AT_ONCE;
    p->aside = s->aside;
    p->rest = FIRST_REST;
    p->is_away = true;
    p->knock.run = on_knock;
    p->news.run = tell_over;
    list_init(&p->ready), list_init(&p->climbing), list_init(&p->resting);
    list_init(&p->line), list_init(&p->over);
    for (p->n = 0; p->n < s->connections; p->n++) {
        p->members[p->n].pool = p;
        pg_init(&p->members[p->n].pg, &p->server, &pool_ops);
        move(&p->members[p->n].pg, &p->resting);
    }
    climb(p);
    return p;
}

static void end_all(struct list *works)
{
    struct link *k;

    while ((k = list_pop(works)))
        pg_tell(LIST_OWNER(k, struct pg_work, link), PG_AWAY);
}

/* Whoever hears of an end may ask for something else: that ends as well. */
void pg_pool_close(struct pg_pool *p)
{
    p->is_closing = true;
    deadline_disarm(&p->knock);
    for (size_t i = 0; i < p->n; i++) {
        pg_drop(&p->members[i].pg);
        end_all(&p->members[i].pg.works);
    }
    end_all(&p->line);
    end_all(&p->over);
    note_tear(&p->news);
    pg_where_release(&p->server.where);
    mem_free(p);
}

bool pg_pool_is_ready(const struct pg_pool *p)
{
    return p->ready.n > 0;
}

bool pg_pool_is_idle(const struct pg_pool *p)
{
    size_t units = p->line.n + p->over.n;

    for (size_t i = 0; i < p->n; i++)
        units += p->members[i].pg.works.n;
    return units == 0;
}

bool pg_pool_is_unfit(const struct pg_pool *p)
{
    return p->ready.n == 0 && p->is_unfit;
}

const char *pg_pool_why(const struct pg_pool *p)
{
    return p->why;
}
