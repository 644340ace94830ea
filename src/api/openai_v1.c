/* openai_v1.c - /v1/chat/completions and /v1/models, as OpenAI's SDKs know them. */
#include "api/api.h"
#include "api/openai_dialect.h"
#include "api/openai_question.h"
#include "api/sse_sink.h"
#include "api/whole_sink.h"
#include "base/json.h"
#include "turn/turn.h"
#include "wire/utf8.h"

#include <stdio.h>

static void refuse(struct http_exchange *x, int status, const char *message, const char *param,
                   const char *code)
{
    struct buf body = BUF(8192);

    openai_write_error(&body, status, message, param && *param ? param : NULL, code);
    http_answer(x, &(struct http_answer){ status, STR("application/json"),
                                          STR("x-should-retry: false\r\n"), buf_str(&body) });
    buf_release(&body);
}

static void refuse_model(struct http_exchange *x, struct str name, const char *param)
{
    struct buf message = BUF(512);

    name = utf8_clip(name, 200);
    buf_addf(&message, "the model '%.*s' does not exist", STR_ARG(name));
    buf_add_char(&message, '\0');
    refuse(x, 404, message.p, param, "model_not_found");
    buf_release(&message);
}

/* ---- chat completions -------------------------------------------------------------- */

static struct sink *make_sink(struct http_exchange *x, const struct question *q,
                              const struct openai_wish *wish)
{
    struct openai_state *state = openai_state_new(q->model, wish->include_usage);

    if (wish->stream)
        return sse_sink_new(x, &openai_dialect, state, &api_settings()->stream);
    return whole_sink_new(x, &openai_dialect, state);
}

static void start_turn(struct http_exchange *x, struct question *q, const struct openai_wish *wish)
{
    const struct model *model = offer_find(q->model);
    const struct route *route = x->route;

    if (!model) {
        refuse_model(x, q->model, "model");
        question_free(q);
        return;
    }
    x->logged = true;                         /* the turn has a line of its own */
    turn_start(&(struct turn_order){
        .question = q,
        .model = model,
        .sink = make_sink(x, q, wish),
        .route = route->path,
        .request_id = str_of(x->id),
        .client = str_of(x->client),
    });
}

void openai_serve_chat(struct http_exchange *x, const struct http_reader *rq)
{
    struct openai_problem problem = { .param = "" };
    struct openai_wish    wish;
    const char           *why = NULL;
    struct json_doc      *doc = json_read(http_reader_body(rq), &why);
    struct question      *q = NULL;

    if (doc)
        q = openai_read_question(json_root(doc), &wish, &problem);
    else
        snprintf(problem.message, sizeof problem.message, "the body could not be read as JSON: %s",
                 why);
    json_free(doc);
    if (q)
        start_turn(x, q, &wish);
    else
        refuse(x, 400, problem.message, problem.param, NULL);
}

/* ---- models --------------------------------------------------------------------------- */

static void write_model(const struct model *m, struct buf *out)
{
    buf_lit(out, "{\"id\":");
    json_add_str(out, offer_name(m));
    buf_addf(out,
             ",\"object\":\"model\",\"created\":%lld,\"owned_by\":", (long long)offer_created());
    json_add_str(out, offer_owner(m));
    buf_lit(out, "}");
}

void openai_serve_models(struct http_exchange *x, const struct http_reader *rq)
{
    struct buf body = BUF(16 << 20);

    (void)rq;
    buf_lit(&body, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < offer_count(); i++) {
        if (i)
            buf_lit(&body, ",");
        write_model(offer_at(i), &body);
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
        refuse(x, 400, "the model name in the path is malformed", "model", NULL);
    else if (!(m = offer_find(name)))
        refuse_model(x, name, "model");
    else {
        write_model(m, &body);
        api_answer_json(x, 200, buf_str(&body));
    }
    buf_release(&body);
    arena_release(&arena);
}
