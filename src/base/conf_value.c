/* conf_value.c - one value from text, whatever round it comes from, and the mistakes in it. */
#include "base/conf_value.h"

#include "base/clock.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- mistakes ------------------------------------------------------------- */

/* One line a mistake: nothing in a file can begin a line of its own. */
static void make_plain(struct str line)
{
    char *p = (char *)(uintptr_t)line.p;

    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
            p[i] = '?';
}

static void add_mistake(const struct conf_load *load, const char *source, int line, const char *key,
                        const char *format, va_list args)
{
    struct buf *out = load->mistakes;
    size_t      start = out->n;
    char        why[400];

    vsnprintf(why, sizeof why, format, args);
    if (source)
        buf_addf(out, "%s: %s: %s", source, key, why);
    else if (line)
        buf_addf(out, "%s:%d: %s: %s", load->file, line, key, why);
    else
        buf_addf(out, "%s: %s: %s", load->file ? load->file : "settings", key, why);
    make_plain(str_from(buf_str(out), start));
    buf_lit(out, "\n");
}

void conf_mistake(const struct conf_load *load, int line, const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_mistake(load, NULL, line, key, format, args);
    va_end(args);
}

void conf_tell(const struct conf_place *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_mistake(at->load, at->source, at->line, at->key[0] ? at->key : "(file)", format, args);
    va_end(args);
}

/* A value as a mistake may show it: what came out of the environment stays there. */
static const char *shown(const struct conf_place *at, const struct conf_field *f, struct str text,
                         char out[80])
{
    if (at->hidden)
        return "the value of a variable";
    if (f->is_secret)
        return "what is there";
    snprintf(out, 80, "\"%.60s\"", text.p);
    return out;
}

struct conf_place conf_below(const struct conf_place *at, const char *name)
{
    struct conf_place below = *at;
    size_t            n = strlen(below.key);

    snprintf(below.key + n, sizeof below.key - n, n ? ".%s" : "%s", name);
    return below;
}

/* ---- one value from text -------------------------------------------------- */

static const struct unit {
    enum conf_kind kind;
    const char    *name;
    uint64_t       factor;
} units[] = {
    { CONF_BYTES, "KiB", 1 << 10 },     { CONF_BYTES, "MiB", 1 << 20 },
    { CONF_BYTES, "GiB", 1 << 30 },     { CONF_TIME, "ms", CLOCK_MS },
    { CONF_TIME, "s", CLOCK_S },        { CONF_TIME, "m", 60 * CLOCK_S },
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
const char *conf_bound_text(const struct conf_field *f, uint64_t v, char out[32])
{
    const char *unit = "";

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].kind == f->kind && v && v % units[i].factor == 0)
            unit = units[i].name;
    snprintf(out, 32, "%llu%s",
             (unsigned long long)(*unit ? v / unit_factor(f->kind, str_of(unit)) : v), unit);
    return out;
}

const char *conf_expected(enum conf_kind kind)
{
    switch (kind) {
    case CONF_COUNT: return "a whole number";
    case CONF_BYTES: return "a size such as 4096, 64KiB or 8MiB";
    case CONF_TIME:  return "a time such as 500ms, 10s or 5m";
    default:         return "text";
    }
}

static void read_number(const struct conf_place *at, const struct conf_field *f, struct str text,
                        void *to)
{
    uint64_t v;
    char     low[32], high[32], value[80];

    if (!parse_number(f, text, &v))
        conf_tell(at, "expects %s, not %s", conf_expected(f->kind), shown(at, f, text, value));
    else if (v < f->min || v > f->max)
        conf_tell(at, "%s is out of range (%s to %s)", shown(at, f, text, value),
                  conf_bound_text(f, f->min, low), conf_bound_text(f, f->max, high));
    else
        memcpy(to, &v, sizeof v);
}

static void read_choice(const struct conf_place *at, const struct conf_field *f, struct str text,
                        void *to)
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
    conf_tell(at, "%s is not one of %s", shown(at, f, text, value), list);
}

void conf_read_text(const struct conf_place *at, const struct conf_field *f, struct str text,
                    void *to)
{
    struct str copy = arena_str(at->load->arena, text);
    char       value[80], why[CONF_WHY_MAX];

    if (f->is_good && !f->is_good(copy))
        conf_tell(at, "expects %s, not %s", f->expects, shown(at, f, copy, value));
    else if (f->judge && !f->judge(copy, why))
        conf_tell(at, "%s", at->hidden ? "the value of a variable will not do" : why);
    else
        memcpy(to, &copy, sizeof copy);
}

static void read_scalar(const struct conf_place *at, const struct conf_field *f, struct str text,
                        void *to)
{
    switch (f->kind) {
    case CONF_TEXT: conf_read_text(at, f, text, to); return;
    case CONF_CHOICE: read_choice(at, f, text, to); return;
    case CONF_COUNT:
    case CONF_BYTES:
    case CONF_TIME: read_number(at, f, text, to); return;
    default: assert(0 && "a list or a section has no single value");
    }
}

struct str *conf_grow_texts(const struct conf_place *at, struct conf_texts *list, size_t n)
{
    struct str *items = arena_new(at->load->arena, n * sizeof *items);

    list->items = items;
    list->n = n;
    return items;
}

/* A list from one line of text: comma-separated. */
static void read_comma_list(const struct conf_place *at, const struct conf_field *f,
                            struct str text, struct conf_texts *to)
{
    struct str rest = text, piece;
    size_t     n = 0;

    while (str_next(&rest, ',', &piece))
        n += str_trim(piece).n > 0;
    conf_grow_texts(at, to, n);
    rest = text;
    for (size_t i = 0; i < n && str_next(&rest, ',', &piece);)
        if (str_trim(piece).n)
            conf_read_text(at, f, arena_str(at->load->arena, str_trim(piece)), &to->items[i++]);
}

void conf_check_list(const struct conf_place *at, const struct conf_field *f,
                     const struct conf_texts *list)
{
    const char *objection = f->objection ? f->objection(list) : NULL;

    if (objection)
        conf_tell(at, "%s", objection);
}

void conf_read_line(const struct conf_place *at, const struct conf_field *f, struct str text,
                    void *to)
{
    if (f->kind != CONF_TEXTS) {
        read_scalar(at, f, text, to);
        return;
    }
    read_comma_list(at, f, text, to);
    conf_check_list(at, f, to);
}
