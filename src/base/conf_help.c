/* conf_help.c - the table of settings, for people. */
#include "base/conf_value.h"

#include <stdio.h>
#include <string.h>

typedef void row_fn(struct buf *out, const char *key, const struct conf_field *f, bool in_record);

static void each_field(const struct conf_record *r, const char *above, bool in_record,
                       struct buf *out, row_fn *row)
{
    for (const struct conf_field *f = r->fields; f->name; f++) {
        char key[CONF_KEY_MAX];

        snprintf(key, sizeof key, "%s%s%s", above, *above ? "." : "", f->name);
        if (f->kind != CONF_SECTION)
            row(out, key, f, in_record);
        if (f->kind == CONF_RECORDS)
            snprintf(key + strlen(key), sizeof key - strlen(key), "[]");
        if (f->record)
            each_field(f->record, key, in_record || f->kind == CONF_RECORDS, out, row);
    }
}

static void add_range(struct buf *out, const struct conf_field *f)
{
    char low[32], high[32];

    if (f->kind == CONF_CHOICE) {
        for (int i = 0; f->choices[i]; i++)
            buf_addf(out, i ? ", %s" : "%s", f->choices[i]);
    } else if (f->kind == CONF_COUNT || f->kind == CONF_BYTES || f->kind == CONF_TIME) {
        buf_addf(out, "%s to %s", conf_bound_text(f, f->min, low),
                 conf_bound_text(f, f->max, high));
    } else if (f->expects) {
        buf_add(out, str_of(f->expects));
    } else {
        buf_add(out, str_of(f->kind == CONF_TEXT ? "text" : "list"));
    }
}

static void help_row(struct buf *out, const char *key, const struct conf_field *f, bool in_record)
{
    (void)in_record;
    buf_addf(out, "  %s", key);
    if (f->fallback && f->fallback[0])
        buf_addf(out, " = %s", f->fallback);
    buf_lit(out, "  (");
    add_range(out, f);
    buf_addf(out, ")\n      %s\n", f->help);
}

static void markdown_row(struct buf *out, const char *key, const struct conf_field *f,
                         bool in_record)
{
    char env[CONF_ENV_MAX] = "";

    if (!in_record && f->kind != CONF_RECORDS)
        conf_env_name(key, env);
    buf_addf(out, "| `%s` | %s%s%s | ", key, *env ? "`" : "", env, *env ? "`" : "");
    if (f->fallback && f->fallback[0])
        buf_addf(out, "`%s`", f->fallback);
    buf_lit(out, " | ");
    add_range(out, f);
    buf_addf(out, " | %s |\n", f->help);
}

void conf_write_help(const struct conf_record *root, struct buf *out)
{
    each_field(root, "", false, out, help_row);
}

void conf_write_markdown(const struct conf_record *root, struct buf *out)
{
    buf_lit(out, "| setting | environment | default | values | what it does |\n"
                 "|---|---|---|---|---|\n");
    each_field(root, "", false, out, markdown_row);
}
