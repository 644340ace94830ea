/* ollama.c - asks Ollama's own chat, which can do more than its imitation of OpenAI's.
 *
 * Arguments of calls are objects there, results name the tool and not the call, pictures lie
 * beside the text, and what shapes an answer stands under "options".
 */
#include "provider/messages.h"
#include "provider/options.h"
#include "provider/upstream.h"

/* ---- messages ---------------------------------------------------------------------------- */

static const char *their_role(enum role role)
{
    switch (role) {
    case ROLE_DEVELOPER: return role_name(ROLE_SYSTEM);
    case ROLE_FUNCTION:  return role_name(ROLE_TOOL);
    default:             return role_name(role);
    }
}

static void write_calls(const struct json *raw, struct members *m)
{
    struct tool_call_walk calls = tool_call_walk(raw);
    struct tool_call      call;
    bool                  any = false;

    for (; tool_call_walk_next(&calls, &call); any = true) {
        if (!any)
            members_add_name(m, "tool_calls");
        buf_add(m->out, any ? STR(",") : STR("["));
        buf_lit(m->out, "{\"function\":{\"name\":");
        json_add_str(m->out, call.name);
        buf_lit(m->out, ",\"arguments\":");
        tool_call_add_arguments(&call, m->out);
        buf_lit(m->out, "}}");
    }
    if (any)
        buf_lit(m->out, "]");
}

/* Only pictures that came along: Ollama fetches none. */
static bool takes_part(const struct message_walk *w, struct str picture)
{
    struct str type, base64;

    (void)w;
    return data_url_read(picture, &type, &base64);
}

static bool takes(const struct provider *p, const struct question *q)
{
    (void)p;
    return parts_are_taken(q, takes_part);
}

static void write_images(const struct json *parts, struct members *m)
{
    struct json_walk   w = json_walk(parts);
    const struct json *part;
    struct str         url, type, base64;
    bool               any = false;

    while ((part = json_walk_next(&w))) {
        if (!part_is_image(part, &url) || !data_url_read(url, &type, &base64))
            continue;
        if (!any)
            members_add_name(m, "images");
        buf_add(m->out, any ? STR(",") : STR("["));
        json_add_str(m->out, base64);
        any = true;
    }
    if (any)
        buf_lit(m->out, "]");
}

static void write_message(const struct message_walk *w, struct buf *out)
{
    struct members m = members_open(out);
    enum role      role = w->message->role;

    members_add_str(&m, "role", str_of(their_role(role)));
    members_add_str(&m, "content", w->message->text);
    write_images(message_parts(w), &m);
    if (role == ROLE_ASSISTANT) {
        members_add(&m, "thinking", json_get(w->raw, "reasoning_content"));
        write_calls(w->raw, &m);
    }
    if (role == ROLE_TOOL || role == ROLE_FUNCTION)
        members_add_str(&m, "tool_name", message_tool_name(w));
    members_close(&m);
}

static void write_messages(const struct question *q, struct members *m)
{
    struct message_walk w = message_walk(q);

    members_add_name(m, "messages");
    buf_lit(m->out, "[");
    for (bool first = true; message_walk_next(&w); first = false) {
        if (!first)
            buf_lit(m->out, ",");
        write_message(&w, m->out);
    }
    buf_lit(m->out, "]");
}

/* ---- the request ------------------------------------------------------------------------ */

static void write_format(const struct json *client, struct members *m)
{
    const struct json *wish = json_get(client, "response_format");
    struct str         type = json_str(json_get(wish, "type"));

    if (str_eq(type, STR("json_object")))
        members_add_str(m, "format", STR("json"));
    if (str_eq(type, STR("json_schema")))
        members_add(m, "format", json_get(json_get(wish, "json_schema"), "schema"));
    members_add(m, "format", json_get(client, "format"));
}

static void write_think(const struct json *client, struct members *m)
{
    struct str effort = json_str(json_get(client, "reasoning_effort"));

    members_add(m, "think", json_get(client, "think"));
    if (str_eq(effort, STR("none")) && members_add_name(m, "think"))
        buf_lit(m->out, "false");
    else if (effort.n)
        members_add_str(m, "think", effort);
}

static void write_inner_options(const struct options *o, uint64_t max_tokens, struct members *m)
{
    const struct json *client = options_client(o);
    struct members     inner;

    members_add_name(m, "options");
    inner = members_open(m->out);
    members_add(&inner, "temperature", json_get(client, "temperature"));
    members_add(&inner, "top_p", json_get(client, "top_p"));
    members_add(&inner, "top_k", json_get(client, "top_k"));
    if (max_tokens)
        members_add_u64(&inner, "num_predict", max_tokens);
    members_add_list(&inner, "stop", json_get(client, "stop"));
    members_add(&inner, "seed", json_get(client, "seed"));
    members_add(&inner, "presence_penalty", json_get(client, "presence_penalty"));
    members_add(&inner, "frequency_penalty", json_get(client, "frequency_penalty"));
    members_add_rest(&inner, json_get(client, "options"));
    members_add_rest(&inner, json_get(options_extra(o), "options"));
    members_close(&inner);
}

static void write_body(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    struct options o = options_open(p, q);
    struct members m = members_open(out);
    struct str     name;

    members_add_str(&m, "model", model);
    write_messages(q, &m);
    members_add_name(&m, "stream");
    buf_lit(out, "true");
    if (options_tool_choice(&o, &name) != TOOLS_NONE)  /* it knows no other way to say so */
        members_add_tools(&m, "tools", &o);
    write_format(options_client(&o), &m);
    write_think(options_client(&o), &m);
    write_inner_options(&o, q->max_tokens, &m);
    members_add(&m, "keep_alive", json_get(options_client(&o), "keep_alive"));
    members_add_rest(&m, options_extra(&o));
    members_close(&m);
    options_close(&o);
}

static void write_fields(const struct provider *p, struct str key, struct buf *out)
{
    (void)p;
    if (key.n)
        buf_addf(out, "authorization: Bearer %.*s\r\n", STR_ARG(key));
}

static void write_path(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    (void)p;
    (void)q;
    (void)model;
    buf_lit(out, "/api/chat");
}

const struct upstream_kind ollama_kind = { &ollama_source, write_path, write_fields, write_body };

static struct call *start(struct provider *p, const struct question *q, struct str model,
                          struct outlet out)
{
    return upstream_start(p, &ollama_kind, q, model, out);
}

const struct provider_ops ollama_provider = {
    .takes = takes,
    .start = start,
    .pause = upstream_pause,
    .resume = upstream_resume,
    .cancel = upstream_cancel,
};
