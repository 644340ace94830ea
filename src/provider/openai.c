/* openai.c - asks whatever speaks OpenAI's Chat Completions, Azure among them.
 *
 * Always as a stream and with usage, whatever the client wants: a stream tells early that
 * the service lives, and both kinds of client are served from the same events.
 */
#include "provider/options.h"
#include "provider/upstream.h"

static void write_message(const struct message *m, struct buf *out)
{
    if (m->raw.n) {
        buf_add(out, m->raw);
        return;
    }
    buf_lit(out, "{\"role\":\"");
    buf_add(out, str_of(role_name(m->role)));
    buf_lit(out, "\",\"content\":");
    json_add_str(out, m->text);
    buf_lit(out, "}");
}

static void write_messages(const struct question *q, struct members *m)
{
    members_add_name(m, "messages");
    buf_lit(m->out, "[");
    for (size_t i = 0; i < q->n_messages; i++) {
        if (i)
            buf_lit(m->out, ",");
        write_message(&q->messages[i], m->out);
    }
    buf_lit(m->out, "]");
}

static void write_body(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    struct options o = options_open(p, q);
    struct members m = members_open(out);

    members_add_str(&m, "model", model);
    if (q->asked == ASKED_CHAT) {
        write_messages(q, &m);
        members_add_name(&m, "stream");
        buf_lit(out, "true");
        members_add_name(&m, "stream_options");
        buf_lit(out, "{\"include_usage\":true}");
    }
    members_add_rest(&m, options_client(&o));
    members_add_rest(&m, options_extra(&o));
    members_close(&m);
    options_close(&o);
}

static bool is_azure(const struct provider *p)
{
    return p->settings->api_version.n > 0;
}

static void write_fields(const struct provider *p, struct str key, struct buf *out)
{
    if (!key.n)
        return;
    buf_add(out, is_azure(p) ? STR("api-key: ") : STR("authorization: Bearer "));
    buf_add(out, key);
    buf_lit(out, "\r\n");
}

static void write_path(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    (void)model;                              /* Azure's is part of the base URL */
    buf_add(out, q->asked == ASKED_EMBEDDINGS ? STR("/embeddings") : STR("/chat/completions"));
    if (is_azure(p)) {
        buf_lit(out, "?api-version=");
        http_encode_query(p->settings->api_version, out);
    }
}

const struct upstream_kind openai_kind = { &openai_source, write_path, write_fields, write_body };

static const struct upstream_kind embeddings_kind = { &passing_source, write_path, write_fields,
                                                      write_body };

static struct call *start(struct provider *p, const struct question *q, struct str model,
                          struct outlet out)
{
    return upstream_start(p, q->asked == ASKED_EMBEDDINGS ? &embeddings_kind : &openai_kind, q,
                          model, out);
}

const struct provider_ops openai_provider = {
    .gives_embeddings = true,
    .start = start,
    .pause = upstream_pause,
    .resume = upstream_resume,
    .cancel = upstream_cancel,
};
