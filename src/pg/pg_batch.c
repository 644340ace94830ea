#include "pg/pg_batch.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <string.h>

enum {
    AT_ONCE = 2,                              /* more were smaller, and slower: bench/store */
    PATIENCE_MS = 10,
    LOOK_AHEAD = 4 * PG_BATCH_MAX,
    UNIT_LIMIT = 64 << 10,                    /* bytes: a longer one would keep the others waiting */
};

struct pg_batches {
    struct pg_pool             *pool;
    const struct pg_batch_rule *rule;
    struct list                 line;         /* units, the oldest first        */
    size_t                      under_way;    /* batches                        */
    struct deadline             patience;
};

struct batch {
    struct pg_batches *of;
    struct pg_work    *units[PG_BATCH_MAX];
    bool               has_rows[PG_BATCH_MAX];
    size_t             n;
};

/* ---- parameters ---------------------------------------------------------------------- */

/* Of a unit of one step. NULL: NULL. */
static const char *param_of(const struct pg_work *w, size_t i)
{
    return w->params[i] == SIZE_MAX ? NULL : w->bytes.p + w->params[i];
}

static bool is_same(const struct pg_work *a, const struct pg_work *b, size_t param)
{
    const char *x = param_of(a, param), *y = param_of(b, param);

    return x && y && strcmp(x, y) == 0;
}

static void put_alone(struct pg_work *to, const struct pg_work *unit)
{
    pg_step(to, unit->steps[0]);
    for (size_t i = 0; i < unit->n; i++)
        if (param_of(unit, i))
            pg_text(to, str_of(param_of(unit, i)));
        else
            pg_null(to);
}

static void put_together(struct pg_work *to, const struct batch *b)
{
    pg_step(to, b->of->rule->together);
    for (size_t i = 0; i < b->units[0]->n; i++) {
        pg_array(to);
        for (size_t k = 0; k < b->n; k++)
            if (param_of(b->units[k], i))
                pg_item(to, str_of(param_of(b->units[k], i)));
            else
                pg_item_null(to);
        pg_array_end(to);
    }
}

/* ---- rows and ends ------------------------------------------------------------------- */

static void tell_rows(struct pg_work *unit, const struct pg_rows *rows)
{
    if (unit->ops && unit->ops->rows)
        unit->ops->rows(unit, 0, rows);
}

static size_t whose(const struct batch *b, const struct pg_rows *rows, size_t row)
{
    const struct pg_batch_rule *rule = b->of->rule;
    struct str                  name = pg_get(rows, row, rule->name_column);
    size_t                      i = 0;

    while (i < b->n && !str_eq(name, str_of(param_of(b->units[i], rule->name))))
        i++;
    return i;
}

static size_t rows_of_one(const struct pg_rows *rows, size_t first, int name_column)
{
    struct str name = pg_get(rows, first, name_column);
    size_t     n = 1;

    while (first + n < pg_n_rows(rows) && str_eq(name, pg_get(rows, first + n, name_column)))
        n++;
    return n;
}

/* Who got none hears that, too: an earlier try may have brought him some. */
static void tell_nothing(struct batch *b, const struct pg_rows *rows)
{
    struct pg_rows none = { rows->result, 0, 0 };

    for (size_t i = 0; i < b->n; i++)
        if (!b->has_rows[i])
            tell_rows(b->units[i], &none);
}

static void on_rows(struct pg_work *w, size_t step, const struct pg_rows *rows)
{
    struct batch  *b = w->owner;
    struct pg_rows own = { rows->result, 0, 0 };

    (void)step;
    if (b->n == 1) {
        tell_rows(b->units[0], rows);
        return;
    }
    memset(b->has_rows, 0, sizeof b->has_rows);
    for (; own.first < pg_n_rows(rows); own.first += own.n) {
        size_t i = whose(b, rows, own.first);

        own.n = rows_of_one(rows, own.first, b->of->rule->name_column);
        assert(i < b->n && !b->has_rows[i]);
        b->has_rows[i] = true;
        tell_rows(b->units[i], &own);
    }
    tell_nothing(b, rows);
}

static void go(struct pg_batches *b);

/* Whoever hears of an end may ask for something else at once. */
static void on_done(struct pg_work *w, enum pg_end end)
{
    struct batch      *b = w->owner;
    struct pg_batches *of = b->of;
    bool               is_asked_again = b->n > 1 && (end == PG_REFUSED || end == PG_UNKNOWN);

    of->under_way--;
    for (size_t i = 0; i < b->n; i++) {
        struct pg_work *unit = b->units[i];

        unit->is_unsure = w->is_unsure;
        if (is_asked_again) {
            pg_do(of->pool, unit);
            continue;
        }
        memcpy(unit->sqlstate, w->sqlstate, sizeof unit->sqlstate);
        pg_tell(unit, end);
    }
    mem_free(b);
    go(of);
}

static const struct pg_work_ops batch_ops = { on_rows, on_done };

/* ---- batches ------------------------------------------------------------------------- */

static bool may_join(const struct batch *b, const struct pg_work *unit)
{
    const struct pg_batch_rule *rule = b->of->rule;

    for (size_t i = 0; i < b->n; i++)
        if (is_same(b->units[i], unit, rule->apart) || is_same(b->units[i], unit, rule->name))
            return false;
    return true;
}

/* Whoever may not join stays where he is. A long line of such is not walked to its end. */
static void fill(struct batch *b)
{
    struct list *line = &b->of->line;
    struct link *next, *k = line->head.next;

    for (int i = 0; i < LOOK_AHEAD && k != &line->head && b->n < PG_BATCH_MAX; i++, k = next) {
        struct pg_work *unit = LIST_OWNER(k, struct pg_work, link);

        next = k->next;
        if (!may_join(b, unit))
            continue;
        list_take(line, k);
        b->units[b->n++] = unit;
    }
}

static void send_batch(struct pg_batches *of)
{
    struct batch   *b = mem_new(sizeof *b);
    struct pg_work *w = pg_work_new(&batch_ops, b);

    b->of = of;
    w->is_batch = true;
    fill(b);
    w->max_wait = b->units[0]->max_wait;
    w->max_time = b->units[0]->max_time;
    if (b->n == 1)
        put_alone(w, b->units[0]);
    else
        put_together(w, b);
    of->under_way++;
    pg_do(of->pool, w);
}

static void go(struct pg_batches *b)
{
    while (b->line.n && b->under_way < AT_ONCE)
        send_batch(b);
    if (!b->line.n)
        deadline_disarm(&b->patience);
    else if (!deadline_is_armed(&b->patience))
        deadline_arm(&b->patience, clock_now() + PATIENCE_MS * CLOCK_MS);
}

static void waited_enough(struct deadline *d)
{
    struct pg_batches *b = LIST_OWNER(d, struct pg_batches, patience);

    while (b->line.n)
        send_batch(b);
}

struct pg_batches *pg_batches_new(struct pg_pool *p, const struct pg_batch_rule *rule)
{
    struct pg_batches *b = mem_new(sizeof *b);

    b->pool = p;
    b->rule = rule;
    b->patience.run = waited_enough;
    list_init(&b->line);
    return b;
}

void pg_batches_free(struct pg_batches *b)
{
    assert(!b->line.n && !b->under_way);
    mem_free(b);
}

void pg_do_with_others(struct pg_batches *b, struct pg_work *w)
{
    assert(w->n_steps == 1 && !w->once);
    if (w->is_text_bad || w->bytes.over || w->bytes.n > UNIT_LIMIT) {
        pg_do(b->pool, w);
        return;
    }
    list_push(&b->line, &w->link);
    go(b);
}
