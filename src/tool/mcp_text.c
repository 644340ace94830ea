#include "tool/mcp_text.h"

#include "base/half.h"
#include "base/utf8.h"
#include "tool/tool.h"
#include "wire/base64.h"
#include "wire/http_text.h"
#include "wire/sha256.h"

enum { MARK_DIGITS = 8, DEPTH_MAX = 64, URI_MAX_BYTES = 300, FIELD_MAX_BYTES = 4096 };

#define CLIENT_INFO "{\"name\":\"runnel\",\"version\":\"1\"}"
#define META        "io.modelcontextprotocol/"

/* ---- what we say ----------------------------------------------------------------------- */

bool mcp_knows_version(struct str version)
{
    static const char *const known[] = { MCP_GREETED_VERSION, "2025-06-18", "2025-03-26",
                                         "2024-11-05" };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_eq(version, str_of(known[i])))
            return true;
    return false;
}

void mcp_write(enum mcp_flavour flavour, int64_t id, const char *method, struct str members,
               struct buf *out)
{
    buf_lit(out, "{\"jsonrpc\":\"2.0\",");
    if (id)
        buf_addf(out, "\"id\":%lld,", (long long)id);
    buf_addf(out, "\"method\":\"%s\",\"params\":{", method);
    buf_add(out, members);
    if (flavour == MCP_STATELESS) {
        if (members.n)
            buf_lit(out, ",");
        buf_lit(out, "\"_meta\":{\"" META "protocolVersion\":\"" MCP_STATELESS_VERSION "\",\"" META
                     "clientInfo\":" CLIENT_INFO ",\"" META "clientCapabilities\":{}}");
    }
    buf_lit(out, "}}");
}

void mcp_write_greeting(int64_t id, struct buf *out)
{
    mcp_write(MCP_GREETED, id, "initialize",
              STR("\"protocolVersion\":\"" MCP_GREETED_VERSION
                  "\",\"capabilities\":{},\"clientInfo\":" CLIENT_INFO),
              out);
}

void mcp_write_reply(const struct json *id, struct str method, struct buf *out)
{
    buf_lit(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    json_add_value(out, id);
    if (str_eq(method, STR("ping")))
        buf_lit(out, ",\"result\":{}}");
    else
        buf_addf(out, ",\"error\":{\"code\":%d,\"message\":\"this client has no such method\"}}",
                 MCP_NO_METHOD);
}

static bool is_plain(struct str s)
{
    return s.n && http_is_plain_value(s) && str_eq(str_trim(s), s) &&
           !str_starts(s, STR("=?base64?"));
}

void mcp_add_field_value(struct str text, struct buf *out)
{
    if (is_plain(text)) {
        buf_add(out, text);
        return;
    }
    buf_lit(out, "=?base64?");
    base64_encode(text, out);
    buf_lit(out, "?=");
}

static void add_param_field(struct str name, const struct json *value, struct buf *out)
{
    struct buf text = BUF(FIELD_MAX_BYTES), field = BUF(2 * FIELD_MAX_BYTES);

    if (json_type(value) == JSON_STRING)
        buf_add(&text, json_str(value));
    else
        json_add_value(&text, value);
    buf_addf(&field, "mcp-param-%.*s: ", STR_ARG(name));
    mcp_add_field_value(buf_str(&text), &field);
    buf_lit(&field, "\r\n");
    if (!text.over && !field.over)
        buf_add(out, buf_str(&field));
    buf_release(&text);
    buf_release(&field);
}

static bool is_primitive(const struct json *v)
{
    return json_type(v) == JSON_STRING || json_type(v) == JSON_NUMBER || json_type(v) == JSON_BOOL;
}

/* As deep as JSON may be. */
static void add_param_fields(const struct json *schema, const struct json *given, struct buf *out)
{
    struct json_members m = json_members(json_get(schema, "properties"));
    const struct json  *property, *value;
    struct str          name, field;

    while (json_members_next(&m, &name, &property)) {
        field = json_str(json_get(property, "x-mcp-header"));
        value = json_get_n(given, name);
        if (http_is_token(field) && is_primitive(value))
            add_param_field(field, value, out);
        if (json_type(value) == JSON_OBJECT)
            add_param_fields(property, value, out);
    }
}

void mcp_add_param_fields(struct str schema, struct str arguments, struct buf *out)
{
    const char      *why;
    struct json_doc *of = json_read_patiently(schema, &why);
    struct json_doc *given = json_read_patiently(arguments, &why);

    add_param_fields(json_root(of), json_root(given), out);
    json_free(of);
    json_free(given);
}

/* ---- what it says ---------------------------------------------------------------------- */

static bool is_ours(const struct json *id, int64_t ours)
{
    int64_t n = 0;

    return json_int(id, &n) && n == ours;
}

static struct mcp_message read_error(const struct json *error)
{
    struct mcp_message m = { .kind = MCP_ERROR, .words = json_str(json_get(error, "message")) };

    json_int(json_get(error, "code"), &m.code);
    return m;
}

struct mcp_message mcp_read(const struct json *v, int64_t ours)
{
    const struct json *id = json_get(v, "id"), *error = json_get(v, "error");
    struct mcp_message m = { .kind = MCP_NOISE };

    if (json_type(json_get(v, "method")) == JSON_STRING)
        return (struct mcp_message){ .kind = id ? MCP_QUESTION : MCP_NOTICE,
                                     .id = id,
                                     .method = json_str(json_get(v, "method")) };
    if (!is_ours(id, ours) && (id || !error))
        return m;
    if (error)
        m = read_error(error);
    else if (json_type(json_get(v, "result")) == JSON_OBJECT)
        m = (struct mcp_message){ .kind = MCP_RESULT, .result = json_get(v, "result") };
    m.by_id = id != NULL;
    return m;
}

/* ---- a tool's output ------------------------------------------------------------------- */

static void add_words(struct str words, struct buf *out)
{
    struct buf room = BUF(out->limit);

    buf_add(out, half_mend(words, &room));
    buf_release(&room);
}

static void add_short(struct str words, struct buf *out)
{
    add_words(utf8_clip(words, URI_MAX_BYTES), out);
}

static void add_data(const char *what, const struct json *part, const char *data, struct buf *out)
{
    struct str type = json_str(json_get(part, "mimeType"));

    buf_addf(out, "[%s", what);
    if (json_str(json_get(part, "uri")).n) {
        buf_lit(out, " ");
        add_short(json_str(json_get(part, "uri")), out);
    }
    if (type.n) {
        buf_lit(out, ", ");
        add_short(type, out);
    }
    if (data)                                 /* four letters stand for three bytes */
        buf_addf(out, ", %zu bytes, not shown", json_str(json_get(part, data)).n / 4 * 3);
    buf_lit(out, "]");
}

static void add_link(const struct json *part, struct buf *out)
{
    struct str name = json_str(json_get(part, "title"));

    buf_lit(out, "[a link: ");
    add_short(name.n ? name : json_str(json_get(part, "name")), out);
    buf_lit(out, " ");
    add_short(json_str(json_get(part, "uri")), out);
    buf_lit(out, "]");
}

static void add_resource(const struct json *r, struct buf *out)
{
    struct str text = json_str(json_get(r, "text"));

    add_data("a resource", r, text.n ? NULL : "blob", out);
    if (text.n) {
        buf_lit(out, "\n");
        add_words(text, out);
    }
}

static void add_part(const struct json *part, struct buf *out)
{
    struct str type = json_str(json_get(part, "type"));

    if (str_eq(type, STR("text")))
        add_words(json_str(json_get(part, "text")), out);
    else if (str_eq(type, STR("image")))
        add_data("an image", part, "data", out);
    else if (str_eq(type, STR("audio")))
        add_data("a sound", part, "data", out);
    else if (str_eq(type, STR("resource_link")))
        add_link(part, out);
    else if (str_eq(type, STR("resource")))
        add_resource(json_get(part, "resource"), out);
    else
        buf_lit(out, "[something that cannot be shown]");
}

static bool has_text(const struct json *content)
{
    struct json_walk   w = json_walk(content);
    const struct json *part;

    while ((part = json_walk_next(&w)))
        if (json_str(json_get(part, "text")).n ||
            json_str(json_get(json_get(part, "resource"), "text")).n)
            return true;
    return false;
}

void mcp_add_output(const struct json *result, struct buf *out)
{
    const struct json *content = json_get(result, "content"), *part;
    const struct json *structured = json_get(result, "structuredContent");
    struct json_walk   w = json_walk(content);
    bool               texts = has_text(content);
    size_t             n = 0;

    for (; (part = json_walk_next(&w)); n++) {
        if (n)
            buf_lit(out, "\n");
        add_part(part, out);
    }
    if (structured && !texts) {
        if (n)
            buf_lit(out, "\n");
        json_add_value(out, structured);
    }
    if (!out->n)
        buf_lit(out, "[it said nothing]");
}

/* ---- what was cut ---------------------------------------------------------------------- */

struct mend {
    struct str text;
    char       open[DEPTH_MAX];               /* what closes them               */
    size_t     depth;
    size_t     good, good_depth;              /* so far it can be closed        */
};

static void close_at(struct mend *m, struct str text, size_t depth, const char *quote,
                     struct buf *out)
{
    buf_add(out, text);
    buf_add(out, str_of(quote));
    while (depth)
        buf_add_char(out, m->open[--depth]);
}

/* The bytes of one character of a JSON string; 0: they are not all there. */
static size_t unit_length(struct str s)
{
    size_t n;

    if (s.p[0] != '\\')
        return utf8_length(s);
    n = s.n > 1 && s.p[1] == 'u' ? 6 : 2;
    return n <= s.n ? n : 0;
}

/* Behind the last whole character from `at` on: at the closing quote, or where it was cut. */
static size_t string_end(struct str text, size_t at)
{
    size_t n = 1;

    while (at < text.n && text.p[at] != '"' && n) {
        n = unit_length(str_from(text, at));
        at += n;
    }
    return at;
}

static void mark_good(struct mend *m, size_t at)
{
    m->good = at;
    m->good_depth = m->depth;
}

/* One bracket, comma or colon. True: a string that comes next is a value. */
static bool take_sign(struct mend *m, size_t at)
{
    char c = m->text.p[at];

    switch (c) {
    case '{':
    case '[':
        m->open[m->depth++] = c == '{' ? '}' : ']';
        mark_good(m, at + 1);
        return c == '[';
    case '}':
    case ']':
        m->depth -= m->depth > 0;
        mark_good(m, at + 1);
        return false;
    case ',': mark_good(m, at); return m->depth && m->open[m->depth - 1] == ']';
    default: return true;
    }
}

void mcp_mend(struct str cut, struct buf *out)
{
    struct mend m = { .text = cut };
    bool        is_value = true;
    size_t      end;

    for (size_t at = 0; at < cut.n && m.depth < DEPTH_MAX; at++) {
        if (cut.p[at] == '"') {
            end = string_end(cut, at + 1);
            if (end < cut.n && cut.p[end] == '"') {
                at = end;
                if (is_value)
                    mark_good(&m, end + 1);
                continue;
            }
            if (is_value)
                close_at(&m, (struct str){ cut.p, end }, m.depth, "\"", out);
            else
                close_at(&m, (struct str){ cut.p, m.good }, m.good_depth, "", out);
            return;
        }
        if (memchr("{}[],:", cut.p[at], 6))
            is_value = take_sign(&m, at);
    }
    close_at(&m, (struct str){ cut.p, m.good }, m.good_depth, "", out);
}

/* ---- names ----------------------------------------------------------------------------- */

static void add_letters(struct str name, struct buf *out)
{
    for (size_t i = 0; i < name.n; i++)
        buf_add_char(out, tool_name_is_good((struct str){ name.p + i, 1 }) ? name.p[i] : '_');
}

void mcp_add_name(struct str server, struct str tool, bool marked, struct buf *out)
{
    size_t room = TOOL_NAME_MAX - server.n - 2;
    char   digest[SHA256_HEX_SIZE];

    buf_add(out, server);
    buf_lit(out, "__");
    if (!marked && tool.n <= room) {
        add_letters(tool, out);
        return;
    }
    room -= MARK_DIGITS + 1;
    add_letters((struct str){ tool.p, tool.n < room ? tool.n : room }, out);
    sha256_hex(tool, digest);
    buf_addf(out, "_%.*s", MARK_DIGITS, digest);
}
