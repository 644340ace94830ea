/* command_tool.c - tools of tenants: web services that models may ask for them. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret_file.h"
#include "command/command_parts.h"
#include "store/operator.h"
#include "store/tools.h"

#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 64 * 1024, SCHEMA_MAX = 1 << 20, LINES_MAX = 4 << 20, NUMBER_SIZE = 24 };

/* ---- add ------------------------------------------------------------------------------- */

static const struct command_option add_options[] = {
    COMMAND_TENANT,
    { "--url", "URL", "where it is: https://host/city/{city}" },
    { "--description", "TEXT", "what it is good for, in words for the model" },
    { "--parameters", "JSON|FILE", "what it takes: a JSON schema of an object" },
    { "--method", "METHOD", "GET, POST, PUT, PATCH or DELETE; otherwise GET" },
    { "--header", "FIELD...", "'X-Key: secret', with every request; once for each" },
    { "--model", "NAME...", "a model that may use it; once for each; otherwise all" },
    { "--timeout", "TIME", "the longest that one run may take; otherwise 120s" },
    { "--max-output-bytes", "SIZE", "how much of its output a model gets; otherwise 100KiB" },
    { "--alone", NULL, "it is not run beside others" },
    { "--replace", NULL, "in place of the tool of that name" },
    { NULL, NULL, NULL },
};

/* What is a row of the settings, too. */
static const struct {
    const char *option, *row;
} rows_of[] = {
    { "--url", "url" },         { "--description", "description" },
    { "--method", "method" },   { "--max-output-bytes", "max_output_bytes" },
    { "--timeout", "timeout" },
};
enum { N_ROWS = sizeof rows_of / sizeof *rows_of, GIVEN_MAX = N_ROWS + 4 };

struct wanted {
    struct conf_given    given[GIVEN_MAX];
    size_t               n;
    struct buf           schema;
    struct str           headers[COMMAND_REPEATED_MAX];
    struct arena         arena;
    struct tool_settings tool;
};

static void give(struct wanted *w, const char *row, const char *called, const char *text)
{
    if (text)
        w->given[w->n++] =
            (struct conf_given){ .name = row, .called = called, .text = str_of(text) };
}

/* As one line, its members in the order in which they were written: models read them so. */
static const char *shorten_schema(struct wanted *w, struct str text)
{
    const char      *why;
    struct json_doc *doc = json_read(text, &why);

    if (!doc)
        die("tool add: --parameters is no JSON: %s", why);
    json_add_value(&w->schema, json_root(doc));
    buf_add_char(&w->schema, '\0');
    json_free(doc);
    if (w->schema.over)
        die("tool add: --parameters is too large");
    return w->schema.p;
}

static const char *read_schema(struct wanted *w, const char *text)
{
    struct buf  file = BUF(SCHEMA_MAX);
    const char *why, *schema;

    if (!text || str_trim(str_of(text)).p[0] == '{')
        return text ? shorten_schema(w, str_of(text)) : NULL;
    why = secret_file_read(text, &file);
    if (why)
        die("tool add: --parameters: the file %s cannot be read: %s", text, why);
    schema = shorten_schema(w, buf_str(&file));
    buf_release(&file);
    return schema;
}

/* The first is enough: a person mends one word after the other. */
static void refuse(const struct buf *mistakes)
{
    struct str all = buf_str(mistakes), line;

    if (str_next(&all, '\n', &line))
        die("%.*s", STR_ARG(line));
    die("tool add: it will not do");
}

static void read_wanted(const struct command_call *c, struct wanted *w)
{
    struct buf        mistakes = BUF(WORDS_MAX);
    struct conf_load  load = { .arena = &w->arena, .file = "tool add", .mistakes = &mistakes };
    struct conf_texts headers = { w->headers, command_values(c, "--header", w->headers) };

    if (!command_value(c, "--url"))
        die("tool add: it wants a --url; see runnel tool add --help");
    give(w, "name", "NAME", c->argument);
    for (size_t i = 0; i < N_ROWS; i++)
        give(w, rows_of[i].row, rows_of[i].option, command_value(c, rows_of[i].option));
    give(w, "parameters", "--parameters", read_schema(w, command_value(c, "--parameters")));
    give(w, "alone", "--alone", command_value(c, "--alone") ? "true" : NULL);
    w->given[w->n++] =
        (struct conf_given){ .name = "headers", .called = "--header", .texts = headers };
    if (!settings_read_tenant_tool(&load, w->given, w->n, &w->tool))
        refuse(&mistakes);
    buf_release(&mistakes);
}

static void say_why_not(const struct command_call *c, const struct operator_tool *tool)
{
    const struct pg_rows *there;

    if (!operator_has_tenant(c->db, tool->tenant))
        die("there is no tenant \"%s\"", tool->tenant);
    there = operator_tool(c->db, tool->tenant, tool->name);
    if (there && pg_n_rows(there))
        die("there is a tool \"%s\" in the tenant \"%s\" already; --replace puts this in its place",
            tool->name, tool->tenant);
    die("the tenant \"%s\" has %d tools already, which is all that it may have", tool->tenant,
        TENANT_TOOLS_MAX);
}

static void keep(struct command_call *c, const struct operator_tool *tool)
{
    const struct pg_rows *rows =
        operator_keep_tool(command_database(c), tool, command_value(c, "--replace") != NULL);

    if (rows && pg_n_rows(rows) == 0)
        say_why_not(c, tool);
    command_print_facts(c, rows);
}

/* A line each, terminated. */
static const char *join(const struct str *texts, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        buf_addf(out, i ? "\n%.*s" : "%.*s", STR_ARG(texts[i]));
    buf_add_char(out, '\0');
    if (out->over)
        die("tool add: that is too much");
    return out->p;
}

static const char *write_number(char out[NUMBER_SIZE], uint64_t v)
{
    snprintf(out, NUMBER_SIZE, "%llu", (unsigned long long)v);
    return out;
}

static void add(struct command_call *c)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
    struct wanted            w = { .schema = BUF(SCHEMA_MAX) };
    struct str               models[COMMAND_REPEATED_MAX];
    size_t                   n_models = command_values(c, "--model", models);
    struct buf               headers = BUF(LINES_MAX), names = BUF(LINES_MAX);
    char                     timeout[NUMBER_SIZE], most[NUMBER_SIZE];

    read_wanted(c, &w);
    keep(c,
         &(struct operator_tool){ .tenant = command_tenant(c),
                                  .name = w.tool.name.p,
                                  .url = w.tool.url.p,
                                  .description = w.tool.description.p,
                                  .method = methods[w.tool.method],
                                  .parameters = w.tool.parameters.p,
                                  .headers = join(w.tool.headers.items, w.tool.headers.n, &headers),
                                  .models = n_models ? join(models, n_models, &names) : NULL,
                                  .timeout_ms = write_number(timeout, w.tool.timeout / CLOCK_MS),
                                  .max_output_bytes = write_number(most, w.tool.max_output_bytes),
                                  .runs_alone = w.tool.alone ? "true" : "false" });
    arena_release(&w.arena);
    buf_release(&w.schema);
    buf_release(&headers);
    buf_release(&names);
}

/* ---- the others ------------------------------------------------------------------------- */

static void list(struct command_call *c)
{
    const char *tenant = command_value(c, "--tenant");

    if (tenant && !operator_has_tenant(command_database(c), tenant))
        die("there is no tenant \"%s\"", tenant);
    command_print_rows(c, operator_tools(c->db ? c->db : command_database(c), tenant));
}

static void print(struct command_call *c, const struct pg_rows *rows)
{
    const char *tenant = command_tenant(c);

    if (rows && pg_n_rows(rows) == 0) {
        if (!operator_has_tenant(c->db, tenant))
            die("there is no tenant \"%s\"", tenant);
        die("there is no tool \"%s\" in the tenant \"%s\"", c->argument, tenant);
    }
    command_print_facts(c, rows);
}

static void show(struct command_call *c)
{
    print(c, operator_tool(command_database(c), command_tenant(c), c->argument));
}

static void disable(struct command_call *c)
{
    print(c, operator_switch_tool(command_database(c), command_tenant(c), c->argument, true));
}

static void enable(struct command_call *c)
{
    print(c, operator_switch_tool(command_database(c), command_tenant(c), c->argument, false));
}

static void remove_tool(struct command_call *c)
{
    print(c, operator_remove_tool(command_database(c), command_tenant(c), c->argument));
}

static const struct command_option list_options[] = {
    COMMAND_ANY_TENANT,
    { NULL, NULL, NULL },
};

static const struct command_option tenant_options[] = {
    COMMAND_TENANT,
    { NULL, NULL, NULL },
};

const struct command command_tool_add = {
    .words = "tool add",
    .takes = "NAME",
    .about = "gives a tenant a web service that models may ask",
    .more =
        "Models with tenant_tools: true offer it to whoever asks for that tenant. It is reached at\n"
        "public addresses only. What its headers say is not shown again; ${NAME} is not looked up.",
    .options = add_options,
    .run = add,
};

const struct command command_tool_list = {
    .words = "tool list",
    .about = "lists the tools of tenants",
    .options = list_options,
    .run = list,
};

const struct command command_tool_show = {
    .words = "tool show",
    .takes = "NAME",
    .about = "shows a tool, without what its headers say",
    .options = tenant_options,
    .run = show,
};

const struct command command_tool_disable = {
    .words = "tool disable",
    .takes = "NAME",
    .about = "lets nobody use a tool for now",
    .options = tenant_options,
    .run = disable,
};

const struct command command_tool_enable = {
    .words = "tool enable",
    .takes = "NAME",
    .about = "lets it be used again",
    .options = tenant_options,
    .run = enable,
};

const struct command command_tool_remove = {
    .words = "tool remove",
    .takes = "NAME",
    .about = "removes a tool, and shows what it was",
    .options = tenant_options,
    .run = remove_tool,
};
