#include "api/assistant_work.h"

#include "api/api.h"
#include "api/guard.h"
#include "turn/routing.h"

struct question *assistant_work_new(struct str prompt, struct str text)
{
    struct question *q = question_new();
    struct buf       options = BUF(200);

    q->messages = arena_new(&q->arena, 2 * sizeof *q->messages);
    if (prompt.n)
        q->messages[q->n_messages++] =
            (struct message){ .role = ROLE_SYSTEM, .text = arena_str(&q->arena, prompt) };
    q->messages[q->n_messages++] =
        (struct message){ .role = ROLE_USER, .text = arena_str(&q->arena, text) };
    q->max_tokens = api_settings()->assistant.max_tokens;
    buf_addf(&options, ",\"max_tokens\":%llu,\"temperature\":0.7",
             (unsigned long long)q->max_tokens);
    q->options = arena_str(&q->arena, buf_str(&options));
    buf_release(&options);
    return q;
}

void assistant_work_tell(const char *name, const struct json *value, struct buf *out)
{
    if (!value)
        return;
    buf_addf(out, "%s%s: ", out->n ? "\n" : "", name);
    if (json_type(value) == JSON_STRING)
        buf_add(out, json_str(value));
    else
        json_add_value(out, value);
}

static bool may_use(const void *x, struct str model)
{
    return guard_may_use(x, model);
}

const struct model *assistant_work_model(struct http_exchange *x, struct question *q)
{
    struct routing_wish wish = { .text = question_last_user_text(q), .may_use = may_use, .who = x };
    struct routed       routed;

    return routing_choose(&wish, &q->arena, &routed) ? routed.model : NULL;
}

struct turn *assistant_work_start(struct http_exchange *x, struct question *q,
                                  const struct model *model, struct sink *sink,
                                  const struct turn_keeping *keeping)
{
    const struct route *route = x->route;

    return turn_start(&(struct turn_order){ .question = q,
                                            .model = model,
                                            .sink = sink,
                                            .asker = guard_asker(x),
                                            .route = route->path,
                                            .request_id = str_of(x->id),
                                            .client = str_of(x->client),
                                            .keeping = keeping,
                                            .on_leave = LEAVING_CANCELS });
}
