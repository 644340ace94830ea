#include "store/store.h"

#include "base/clock.h"
#include "base/mem.h"
#include "pg/pg_listener.h"
#include "store/askers.h"
#include "store/budget.h"
#include "store/chats.h"
#include "store/exchanges.h"
#include "store/lookup.h"
#include "store/messages.h"
#include "store/migrate.h"
#include "store/operations.h"
#include "store/pending.h"
#include "store/running.h"
#include "store/sessions.h"
#include "store/tools.h"
#include "store/turns.h"
#include "store/usage.h"

enum { TIDY_S = 600, PULSE_S = 20 };

struct store {
    struct pg_pool      *pool;
    struct pg_batches   *claims;
    struct pg_statement *statements;          /* of all files, for the pool     */
    bool                 notifies;
    struct deadline      tidy;
    struct arena         arena;
    struct str           conninfo;
    uint64_t             connect_timeout;

    struct pg_listener      *listener;
    const struct store_news *news;
    struct lookups          *lookups;         /* NULL: none                     */
};

static const struct pg_statement *const tables[] = {
    asker_statements,   budget_statements,  chat_statements,      message_statements,
    turn_statements,    running_statements, exchange_statements,  session_statements,
    pending_statements, usage_statements,   operation_statements, tool_statements,
};

static struct pg_statement *join_tables(void)
{
    struct pg_statement *all;
    size_t               n = 0;

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct pg_statement *s = tables[i]; s->name; s++)
            n++;
    all = mem_new((n + 1) * sizeof *all);
    n = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct pg_statement *s = tables[i]; s->name; s++)
            all[n++] = *s;
    return all;
}

/* Every process does it; the second finds nothing. */
static void tidy(struct deadline *d)
{
    budget_sweep(LIST_OWNER(d, struct store, tidy));
    deadline_arm(d, clock_now() + TIDY_S * CLOCK_S);
}

struct store *store_open(const struct store_settings *settings, char why[PG_WHY_MAX])
{
    struct store           *s = mem_new(sizeof *s);
    struct pg_pool_settings pool = settings->pool;

    s->notifies = settings->notifies;
    s->conninfo = arena_str(&s->arena, pool.conninfo);
    s->connect_timeout = pool.connect_timeout;
    s->statements = join_tables();
    pool.check = &store_schema_check;
    s->pool = pg_pool_open(&pool, s->statements, why);
    s->tidy.run = tidy;
    if (s->pool) {
        s->claims = pg_batches_new(s->pool, &turn_claims);
        store_use_lookups(s, settings->lookups);
        deadline_arm(&s->tidy, clock_now());
        return s;
    }
    arena_release(&s->arena);
    mem_free(s->statements);
    mem_free(s);
    return NULL;
}

void store_use_lookups(struct store *s, const struct lookup_settings *lookups)
{
    struct pg_pool_settings like = { .conninfo = s->conninfo,
                                     .connect_timeout = s->connect_timeout };

    lookups_free(s->lookups);
    s->lookups = lookups_new(&like, lookups);
}

void store_close(struct store *s)
{
    store_listen(s, NULL);
    deadline_disarm(&s->tidy);
    store_use_lookups(s, NULL);
    pg_pool_close(s->pool);
    pg_batches_free(s->claims);
    arena_release(&s->arena);
    mem_free(s->statements);
    mem_free(s);
}

/* ---- news ------------------------------------------------------------------------------ */

static void heard(void *owner, struct str channel, struct str payload)
{
    const struct store_news *news = ((struct store *)owner)->news;

    if (str_eq(channel, STR("runnel_stop")))
        news->stop(payload);
    else
        news->turn(payload);
}

static void gap(void *owner)
{
    ((struct store *)owner)->news->missed();
}

/* The pool has read the connection string before. */
static void open_listener(struct store *s)
{
    static const char *const            channels[] = { "runnel_turn", "runnel_stop", NULL };
    static const struct pg_listener_ops ops = { heard, gap };
    struct pg_listener_settings         settings = { .conninfo = s->conninfo,
                                                     .connect_timeout = s->connect_timeout,
                                                     .pulse = PULSE_S * CLOCK_S,
                                                     .channels = channels };
    char                                why[PG_WHY_MAX];

    s->listener = pg_listener_open(&settings, &ops, s, why);
}

void store_listen(struct store *s, const struct store_news *news)
{
    if (s->listener)
        pg_listener_close(s->listener);
    s->listener = NULL;
    s->news = news;
    if (news && s->notifies)
        open_listener(s);
}

bool store_hears(const struct store *s)
{
    return s->listener && pg_listener_is_listening(s->listener);
}

/* ---- what others ask ------------------------------------------------------------------- */

bool store_is_ready(const struct store *s)
{
    return pg_pool_is_ready(s->pool);
}

bool store_is_idle(const struct store *s)
{
    return pg_pool_is_idle(s->pool);
}

bool store_is_unfit(const struct store *s)
{
    return pg_pool_is_unfit(s->pool);
}

const char *store_why(const struct store *s)
{
    return pg_pool_why(s->pool);
}

struct lookups *store_lookups(const struct store *s)
{
    return s->lookups;
}

bool store_notifies(const struct store *s)
{
    return s->notifies;
}

void store_do(struct store *s, struct pg_work *w)
{
    pg_do(s->pool, w);
}

void store_claim(struct store *s, struct pg_work *w)
{
    pg_do_with_others(s->claims, w);
}
