#include "store/verb.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

#include <assert.h>
#include <string.h>

static const char *const end_names[] = {
    [STORE_OK] = "ok",           [STORE_NOT_FOUND] = "not_found", [STORE_CONFLICT] = "conflict",
    [STORE_BUSY] = "busy",       [STORE_CROWDED] = "crowded",     [STORE_AWAY] = "away",
    [STORE_UNKNOWN] = "unknown", [STORE_REFUSED] = "refused",
};

const char *store_end_name(enum store_end end)
{
    return end_names[end];
}

/* ---- ends ------------------------------------------------------------------------------ */

/* The first row whose state is a beginning of the database's. */
static const struct refusal {
    const char    *state;
    enum store_end end;
    const char    *why;
} refusals[] = {
    { "22003", STORE_REFUSED, "a number is too large" },
    { "22021", STORE_REFUSED, "the text holds a character that cannot be kept" },
    { "22P05", STORE_REFUSED, "the text holds a character that cannot be kept" },
    { "22", STORE_REFUSED, "a value has not the form that it must have" },
    { "23503", STORE_NOT_FOUND, "what it belongs to is not there" },
    { "23505", STORE_CONFLICT, "it is there already" },
    { "23", STORE_REFUSED, "a value is longer or other than it may be" },
    { "54", STORE_REFUSED, "it is too large to be kept" },
    { "40", STORE_BUSY, "others change the same thing" },
    { "55P03", STORE_BUSY, "others change the same thing" },
    { "57014", STORE_BUSY, "the database took too long" },
    { "53100", STORE_AWAY, "the database has no room left" },
    { "53", STORE_BUSY, "the database has too much to do" },
    { "08", STORE_AWAY, "the database is away" },
    { "25006", STORE_AWAY, "the database takes no writes" },
    { "57", STORE_AWAY, "the database is away" },
    { "42501", STORE_AWAY, "the database does not allow it to this role" },
    { "", STORE_AWAY, "the database does not understand what it is asked" },
};

/* Everybody's next statement may meet the same. */
static void log_refusal(const struct refusal *r, const char *state)
{
    static uint64_t quiet_until;

    if (clock_now() < quiet_until)
        return;
    quiet_until = clock_now() + CLOCK_S;
    LOG(LOG_ERROR, L_MSG("database refuses a statement"), L_TEXT("sqlstate", state),
        L_TEXT("why", r->why));
}

static const struct refusal *refusal_of(const char *state)
{
    const struct refusal *r = refusals;

    while (strncmp(state, r->state, strlen(r->state)) != 0)
        r++;
    return r;
}

static void set_end(struct verb *v, enum store_end end, const char *why)
{
    v->end = end;
    v->why = why;
}

/* Classes of errors in whose words are names of tables and types, but never a value. */
static bool are_words_plain(const char *state)
{
    static const char *const classes[] = { "0A", "25", "3F", "42", "53", "54", "55", "57" };

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strncmp(state, classes[i], 2) == 0)
            return true;
    return false;
}

/* Somebody else's SQL is refused for what it is. */
static void judge_foreign(struct verb *v, const struct pg_work *w)
{
    set_end(v, STORE_REFUSED, refusal_of(w->sqlstate)->why);
    if (are_words_plain(w->sqlstate))
        v->words = arena_str(&v->arena, buf_str(&w->words));
    LOG(LOG_WARN, L_MSG("database refuses a lookup"),
        L_TEXT("lookup", w->steps[w->n_steps - 1]->name), L_TEXT("sqlstate", w->sqlstate),
        L_TEXT("why", v->why), L_STR("words", v->words));
}

/* What nobody outside can cause is news. */
static void judge_refusal(struct verb *v, const struct pg_work *w)
{
    const struct refusal *r = refusal_of(w->sqlstate);

    set_end(v, r->end, r->why);
    if (r->end == STORE_AWAY)
        log_refusal(r, w->sqlstate);
}

static bool is_second(const struct verb *v)
{
    return v->second && v->kind == &v->second->kind;
}

static void judge(struct verb *v, enum pg_end end, const struct pg_work *w)
{
    switch (end) {
    case PG_DONE: set_end(v, STORE_OK, ""); break;
    case PG_BUSY: set_end(v, STORE_BUSY, "the database has too much to do"); break;
    case PG_AWAY: set_end(v, STORE_AWAY, "the database is away"); break;
    case PG_UNKNOWN:
        set_end(v, STORE_UNKNOWN, "the database did not say whether it is done");
        break;
    case PG_REFUSED: w->is_foreign ? judge_foreign(v, w) : judge_refusal(v, w); break;
    }
    if ((is_second(v) || w->is_unsure) && (v->end == STORE_BUSY || v->end == STORE_AWAY))
        set_end(v, STORE_UNKNOWN, "the database did not say what came of it");
    if (v->end == STORE_OK && v->kind->judge)
        v->kind->judge(v);
    if (v->end == STORE_NOT_FOUND)
        v->why = "it is not there";
}

static void on_rows(struct pg_work *w, size_t step, const struct pg_rows *rows)
{
    struct verb *v = w->owner;

    if (v->kind->rows)
        v->kind->rows(v, step, rows);
}

static void drop_next(struct verb *v)
{
    if (v->next)
        pg_work_free(v->next);
    v->next = NULL;
}

static void send_next(struct verb *v)
{
    v->work = v->next;
    v->next = NULL;
    v->kind = &v->second->kind;
    verb_send(v);
}

static void on_done(struct pg_work *w, enum pg_end end)
{
    struct verb *v = w->owner;

    v->work = NULL;
    if (v->next && end == PG_DONE && v->second->is_needed(v)) {
        send_next(v);
        return;
    }
    drop_next(v);
    judge(v, end, w);
    v->done(v);                               /* which may free it              */
}

static const struct pg_work_ops verb_ops = { .rows = on_rows, .done = on_done };

/* ---- begin, send, drop ----------------------------------------------------------------- */

struct pg_work *verb_begin(struct store *s, struct verb *v, const struct verb_kind *kind)
{
    assert(!v->work && v->done);
    arena_release(&v->arena);
    v->kind = kind;
    v->store = s;
    v->words = (struct str){ NULL, 0 };
    v->second = NULL;
    v->work = pg_work_new(&verb_ops, v);
    return v->work;
}

struct pg_work *verb_next(struct verb *v, const struct verb_second *second)
{
    v->second = second;
    v->next = pg_work_new(&verb_ops, v);
    return v->next;
}

void verb_send(struct verb *v)
{
    store_do(v->store, v->work);
}

void verb_drop(struct verb *v)
{
    if (v->work)
        pg_forget(v->work);
    v->work = NULL;
    drop_next(v);
    arena_release(&v->arena);
}

/* ---- rows and parameters --------------------------------------------------------------- */

struct str verb_text(struct verb *v, const struct pg_rows *rows, size_t row, int column)
{
    return arena_str(&v->arena, pg_get(rows, row, column));
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

struct str verb_bytes(struct verb *v, const struct pg_rows *rows, size_t row, int column)
{
    struct str hex = pg_get(rows, row, column);
    char      *bytes = arena_new(&v->arena, hex.n / 2 + 1);

    for (size_t i = 0; i < hex.n / 2; i++)
        bytes[i] = (char)(digit(hex.p[2 * i]) << 4 | digit(hex.p[2 * i + 1]));
    return (struct str){ bytes, hex.n / 2 };
}

void put_text_or_null(struct pg_work *w, struct str text)
{
    if (text.n)
        pg_text(w, text);
    else
        pg_null(w);
}

void put_count_or_null(struct pg_work *w, int64_t n)
{
    if (n >= 0)
        pg_int(w, n);
    else
        pg_null(w);
}

void put_json(struct pg_work *w, struct str json)
{
    pg_text(w, json.n ? json : STR("{}"));
}

void put_limit(struct pg_work *w, int64_t n, int64_t most)
{
    pg_int(w, n < 0 ? 0 : n < most ? n : most);
}
