/* conf_yaml.c - the file: libyaml's tree against the table. */
#include "base/conf_value.h"
#include "base/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { VALUE_MAX_BYTES = 1 << 20 };

struct reader {
    yaml_document_t   document;
    struct conf_place place;
};

static void read_mapping(struct reader *rd, const struct conf_place *at, yaml_node_t *node,
                         const struct conf_record *r, char *out);

/* Where a node stands, 1-based. */
static struct conf_place place_of(const struct conf_place *at, const yaml_node_t *node)
{
    struct conf_place here = *at;

    here.line = (int)node->start_mark.line + 1;
    return here;
}

static bool from_environment(const struct conf_place *at, struct str name, bool may_be_missing,
                             struct buf *out)
{
    const char *value = getenv(arena_text(at->load->arena, name));

    if (value && (*value || !may_be_missing)) {
        buf_add(out, str_of(value));
        return true;
    }
    if (!may_be_missing)
        conf_tell(at, "the environment has no variable %.*s (write ${%.*s:-} if it may be missing)",
                  STR_ARG(name), STR_ARG(name));
    return false;
}

static bool from_file(const struct conf_place *at, struct str name, bool may_be_missing,
                      struct buf *out)
{
    const char *why = secret_file_read(arena_text(at->load->arena, name), out);

    if (why && !(may_be_missing && errno == ENOENT))
        conf_tell(at, "the file %.*s cannot be read: %s", STR_ARG(name), why);
    return !why;
}

/* NAME, file:NAME, and what stands for it where that is missing or empty: NAME:-otherwise. */
static bool variable(const struct conf_place *at, struct str name, struct buf *out)
{
    bool        is_file = str_starts(name, STR("file:"));
    struct str  rest = str_from(name, is_file ? 5 : 0);
    const char *cut = rest.n ? memmem(rest.p, rest.n, ":-", is_file ? 2 : 1) : NULL;
    struct str  plain = { rest.p, cut ? (size_t)(cut - rest.p) : rest.n };
    struct str  otherwise = str_from(rest, plain.n);
    bool        may_be_missing = str_starts(otherwise, STR(":-"));

    if ((is_file ? from_file : from_environment)(at, plain, may_be_missing, out))
        return true;
    if (may_be_missing)
        buf_add(out, str_from(otherwise, 2));
    return may_be_missing;
}

/* ${NAME} becomes the variable's value and ${file:NAME} the file's text; $$ is one dollar. */
static bool expand(struct conf_place *at, struct str text, struct buf *out)
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

static bool node_text(struct conf_place *at, const yaml_node_t *node, struct str *text)
{
    struct str raw = { (const char *)node->data.scalar.value, node->data.scalar.length };
    struct buf out = BUF(VALUE_MAX_BYTES);
    bool       good = expand(at, raw, &out);

    if (raw.n && memchr(raw.p, 0, raw.n)) {
        conf_tell(at, "holds a NUL character");
        good = false;
    }
    *text = arena_str(at->load->arena, buf_str(&out));
    buf_release(&out);
    return good;
}

static void read_text_list(struct reader *rd, const struct conf_place *at, yaml_node_t *node,
                           const struct conf_field *f, struct conf_texts *to)
{
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);

    conf_grow_texts(at, to, n);
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *item =
            yaml_document_get_node(&rd->document, node->data.sequence.items.start[i]);
        struct conf_place here = place_of(at, item);
        struct str        text;

        snprintf(here.key + strlen(here.key), sizeof here.key - strlen(here.key), "[%zu]", i);
        if (item->type != YAML_SCALAR_NODE)
            conf_tell(&here, "expects text");
        else if (node_text(&here, item, &text))
            conf_read_text(&here, f, text, &to->items[i]);
    }
    conf_check_list(at, f, to);
}

static void read_records(struct reader *rd, const struct conf_place *at, yaml_node_t *node,
                         const struct conf_field *f, struct conf_records *to)
{
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);

    if (n < f->min)
        conf_tell(at, "needs at least one");
    to->items = arena_new(at->load->arena, n * f->record->size);
    to->n = n;
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *item =
            yaml_document_get_node(&rd->document, node->data.sequence.items.start[i]);
        char             *record = (char *)to->items + i * f->record->size;
        struct conf_place here = place_of(at, item);

        snprintf(here.key + strlen(here.key), sizeof here.key - strlen(here.key), "[%zu]", i);
        memcpy(record + f->record->line_offset, &here.line, sizeof here.line);
        conf_set_defaults(&here, f->record, record);
        if (item->type != YAML_MAPPING_NODE)
            conf_tell(&here, "expects named settings ({name: ..., ...})");
        else
            read_mapping(rd, &here, item, f->record, record);
    }
}

static bool is_null(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (node->data.scalar.length == 0 || strcmp((char *)node->data.scalar.value, "null") == 0 ||
            strcmp((char *)node->data.scalar.value, "~") == 0);
}

/* Null means "as if it were not there". */
static void read_node(struct reader *rd, const struct conf_place *at, yaml_node_t *node,
                      const struct conf_field *f, char *to)
{
    bool              wants_list = f->kind == CONF_TEXTS || f->kind == CONF_RECORDS;
    struct conf_place here = *at;
    struct str        text;

    if (is_null(node))
        return;
    if (f->kind == CONF_SECTION) {
        if (node->type == YAML_MAPPING_NODE)
            read_mapping(rd, at, node, f->record, to);
        else
            conf_tell(at, "expects named settings below it");
    } else if (wants_list && node->type == YAML_SEQUENCE_NODE) {
        if (f->kind == CONF_TEXTS)
            read_text_list(rd, at, node, f, (struct conf_texts *)(void *)to);
        else
            read_records(rd, at, node, f, (struct conf_records *)(void *)to);
    } else if (f->kind == CONF_RECORDS || node->type != YAML_SCALAR_NODE) {
        conf_tell(at, wants_list ? "expects a list" : "expects %s", conf_expected(f->kind));
    } else if (node_text(&here, node, &text)) {
        conf_read_line(&here, f, text, to);
    }
}

static bool key_came_before(struct reader *rd, const yaml_node_t *mapping, yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(&rd->document, pair->key);

    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *other = yaml_document_get_node(&rd->document, p->key);

        if (other->type == YAML_SCALAR_NODE &&
            strcmp((char *)other->data.scalar.value, (char *)key->data.scalar.value) == 0)
            return true;
    }
    return false;
}

static void require_fields(const struct conf_place *at, struct reader *rd,
                           const yaml_node_t *mapping, const struct conf_record *r)
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
            struct conf_place here = conf_below(at, f->name);

            conf_tell(&here, "is missing");
        }
    }
}

static void read_mapping(struct reader *rd, const struct conf_place *at, yaml_node_t *node,
                         const struct conf_record *r, char *out)
{
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        yaml_node_t             *key = yaml_document_get_node(&rd->document, p->key);
        yaml_node_t             *value = yaml_document_get_node(&rd->document, p->value);
        struct conf_place        here = place_of(at, key);
        const struct conf_field *f;

        if (key->type != YAML_SCALAR_NODE) {
            conf_tell(&here, "a name must be plain text");
            continue;
        }
        here = conf_below(&here, (char *)key->data.scalar.value);
        f = conf_find_field(r, (char *)key->data.scalar.value);
        if (!f)
            conf_tell(&here, "there is no such setting");
        else if (key_came_before(rd, node, p))
            conf_tell(&here, "is given twice");
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
        conf_tell(&rd->place, "the file must hold named settings (name: value)");
    else
        read_mapping(rd, &rd->place, top, root, out);
}

static void tell_yaml_error(struct conf_place *at, const yaml_parser_t *parser)
{
    at->line = (int)parser->problem_mark.line + 1;
    conf_tell(at, "not YAML: %s%s%s", parser->problem ? parser->problem : "unreadable",
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
        conf_tell(&rd->place, "the file holds more than one YAML document");
    yaml_document_delete(&rd->document);
}

void conf_read_file(const struct conf_load *load, const struct conf_record *root, char *out)
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
