#include "provider/options.h"

#include <assert.h>

struct options options_open(const struct provider *p, const struct question *q)
{
    struct buf     text = BUF(SIZE_MAX / 2);
    const char    *why;
    struct options o;

    buf_lit(&text, "{");
    buf_add(&text, str_from(q->options, 1));  /* behind its first comma         */
    buf_lit(&text, "}");
    o.client = json_read(buf_str(&text), &why);
    o.extra = json_read(p->settings->extra, &why);
    buf_release(&text);
    return o;
}

void options_close(struct options *o)
{
    json_free(o->client);
    json_free(o->extra);
}

const struct json *options_client(const struct options *o)
{
    return json_root(o->client);
}

const struct json *options_extra(const struct options *o)
{
    return json_root(o->extra);
}

const struct json *options_get(const struct options *o, const char *name)
{
    const struct json *v = json_get(options_client(o), name);

    return v ? v : json_get(options_extra(o), name);
}

uint64_t options_max_tokens(const struct options *o, const struct question *q)
{
    int64_t n = 0;

    if (q->max_tokens)
        return q->max_tokens;
    json_int(json_get(options_extra(o), "max_tokens"), &n);
    return n > 0 ? (uint64_t)n : 0;
}

/* ---- tools ---------------------------------------------------------------------------- */

const struct json *options_tools(const struct options *o)
{
    const struct json *tools = json_get(options_client(o), "tools");

    return tools ? tools : json_get(options_client(o), "functions");
}

const struct json *tool_function(const struct json *tool)
{
    const struct json *function = json_get(tool, "function");

    if (json_type(function) == JSON_OBJECT)
        return function;
    return json_get(tool, "name") && !json_get(tool, "type") ? tool : NULL;
}

enum tool_choice options_tool_choice(const struct options *o, struct str *name)
{
    const struct json *choice = json_get(options_client(o), "tool_choice");
    struct str         word;

    if (!choice)
        choice = json_get(options_client(o), "function_call");
    if (!choice)
        return TOOLS_UNSAID;
    word = json_str(choice);
    if (str_eq(word, STR("none")))
        return TOOLS_NONE;
    if (str_eq(word, STR("auto")))
        return TOOLS_AUTO;
    if (str_eq(word, STR("required")))
        return TOOLS_REQUIRED;
    *name = json_str(json_get(tool_function(choice), "name"));
    return name->n ? TOOLS_NAMED : TOOLS_OTHER;
}

/* ---- writing ---------------------------------------------------------------------------- */

struct members members_open(struct buf *out)
{
    buf_lit(out, "{");
    return (struct members){ .out = out };
}

void members_close(struct members *m)
{
    buf_lit(m->out, "}");
}

static bool has_member(const struct json *object, struct str name)
{
    struct json_members walk = json_members(object);
    struct str          other;
    const struct json  *value;

    while (json_members_next(&walk, &other, &value))
        if (str_eq(name, other) && json_type(value) != JSON_NONE)
            return true;
    return false;
}

static bool is_there(const struct members *m, struct str name)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(name, str_of(m->names[i])))
            return true;
    for (size_t i = 0; i < m->n_copied; i++)
        if (has_member(m->copied[i], name))
            return true;
    return false;
}

static void write_name(struct members *m, struct str name)
{
    if (m->any)
        buf_lit(m->out, ",");
    m->any = true;
    json_add_str(m->out, name);
    buf_lit(m->out, ":");
}

void members_skip(struct members *m, const char *name)
{
    assert(m->n < MEMBERS_MAX);               /* all of these names are ours    */
    m->names[m->n++] = name;
}

bool members_add_name(struct members *m, const char *name)
{
    if (is_there(m, str_of(name)))
        return false;
    members_skip(m, name);
    write_name(m, str_of(name));
    return true;
}

void members_add(struct members *m, const char *name, const struct json *v)
{
    if (v && members_add_name(m, name))
        json_add_value(m->out, v);
}

void members_add_str(struct members *m, const char *name, struct str s)
{
    if (members_add_name(m, name))
        json_add_str(m->out, s);
}

void members_add_u64(struct members *m, const char *name, uint64_t v)
{
    if (members_add_name(m, name))
        buf_add_u64(m->out, v);
}

void members_add_clamped(struct members *m, const char *name, const struct json *v, double low,
                         double high)
{
    double d;

    if (!json_number(v, &d) || !members_add_name(m, name))
        return;
    if (d < low || d > high)
        buf_addf(m->out, "%g", d < low ? low : high);
    else
        json_add_value(m->out, v);
}

void members_add_list(struct members *m, const char *name, const struct json *v)
{
    bool is_text = json_type(v) == JSON_STRING;

    if (!v || !members_add_name(m, name))
        return;
    if (is_text)
        buf_lit(m->out, "[");
    json_add_value(m->out, v);
    if (is_text)
        buf_lit(m->out, "]");
}

void members_add_tools(struct members *m, const char *name, const struct options *o)
{
    struct json_walk   w = json_walk(options_tools(o));
    const struct json *tool;
    bool               first = true;

    if (json_type(options_tools(o)) != JSON_ARRAY || !w.left || !members_add_name(m, name))
        return;
    for (; (tool = json_walk_next(&w)); first = false) {
        buf_add(m->out, first ? STR("[") : STR(","));
        if (tool_function(tool) == tool)
            buf_lit(m->out, "{\"type\":\"function\",\"function\":");
        json_add_value(m->out, tool);
        if (tool_function(tool) == tool)
            buf_lit(m->out, "}");
    }
    buf_lit(m->out, "]");
}

void members_add_rest(struct members *m, const struct json *object)
{
    struct json_members walk = json_members(object);
    struct str          name;
    const struct json  *value;

    while (json_members_next(&walk, &name, &value)) {
        if (json_type(value) == JSON_NONE || is_there(m, name))
            continue;
        write_name(m, name);
        json_add_value(m->out, value);
    }
    assert(m->n_copied < sizeof m->copied / sizeof *m->copied);
    m->copied[m->n_copied++] = object;
}

void tool_write_function(const struct json *function, const char *schema, struct buf *out)
{
    struct members     m = members_open(out), inner;
    const struct json *parameters = json_get(function, "parameters");

    members_add(&m, "name", json_get(function, "name"));
    members_add(&m, "description", json_get(function, "description"));
    members_add_name(&m, schema);
    inner = members_open(out);
    if (!json_get(parameters, "type"))
        members_add_str(&inner, "type", STR("object"));
    members_add_rest(&inner, parameters);
    members_close(&inner);
    members_close(&m);
}
