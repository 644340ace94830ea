/* calculator.c - a sum is made of products, a product of powers, a power of atoms. */
#include "tool/calculator.h"

#include <math.h>
#include <stdlib.h>

enum { DEPTH_MAX = 100, NUMBER_MAX = 60 };

struct reader {
    struct str  rest;
    int         depth;
    const char *why;                          /* NULL: nothing is wrong so far  */
};

static double read_sum(struct reader *r);

static double fail(struct reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    return 0;
}

static void skip_blanks(struct reader *r)
{
    while (r->rest.n && (r->rest.p[0] == ' ' || r->rest.p[0] == '\t' || r->rest.p[0] == '\n'))
        r->rest = str_from(r->rest, 1);
}

static bool take(struct reader *r, struct str word)
{
    skip_blanks(r);
    if (!str_starts(r->rest, word))
        return false;
    r->rest = str_from(r->rest, word.n);
    return true;
}

/* ---- atoms ------------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t number_length(struct str s)
{
    size_t n = 0, sign;

    while (n < s.n && (is_digit(s.p[n]) || s.p[n] == '.'))
        n++;
    if (n == 0 || n == s.n || (s.p[n] != 'e' && s.p[n] != 'E'))
        return n;
    sign = n + 1 < s.n && (s.p[n + 1] == '-' || s.p[n + 1] == '+');
    if (n + 1 + sign >= s.n || !is_digit(s.p[n + 1 + sign]))
        return n;
    for (n += 1 + sign; n < s.n && is_digit(s.p[n]); n++)
        ;
    return n;
}

static double read_number(struct reader *r)
{
    size_t n = number_length(r->rest);
    char   text[NUMBER_MAX + 1], *end;
    double v;

    if (n == 0 || n > NUMBER_MAX)
        return fail(r, n ? "a number is too long" : "a number is missing");
    for (size_t i = 0; i < n; i++)
        text[i] = r->rest.p[i];
    text[n] = 0;
    v = strtod(text, &end);
    r->rest = str_from(r->rest, n);
    return *end ? fail(r, "a number cannot be read") : v;
}

static const struct {
    struct str name;
    double (*of)(double v);
} functions[] = {
    { STR_INIT("sqrt"), sqrt },   { STR_INIT("abs"), fabs },    { STR_INIT("round"), round },
    { STR_INIT("floor"), floor }, { STR_INIT("ceil"), ceil },   { STR_INIT("exp"), exp },
    { STR_INIT("ln"), log },      { STR_INIT("log10"), log10 }, { STR_INIT("log2"), log2 },
    { STR_INIT("sin"), sin },     { STR_INIT("cos"), cos },     { STR_INIT("tan"), tan },
};

static const struct {
    struct str name;
    double     value;
} constants[] = { { STR_INIT("pi"), 3.14159265358979323846 },
                  { STR_INIT("e"), 2.71828182845904523536 } };

static double read_bracket(struct reader *r)
{
    double v = 0;

    if (r->depth == DEPTH_MAX)
        return fail(r, "there are too many brackets within each other");
    r->depth++;
    v = read_sum(r);
    r->depth--;
    return take(r, STR(")")) ? v : fail(r, "a closing bracket is missing");
}

static double read_name(struct reader *r)
{
    struct str name = r->rest;

    for (name.n = 0;
         name.n < r->rest.n && (is_letter(name.p[name.n]) || (name.n && is_digit(name.p[name.n])));)
        name.n++;
    r->rest = str_from(r->rest, name.n);
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (str_eq(constants[i].name, name))
            return constants[i].value;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (str_eq(functions[i].name, name))
            return take(r, STR("(")) ? functions[i].of(read_bracket(r))
                                     : fail(r, "a function wants its argument in brackets");
    return fail(r, "there is a word that is neither a function nor a constant");
}

static double read_atom(struct reader *r)
{
    if (take(r, STR("(")))
        return read_bracket(r);
    return r->rest.n && is_letter(r->rest.p[0]) ? read_name(r) : read_number(r);
}

/* ---- what joins them ---------------------------------------------------------------------- */

static double read_sign(struct reader *r);

/* 2 ^ 3 ^ 2 is 2 ^ 9, and -2 ^ 2 is -4. */
static double read_power(struct reader *r)
{
    double v = read_atom(r);

    return take(r, STR("^")) || take(r, STR("**")) ? pow(v, read_sign(r)) : v;
}

static double read_sign(struct reader *r)
{
    double v;

    if (!take(r, STR("-")) && !take(r, STR("+")))
        return read_power(r);
    if (r->depth == DEPTH_MAX)
        return fail(r, "there are too many signs");
    r->depth++;
    v = r->rest.p[-1] == '-' ? -read_sign(r) : read_sign(r);
    r->depth--;
    return v;
}

static double read_product(struct reader *r)
{
    double v = read_sign(r), by;

    while (!r->why) {
        if (take(r, STR("*"))) {
            v *= read_sign(r);
        } else if (take(r, STR("/")) || take(r, STR("%"))) {
            bool is_rest = r->rest.p[-1] == '%';

            by = read_sign(r);
            if (by == 0)
                return fail(r, "something is divided by zero");
            v = is_rest ? fmod(v, by) : v / by;
        } else {
            break;
        }
    }
    return v;
}

static double read_sum(struct reader *r)
{
    double v = read_product(r);

    while (!r->why) {
        if (take(r, STR("+")))
            v += read_product(r);
        else if (take(r, STR("-")))
            v -= read_product(r);
        else
            break;
    }
    return v;
}

bool calculate(struct str text, double *result, const char **why)
{
    struct reader r = { .rest = text };

    *result = read_sum(&r);
    skip_blanks(&r);
    if (!r.why && r.rest.n)
        r.why = "there is something behind the end";
    if (!r.why && !isfinite(*result))
        r.why = "the result is not a number, or too big";
    *why = r.why;
    return !r.why;
}
