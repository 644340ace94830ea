/* anthropic.c - asks Anthropic's Messages.
 *
 * There, instructions stand beside the messages, user and assistant take turns, and a message
 * is a list of blocks: calls of tools are blocks of the assistant's message, their results
 * are blocks of the user's next one. Neighbours of one role become one message, and what is
 * empty is left out, for the service refuses both.
 */
#include "provider/messages.h"
#include "provider/options.h"
#include "provider/upstream.h"

#include <ctype.h>

enum { MAX_TOKENS = 4096 };                   /* it wants a limit, whether the client has one or not */

/* ---- messages ---------------------------------------------------------------------------- */

struct talk {
    struct buf *out;
    const char *role;                         /* of the message that is open; NULL: none yet */
    bool        fresh;                        /* its list of blocks is empty    */
};

/* The next block is `role`'s. */
static void begin_block(struct talk *t, const char *role)
{
    if (!t->role || !str_eq(str_of(t->role), str_of(role))) {
        buf_addf(t->out, "%s{\"role\":\"%s\",\"content\":[", t->role ? "]}," : "", role);
        t->role = role;
    } else if (!t->fresh) {
        buf_lit(t->out, ",");
    }
    t->fresh = false;
}

/* The service refuses a text without a letter, and some models begin with one. */
static bool is_blank(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!isspace((unsigned char)text.p[i]))
            return false;
    return true;
}

static void write_text(struct talk *t, const char *role, struct str text)
{
    if (is_blank(text))
        return;
    begin_block(t, role);
    buf_lit(t->out, "{\"type\":\"text\",\"text\":");
    json_add_str(t->out, text);
    buf_lit(t->out, "}");
}

static void write_image(struct buf *out, struct str url)
{
    struct str type, base64;

    buf_lit(out, "{\"type\":\"image\",\"source\":{\"type\":");
    if (data_url_read(url, &type, &base64)) {
        buf_lit(out, "\"base64\",\"media_type\":");
        json_add_str(out, type);
        buf_lit(out, ",\"data\":");
        json_add_str(out, base64);
    } else {
        buf_lit(out, "\"url\",\"url\":");
        json_add_str(out, url);
    }
    buf_lit(out, "}}");
}

/* A part that we do not know goes as it is: the service will say what it thinks of it. */
static void write_parts(struct talk *t, const char *role, const struct json *parts)
{
    struct json_walk   w = json_walk(parts);
    const struct json *part;
    struct str         text;

    while ((part = json_walk_next(&w))) {
        if (part_is_text(part, &text)) {
            write_text(t, role, text);
            continue;
        }
        begin_block(t, role);
        if (part_is_image(part, &text))
            write_image(t->out, text);
        else
            json_add_value(t->out, part);
    }
}

/* Letters, digits, "_" and "-" are all that may be in one; others' services give others. */
static void write_id(struct buf *out, struct str id)
{
    buf_lit(out, "\"");
    for (size_t i = 0; i < id.n; i++)
        buf_add_char(out, isalnum((unsigned char)id.p[i]) || id.p[i] == '-' ? id.p[i] : '_');
    buf_add(out, id.n ? STR("\"") : STR("_\""));
}

static void write_calls(struct talk *t, const struct json *raw)
{
    struct tool_call_walk calls = tool_call_walk(raw);
    struct tool_call      call;

    while (tool_call_walk_next(&calls, &call)) {
        begin_block(t, "assistant");
        buf_lit(t->out, "{\"type\":\"tool_use\",\"id\":");
        write_id(t->out, call.id);
        buf_lit(t->out, ",\"name\":");
        json_add_str(t->out, call.name);
        buf_lit(t->out, ",\"input\":");
        tool_call_add_arguments(&call, t->out);
        buf_lit(t->out, "}");
    }
}

static void write_result(struct talk *t, const struct message_walk *w)
{
    struct talk inner = { .out = t->out, .role = "user", .fresh = true };

    begin_block(t, "user");
    buf_lit(t->out, "{\"type\":\"tool_result\",\"tool_use_id\":");
    write_id(t->out, message_call_id(w));
    buf_lit(t->out, ",\"content\":");
    if (message_parts(w)) {
        buf_lit(t->out, "[");
        write_parts(&inner, "user", message_parts(w));
        buf_lit(t->out, "]");
    } else {
        json_add_str(t->out, w->message->text);
    }
    buf_lit(t->out, "}");
}

static void write_message(struct talk *t, const struct message_walk *w)
{
    const char *role = w->message->role == ROLE_ASSISTANT ? "assistant" : "user";

    if (message_parts(w))
        write_parts(t, role, message_parts(w));
    else
        write_text(t, role, w->message->text);
    if (w->message->role == ROLE_ASSISTANT)
        write_calls(t, w->raw);
}

static bool is_instruction(const struct message *m)
{
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

static void write_messages(const struct question *q, struct members *m)
{
    struct message_walk w = message_walk(q);
    struct talk         t = { .out = m->out };

    members_add_name(m, "messages");
    buf_lit(m->out, "[");
    while (message_walk_next(&w)) {
        if (w.message->role == ROLE_TOOL || w.message->role == ROLE_FUNCTION)
            write_result(&t, &w);
        else if (!is_instruction(w.message))
            write_message(&t, &w);
    }
    buf_add(m->out, t.role ? STR("]}]") : STR("]"));
}

static void write_system(const struct question *q, struct members *m)
{
    bool any = false;

    for (size_t i = 0; i < q->n_messages; i++) {
        if (!is_instruction(&q->messages[i]) || is_blank(q->messages[i].text))
            continue;
        if (!any)
            members_add_name(m, "system");
        buf_add(m->out, any ? STR("\\n\\n") : STR("\""));
        json_add_text(m->out, q->messages[i].text);
        any = true;
    }
    if (any)
        buf_lit(m->out, "\"");
}

/* ---- tools ---------------------------------------------------------------------------- */

/* A tool that is no function is one of the service's own. */
static void write_tools(const struct options *o, struct members *m)
{
    struct json_walk   w = json_walk(options_tools(o));
    const struct json *tool;

    members_add_name(m, "tools");
    for (bool first = true; (tool = json_walk_next(&w)); first = false) {
        buf_add(m->out, first ? STR("[") : STR(","));
        if (tool_function(tool))
            tool_write_function(tool_function(tool), "input_schema", m->out);
        else
            json_add_value(m->out, tool);
    }
    buf_lit(m->out, "]");
}

static void write_tool_choice(const struct options *o, struct members *m)
{
    static const struct str types[] = {
        [TOOLS_UNSAID] = STR_INIT("auto"), [TOOLS_AUTO] = STR_INIT("auto"),
        [TOOLS_NONE] = STR_INIT("none"),   [TOOLS_REQUIRED] = STR_INIT("any"),
        [TOOLS_NAMED] = STR_INIT("tool"),
    };
    const struct json *parallel = json_get(options_client(o), "parallel_tool_calls");
    bool               one_by_one = json_type(parallel) == JSON_BOOL && !json_is_true(parallel);
    struct str         name;
    enum tool_choice   choice = options_tool_choice(o, &name);
    struct members     inner;

    if (choice == TOOLS_OTHER)
        members_add(m, "tool_choice", json_get(options_client(o), "tool_choice"));
    if (choice == TOOLS_OTHER || (choice == TOOLS_UNSAID && !one_by_one))
        return;
    members_add_name(m, "tool_choice");
    inner = members_open(m->out);
    members_add_str(&inner, "type", types[choice]);
    if (choice == TOOLS_NAMED)
        members_add_str(&inner, "name", name);
    if (one_by_one && choice != TOOLS_NONE && members_add_name(&inner, "disable_parallel_tool_use"))
        buf_lit(m->out, "true");
    members_close(&inner);
}

/* ---- the request ------------------------------------------------------------------------ */

static void write_user(const struct json *user, struct members *m)
{
    struct members inner;

    if (!json_str(user).n)
        return;
    members_add_name(m, "metadata");
    inner = members_open(m->out);
    members_add_str(&inner, "user_id", json_str(user));
    members_close(&inner);
}

static void write_options(const struct options *o, struct members *m)
{
    const struct json *client = options_client(o);

    if (json_count(options_tools(o))) {
        write_tools(o, m);
        write_tool_choice(o, m);
    }
    members_add_clamped(m, "temperature", json_get(client, "temperature"), 0, 1);
    members_add(m, "top_p", json_get(client, "top_p"));
    members_add(m, "top_k", json_get(client, "top_k"));
    members_add_list(m, "stop_sequences", json_get(client, "stop"));
    members_add(m, "thinking", json_get(client, "thinking"));
    write_user(json_get(client, "user"), m);
    members_add_rest(m, options_extra(o));
}

static void write_body(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    struct options o = options_open(p, q);
    struct members m = members_open(out);
    uint64_t       max_tokens = options_max_tokens(&o, q);

    members_add_str(&m, "model", model);
    members_add_u64(&m, "max_tokens", max_tokens ? max_tokens : MAX_TOKENS);
    write_system(q, &m);
    write_messages(q, &m);
    members_add_name(&m, "stream");
    buf_lit(out, "true");
    write_options(&o, &m);
    members_close(&m);
    options_close(&o);
}

static void write_fields(const struct provider *p, struct str key, struct buf *out)
{
    (void)p;
    buf_addf(out, "x-api-key: %.*s\r\nanthropic-version: 2023-06-01\r\n", STR_ARG(key));
}

static void write_path(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    (void)p;
    (void)q;
    (void)model;
    buf_lit(out, "/v1/messages");
}

const struct upstream_kind anthropic_kind = { &anthropic_source, write_path, write_fields,
                                              write_body };

static struct call *start(struct provider *p, const struct question *q, struct str model,
                          struct outlet out)
{
    return upstream_start(p, &anthropic_kind, q, model, out);
}

const struct provider_ops anthropic_provider = {
    .start = start,
    .pause = upstream_pause,
    .resume = upstream_resume,
    .cancel = upstream_cancel,
};
