#include "store/tools.h"

enum { OF_TENANT };
enum { N_TEXTS = 10, ALL_TEXTS_MAX = 64 << 20 };

const struct pg_statement tool_statements[] = {
    [OF_TENANT] = { "tools_of_tenant",
                    "SELECT name, description, method, url, parameters::text, timeout_ms || 'ms',"
                    " max_output_bytes::text, CASE WHEN runs_alone THEN 'true' ELSE 'false' END,"
                    " array_to_string(headers, E'\\n'), array_to_string(models, E'\\n')"
                    " FROM runnel.tool WHERE tenant = $1 AND NOT is_disabled"
                    " ORDER BY name LIMIT $2" },
    { NULL, NULL },
};

/* With the length of each, so that no text can pass for two. */
static void take_digest(struct tools_call *c, const struct pg_rows *rows)
{
    struct buf all = BUF(ALL_TEXTS_MAX);

    for (size_t row = 0; row < pg_n_rows(rows); row++)
        for (int column = 0; column < N_TEXTS; column++) {
            struct str text = pg_get(rows, row, column);

            buf_addf(&all, pg_is_null(rows, row, column) ? "- " : "%zu ", text.n);
            buf_add(&all, text);
        }
    sha256(buf_str(&all), c->digest);
    buf_release(&all);
}

static struct kept_tool take_tool(struct verb *v, const struct pg_rows *rows, size_t row)
{
    return (struct kept_tool){ .name = verb_text(v, rows, row, 0),
                               .description = verb_text(v, rows, row, 1),
                               .method = verb_text(v, rows, row, 2),
                               .url = verb_text(v, rows, row, 3),
                               .parameters = verb_text(v, rows, row, 4),
                               .timeout = verb_text(v, rows, row, 5),
                               .max_output = verb_text(v, rows, row, 6),
                               .alone = verb_text(v, rows, row, 7),
                               .headers = verb_text(v, rows, row, 8),
                               .models = verb_text(v, rows, row, 9),
                               .is_for_all = pg_is_null(rows, row, 9) };
}

static void take_tools(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct tools_call *c = (struct tools_call *)v;

    (void)step;
    c->n = pg_n_rows(rows);
    c->tools = arena_new(&v->arena, c->n * sizeof *c->tools);
    for (size_t row = 0; row < c->n; row++)
        c->tools[row] = take_tool(v, rows, row);
    take_digest(c, rows);
}

static const struct verb_kind tools_kind = { .rows = take_tools };

void tools_of_tenant(struct store *s, struct tools_call *c, int32_t tenant)
{
    struct pg_work *w = verb_begin(s, &c->verb, &tools_kind);

    c->n = 0;
    pg_step(w, &tool_statements[OF_TENANT]);
    pg_int(w, tenant);
    pg_int(w, TENANT_TOOLS_MAX);
    verb_send(&c->verb);
}
