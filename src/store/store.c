#include "store/store.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/askers.h"
#include "store/budget.h"
#include "store/chats.h"
#include "store/messages.h"
#include "store/migrate.h"
#include "store/running.h"
#include "store/turns.h"

enum { TIDY_S = 600 };

struct store {
    struct pg_pool      *pool;
    struct pg_statement *statements;          /* of all files, for the pool     */
    bool                 notifies;
    struct deadline      tidy;
};

static const struct pg_statement *const tables[] = {
    asker_statements,   budget_statements, chat_statements,
    message_statements, turn_statements,   running_statements,
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
    s->statements = join_tables();
    pool.check = &store_schema_check;
    s->pool = pg_pool_open(&pool, s->statements, why);
    s->tidy.run = tidy;
    if (s->pool) {
        deadline_arm(&s->tidy, clock_now());
        return s;
    }
    mem_free(s->statements);
    mem_free(s);
    return NULL;
}

void store_close(struct store *s)
{
    deadline_disarm(&s->tidy);
    pg_pool_close(s->pool);
    mem_free(s->statements);
    mem_free(s);
}

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

bool store_notifies(const struct store *s)
{
    return s->notifies;
}

void store_do(struct store *s, struct pg_work *w)
{
    pg_do(s->pool, w);
}
