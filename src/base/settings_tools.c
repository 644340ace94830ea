/* settings_tools.c - the rows for what models may ask us to do. */
#include "base/host.h"
#include "base/json.h"
#include "base/settings_rows.h"

#include <stdio.h>
#include <string.h>

static const char *const kinds[] = { "http", "mcp", NULL };
static const char *const no_yes[] = { "false", "true", NULL };
static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE", NULL };

const char *const settings_builtin_tools[] = { "now", "calculator", "search_conversations", NULL };

enum { NAME_MAX_TOOL = 64, NAME_MAX_SERVER = 30 };

/* As OpenAI allows it; the others allow more. */
static bool is_tool_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
              (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_' || s.p[i] == '-'))
            return false;
    return s.n > 0 && s.n <= NAME_MAX_TOOL;
}

static bool is_schema(struct str s)
{
    const char      *why;
    struct json_doc *doc = json_read(s, &why);
    bool             good = json_type(json_root(doc)) == JSON_OBJECT &&
                str_eq(json_str(json_get(json_root(doc), "type")), STR("object"));

    json_free(doc);
    return good;
}

static bool is_argument_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-_.", c));
}

/* Every "{" has its "}", a name between them, and around them only what an address may hold. */
static bool has_good_arguments(struct str s)
{
    size_t from = 0;                          /* behind the "{" that is open    */

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '{' ? from : s.p[i] == '}' && (!from || from == i))
            return false;
        if (s.p[i] == '{' || s.p[i] == '}')
            from = s.p[i] == '{' ? i + 1 : 0;
        else if (from ? !is_argument_char(s.p[i]) : strchr("\"#<>\\^`|", s.p[i]) != NULL)
            return false;
    }
    return !from;
}

/* They would be taken away before it is sent. */
static bool has_dots(struct str path)
{
    struct str segment;

    while (str_next(&path, '/', &segment))
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return true;
    return false;
}

/* Behind "//" up to the path and the query; an argument there would choose whom we ask. */
static struct str authority_of(struct str url)
{
    struct str rest = str_from(url, str_starts(url, STR("https://")) ? 8 : 7);
    size_t     n = str_find(rest, '/'), query = str_find(rest, '?');

    return (struct str){ rest.p, n < query ? n : query };
}

static bool is_template(struct str s)
{
    struct str host, authority, path;

    if (!str_starts(s, STR("http://")) && !str_starts(s, STR("https://")))
        return false;
    authority = authority_of(s);
    path = str_from(s, (size_t)(authority.p + authority.n - s.p));
    path.n = str_find(path, '?');
    return host_of_authority(authority, &host) && settings_is_visible(s) && !has_dots(path) &&
           has_good_arguments(s);
}

/* Those that say where a request goes and where it ends are ours to write. */
static bool is_tool_header(struct str s)
{
    static const char *const ours[] = { "host",       "content-length",  "transfer-encoding",
                                        "connection", "accept-encoding", "x-operation-id",
                                        NULL };
    struct str               name = { s.p, str_find(s, ':') };

    for (const char *const *o = ours; *o; o++)
        if (str_eq_nocase(str_trim(name), str_of(*o)))
            return false;
    return settings_is_header(s);
}

static const struct conf_field tool_rows[] = {
    TEXT(
        "name", tool_settings, name, NULL, is_tool_name, "up to 64 of A-Z a-z 0-9 _ -",
        "What models call it; of an MCP server, what stands before its tools' names: files__read."),
    CHOICE(
        "kind", tool_settings, kind, "http", kinds,
        "A request of ours, or an MCP server over streamable HTTP, which says itself what it can."),
    TEXT("url", tool_settings, url, NULL, is_template,
         "an address with a plain host, and {argument} only behind it (https://host/city/{name})",
         "Where it is. Arguments go into it encoded; they cannot change the host."),
    CHOICE("method", tool_settings, method, "GET", methods,
           "http: with GET and DELETE what the address does not take goes into its query, with the "
           "others the arguments are the body, as JSON."),
    TEXT("description", tool_settings, description, "", NULL, NULL,
         "http: what it is good for, in words for the model."),
    TEXT("parameters", tool_settings, parameters, "{\"type\":\"object\",\"properties\":{}}",
         is_schema, "a JSON schema of an object", "http: what it takes."),
    SECRETS("headers", tool_settings, headers, is_tool_header, "header fields (X-Key: ...)",
            "Header fields that go with every request to it."),
    TEXTS("allow", tool_settings, allow, settings_is_visible, "hosts (10.0.0.7, tools.internal)",
          "http: hosts that it may reach although their addresses are private; no others are."),
    TEXTS("only", tool_settings, only, NULL, NULL, "mcp: of its tools only these."),
    TEXT("ca_file", tool_settings, ca_file, "", NULL, NULL,
         "Certificates to trust instead of the system's, in a PEM file."),
    TIME("timeout", tool_settings, timeout, "120s", 10, 3600,
         "The longest one run may take; the model is told."),
    BYTES("max_output_bytes", tool_settings, max_output_bytes, "100KiB", 64, 4 * MIB,
          "How much of its output a model gets."),
    CHOICE("alone", tool_settings, alone, "false", no_yes,
           "It is not run beside others that were asked for at the same time."),
    CHOICE(
        "background", tool_settings, background, "false", no_yes,
        "http: it may answer 202 and go on when the answer has ended; what it came to it tells at "
        "/api/chat/operations/{x-operation-id}/complete. For sessions that are kept only."),
    TIME("operation_ttl", tool_settings, operation_ttl, "10m", 1000, 604800,
         "With background: how long it may take then; the model is told."),
    END
};
const struct conf_record settings_tool_record = {
    .fields = tool_rows,
    .size = sizeof(struct tool_settings),
    .line_offset = offsetof(struct tool_settings, line),
};

/* ---- what only the whole can tell ---------------------------------------------------- */

static bool is_builtin(struct str name)
{
    for (const char *const *b = settings_builtin_tools; *b; b++)
        if (str_eq(name, str_of(*b)))
            return true;
    return false;
}

/* A name is looked at when it is asked for. */
static bool may_never_be_reached(const struct tool_settings *t)
{
    struct str    host;
    union address a;

    return t->kind == TOOL_HTTP && t->url.n && host_of_authority(authority_of(t->url), &host) &&
           address_read_host(host, &a) && !host_is_public(&a) && !host_is_among(host, &t->allow);
}

static const char *what_is_wrong(const struct tool_settings *t, size_t at)
{
    if (is_builtin(t[at].name))
        return "is a tool of our own already";
    for (size_t j = 0; j < at; j++)
        if (str_eq(t[at].name, t[j].name))
            return "is the name of another tool already";
    if (t[at].kind == TOOL_MCP && t[at].name.n > NAME_MAX_SERVER)
        return "is too long for a server's name, which has at most 30 characters";
    return NULL;
}

static void check_background(const struct conf_load *load, const struct settings *s, size_t i)
{
    const struct tool_settings *t = s->tools.items;
    char                        key[64];

    snprintf(key, sizeof key, "tools[%zu].background", i);
    if (t[i].kind == TOOL_MCP)
        conf_mistake(load, t[i].line, key, "an MCP server's tools do not go on in the background");
    else if (!s->session.service_keys.n)
        conf_mistake(
            load, t[i].line, key,
            "nobody could complete its operations: dialects.session.service_keys is empty");
}

static void check_tools(const struct conf_load *load, const struct settings *s)
{
    const struct tool_settings *t = s->tools.items;
    char                        key[64];

    for (size_t i = 0; i < s->tools.n; i++) {
        const char *wrong = t[i].name.n ? what_is_wrong(t, i) : NULL;

        snprintf(key, sizeof key, "tools[%zu].name", i);
        if (wrong)
            conf_mistake(load, t[i].line, key, "\"%s\" %s", t[i].name.p, wrong);
        if (t[i].kind == TOOL_MCP && memchr(t[i].url.p, '{', t[i].url.n))
            conf_mistake(load, t[i].line, key, "the url of an MCP server has no {arguments}");
        if (t[i].background)
            check_background(load, s, i);
        if (may_never_be_reached(&t[i]))
            conf_mistake(load, t[i].line, key,
                         "the url's address is not public: let it in with allow");
    }
}

/* ---- those of tenants ------------------------------------------------------------------ */

enum { TENANT_HEADERS_MAX = 32, TENANT_HEADER_MAX_BYTES = 8 * KIB };

/* Nobody knows how many tenants there will be. */
static const struct {
    const char *row;
    size_t      offset;
    size_t      most;                         /* bytes                          */
} tenant_limits[] = {
    { "url", offsetof(struct tool_settings, url), 2 * KIB },
    { "description", offsetof(struct tool_settings, description), 4 * KIB },
    { "parameters", offsetof(struct tool_settings, parameters), 64 * KIB },
};

static const char *called(const struct conf_given *given, size_t n, const char *row)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(given[i].name, row) == 0)
            return given[i].called;
    return row;
}

static const char *what_is_wrong_with_headers(const struct conf_texts *headers)
{
    if (headers->n > TENANT_HEADERS_MAX)
        return "there are more than 32";
    for (size_t i = 0; i < headers->n; i++)
        if (headers->items[i].n > TENANT_HEADER_MAX_BYTES)
            return "one is longer than 8192 bytes";
    return NULL;
}

static void check_tenant_limits(const struct conf_load *load, const struct conf_given *given,
                                size_t n, const struct tool_settings *t)
{
    const char *wrong = what_is_wrong_with_headers(&t->headers);

    for (size_t i = 0; i < sizeof tenant_limits / sizeof *tenant_limits; i++) {
        const struct str *text = (const struct str *)((const char *)t + tenant_limits[i].offset);

        if (text->n > tenant_limits[i].most)
            conf_mistake(load, 0, called(given, n, tenant_limits[i].row),
                         "it is longer than %zu bytes", tenant_limits[i].most);
    }
    if (wrong)
        conf_mistake(load, 0, called(given, n, "headers"), "%s", wrong);
}

bool settings_read_tenant_tool(const struct conf_load *load, const struct conf_given *given,
                               size_t n, struct tool_settings *out)
{
    size_t before = load->mistakes->n;

    conf_read_given(load, &settings_tool_record, out, given, n);
    if (is_builtin(out->name))
        conf_mistake(load, 0, called(given, n, "name"), "\"%s\" is a tool of our own already",
                     out->name.p);
    if (may_never_be_reached(out))
        conf_mistake(load, 0, called(given, n, "url"), "its address is not public");
    check_tenant_limits(load, given, n, out);
    return load->mistakes->n == before && !load->mistakes->over;
}

/* ---- what models may use ----------------------------------------------------------------- */

static bool has_tool(const struct settings *s, struct str name)
{
    const struct tool_settings *t = s->tools.items;

    for (size_t i = 0; i < s->tools.n; i++)
        if (str_eq(t[i].name, name))
            return true;
    return is_builtin(name);
}

void settings_check_tools(const struct conf_load *load, const struct settings *s)
{
    const struct model_settings *m = s->models.items;
    char                         key[64];

    check_tools(load, s);
    for (size_t i = 0; i < s->models.n; i++) {
        if (m[i].tenant_tools && s->database.url.n == 0) {
            snprintf(key, sizeof key, "models[%zu].tenant_tools", i);
            conf_mistake(load, m[i].line, key,
                         "tenants' tools are in a database, and database.url is empty");
        }
        for (size_t j = 0; j < m[i].tools.n; j++)
            if (!has_tool(s, m[i].tools.items[j])) {
                snprintf(key, sizeof key, "models[%zu].tools", i);
                conf_mistake(load, m[i].line, key, "there is no tool named \"%s\"",
                             m[i].tools.items[j].p);
            }
    }
}
