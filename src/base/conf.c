/* conf.c - settings by a table, in four rounds: defaults, file, environment, command line.
 *
 * A value is always read from text by read_scalar(), whatever round it comes from.
 * `struct place` is where we are: the file's line or the variable's name, and the key
 * as a person would write it (models[0].targets[1].provider). */
#include "base/conf.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { KEY_MAX = 160, MISTAKES_MAX = 100, FILE_MAX_BYTES = 1 << 20 };

struct place {
    const struct conf_load *load;
    const char             *source;           /* "environment", or NULL: the file */
    int                     line;
    bool                    hidden;           /* the value may be a secret: do not show it */
    char                    key[KEY_MAX];
};

/* ---- mistakes ------------------------------------------------------------- */

static void add_mistake(const struct conf_load *load, const char *source, int line,
                        const char *key, const char *format, va_list args)
{
    char why[400];

    vsnprintf(why, sizeof why, format, args);
    if (source)
        buf_addf(load->mistakes, "%s: %s: %s\n", source, key, why);
    else if (line)
        buf_addf(load->mistakes, "%s:%d: %s: %s\n", load->file, line, key, why);
    else
        buf_addf(load->mistakes, "%s: %s: %s\n", load->file ? load->file : "settings", key, why);
}

void conf_mistake(const struct conf_load *load, int line, const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_mistake(load, NULL, line, key, format, args);
    va_end(args);
}

static void mistake(const struct place *at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void mistake(const struct place *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_mistake(at->load, at->source, at->line, at->key[0] ? at->key : "(file)", format, args);
    va_end(args);
}

/* A value as a mistake may show it: what came out of the environment stays there. */
static const char *shown(const struct place *at, struct str text, char out[80])
{
    if (at->hidden)
        return "the value of a variable";
    snprintf(out, 80, "\"%.60s\"", text.p);
    return out;
}

static struct place place_below(const struct place *at, const char *name)
{
    struct place below = *at;
    size_t       n = strlen(below.key);

    snprintf(below.key + n, sizeof below.key - n, n ? ".%s" : "%s", name);
    return below;
}

/* ---- one value from text -------------------------------------------------- */

static const struct unit {
    enum conf_kind kind;
    const char    *name;
    uint64_t       factor;
} units[] = {
    { CONF_BYTES, "KiB", 1 << 10 },  { CONF_BYTES, "MiB", 1 << 20 },
    { CONF_BYTES, "GiB", 1 << 30 },  { CONF_TIME, "ms", CLOCK_MS },
    { CONF_TIME, "s", CLOCK_S },     { CONF_TIME, "m", 60 * CLOCK_S },
    { CONF_TIME, "h", 3600 * CLOCK_S },
};

static uint64_t unit_factor(enum conf_kind kind, struct str name)
{
    if (name.n == 0)
        return kind == CONF_TIME ? CLOCK_S : 1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].kind == kind && str_eq(name, str_of(units[i].name)))
            return units[i].factor;
    return 0;
}

static bool parse_number(const struct conf_field *f, struct str text, uint64_t *value)
{
    size_t   digits = 0;
    uint64_t factor;

    while (digits < text.n && isdigit((unsigned char)text.p[digits]))
        digits++;
    factor = unit_factor(f->kind, str_trim(str_from(text, digits)));
    if (!factor || !str_to_u64((struct str){ text.p, digits }, value))
        return false;
    if (*value > UINT64_MAX / factor)
        return false;
    *value *= factor;
    return true;
}

/* A bound as a person would write it. */
static const char *bound_text(const struct conf_field *f, uint64_t v, char out[32])
{
    const char *unit = "";

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].kind == f->kind && v && v % units[i].factor == 0)
            unit = units[i].name;
    snprintf(out, 32, "%llu%s", (unsigned long long)(*unit ? v / unit_factor(f->kind, str_of(unit)) : v),
             unit);
    return out;
}

static const char *expected(enum conf_kind kind)
{
    switch (kind) {
    case CONF_COUNT: return "a whole number";
    case CONF_BYTES: return "a size such as 4096, 64KiB or 8MiB";
    case CONF_TIME:  return "a time such as 500ms, 10s or 5m";
    default:         return "text";
    }
}

static void read_number(const struct place *at, const struct conf_field *f, struct str text, void *to)
{
    uint64_t v;
    char     low[32], high[32], value[80];

    if (!parse_number(f, text, &v))
        mistake(at, "expects %s, not %s", expected(f->kind), shown(at, text, value));
    else if (v < f->min || v > f->max)
        mistake(at, "%s is out of range (%s to %s)", shown(at, text, value),
                bound_text(f, f->min, low), bound_text(f, f->max, high));
    else
        memcpy(to, &v, sizeof v);
}

static void read_choice(const struct place *at, const struct conf_field *f, struct str text, void *to)
{
    char   list[200] = "", value[80];
    size_t n = 0;

    for (int i = 0; f->choices[i]; i++) {
        if (str_eq(text, str_of(f->choices[i]))) {
            memcpy(to, &i, sizeof i);
            return;
        }
        n += (size_t)snprintf(list + n, sizeof list - n, n ? ", %s" : "%s", f->choices[i]);
    }
    mistake(at, "%s is not one of %s", shown(at, text, value), list);
}

static void read_text(const struct place *at, const struct conf_field *f, struct str text, void *to)
{
    struct str copy = arena_str(at->load->arena, text);
    char       value[80];

    if (f->is_good && !f->is_good(copy))
        mistake(at, "expects %s, not %s", f->expects, shown(at, copy, value));
    else
        memcpy(to, &copy, sizeof copy);
}

static void read_scalar(const struct place *at, const struct conf_field *f, struct str text, void *to)
{
    switch (f->kind) {
    case CONF_TEXT:
        read_text(at, f, text, to);
        return;
    case CONF_CHOICE:
        read_choice(at, f, text, to);
        return;
    case CONF_COUNT:
    case CONF_BYTES:
    case CONF_TIME:
        read_number(at, f, text, to);
        return;
    default:
        assert(!"a list or a section has no single value");
    }
}

static struct str *grow_texts(const struct place *at, struct conf_texts *list, size_t n)
{
    struct str *items = arena_new(at->load->arena, n * sizeof *items);

    list->items = items;
    list->n = n;
    return items;
}

/* A list from one line of text: comma-separated. */
static void read_comma_list(const struct place *at, const struct conf_field *f, struct str text,
                            struct conf_texts *to)
{
    struct str rest = text, piece;
    size_t     n = 0;

    while (str_next(&rest, ',', &piece))
        n += str_trim(piece).n > 0;
    grow_texts(at, to, n);
    rest = text;
    for (size_t i = 0; i < n && str_next(&rest, ',', &piece);)
        if (str_trim(piece).n)
            read_text(at, f, arena_str(at->load->arena, str_trim(piece)), &to->items[i++]);
}

static void check_list(const struct place *at, const struct conf_field *f, const struct conf_texts *list)
{
    const char *objection = f->objection ? f->objection(list) : NULL;

    if (objection)
        mistake(at, "%s", objection);
}

static void read_line(const struct place *at, const struct conf_field *f, struct str text, void *to)
{
    if (f->kind != CONF_TEXTS) {
        read_scalar(at, f, text, to);
        return;
    }
    read_comma_list(at, f, text, to);
    check_list(at, f, to);
}

/* ---- round one: defaults --------------------------------------------------- */

static void set_defaults(const struct place *at, const struct conf_record *r, char *out)
{
    for (const struct conf_field *f = r->fields; f->name; f++) {
        struct place here = place_below(at, f->name);

        if (f->kind == CONF_SECTION)
            set_defaults(&here, f->record, out + f->offset);
        else if (f->kind != CONF_RECORDS && f->fallback)
            read_line(&here, f, str_of(f->fallback), out + f->offset);
    }
}

/* ---- round two: the file ---------------------------------------------------- */

struct reader {
    yaml_document_t document;
    struct place    place;
};

static void read_mapping(struct reader *rd, const struct place *at, yaml_node_t *node,
                         const struct conf_record *r, char *out);

/* Where a node stands, 1-based. */
static struct place place_of(const struct place *at, const yaml_node_t *node)
{
    struct place here = *at;

    here.line = (int)node->start_mark.line + 1;
    return here;
}

static bool variable(const struct place *at, struct str name, struct buf *out)
{
    const char *dash = name.n ? memchr(name.p, ':', name.n) : NULL;
    struct str  plain = { name.p, dash ? (size_t)(dash - name.p) : name.n };
    struct str  otherwise = dash ? str_from(name, plain.n) : (struct str){ NULL, 0 };
    const char *value = getenv(arena_text(at->load->arena, plain));

    if (value && (*value || !dash))
        buf_add(out, str_of(value));
    else if (dash && str_starts(otherwise, STR(":-")))
        buf_add(out, str_from(otherwise, 2));
    else
        mistake(at, "the environment has no variable %.*s (write ${%.*s:-} if it may be missing)",
                STR_ARG(plain), STR_ARG(plain));
    return value || dash;
}

/* ${NAME} and ${NAME:-otherwise} become the variable's value; $$ is one dollar. */
static bool expand(struct place *at, struct str text, struct buf *out)
{
    bool good = true;

    for (size_t i = 0; i < text.n; i++) {
        const char *end = NULL;

        if (text.p[i] == '$' && i + 1 < text.n && text.p[i + 1] == '{')
            end = memchr(text.p + i, '}', text.n - i);
        if (end) {
            struct str name = { text.p + i + 2, (size_t)(end - text.p) - i - 2 };

            at->hidden = true;
            good = variable(at, name, out) && good;
            i = (size_t)(end - text.p);
        } else {
            i += text.p[i] == '$' && i + 1 < text.n && text.p[i + 1] == '$';
            buf_add_char(out, text.p[i]);
        }
    }
    return good;
}

static bool node_text(struct place *at, const yaml_node_t *node, struct str *text)
{
    struct str raw = { (const char *)node->data.scalar.value, node->data.scalar.length };
    struct buf out = BUF(FILE_MAX_BYTES);
    bool       good = expand(at, raw, &out);

    if (raw.n && memchr(raw.p, 0, raw.n)) {
        mistake(at, "holds a NUL character");
        good = false;
    }
    *text = arena_str(at->load->arena, buf_str(&out));
    buf_release(&out);
    return good;
}

static void read_text_list(struct reader *rd, const struct place *at, yaml_node_t *node,
                           const struct conf_field *f, struct conf_texts *to)
{
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);

    grow_texts(at, to, n);
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *item = yaml_document_get_node(&rd->document, node->data.sequence.items.start[i]);
        struct place here = place_of(at, item);
        struct str   text;

        snprintf(here.key + strlen(here.key), sizeof here.key - strlen(here.key), "[%zu]", i);
        if (item->type != YAML_SCALAR_NODE)
            mistake(&here, "expects text");
        else if (node_text(&here, item, &text))
            read_text(&here, f, text, &to->items[i]);
    }
    check_list(at, f, to);
}

static void read_records(struct reader *rd, const struct place *at, yaml_node_t *node,
                         const struct conf_field *f, struct conf_records *to)
{
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);

    if (n < f->min)
        mistake(at, "needs at least one");
    to->items = arena_new(at->load->arena, n * f->record->size);
    to->n = n;
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *item = yaml_document_get_node(&rd->document, node->data.sequence.items.start[i]);
        char        *record = (char *)to->items + i * f->record->size;
        struct place here = place_of(at, item);

        snprintf(here.key + strlen(here.key), sizeof here.key - strlen(here.key), "[%zu]", i);
        memcpy(record + f->record->line_offset, &here.line, sizeof here.line);
        set_defaults(&here, f->record, record);
        if (item->type != YAML_MAPPING_NODE)
            mistake(&here, "expects named settings ({name: ..., ...})");
        else
            read_mapping(rd, &here, item, f->record, record);
    }
}

static bool is_null(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE &&
           node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (node->data.scalar.length == 0 || strcmp((char *)node->data.scalar.value, "null") == 0 ||
            strcmp((char *)node->data.scalar.value, "~") == 0);
}

/* Null means "as if it were not there". */
static void read_node(struct reader *rd, const struct place *at, yaml_node_t *node,
                      const struct conf_field *f, char *to)
{
    bool         wants_list = f->kind == CONF_TEXTS || f->kind == CONF_RECORDS;
    struct place here = *at;
    struct str   text;

    if (is_null(node))
        return;
    if (f->kind == CONF_SECTION) {
        if (node->type == YAML_MAPPING_NODE)
            read_mapping(rd, at, node, f->record, to);
        else
            mistake(at, "expects named settings below it");
    } else if (wants_list && node->type == YAML_SEQUENCE_NODE) {
        if (f->kind == CONF_TEXTS)
            read_text_list(rd, at, node, f, (struct conf_texts *)(void *)to);
        else
            read_records(rd, at, node, f, (struct conf_records *)(void *)to);
    } else if (f->kind == CONF_RECORDS || node->type != YAML_SCALAR_NODE) {
        mistake(at, wants_list ? "expects a list" : "expects %s", expected(f->kind));
    } else if (node_text(&here, node, &text)) {
        read_line(&here, f, text, to);
    }
}

static const struct conf_field *find_field(const struct conf_record *r, const char *name)
{
    for (const struct conf_field *f = r->fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

static bool key_came_before(struct reader *rd, const yaml_node_t *mapping, yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(&rd->document, pair->key);

    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *other = yaml_document_get_node(&rd->document, p->key);

        if (other->type == YAML_SCALAR_NODE && strcmp((char *)other->data.scalar.value,
                                                      (char *)key->data.scalar.value) == 0)
            return true;
    }
    return false;
}

static void require_fields(const struct place *at, struct reader *rd, const yaml_node_t *mapping,
                           const struct conf_record *r)
{
    for (const struct conf_field *f = r->fields; f->name; f++) {
        bool found = f->fallback || f->kind == CONF_SECTION;

        for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start;
             !found && p < mapping->data.mapping.pairs.top; p++) {
            yaml_node_t *key = yaml_document_get_node(&rd->document, p->key);
            yaml_node_t *value = yaml_document_get_node(&rd->document, p->value);

            found = key->type == YAML_SCALAR_NODE && !is_null(value) &&
                    strcmp((char *)key->data.scalar.value, f->name) == 0;
        }
        if (!found) {
            struct place here = place_below(at, f->name);

            mistake(&here, "is missing");
        }
    }
}

static void read_mapping(struct reader *rd, const struct place *at, yaml_node_t *node,
                         const struct conf_record *r, char *out)
{
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        yaml_node_t             *key = yaml_document_get_node(&rd->document, p->key);
        yaml_node_t             *value = yaml_document_get_node(&rd->document, p->value);
        struct place             here = place_of(at, key);
        const struct conf_field *f;

        if (key->type != YAML_SCALAR_NODE) {
            mistake(&here, "a name must be plain text");
            continue;
        }
        here = place_below(&here, (char *)key->data.scalar.value);
        f = find_field(r, (char *)key->data.scalar.value);
        if (!f)
            mistake(&here, "there is no such setting");
        else if (key_came_before(rd, node, p))
            mistake(&here, "is given twice");
        else
            read_node(rd, &here, value, f, out + f->offset);
    }
    require_fields(at, rd, node, r);
}

static void read_document(struct reader *rd, const struct conf_record *root, char *out)
{
    yaml_node_t *top = yaml_document_get_root_node(&rd->document);

    if (!top || is_null(top))
        return;
    rd->place.line = (int)top->start_mark.line + 1;
    if (top->type != YAML_MAPPING_NODE)
        mistake(&rd->place, "the file must hold named settings (name: value)");
    else
        read_mapping(rd, &rd->place, top, root, out);
}

static void tell_yaml_error(struct place *at, const yaml_parser_t *parser)
{
    at->line = (int)parser->problem_mark.line + 1;
    mistake(at, "not YAML: %s%s%s", parser->problem ? parser->problem : "unreadable",
            parser->context ? ", " : "", parser->context ? parser->context : "");
}

static void read_stream(struct reader *rd, yaml_parser_t *parser, const struct conf_record *root,
                        char *out)
{
    if (!yaml_parser_load(parser, &rd->document)) {
        tell_yaml_error(&rd->place, parser);
        return;
    }
    read_document(rd, root, out);
    yaml_document_delete(&rd->document);
    if (!yaml_parser_load(parser, &rd->document)) {
        tell_yaml_error(&rd->place, parser);
        return;
    }
    if (yaml_document_get_root_node(&rd->document))
        mistake(&rd->place, "the file holds more than one YAML document");
    yaml_document_delete(&rd->document);
}

static void read_file(const struct conf_load *load, const struct conf_record *root, char *out)
{
    struct reader rd = { .place = { .load = load } };
    yaml_parser_t parser;
    FILE         *f = fopen(load->file, "re");

    if (!f) {
        conf_mistake(load, 0, "(file)", "cannot be read: %s", strerror(errno));
        return;
    }
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_file(&parser, f);
    read_stream(&rd, &parser, root, out);
    yaml_parser_delete(&parser);
    fclose(f);
}

/* ---- rounds three and four: environment and command line ---------------------- */

static void env_name(const char *key, char out[KEY_MAX + 8])
{
    size_t n = (size_t)snprintf(out, KEY_MAX + 8, "RUNNEL_%s", key);

    for (size_t i = 7; i < n; i++)
        out[i] = (char)(out[i] == '.' ? '_' : toupper((unsigned char)out[i]));
}

static void read_environment(const struct place *at, const struct conf_record *r, char *out)
{
    for (const struct conf_field *f = r->fields; f->name; f++) {
        struct place here = place_below(at, f->name);
        char         name[KEY_MAX + 8];
        const char  *value;

        if (f->kind == CONF_SECTION)
            read_environment(&here, f->record, out + f->offset);
        if (f->kind == CONF_SECTION || f->kind == CONF_RECORDS)
            continue;
        env_name(here.key, name);
        value = getenv(name);
        memcpy(here.key, name, sizeof here.key);
        if (value)
            read_line(&here, f, str_of(value), out + f->offset);
    }
}

static void read_override(const struct place *at, const struct conf_record *root, char *out,
                          const char *text)
{
    const struct conf_field *f = NULL;
    const struct conf_record *r = root;
    struct str                key = { text, strcspn(text, "=") }, piece;
    struct place              here = *at;

    snprintf(here.key, sizeof here.key, "%.*s", STR_ARG(key));
    if (text[key.n] != '=') {
        mistake(&here, "write it as name=value");
        return;
    }
    while (r && str_next(&key, '.', &piece)) {
        f = find_field(r, arena_text(at->load->arena, piece));
        r = f && f->kind == CONF_SECTION ? f->record : NULL;
        out += f ? f->offset : 0;
    }
    if (!f || key.p || r || f->kind == CONF_RECORDS)
        mistake(&here, "there is no such setting%s", f && f->kind == CONF_RECORDS
                                                         ? " for the command line; use a file" : "");
    else
        read_line(&here, f, str_of(strchr(text, '=') + 1), out);
}

void conf_read(const struct conf_load *load, const struct conf_record *root, void *out,
               const char *const *overrides)
{
    struct place at = { .load = load };

    set_defaults(&at, root, out);
    if (load->file)
        read_file(load, root, out);
    at.source = "environment";
    at.hidden = true;
    read_environment(&at, root, out);
    at.source = "command line";
    at.hidden = false;
    for (; overrides && *overrides; overrides++)
        read_override(&at, root, out, *overrides);
}

/* ---- for people ----------------------------------------------------------------- */

typedef void row_fn(struct buf *out, const char *key, const struct conf_field *f, bool in_record);

static void each_field(const struct conf_record *r, const char *above, bool in_record,
                       struct buf *out, row_fn *row)
{
    for (const struct conf_field *f = r->fields; f->name; f++) {
        char key[KEY_MAX];

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
        buf_addf(out, "%s to %s", bound_text(f, f->min, low), bound_text(f, f->max, high));
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

static void markdown_row(struct buf *out, const char *key, const struct conf_field *f, bool in_record)
{
    char env[KEY_MAX + 8] = "";

    if (!in_record && f->kind != CONF_RECORDS)
        env_name(key, env);
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
