/* dashscope.c - asks Alibaba's DashScope: one of its applications when the settings name one,
 * else a model.
 *
 * Models take OpenAI's messages, but pictures are another service with contents of its own.
 * Applications take a prompt and the messages before it; or a prompt and a session, which
 * already knows what came before, so that the two never go together. They know no tools:
 * calls and results are told as text.
 */
#include "provider/messages.h"
#include "provider/options.h"
#include "provider/upstream.h"

/* OpenAI's ranges include their ends, these do not. */
static const double temperature_max = 1.99, top_p_min = 0.01, top_p_max = 0.99;

/* ---- models ------------------------------------------------------------------------------ */

/* Is there anything but text? */
static bool is_multimodal(const struct question *q)
{
    struct message_walk w = message_walk(q);
    bool                found = false;

    while (!found && message_walk_next(&w)) {
        struct json_walk   parts = json_walk(message_parts(&w));
        const struct json *part;
        struct str         text;

        while (!found && (part = json_walk_next(&parts)))
            found = !part_is_text(part, &text);
    }
    message_walk_end(&w);
    return found;
}

static void write_part(const char *name, struct str value, struct buf *out)
{
    struct members m = members_open(out);

    members_add_str(&m, name, value);
    members_close(&m);
}

static void write_parts(const struct message_walk *w, struct buf *out)
{
    struct json_walk   parts = json_walk(message_parts(w));
    const struct json *part;
    struct str         value;

    buf_lit(out, "[");
    if (!message_parts(w))
        write_part("text", w->message->text, out);
    for (bool first = true; (part = json_walk_next(&parts)); first = false) {
        if (!first)
            buf_lit(out, ",");
        if (part_is_text(part, &value))
            write_part("text", value, out);
        else if (part_is_image(part, &value))
            write_part("image", value, out);
        else
            json_add_value(out, part);
    }
    buf_lit(out, "]");
}

static void write_message(const struct message_walk *w, bool multimodal, struct buf *out)
{
    enum role      role = w->message->role;
    struct members m = members_open(out);

    members_add_str(&m, "role", str_of(role_name(role == ROLE_DEVELOPER ? ROLE_SYSTEM : role)));
    members_add_name(&m, "content");
    if (multimodal)
        write_parts(w, out);
    else
        json_add_str(out, w->message->text);
    members_add_rest(&m, w->raw);
    members_close(&m);
}

static void write_input(const struct question *q, struct members *m)
{
    struct message_walk w = message_walk(q);
    bool                multimodal = is_multimodal(q);

    members_add_name(m, "input");
    buf_lit(m->out, "{\"messages\":[");
    for (bool first = true; message_walk_next(&w); first = false) {
        if (!first)
            buf_lit(m->out, ",");
        write_message(&w, multimodal, m->out);
    }
    buf_lit(m->out, "]}");
}

static void write_true(struct members *m, const char *name)
{
    if (members_add_name(m, name))
        buf_lit(m->out, "true");
}

static void write_sampling(const struct json *client, struct members *m)
{
    members_add_clamped(m, "temperature", json_get(client, "temperature"), 0, temperature_max);
    members_add_clamped(m, "top_p", json_get(client, "top_p"), top_p_min, top_p_max);
    members_add(m, "top_k", json_get(client, "top_k"));
    members_add(m, "seed", json_get(client, "seed"));
}

static void write_parameters(const struct options *o, const struct question *q, struct members *m)
{
    static const char *const same[] = {
        "stop",
        "tool_choice",
        "parallel_tool_calls",
        "presence_penalty",
        "enable_search",
        "search_options",
        "enable_thinking",
        "repetition_penalty",
        "thinking_budget",
        "response_format",
    };
    const struct json *client = options_client(o);
    struct members     inner;

    members_add_name(m, "parameters");
    inner = members_open(m->out);
    members_add_str(&inner, "result_format", STR("message"));
    write_true(&inner, "incremental_output");
    write_sampling(client, &inner);
    if (q->max_tokens)
        members_add_u64(&inner, "max_tokens", q->max_tokens);
    members_add_tools(&inner, "tools", o);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        members_add(&inner, same[i], json_get(client, same[i]));
    members_add_rest(&inner, options_extra(o));
    members_close(&inner);
}

/* ---- applications ---------------------------------------------------------------------- */

/* Those of the client's and the settings' members that belong to the input. */
static const char *const app_inputs[] = { "session_id",        "memory_id",     "image_list",
                                          "file_list",         "doc_tag_codes", "biz_params",
                                          "doc_reference_type" };

static const char *told_role(enum role role)
{
    switch (role) {
    case ROLE_SYSTEM:
    case ROLE_DEVELOPER: return "system";
    case ROLE_ASSISTANT: return "assistant";
    default:             return "user";
    }
}

/* The first n messages; what is empty is left out. */
static void write_history(const struct question *q, size_t n, struct members *m)
{
    struct message_walk w = message_walk(q);
    struct buf          text = BUF(SIZE_MAX / 2);
    bool                any = false;

    while (w.next < n && message_walk_next(&w)) {
        buf_clear(&text);
        message_tell(&w, &text);
        if (!text.n)
            continue;
        if (!any)
            members_add_name(m, "messages");
        buf_addf(m->out, "%s{\"role\":\"%s\",\"content\":", any ? "," : "[",
                 told_role(w.message->role));
        json_add_str(m->out, buf_str(&text));
        buf_lit(m->out, "}");
        any = true;
    }
    if (any)
        buf_lit(m->out, "]");
    message_walk_end(&w);
    buf_release(&text);
}

/* An application fetches pictures from where they are, and only those of the question. */
static void write_images(const struct question *q, struct members *m)
{
    struct message_walk w = message_walk(q);
    struct json_walk    parts;
    const struct json  *part;
    struct str          url;
    bool                any = false;

    w.next = q->n_messages ? q->n_messages - 1 : 0;
    message_walk_next(&w);
    parts = json_walk(message_parts(&w));
    while ((part = json_walk_next(&parts))) {
        if (!part_is_image(part, &url) || !str_starts(url, STR("http")))
            continue;
        if (!any)
            members_add_name(m, "image_list");
        buf_add(m->out, any ? STR(",") : STR("["));
        json_add_str(m->out, url);
        any = true;
    }
    if (any)
        buf_lit(m->out, "]");
    message_walk_end(&w);
}

static bool app_takes_part(const struct message_walk *w, struct str picture)
{
    return w->next == w->question->n_messages && str_starts(picture, STR("http"));
}

static struct json_doc *read_own_input(const struct question *q)
{
    struct buf       text = BUF(SIZE_MAX / 2);
    const char      *why;
    struct json_doc *doc;

    buf_lit(&text, "{");
    buf_add(&text, str_from(q->app_input, q->app_input.n ? 1 : 0));
    buf_lit(&text, "}");
    doc = json_read(buf_str(&text), &why);
    buf_release(&text);
    return doc;
}

/* What the door knows of its client goes before what the client says. */
static const struct json *app_input(const struct options *o, const struct json_doc *own,
                                    const char *name)
{
    const struct json *v = json_get(json_root(own), name);

    return v ? v : options_get(o, name);
}

static void write_app_input(const struct options *o, const struct question *q, struct members *m)
{
    struct json_doc *own = read_own_input(q);
    bool             has_session = app_input(o, own, "session_id");
    bool             asks = q->n_messages && q->messages[q->n_messages - 1].role == ROLE_USER;
    struct members   inner;

    members_add_name(m, "input");
    inner = members_open(m->out);
    if (asks || has_session)
        members_add_str(&inner, "prompt", question_last_user_text(q));
    if (!has_session)
        write_history(q, asks ? q->n_messages - 1 : q->n_messages, &inner);
    write_images(q, &inner);
    for (size_t i = 0; i < sizeof app_inputs / sizeof *app_inputs; i++)
        members_add(&inner, app_inputs[i], app_input(o, own, app_inputs[i]));
    members_close(&inner);
    json_free(own);
}

static void write_app_parameters(const struct options *o, struct members *m)
{
    static const char *const same[] = { "has_thoughts",       "enable_thinking",
                                        "flow_stream_mode",   "enable_web_search",
                                        "enable_system_time", "dialog_round",
                                        "model_id",           "rag_options" };
    const struct json       *client = options_client(o);
    struct members           inner;

    members_add_name(m, "parameters");
    inner = members_open(m->out);
    write_true(&inner, "incremental_output");
    write_sampling(client, &inner);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        members_add(&inner, same[i], json_get(client, same[i]));
    for (size_t i = 0; i < sizeof app_inputs / sizeof *app_inputs; i++)
        members_skip(&inner, app_inputs[i]);
    members_add_rest(&inner, options_extra(o));
    members_close(&inner);
}

/* ---- the request ------------------------------------------------------------------------ */

static bool is_app(const struct provider *p)
{
    return p->settings->app_id.n > 0;
}

static void write_body(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    struct options o = options_open(p, q);
    struct members m = members_open(out);

    if (is_app(p)) {
        write_app_input(&o, q, &m);
        write_app_parameters(&o, &m);
        members_add_name(&m, "debug");
        buf_lit(out, "{}");
    } else {
        members_add_str(&m, "model", model);
        write_input(q, &m);
        write_parameters(&o, q, &m);
    }
    members_close(&m);
    options_close(&o);
}

static void write_fields(const struct provider *p, struct str key, struct buf *out)
{
    buf_addf(out, "authorization: Bearer %.*s\r\nx-dashscope-sse: enable\r\n", STR_ARG(key));
    if (p->settings->workspace.n)
        buf_addf(out, "x-dashscope-workspace: %.*s\r\n", STR_ARG(p->settings->workspace));
}

static void write_path(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    (void)model;
    if (is_app(p)) {
        buf_lit(out, "/api/v1/apps/");
        http_encode(p->settings->app_id, out);
        buf_lit(out, "/completion");
    } else {
        buf_addf(out, "/api/v1/services/aigc/%s-generation/generation",
                 is_multimodal(q) ? "multimodal" : "text");
    }
}

static bool takes(const struct provider *p, const struct question *q)
{
    return !is_app(p) || parts_are_taken(q, app_takes_part);
}

const struct upstream_kind dashscope_kind = { &dashscope_source, write_path, write_fields,
                                              write_body };

static struct call *start(struct provider *p, const struct question *q, struct str model,
                          struct outlet out)
{
    return upstream_start(p, &dashscope_kind, q, model, out);
}

const struct provider_ops dashscope_provider = {
    .takes = takes,
    .start = start,
    .pause = upstream_pause,
    .resume = upstream_resume,
    .cancel = upstream_cancel,
};
