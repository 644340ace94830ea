/* lookup.c - the operator's queries, asked with care.
 *
 * Nothing is known of a query but that it fits into parentheses. So each is asked from inside
 * one that is ours and unfolds its rows into cells, as many and as long as we take: what
 * nobody wants is cut before it is sent, and the columns' types do not matter.
 *
 *     place  columns  key    value        is_text
 *         1        2  title  Call Anna    t
 *         2        2  due    2026-03-01   t
 *
 * The first step makes the unit's transaction read-only and gives it a time. Without BEGIN:
 * an error would leave the connection in the transaction, with others' units behind it.
 */
#include "store/lookup.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/lookup_sql.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>

enum { CONNECTIONS = 2, WAITING_MAX = 1000, JSON_LIMIT = 8 * LOOKUP_BYTES };
enum { VALUES_MAX = 1 << 20 };                /* bytes; with more it is not asked */

struct lookup_query {
    struct str          of, type;
    struct pg_statement statement;
    struct lookup_sql   sql;                  /* its text: with ours around it  */
};

struct lookup_list {
    struct lookup_query *items;
    size_t               n;
};

struct lookups {
    struct pg_pool    *pool;
    struct arena       arena;                 /* owns the queries               */
    struct lookup_list pages, cards, names;
    uint64_t           timeout;               /* ns                             */
    size_t             page_bytes;
};

/* ---- the queries ----------------------------------------------------------------------- */

/* With the asterisk, as a column of that name would be taken for the row. */
#define ROW    "\"the row\""
#define BEFORE                                                                                     \
    "SELECT place, columns, key, value, is_text FROM (SELECT r.n, c.place, c.key, v.value,"        \
    " coalesce(json_typeof(c.value) = 'string', false) AS is_text,"                                \
    " count(*) OVER (PARTITION BY r.n) AS columns,"                                                \
    " sum(octet_length(c.key) + coalesce(octet_length(v.value), 0) + 1)"                           \
    " OVER (ORDER BY r.n, c.place) AS bytes"                                                       \
    " FROM (SELECT row_number() OVER () AS n, row_to_json(" ROW ".*) AS cells FROM ("
#define AFTER                                                                                      \
    "\n) AS " ROW " LIMIT 100) AS r, json_each(r.cells) WITH ORDINALITY AS c (key, value, place)," \
    " LATERAL (SELECT left(c.value #>> '{}', 65536)) AS v (value)) AS cells"                       \
    " WHERE bytes - coalesce(octet_length(value), 0) < 65536 ORDER BY n, place"

_Static_assert(LOOKUP_ROWS == 100 && LOOKUP_BYTES == 65536, "the query says so, too");

static const struct pg_statement guard = { "lookup_guard",
                                           "SELECT set_config('transaction_read_only', 'on', true),"
                                           " set_config('statement_timeout', $1, true)" };

static void read_query(struct lookups *l, struct lookup_query *q, const struct query_settings *s,
                       const char *list, size_t at, unsigned names)
{
    char       why[LOOKUP_WHY_MAX], name[64];
    struct buf text = BUF(4 * LOOKUP_SQL_MAX);
    bool       good = lookup_sql_read(&q->sql, s->sql, names, why);

    assert(good);                             /* the settings have seen to it   */
    snprintf(name, sizeof name, "%s[%zu]", list, at);
    buf_lit(&text, BEFORE);
    buf_add(&text, buf_str(&q->sql.text));
    buf_lit(&text, AFTER);
    q->of = arena_str(&l->arena, s->of);
    q->type = arena_str(&l->arena, s->type);
    q->statement.name = arena_text(&l->arena, str_of(name));
    q->statement.sql = arena_text(&l->arena, buf_str(&text));
    buf_release(&text);
    lookup_sql_release(&q->sql);
}

static struct lookup_list read_list(struct lookups *l, const struct conf_records *from,
                                    const char *name, unsigned names)
{
    const struct query_settings *s = from->items;
    struct lookup_list           list = { .n = from->n };

    list.items = from->n ? arena_new(&l->arena, from->n * sizeof *list.items) : NULL;
    for (size_t i = 0; i < from->n; i++)
        read_query(l, &list.items[i], &s[i], name, i, names);
    return list;
}

/* One at a time on a connection: nobody's time runs out behind another's query. Nothing is
 * prepared, as a table that is not there would leave the pool without a connection. */
struct lookups *lookups_new(const struct pg_pool_settings *like, const struct lookup_settings *l)
{
    struct pg_pool_settings pool = { .conninfo = like->conninfo,
                                     .connections = CONNECTIONS,
                                     .max_waiting = WAITING_MAX,
                                     .at_once = 1,
                                     .aside = "lookups",
                                     .connect_timeout = like->connect_timeout };
    char                    why[PG_WHY_MAX];
    struct lookups         *made;

    if (!l || l->pages.n + l->cards.n + l->names.n == 0)
        return NULL;
    made = mem_new(sizeof *made);
    made->timeout = l->timeout;
    made->page_bytes = l->page_bytes;
    made->pages = read_list(made, &l->pages, "pages", LOOKUP_OF_ONE);
    made->cards = read_list(made, &l->cards, "cards", LOOKUP_OF_ONE);
    made->names = read_list(made, &l->names, "names", LOOKUP_OF_MANY);
    made->pool = pg_pool_open(&pool, NULL, why);
    if (made->pool)
        return made;
    LOG(LOG_ERROR, L_MSG("lookups have no database"), L_TEXT("why", why));
    lookups_free(made);
    return NULL;
}

void lookups_free(struct lookups *l)
{
    if (!l)
        return;
    if (l->pool)
        pg_pool_close(l->pool);
    arena_release(&l->arena);
    mem_free(l);
}

static const struct lookup_query *find(const struct lookup_list *list, struct str of)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->items[i].of, of))
            return &list->items[i];
    return NULL;
}

const struct lookup_query *lookup_page(const struct store *s, struct str page)
{
    const struct lookups      *l = store_lookups(s);
    const struct lookup_query *q = l && page.n ? find(&l->pages, page) : NULL;

    return q || !l || page.n == 0 ? q : find(&l->pages, STR("*"));
}

const struct lookup_query *lookup_card_of(const struct store *s, struct str context)
{
    return store_lookups(s) ? find(&store_lookups(s)->cards, context) : NULL;
}

const struct lookup_query *lookup_names_of(const struct store *s, struct str context)
{
    return store_lookups(s) ? find(&store_lookups(s)->names, context) : NULL;
}

/* ---- cells ----------------------------------------------------------------------------- */

struct cell {
    bool       begins_row, is_alone, is_text, is_there;
    struct str key, value;
};

struct cells {
    const struct pg_rows *rows;
    size_t                at, left;           /* bytes that may yet be taken    */
};

/* A database without an encoding may send what is no text. */
static bool next_cell(struct cells *c, struct cell *cell)
{
    if (c->at == pg_n_rows(c->rows) || c->left == 0)
        return false;
    cell->begins_row = pg_get_int(c->rows, c->at, 0) == 1;
    cell->is_alone = pg_get_int(c->rows, c->at, 1) == 1;
    cell->key = pg_get(c->rows, c->at, 2);
    cell->value = utf8_clip(pg_get(c->rows, c->at, 3), c->left);
    cell->is_text = pg_get_bool(c->rows, c->at, 4);
    cell->is_there =
        !pg_is_null(c->rows, c->at, 3) && utf8_is_valid(cell->key) && utf8_is_valid(cell->value);
    c->left -= cell->value.n;
    c->at++;
    return true;
}

static struct cells cells_of(const struct pg_rows *rows)
{
    return (struct cells){ .rows = rows, .left = LOOKUP_BYTES };
}

static struct lookup_call *call_of(struct verb *v)
{
    return LIST_OWNER(v, struct lookup_call, verb);
}

/* ---- a page ---------------------------------------------------------------------------- */

/* As much as fits, in whole characters. */
static void add_fitting(struct buf *b, struct str s)
{
    struct str fits = utf8_clip(s, b->limit - b->n);

    buf_add(b, fits);
    b->over = b->over || fits.n < s.n;
}

/* A line is one column's, whatever stands in it. */
static void add_line(struct buf *b, const struct cell *cell)
{
    size_t from;

    add_fitting(b, cell->key);
    add_fitting(b, STR(": "));
    from = b->n;
    add_fitting(b, cell->value);
    for (size_t i = from; i < b->n; i++)
        if (b->p[i] == '\n' || b->p[i] == '\r')
            b->p[i] = ' ';
}

static void take_text(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct lookup_call *c = call_of(v);
    struct buf          text = BUF(store_lookups(v->store)->page_bytes);
    struct cells        cells = cells_of(rows);
    struct cell         cell;
    bool                is_new_row = false;

    while (step > 0 && !text.over && next_cell(&cells, &cell)) {
        is_new_row = is_new_row || cell.begins_row;
        if (!cell.is_there)
            continue;
        if (text.n)
            add_fitting(&text, is_new_row && !cell.is_alone ? STR("\n\n") : STR("\n"));
        is_new_row = false;
        if (cell.is_alone && cell.is_text)
            add_fitting(&text, cell.value);
        else
            add_line(&text, &cell);
    }
    c->text = arena_str(&v->arena, buf_str(&text));
    buf_release(&text);
}

/* ---- a card ---------------------------------------------------------------------------- */

static bool find_cell(const struct pg_rows *rows, struct str key, struct cell *found)
{
    struct cells cells = cells_of(rows);
    bool         is_first = true;

    while (next_cell(&cells, found) && (is_first || !found->begins_row)) {
        is_first = false;
        if (str_eq(found->key, key))
            return true;
    }
    return false;
}

static void add_member(struct buf *b, struct str name, const struct cell *cell)
{
    if (b->p[b->n - 1] != '{')
        buf_add_char(b, ',');
    json_add_str(b, name);
    buf_add_char(b, ':');
    json_add_str(b, cell && cell->is_there ? cell->value : STR(""));
}

static bool stands_before(const struct pg_rows *rows, size_t at, struct str key)
{
    for (size_t i = 0; i < at; i++)
        if (str_eq(pg_get(rows, i, 2), key))
            return true;
    return false;
}

static void add_data(struct buf *b, const struct pg_rows *rows)
{
    struct cells cells = cells_of(rows);
    struct cell  cell;

    buf_lit(b, ",\"data\":{");
    while (next_cell(&cells, &cell) && (cells.at == 1 || !cell.begins_row))
        if (cell.is_there && !str_eq(cell.key, STR("title")) && !str_eq(cell.key, STR("summary")) &&
            !stands_before(rows, cells.at - 1, cell.key))
            add_member(b, cell.key, &cell);
    buf_lit(b, "}}");
}

static void take_card(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct lookup_call *c = call_of(v);
    struct buf          card = BUF(JSON_LIMIT);
    struct cell         title, summary, type = { .is_there = true, .value = c->query->type };

    c->text = (struct str){ NULL, 0 };
    c->missing = NULL;
    if (step == 0 || pg_n_rows(rows) == 0)
        return;
    if (!find_cell(rows, STR("title"), &title)) {
        c->missing = "title";
        return;
    }
    buf_lit(&card, "{");
    add_member(&card, STR("type"), &type);
    add_member(&card, STR("title"), &title);
    add_member(&card, STR("summary"), find_cell(rows, STR("summary"), &summary) ? &summary : NULL);
    add_data(&card, rows);
    c->text = arena_str(&v->arena, buf_str(&card));
    buf_release(&card);
}

/* ---- names ----------------------------------------------------------------------------- */

static void take_name(struct lookup_call *c, const struct lookup_pair *p)
{
    if (!p->id.p || !p->name.p)
        return;
    c->names[c->n].id = arena_str(&c->verb.arena, p->id);
    c->names[c->n++].name = arena_str(&c->verb.arena, p->name);
}

static void take_names(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct lookup_call *c = call_of(v);
    struct lookup_pair  pair = { { NULL, 0 }, { NULL, 0 } };
    struct cells        cells = cells_of(rows);
    struct cell         cell;
    bool                has_id = false, has_name = false;

    c->n = 0;
    c->missing = NULL;
    if (step == 0 || pg_n_rows(rows) == 0)
        return;
    c->names = arena_new(&v->arena, LOOKUP_ROWS * sizeof *c->names);
    while (next_cell(&cells, &cell)) {
        bool is_id = str_eq(cell.key, STR("id")), is_name = str_eq(cell.key, STR("name"));

        if (cell.begins_row) {
            take_name(c, &pair);
            pair = (struct lookup_pair){ { NULL, 0 }, { NULL, 0 } };
        }
        has_id = has_id || is_id;
        has_name = has_name || is_name;
        if (is_id && cell.is_there)
            pair.id = cell.value;
        if (is_name && cell.is_there)
            pair.name = cell.value;
    }
    take_name(c, &pair);
    c->missing = !has_id ? "id" : !has_name ? "name" : NULL;
}

/* ---- asking ---------------------------------------------------------------------------- */

static void judge_columns(struct verb *v)
{
    struct lookup_call *c = call_of(v);

    if (!c->missing)
        return;
    v->end = STORE_REFUSED;
    v->why = "a column is missing that it must have";
    LOG(LOG_WARN, L_MSG("lookup without a column"), L_TEXT("lookup", c->query->statement.name),
        L_TEXT("column", c->missing));
}

static void judge_card(struct verb *v)
{
    judge_columns(v);
    if (v->end == STORE_OK && call_of(v)->text.n == 0)
        v->end = STORE_NOT_FOUND;
}

static const struct verb_kind text_kind = { take_text, NULL };
static const struct verb_kind card_kind = { take_card, judge_card };
static const struct verb_kind names_kind = { take_names, judge_columns };

static void put_ids(struct pg_work *w, const struct str *ids, size_t n)
{
    pg_array(w);
    for (size_t i = 0; i < n; i++)
        pg_item(w, ids[i]);
    pg_array_end(w);
}

static void put_name(struct pg_work *w, enum lookup_name name, const struct lookup_about *a,
                     const struct str *ids, size_t n)
{
    switch (name) {
    case LOOKUP_CONTEXT_ID: put_text_or_null(w, a->context_id); return;
    case LOOKUP_USER_ID: put_text_or_null(w, a->user_id); return;
    case LOOKUP_SITE_ID: pg_int(w, a->site_id); return;
    case LOOKUP_TENANT: put_text_or_null(w, a->tenant); return;
    case LOOKUP_PAGE: put_text_or_null(w, a->page); return;
    case LOOKUP_FILTERS: put_text_or_null(w, a->page_context); return;
    case LOOKUP_CONTEXT_IDS: put_ids(w, ids, n); return;
    case LOOKUP_NAMES: assert(0 && "no name");
    }
}

/* What the connection itself takes comes on top of the query's time. */
static void ask(struct store *s, struct lookup_call *c, const struct verb_kind *kind,
                const struct lookup_query *q, const struct lookup_about *about,
                const struct str *ids, size_t n)
{
    struct lookups *l = store_lookups(s);
    struct pg_work *w = verb_begin(s, &c->verb, kind);

    c->query = q;
    c->text = (struct str){ NULL, 0 };
    c->names = NULL;
    c->n = 0;
    c->missing = NULL;
    w->is_foreign = true;
    w->bytes.limit = VALUES_MAX;
    w->max_wait = l->timeout;
    w->max_time = l->timeout + CLOCK_S;
    pg_step(w, &guard);
    pg_int(w, (int64_t)(l->timeout / CLOCK_MS));
    pg_step(w, &q->statement);
    for (size_t i = 0; i < q->sql.n; i++)
        put_name(w, q->sql.names[i], about, ids, n);
    pg_do(l->pool, w);
}

void lookup_text(struct store *s, struct lookup_call *c, const struct lookup_query *q,
                 const struct lookup_about *about)
{
    ask(s, c, &text_kind, q, about, NULL, 0);
}

void lookup_card(struct store *s, struct lookup_call *c, const struct lookup_query *q,
                 const struct lookup_about *about)
{
    ask(s, c, &card_kind, q, about, NULL, 0);
}

void lookup_names(struct store *s, struct lookup_call *c, const struct lookup_query *q,
                  const struct lookup_about *about, const struct str *ids, size_t n)
{
    ask(s, c, &names_kind, q, about, ids, n);
}
