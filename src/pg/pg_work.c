#include "pg/pg_work.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS_LIMIT = 256 << 20, WORDS_LIMIT = 300 };

static const char *const end_names[] = { "done", "refused", "busy", "away", "unknown" };

const char *pg_end_name(enum pg_end end)
{
    return end_names[end];
}

struct pg_work *pg_work_new(const struct pg_work_ops *ops, void *owner)
{
    struct pg_work *w = mem_new(sizeof *w);

    w->ops = ops;
    w->owner = owner;
    w->max_wait = 2 * CLOCK_S;
    w->max_time = 5 * CLOCK_S;
    w->bytes = BUF(PARAMS_LIMIT);
    w->words = BUF(WORDS_LIMIT);
    return w;
}

void pg_work_free(struct pg_work *w)
{
    buf_release(&w->bytes);
    buf_release(&w->words);
    mem_free(w);
}

void pg_step(struct pg_work *w, const struct pg_statement *statement)
{
    assert(w->n_steps < PG_STEPS_MAX);
    w->steps[w->n_steps++] = statement;
}

void pg_work_keep_words(struct pg_work *w, struct str words)
{
    buf_clear(&w->words);
    buf_add(&w->words, utf8_clip(words, WORDS_LIMIT));
}

/* ---- parameters ---------------------------------------------------------------------- */

static void begin_param(struct pg_work *w)
{
    assert(w->n_steps && w->n < PG_PARAMS_MAX);
    w->params[w->n++] = w->bytes.n;
    w->n_params[w->n_steps - 1]++;
}

/* PostgreSQL's text cannot hold a NUL, and here it would end the parameter early. */
static void add_text(struct pg_work *w, struct str text)
{
    w->is_text_bad = w->is_text_bad || (text.n && memchr(text.p, '\0', text.n));
    buf_add(&w->bytes, text);
}

void pg_text(struct pg_work *w, struct str text)
{
    begin_param(w);
    add_text(w, text);
    buf_add_char(&w->bytes, '\0');
}

void pg_int(struct pg_work *w, int64_t v)
{
    begin_param(w);
    buf_add_i64(&w->bytes, v);
    buf_add_char(&w->bytes, '\0');
}

void pg_bool(struct pg_work *w, bool v)
{
    pg_text(w, v ? STR("t") : STR("f"));
}

void pg_null(struct pg_work *w)
{
    begin_param(w);
    w->params[w->n - 1] = SIZE_MAX;
}

static void add_hex(struct buf *b, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char             *to;

    if (bytes.n > SIZE_MAX / 2 || !buf_reserve(b, 2 * bytes.n))
        return;
    to = b->p + b->n;
    for (size_t i = 0; i < bytes.n; i++) {
        *to++ = digits[(unsigned char)bytes.p[i] >> 4];
        *to++ = digits[bytes.p[i] & 15];
    }
    b->n += 2 * bytes.n;
}

void pg_bytes(struct pg_work *w, struct str bytes)
{
    begin_param(w);
    buf_lit(&w->bytes, "\\x");
    add_hex(&w->bytes, bytes);
    buf_add_char(&w->bytes, '\0');
}

void pg_array(struct pg_work *w)
{
    begin_param(w);
    buf_add_char(&w->bytes, '{');
}

static void begin_item(struct pg_work *w)
{
    if (w->bytes.n && w->bytes.p[w->bytes.n - 1] != '{')
        buf_add_char(&w->bytes, ',');
}

void pg_item(struct pg_work *w, struct str text)
{
    size_t from = 0;

    begin_item(w);
    w->is_text_bad = w->is_text_bad || (text.n && memchr(text.p, '\0', text.n));
    buf_add_char(&w->bytes, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '"' && text.p[i] != '\\')
            continue;
        buf_add(&w->bytes, (struct str){ text.p + from, i - from });
        buf_add_char(&w->bytes, '\\');
        from = i;
    }
    buf_add(&w->bytes, str_from(text, from));
    buf_add_char(&w->bytes, '"');
}

void pg_item_bytes(struct pg_work *w, struct str bytes)
{
    begin_item(w);
    buf_lit(&w->bytes, "\"\\\\x");
    add_hex(&w->bytes, bytes);
    buf_add_char(&w->bytes, '"');
}

void pg_item_int(struct pg_work *w, int64_t v)
{
    begin_item(w);
    buf_add_i64(&w->bytes, v);
}

void pg_item_null(struct pg_work *w)
{
    begin_item(w);
    buf_lit(&w->bytes, "NULL");
}

void pg_array_end(struct pg_work *w)
{
    buf_add_char(&w->bytes, '}');
    buf_add_char(&w->bytes, '\0');
}

/* ---- rows ---------------------------------------------------------------------------- */

static int row_of(const struct pg_rows *rows, size_t row)
{
    return (int)(rows->first + row);
}

size_t pg_n_rows(const struct pg_rows *rows)
{
    return rows->n;
}

size_t pg_n_touched(const struct pg_rows *rows)
{
    return strtoul(PQcmdTuples((PGresult *)(uintptr_t)rows->result), NULL, 10);
}

bool pg_is_null(const struct pg_rows *rows, size_t row, int column)
{
    return PQgetisnull(rows->result, row_of(rows, row), column) != 0;
}

struct str pg_get(const struct pg_rows *rows, size_t row, int column)
{
    return (struct str){ PQgetvalue(rows->result, row_of(rows, row), column),
                         (size_t)PQgetlength(rows->result, row_of(rows, row), column) };
}

int64_t pg_get_int(const struct pg_rows *rows, size_t row, int column)
{
    return strtoll(PQgetvalue(rows->result, row_of(rows, row), column), NULL, 10);
}

bool pg_get_bool(const struct pg_rows *rows, size_t row, int column)
{
    return PQgetvalue(rows->result, row_of(rows, row), column)[0] == 't';
}

int pg_n_columns(const struct pg_rows *rows)
{
    return PQnfields(rows->result);
}

const char *pg_column_name(const struct pg_rows *rows, int column)
{
    return PQfname(rows->result, column);
}

/* The numbers of the types that every database has are promised not to change. */
enum pg_kind pg_column_kind(const struct pg_rows *rows, int column)
{
    switch (PQftype(rows->result, column)) {
    case 16: return PG_BOOL;
    case 20:                                  /* bigint                         */
    case 21:                                  /* smallint                       */
    case 23: return PG_NUMBER;                /* integer                        */
    case 114:                                 /* json                           */
    case 3802: return PG_JSON;                /* jsonb                          */
    default: return PG_TEXT;
    }
}
