#include "base/lookup_sql.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What stands around the number. An untyped one becomes what it is compared with; where the
 * database could not tell, there is a type. */
static const struct {
    struct str  name;
    const char *before, *after;
} table[LOOKUP_NAMES] = {
    [LOOKUP_CONTEXT_ID] = { STR_INIT("context_id"), "(", ")" },
    [LOOKUP_USER_ID] = { STR_INIT("user_id"), "(", ")" },
    [LOOKUP_SITE_ID] = { STR_INIT("site_id"), "(", ")" },
    [LOOKUP_TENANT] = { STR_INIT("tenant"), "(", ")" },
    [LOOKUP_PAGE] = { STR_INIT("page"), "(", ")" },
    [LOOKUP_FILTERS] = { STR_INIT("filters"), "(nullif(",
                         "::jsonb - 'contextId'::text, '{}'::jsonb))" },
    [LOOKUP_CONTEXT_IDS] = { STR_INIT("context_ids"), "(", "::text[])" },
};

struct reader {
    struct lookup_sql *to;
    struct str         rest;
    unsigned           names;                 /* that are allowed               */
    size_t             depth;                 /* of parentheses                 */
    bool               has_begun;
    char              *why;
};

static void complain(struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The first reason is the one that is told. */
static void complain(struct reader *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!r->why[0])
        vsnprintf(r->why, LOOKUP_WHY_MAX, format, args);
    va_end(args);
}

/* ---- characters ------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static char char_at(struct str s, size_t at)
{
    return at < s.n ? s.p[at] : '\0';
}

/* A name from the beginning of `s`, without the dollars that PostgreSQL lets names have. */
static struct str name_of(struct str s)
{
    size_t n = 0;

    if (is_letter(char_at(s, 0)))
        while (is_letter(char_at(s, n)) || is_digit(char_at(s, n)))
            n++;
    return (struct str){ s.p, n };
}

static void keep(struct reader *r, size_t n)
{
    buf_add(&r->to->text, (struct str){ r->rest.p, n });
    r->rest = str_from(r->rest, n);
}

/* ---- what no name is looked for in ----------------------------------------------------- */

/* A doubled quote looks like an end and a new beginning, which is as good. */
static void read_quoted(struct reader *r, char quote, bool has_escapes)
{
    size_t n = 1;

    while (n < r->rest.n && r->rest.p[n] != quote)
        n += has_escapes && r->rest.p[n] == '\\' ? 2 : 1;
    if (n >= r->rest.n)
        complain(r, "a %c is never closed", quote);
    keep(r, n < r->rest.n ? n + 1 : r->rest.n);
}

static void read_line_comment(struct reader *r)
{
    size_t n = 2;

    while (n < r->rest.n && r->rest.p[n] != '\n' && r->rest.p[n] != '\r')
        n++;
    keep(r, n);
}

static void read_comment(struct reader *r)
{
    size_t depth = 0, n = 0;

    do {
        struct str at = str_from(r->rest, n);

        if (str_starts(at, STR("/*")))
            depth++, n += 2;
        else if (str_starts(at, STR("*/")))
            depth--, n += 2;
        else
            n++;
    } while (depth && n < r->rest.n);
    if (depth)
        complain(r, "a comment is never closed");
    keep(r, n);
}

/* $$text$$, $tag$text$tag$ */
static void read_dollar(struct reader *r)
{
    struct str  tag = name_of(str_from(r->rest, 1));
    const char *end;

    if (is_digit(char_at(r->rest, 1)))
        complain(r, "values have names here, such as :context_id, and no numbers");
    if (char_at(r->rest, tag.n + 1) != '$') {
        keep(r, 1);
        return;
    }
    tag = (struct str){ r->rest.p, tag.n + 2 };
    end = memmem(tag.p + tag.n, r->rest.n - tag.n, tag.p, tag.n);
    if (!end)
        complain(r, "a %.*s is never closed", STR_ARG(tag));
    keep(r, end ? (size_t)(end - tag.p) + tag.n : r->rest.n);
}

/* ---- names ----------------------------------------------------------------------------- */

static bool take_word(struct str *s, struct str word)
{
    struct str found;

    while (is_blank(char_at(*s, 0)))
        *s = str_from(*s, 1);
    found = name_of(*s);
    if (!str_eq_nocase(found, word))
        return false;
    *s = str_from(*s, found.n);
    return true;
}

/* Nothing else says of what type a number is that is only looked at whether it is NULL. */
static bool is_null_test(struct str rest)
{
    if (!take_word(&rest, STR("is")))
        return false;
    take_word(&rest, STR("not"));
    return take_word(&rest, STR("null"));
}

static void add_number(struct reader *r, enum lookup_name name)
{
    struct buf *text = &r->to->text;
    bool        is_plain = table[name].after[1] == '\0';

    if (r->to->n == LOOKUP_PARAMS_MAX) {
        complain(r, "there are more than %d names in it", LOOKUP_PARAMS_MAX);
        return;
    }
    r->to->names[r->to->n++] = name;
    if (text->n && (is_letter(text->p[text->n - 1]) || is_digit(text->p[text->n - 1])))
        buf_add_char(text, ' ');              /* LIMIT:n is no function call    */
    buf_addf(text, "%s$%zu", table[name].before, r->to->n);
    if (is_plain && is_null_test(r->rest))
        buf_lit(text, "::text");
    buf_add(text, str_of(table[name].after));
}

static void complain_of_name(struct reader *r, struct str name)
{
    char   list[120] = "";
    size_t n = 0;

    for (size_t i = 0; i < LOOKUP_NAMES; i++)
        if (r->names & LOOKUP_BIT(i))
            n += (size_t)snprintf(list + n, sizeof list - n, "%s:%s", n ? ", " : "",
                                  table[i].name.p);
    complain(r, "there is no :%.*s; there are %s", STR_ARG(utf8_clip(name, 64)), list);
}

static void read_colon(struct reader *r)
{
    struct str name = name_of(str_from(r->rest, 1));
    char       next = char_at(r->rest, 1);

    if (name.n == 0) {
        keep(r, next == ':' || next == '=' ? 2 : 1);
        return;
    }
    r->rest = str_from(r->rest, name.n + 1);
    for (size_t i = 0; i < LOOKUP_NAMES; i++)
        if ((r->names & LOOKUP_BIT(i)) && str_eq(name, table[i].name)) {
            add_number(r, (enum lookup_name)i);
            return;
        }
    complain_of_name(r, name);
}

/* ---- the statement --------------------------------------------------------------------- */

static void begin(struct reader *r)
{
    static const struct str words[] = { STR_INIT("select"), STR_INIT("with"), STR_INIT("values"),
                                        STR_INIT("table") };
    struct str              word = name_of(r->rest);

    r->has_begun = true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq_nocase(word, words[i]))
            return;
    complain(r, "a query begins with SELECT, WITH, VALUES or TABLE");
}

static void read_word(struct reader *r)
{
    size_t n = 1;
    bool   has_escapes = (r->rest.p[0] | 0x20) == 'e' && char_at(r->rest, 1) == '\'';

    while (is_letter(char_at(r->rest, n)) || is_digit(char_at(r->rest, n)) ||
           char_at(r->rest, n) == '$')
        n++;
    keep(r, n);
    if (has_escapes)
        read_quoted(r, '\'', true);
}

/* It is put into parentheses, which it must not close. */
static void read_parenthesis(struct reader *r)
{
    if (r->rest.p[0] == '(')
        r->depth++;
    else if (r->depth)
        r->depth--;
    else
        complain(r, "a parenthesis is closed that was not opened");
    keep(r, 1);
}

static void read_next(struct reader *r)
{
    char c = r->rest.p[0];

    if (str_starts(r->rest, STR("--"))) {
        read_line_comment(r);
        return;
    }
    if (str_starts(r->rest, STR("/*"))) {
        read_comment(r);
        return;
    }
    if (!r->has_begun && !is_blank(c) && c != '(')
        begin(r);
    switch (c) {
    case '\'':
    case '"': read_quoted(r, c, false); return;
    case '$': read_dollar(r); return;
    case ':': read_colon(r); return;
    case '(':
    case ')': read_parenthesis(r); return;
    case ';': complain(r, "it must be one statement, without a semicolon"); return;
    default: break;
    }
    if (is_letter(c))
        read_word(r);
    else
        keep(r, 1);
}

bool lookup_sql_read(struct lookup_sql *q, struct str from, unsigned names,
                     char why[LOOKUP_WHY_MAX])
{
    struct reader r = { .to = q, .rest = from, .names = names, .why = why };

    *q = (struct lookup_sql){ .text = BUF(2 * LOOKUP_SQL_MAX) };
    why[0] = '\0';
    if (from.n > LOOKUP_SQL_MAX)
        complain(&r, "it is longer than %d KiB", LOOKUP_SQL_MAX >> 10);
    while (r.rest.n && !why[0])
        read_next(&r);
    if (!r.has_begun)
        complain(&r, "there is no query in it");
    if (r.depth)
        complain(&r, "a parenthesis is never closed");
    return !why[0];
}

void lookup_sql_release(struct lookup_sql *q)
{
    buf_release(&q->text);
}
