/* openai_v1.c - /v1/chat/completions, /v1/embeddings and /v1/models, as OpenAI's SDKs know
 * them. */
#include "api/openai_v1.h"

#include "api/api.h"
#include "api/guard.h"
#include "api/once.h"
#include "api/openai_dialect.h"
#include "api/openai_keep.h"
#include "api/openai_refusal.h"
#include "api/sse_sink.h"
#include "api/whole_sink.h"
#include "base/json.h"
#include "turn/routing.h"
#include "turn/turn.h"

#include <stdio.h>

/* ---- chat completions -------------------------------------------------------------- */

static struct sink *make_sink(struct http_exchange *x, const struct question *q,
                              const struct openai_wish *wish)
{
    struct openai_state *state = openai_state_new(q->model, wish->include_usage);

    if (wish->stream)
        return sse_sink_new(x, &openai_dialect, state, &api_settings()->stream);
    return whole_sink_new(x, &openai_dialect, state);
}

/* The sink is made when the model is known to be there. */
static void start_turn(struct http_exchange *x, struct question *q, const struct model *model,
                       struct sink *sink, const struct turn_keeping *keeping)
{
    const struct route *route = x->route;

    x->logged = true;                         /* the turn has a line of its own */
    turn_start(&(struct turn_order){
        .question = q,
        .model = model,
        .sink = sink,
        .asker = guard_asker(x),
        .route = route->path,
        .request_id = str_of(x->id),
        .client = str_of(x->client),
        .keeping = keeping && (keeping->key.n || keeping->keeps_chat) ? keeping : NULL,
        .on_leave = (enum leaving)api_settings()->openai.on_leave,
    });
}

static bool may_use(const void *x, struct str model)
{
    return guard_may_use(x, model);
}

/* NULL: refused, and the question is gone. */
static const struct model *find_model(struct http_exchange *x, struct question *q)
{
    struct routing_wish wish = { .text = question_last_user_text(q), .may_use = may_use, .who = x };
    const struct model *model = routing_named(q->model, wish, &q->arena);

    if (model && offer_can(model, q->asked))
        return model;
    if (model)
        openai_refuse(x, 400, "this model gives no embeddings", "model", NULL);
    else
        openai_refuse_model(x, q->model, "model");
    question_free(q);
    return NULL;
}

/* NULL: `problem` says why. */
static struct json_doc *read_json(const struct http_reader *rq, struct openai_problem *problem)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(http_reader_body(rq), &why);

    if (!doc)
        snprintf(problem->message, sizeof problem->message,
                 "the body could not be read as JSON: %s", why);
    return doc;
}

/* Lives in its question. */
struct asking {
    struct openai_keeping keep;
    struct openai_wish    wish;
};

/* The model is looked for again, as the settings may have been read anew meanwhile. */
static void on_kept(struct openai_keeping *k)
{
    const struct asking *a = k->ctx;
    const struct model  *model = find_model(k->x, k->question);

    if (model)
        start_turn(k->x, k->question, model, make_sink(k->x, k->question, &a->wish), &k->keeping);
}

static void keep(struct http_exchange *x, const struct http_reader *rq, struct question *q,
                 const struct openai_wish *wish, const struct turn_keeping *keeping)
{
    struct asking *a = arena_new(&q->arena, sizeof *a);

    a->keep = (struct openai_keeping){ .x = x,
                                       .question = q,
                                       .keeping = *keeping,
                                       .metadata = wish->metadata,
                                       .kept = on_kept,
                                       .ctx = a };
    a->wish = *wish;
    openai_keep(&a->keep, rq);
}

/* Who wants it kept must not believe that it is where nothing can be. */
static bool may_be_kept(struct http_exchange *x, const struct openai_wish *wish)
{
    if (!wish->store || api_store())
        return true;
    openai_refuse(x, 400, "nothing can be kept here, as this service has no database", "store",
                  "no_database");
    return false;
}

/* Of a chat that the client keeps itself we only know whether it was asked before, unless it wants
 * it to be kept here, too. */
void openai_ask(struct http_exchange *x, const struct http_reader *rq, struct question *q,
                const struct openai_wish *wish)
{
    struct turn_keeping keeping = { .whose = { .tenant = guard_asker(x)->tenant,
                                               .dialect = STR("openai"),
                                               .owner = guard_owner(x, &q->arena) } };
    const char         *why;
    const struct model *model;

    if (!once_read(x, rq, &q->arena, &keeping, &why)) {
        openai_refuse(x, 400, why, NULL, "invalid_idempotency_key");
        question_free(q);
    } else if (!may_be_kept(x, wish)) {
        question_free(q);
    } else if ((model = find_model(x, q)) && wish->store) {
        keep(x, rq, q, wish, &keeping);
    } else if (model) {
        start_turn(x, q, model, make_sink(x, q, wish), &keeping);
    }
}

void openai_serve_chat(struct http_exchange *x, const struct http_reader *rq)
{
    struct openai_problem problem = { .param = "" };
    struct openai_wish    wish;
    struct json_doc      *doc = read_json(rq, &problem);
    struct question      *q = doc ? openai_read_question(json_root(doc), &wish, &problem) : NULL;

    json_free(doc);
    if (!q)
        openai_refuse(x, 400, problem.message, problem.param, NULL);
    else
        openai_ask(x, rq, q, &wish);
}

/* ---- embeddings -------------------------------------------------------------------- */

void openai_serve_embeddings(struct http_exchange *x, const struct http_reader *rq)
{
    struct openai_problem problem = { .param = "" };
    struct json_doc      *doc = read_json(rq, &problem);
    struct question      *q = doc ? openai_read_embeddings(json_root(doc), &problem) : NULL;
    const struct model   *model;

    json_free(doc);
    if (!q)
        openai_refuse(x, 400, problem.message, problem.param, NULL);
    else if ((model = find_model(x, q)))
        start_turn(x, q, model, whole_sink_new(x, &openai_passing_dialect, NULL), NULL);
}

/* ---- models --------------------------------------------------------------------------- */

static void write_named(struct str name, struct str owner, struct buf *out)
{
    buf_lit(out, "{\"id\":");
    json_add_str(out, name);
    buf_addf(out,
             ",\"object\":\"model\",\"created\":%lld,\"owned_by\":", (long long)offer_created());
    json_add_str(out, owner);
    buf_lit(out, "}");
}

static void write_model(const struct model *m, struct buf *out)
{
    write_named(offer_name(m), offer_owner(m), out);
}

static bool auto_is_shown(void)
{
    return !offer_find(STR(ROUTING_AUTO)) && routing_is_offered();
}

static void write_auto(struct buf *out)
{
    write_named(STR(ROUTING_AUTO), STR("runnel"), out);
}

void openai_serve_models(struct http_exchange *x, const struct http_reader *rq)
{
    struct buf body = BUF(16 << 20);

    (void)rq;
    buf_lit(&body, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < offer_count(); i++) {
        if (!guard_may_use(x, offer_name(offer_at(i))))
            continue;
        if (body.p[body.n - 1] != '[')
            buf_lit(&body, ",");
        write_model(offer_at(i), &body);
    }
    if (auto_is_shown()) {
        if (body.p[body.n - 1] != '[')
            buf_lit(&body, ",");
        write_auto(&body);
    }
    buf_lit(&body, "]}");
    api_answer_json(x, 200, buf_str(&body));
    buf_release(&body);
}

void openai_serve_model(struct http_exchange *x, const struct http_reader *rq)
{
    const struct model *m = NULL;
    struct arena        arena = { NULL };
    struct buf          body = BUF(4096);
    struct str          name;

    if (!api_path_id(x, rq, &arena, &name))
        openai_refuse(x, 400, "the model name in the path is malformed", "model", NULL);
    else if (str_eq(name, STR(ROUTING_AUTO)) && auto_is_shown()) {
        write_auto(&body);
        api_answer_json(x, 200, buf_str(&body));
    } else if (!guard_may_use(x, name) || !(m = offer_find(name)))
        openai_refuse_model(x, name, "model");
    else {
        write_model(m, &body);
        api_answer_json(x, 200, buf_str(&body));
    }
    buf_release(&body);
    arena_release(&arena);
}
