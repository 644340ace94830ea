/* command_print.c - rows for people and for programs. */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "command/command_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { OUTPUT_MAX = 1 << 30 };

/* A key that is shown once must have been shown. */
void command_print(const struct buf *out)
{
    if ((out->n && fwrite(out->p, 1, out->n, stdout) != out->n) || fflush(stdout) != 0)
        die("the answer cannot be written: %s", strerror(errno));
}

static const struct pg_rows *must(const struct command_call *c, const struct pg_rows *rows)
{
    if (!rows)
        die("the database refuses: %s", pg_now_why(c->db));
    return rows;
}

/* ---- JSON ---------------------------------------------------------------------------- */

static void add_json(struct buf *out, const struct pg_rows *rows, size_t row, int column)
{
    struct str text = pg_get(rows, row, column);

    if (pg_is_null(rows, row, column)) {
        buf_lit(out, "null");
        return;
    }
    switch (pg_column_kind(rows, column)) {
    case PG_BOOL: buf_add(out, pg_get_bool(rows, row, column) ? STR("true") : STR("false")); return;
    case PG_NUMBER:
    case PG_JSON: buf_add(out, text); return;
    case PG_TEXT: json_add_str(out, text); return;
    }
}

void command_print_members(struct buf *out, const struct pg_rows *rows, size_t row)
{
    for (int column = 0; column < pg_n_columns(rows); column++) {
        buf_addf(out, column ? ",\"%s\":" : "\"%s\":", pg_column_name(rows, column));
        add_json(out, rows, row, column);
    }
}

static void add_object(struct buf *out, const struct pg_rows *rows, size_t row)
{
    buf_lit(out, "{");
    command_print_members(out, rows, row);
    buf_lit(out, "}");
}

static void add_array(struct buf *out, const struct pg_rows *rows)
{
    buf_lit(out, "[");
    for (size_t row = 0; row < pg_n_rows(rows); row++) {
        buf_add(out, row ? STR(",\n ") : STR(""));
        add_object(out, rows, row);
    }
    buf_lit(out, "]\n");
}

/* ---- a table ------------------------------------------------------------------------- */

static size_t width_of(struct str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return n;
}

static struct str cell(const struct pg_rows *rows, size_t row, int column)
{
    return pg_is_null(rows, row, column) ? STR("-") : pg_get(rows, row, column);
}

void command_add_shown(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char b = (unsigned char)text.p[i];
        bool          is_c1 = b == 0xc2 && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xa0;

        buf_add_char(out, b < ' ' || b == 0x7f || is_c1 ? '?' : text.p[i]);
        i += is_c1;
    }
}

static void add_cell(struct buf *out, struct str text, size_t width, bool is_last)
{
    command_add_shown(out, text);
    for (size_t n = width_of(text); !is_last && n < width + 2; n++)
        buf_add_char(out, ' ');
}

static void add_table(struct buf *out, const struct pg_rows *rows)
{
    int     n = pg_n_columns(rows);
    size_t *widths = mem_new((size_t)n * sizeof *widths);

    for (int column = 0; column < n; column++) {
        widths[column] = strlen(pg_column_name(rows, column));
        for (size_t row = 0; row < pg_n_rows(rows); row++) {
            size_t width = width_of(cell(rows, row, column));

            widths[column] = width > widths[column] ? width : widths[column];
        }
        add_cell(out, str_of(pg_column_name(rows, column)), widths[column], column == n - 1);
    }
    buf_lit(out, "\n");
    for (size_t row = 0; row < pg_n_rows(rows); row++) {
        for (int column = 0; column < n; column++)
            add_cell(out, cell(rows, row, column), widths[column], column == n - 1);
        buf_lit(out, "\n");
    }
    mem_free(widths);
}

/* A line for each column: what has many is too wide for a table. */
static void add_facts(struct buf *out, const struct pg_rows *rows)
{
    size_t width = 0;

    for (int column = 0; column < pg_n_columns(rows); column++) {
        size_t n = strlen(pg_column_name(rows, column));

        width = n > width ? n : width;
    }
    for (int column = 0; column < pg_n_columns(rows); column++) {
        add_cell(out, str_of(pg_column_name(rows, column)), width, false);
        add_cell(out, cell(rows, 0, column), 0, true);
        buf_lit(out, "\n");
    }
}

/* ---- rows ---------------------------------------------------------------------------- */

static void print_and_release(struct buf *out)
{
    if (out->over)
        die("the answer is larger than 1 GiB");
    command_print(out);
    buf_release(out);
}

void command_print_rows(const struct command_call *c, const struct pg_rows *rows)
{
    struct buf out = BUF(OUTPUT_MAX);

    must(c, rows);
    if (c->as_json)
        add_array(&out, rows);
    else
        add_table(&out, rows);
    print_and_release(&out);
}

static void print_one(const struct command_call *c, const struct pg_rows *rows,
                      void (*add)(struct buf *out, const struct pg_rows *rows))
{
    struct buf out = BUF(OUTPUT_MAX);

    must(c, rows);
    if (c->as_json) {
        add_object(&out, rows, 0);
        buf_lit(&out, "\n");
    } else {
        add(&out, rows);
    }
    print_and_release(&out);
}

void command_print_row(const struct command_call *c, const struct pg_rows *rows)
{
    print_one(c, rows, add_table);
}

void command_print_facts(const struct command_call *c, const struct pg_rows *rows)
{
    print_one(c, rows, add_facts);
}
