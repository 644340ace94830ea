#include "pg/pg_listener.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "pg/pg.h"

#include <stdio.h>

enum {
    FIRST_REST = 50,                          /* ms; doubles up to the last     */
    LAST_REST = 1000,
    LISTEN_MAX = 80,
};

struct pg_listener {
    struct pg_server              server;
    struct pg                     pg;
    const struct pg_listener_ops *ops;
    void                         *owner;
    struct deadline               knock, pulse;
    uint64_t                      every;      /* ns                             */
    uint64_t                      rest;       /* ms                             */
    bool                          is_listening, is_away;
    size_t                        n;
    char                          sql[PG_STEPS_MAX][LISTEN_MAX];
    struct pg_statement           listen[PG_STEPS_MAX];
};

static const struct pg_statement alive = { "alive", "SELECT" };

static struct pg_listener *listener_of(struct pg *c)
{
    return LIST_OWNER(c, struct pg_listener, pg);
}

/* ---- the connection -------------------------------------------------------------------- */

static void ask(struct pg_listener *l, const struct pg_statement *statements, size_t n)
{
    struct pg_work *w = pg_work_new(NULL, NULL);

    for (size_t i = 0; i < n; i++)
        pg_step(w, &statements[i]);
    w->max_time = l->every;
    pg_send(&l->pg, w);
}

static void on_ready(struct pg *c)
{
    struct pg_listener *l = listener_of(c);

    ask(l, l->listen, l->n);
}

static void ask_whether_alive(struct deadline *d)
{
    ask(LIST_OWNER(d, struct pg_listener, pulse), &alive, 1);
}

static void begin_to_listen(struct pg_listener *l)
{
    if (l->is_away)
        LOG(LOG_INFO, L_MSG("listening to the database"));
    l->is_listening = true;
    l->is_away = false;
    l->rest = FIRST_REST;
    l->ops->gap(l->owner);
}

static void on_over(struct pg *c, struct pg_work *w)
{
    struct pg_listener *l = listener_of(c);
    bool                failed = w->failed;

    pg_work_free(w);
    if (failed) {
        pg_break(c, "the database does not let us listen");
        return;
    }
    deadline_arm(&l->pulse, clock_now() + l->every);
    if (!l->is_listening)
        begin_to_listen(l);
}

static void drop_works(struct pg_listener *l)
{
    struct link *k;

    while ((k = list_pop(&l->pg.works))) {
        struct pg_work *w = LIST_OWNER(k, struct pg_work, link);

        deadline_disarm(&w->patience);
        pg_work_free(w);
    }
}

static void on_lost(struct pg *c)
{
    struct pg_listener *l = listener_of(c);
    uint64_t            ms = l->rest / 2 + id_pick((uint32_t)l->rest / 2 + 1);

    if (!l->is_away)
        LOG(LOG_WARN, L_MSG("not listening to the database"), L_TEXT("words", c->why));
    l->is_away = true;
    l->is_listening = false;
    drop_works(l);
    deadline_disarm(&l->pulse);
    deadline_arm(&l->knock, clock_now() + ms * CLOCK_MS);
    l->rest = l->rest * 2 < LAST_REST ? l->rest * 2 : LAST_REST;
}

static void on_knock(struct deadline *d)
{
    pg_climb(&LIST_OWNER(d, struct pg_listener, knock)->pg);
}

static void on_heard(struct pg *c, struct str channel, struct str payload)
{
    struct pg_listener *l = listener_of(c);

    l->ops->heard(l->owner, channel, payload);
}

static const struct pg_ops listener_ops = {
    .ready = on_ready, .lost = on_lost, .over = on_over, .heard = on_heard
};

/* ---- open and close -------------------------------------------------------------------- */

static void add_channel(struct pg_listener *l, const char *name)
{
    assert(l->n < PG_STEPS_MAX);
    snprintf(l->sql[l->n], LISTEN_MAX, "LISTEN \"%s\"", name);
    l->listen[l->n] = (struct pg_statement){ "listen", l->sql[l->n] };
    l->n++;
}

struct pg_listener *pg_listener_open(const struct pg_listener_settings *s,
                                     const struct pg_listener_ops *ops, void *owner,
                                     char why[PG_WHY_MAX])
{
    struct pg_listener *l = mem_new(sizeof *l);

    if (!pg_where_read(&l->server.where, s->conninfo, why)) {
        pg_where_release(&l->server.where);
        mem_free(l);
        return NULL;
    }
    l->server.connect_timeout = s->connect_timeout;
    l->ops = ops;
    l->owner = owner;
    l->every = s->pulse;
    l->rest = FIRST_REST;
    l->knock.run = on_knock;
    l->pulse.run = ask_whether_alive;
    for (size_t i = 0; s->channels[i]; i++)
        add_channel(l, s->channels[i]);
    pg_init(&l->pg, &l->server, &listener_ops);
    pg_climb(&l->pg);
    return l;
}

void pg_listener_close(struct pg_listener *l)
{
    deadline_disarm(&l->knock);
    deadline_disarm(&l->pulse);
    pg_drop(&l->pg);
    drop_works(l);
    pg_where_release(&l->server.where);
    mem_free(l);
}

bool pg_listener_is_listening(const struct pg_listener *l)
{
    return l->is_listening;
}
