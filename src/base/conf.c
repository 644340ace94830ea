/* conf.c - settings by a table, in four rounds: defaults, file, environment, command line. */
#include "base/conf.h"

#include "base/conf_value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- round one: defaults --------------------------------------------------- */

void conf_set_defaults(const struct conf_place *at, const struct conf_record *r, char *out)
{
    for (const struct conf_field *f = r->fields; f->name; f++) {
        struct conf_place here = conf_below(at, f->name);

        if (f->kind == CONF_SECTION)
            conf_set_defaults(&here, f->record, out + f->offset);
        else if (f->kind != CONF_RECORDS && f->fallback)
            conf_read_line(&here, f, str_of(f->fallback), out + f->offset);
    }
}

const struct conf_field *conf_find_field(const struct conf_record *r, const char *name)
{
    for (const struct conf_field *f = r->fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

/* ---- rounds three and four: environment and command line ---------------------- */

void conf_env_name(const char *key, char out[CONF_ENV_MAX])
{
    size_t n = (size_t)snprintf(out, CONF_ENV_MAX, "RUNNEL_%s", key);

    for (size_t i = 7; i < n; i++)
        out[i] = (char)(out[i] == '.' ? '_' : toupper((unsigned char)out[i]));
}

static void read_environment(const struct conf_place *at, const struct conf_record *r, char *out)
{
    for (const struct conf_field *f = r->fields; f->name; f++) {
        struct conf_place here = conf_below(at, f->name);
        char              name[CONF_ENV_MAX];
        const char       *value;

        if (f->kind == CONF_SECTION)
            read_environment(&here, f->record, out + f->offset);
        if (f->kind == CONF_SECTION || f->kind == CONF_RECORDS)
            continue;
        conf_env_name(here.key, name);
        value = getenv(name);
        memcpy(here.key, name, sizeof here.key);
        if (value)
            conf_read_line(&here, f, str_of(value), out + f->offset);
    }
}

static void read_override(const struct conf_place *at, const struct conf_record *root, char *out,
                          const char *text)
{
    const struct conf_field  *f = NULL;
    const struct conf_record *r = root;
    struct str                key = { text, strcspn(text, "=") }, piece;
    struct conf_place         here = *at;

    snprintf(here.key, sizeof here.key, "%.*s", STR_ARG(key));
    if (text[key.n] != '=') {
        conf_tell(&here, "write it as name=value");
        return;
    }
    while (r && str_next(&key, '.', &piece)) {
        f = conf_find_field(r, arena_text(at->load->arena, piece));
        r = f && f->kind == CONF_SECTION ? f->record : NULL;
        out += f ? f->offset : 0;
    }
    if (!f || key.p || r || f->kind == CONF_RECORDS)
        conf_tell(&here, "there is no such setting%s",
                  f && f->kind == CONF_RECORDS ? " for the command line; use a file" : "");
    else
        conf_read_line(&here, f, str_of(strchr(text, '=') + 1), out);
}

/* ---- from elsewhere --------------------------------------------------------------- */

static void read_texts(const struct conf_place *at, const struct conf_field *f,
                       const struct conf_texts *texts, struct conf_texts *to)
{
    conf_grow_texts(at, to, texts->n);
    for (size_t i = 0; i < texts->n; i++)
        conf_read_text(at, f, texts->items[i], &to->items[i]);
    conf_check_list(at, f, to);
}

void conf_read_given(const struct conf_load *load, const struct conf_record *r, void *out,
                     const struct conf_given *given, size_t n)
{
    struct conf_place at = { .load = load };

    conf_set_defaults(&at, r, out);
    for (size_t i = 0; i < n; i++) {
        const struct conf_field *f = conf_find_field(r, given[i].name);
        char                    *to = (char *)out + f->offset;

        snprintf(at.key, sizeof at.key, "%s", given[i].called);
        if (f->kind == CONF_TEXTS)
            read_texts(&at, f, &given[i].texts, (struct conf_texts *)to);
        else
            conf_read_line(&at, f, given[i].text, to);
    }
}

/* ---- all of them -------------------------------------------------------------------- */

void conf_read(const struct conf_load *load, const struct conf_record *root, void *out,
               const char *const *overrides)
{
    struct conf_place at = { .load = load };

    conf_set_defaults(&at, root, out);
    if (load->file)
        conf_read_file(load, root, out);
    at.source = "environment";
    at.hidden = true;
    read_environment(&at, root, out);
    at.source = "command line";
    at.hidden = false;
    for (; overrides && *overrides; overrides++)
        read_override(&at, root, out, *overrides);
}
