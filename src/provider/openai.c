/* openai.c - asks whatever speaks OpenAI's Chat Completions.
 *
 * Always as a stream and with usage, whatever the client wants: a stream tells early that
 * the service lives, and both kinds of client are served from the same events.
 */
#include "base/json.h"
#include "provider/upstream.h"

static void write_message(const struct message *m, struct buf *out)
{
    if (m->raw.n) {
        buf_add(out, m->raw);
        return;
    }
    buf_addf(out, "{\"role\":\"%s\",\"content\":", role_name(m->role));
    json_add_str(out, m->text);
    buf_lit(out, "}");
}

static void write_body(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out)
{
    (void)p;
    buf_lit(out, "{\"model\":");
    json_add_str(out, model);
    buf_lit(out, ",\"messages\":[");
    for (size_t i = 0; i < q->n_messages; i++) {
        if (i)
            buf_lit(out, ",");
        write_message(&q->messages[i], out);
    }
    buf_lit(out, "],\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    buf_add(out, q->options);
    buf_lit(out, "}");
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
    buf_lit(out, "/chat/completions");
}

static const struct upstream_kind kind = { &openai_source, write_path, write_fields, write_body };

static struct call *start(struct provider *p, const struct question *q, struct str model,
                          struct outlet out)
{
    return upstream_start(p, &kind, q, model, out);
}

const struct provider_ops openai_provider = { start, upstream_pause, upstream_resume,
                                              upstream_cancel };
