/* session_operation.c - POST /api/chat/operations/{id}/complete: a service says what a tool came to
 * whose turn may have ended long ago.
 *
 *     key ---> body ---> which operation ---> it is completed, and its session is asked (the queue)
 */
#include "api/api.h"
#include "api/session_ask.h"
#include "base/log.h"
#include "turn/tool_text.h"

enum { TEXT_LIMIT = 1 << 30, WHY_LIMIT = 16 << 10 };

struct completing {
    struct str id;
    bool       success;
    struct str words;                         /* what it came to, or what went wrong */
};

/* ---- who says so ------------------------------------------------------------------------- */

/* Compares all of it, so that the time it takes tells nothing. */
static bool is_same(struct str a, struct str b)
{
    unsigned char differs = a.n != b.n;

    for (size_t i = 0; i < a.n && i < b.n; i++)
        differs |= (unsigned char)(a.p[i] ^ b.p[i]);
    return !differs;
}

static bool is_service(const struct http_reader *rq)
{
    const struct conf_texts *keys = &api_settings()->session.service_keys;
    struct str               shown = http_reader_header(rq, STR("x-api-key"));
    bool                     any = false;

    for (size_t i = 0; i < keys->n; i++)
        any |= is_same(shown, keys->items[i]);
    return any && http_reader_count(rq, STR("x-api-key")) == 1;
}

/* ---- what it says ------------------------------------------------------------------------ */

static bool is_text_or_null(const struct json *v)
{
    return json_type(v) == JSON_STRING || json_type(v) == JSON_NONE;
}

/* A text as it is; whatever else it is, as JSON. */
static struct str words_of(struct visit *v, const struct json *value)
{
    struct buf out = BUF(TEXT_LIMIT);
    struct str words;

    if (is_text_or_null(value))
        return json_str(value);
    json_add_value(&out, value);
    words = arena_str(&v->arena, buf_str(&out));
    buf_release(&out);
    return words;
}

static bool takes_end(struct visit *v, struct completing *c)
{
    const struct json *root = json_root(v->body), *success = json_get(root, "success");
    const struct json *error = json_get(root, "error");

    if (json_type(success) != JSON_BOOL) {
        session_visit_refuse_value(v, "body", "success", "it must be true or false");
        return false;
    }
    if (!is_text_or_null(error)) {
        session_visit_refuse_value(v, "body", "error", "it must be a text or null");
        return false;
    }
    c->success = json_is_true(success);
    c->words = words_of(v, json_get(root, "result"));
    if (!c->success && json_str(error).n)
        c->words = json_str(error);
    else if (!c->success && !c->words.n)
        c->words = STR("The service did not say why.");
    return true;
}

/* ---- the end of it ----------------------------------------------------------------------- */

static void refuse(struct visit *v, enum store_end end)
{
    const struct completing *c = v->ctx;
    struct buf               why = BUF(WHY_LIMIT);

    if (end != STORE_NOT_FOUND) {
        session_visit_fail(v, end);
        return;
    }
    buf_lit(&why, "Operation ");
    buf_add(&why, c->id);
    buf_lit(&why, " not found");
    session_visit_detail(v, 404, arena_text(&v->arena, buf_str(&why)));
    buf_release(&why);
}

/* The task is the turn that wanted it. */
static void answer(struct visit *v)
{
    struct buf out = BUF(WHY_LIMIT);

    buf_lit(&out, "{\"status\":\"ok\",\"task_id\":");
    json_add_str(&out, v->operation.operation.turn);
    buf_lit(&out, "}");
    session_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static void on_completed(struct verb *verb)
{
    struct visit            *v = LIST_OWNER(verb, struct visit, operation.verb);
    const struct completing *c = v->ctx;
    const struct operation  *o = &v->operation.operation;

    if (verb->end != STORE_OK) {
        refuse(v, verb->end);
        return;
    }
    session_queue_look();
    LOG(LOG_INFO, L_MSG("operation"), L_STR("operation", o->id), L_STR("turn", o->turn),
        L_STR("tool", o->tool), L_TEXT("end", c->success ? "completed" : "failed"));
    answer(v);
}

static void complete(struct visit *v)
{
    const struct completing *c = v->ctx;
    struct operation         o = v->operation.operation;
    struct buf               output = BUF(TEXT_LIMIT), news = BUF(TEXT_LIMIT);

    tool_text_output(o.tool, o.output_limit, c->success, c->words, &output);
    tool_text_news(c->id, o.tool, c->success, buf_str(&output), &news);
    v->operation.verb.done = on_completed;
    operation_complete(api_store(), &v->operation, c->id, c->success, buf_str(&output),
                       buf_str(&news));
    buf_release(&news);
    buf_release(&output);
}

/* Who asks again, as he has not heard our answer, hears that it is well. */
static void on_found(struct verb *verb)
{
    struct visit           *v = LIST_OWNER(verb, struct visit, operation.verb);
    const struct operation *o = &v->operation.operation;

    if (verb->end != STORE_OK)
        refuse(v, verb->end);
    else if (o->has_expired)
        refuse(v, STORE_NOT_FOUND);
    else if (o->is_running)
        complete(v);
    else
        answer(v);
}

void session_serve_complete(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit      *v = visit_new_of(x, (struct whose){ 0, STR(""), STR("") });
    struct completing *c = arena_new(&v->arena, sizeof *c);

    v->ctx = c;
    v->path = arena_str(&v->arena, rq->target.path);
    c->id = STR("");
    api_path_id(x, rq, &v->arena, &c->id);
    if (!is_service(rq)) {
        session_visit_detail(v, 401, "Invalid API key");
        return;
    }
    if (!session_visit_takes_body(v, rq) || !takes_end(v, c))
        return;
    if (!api_store()) {
        refuse(v, STORE_NOT_FOUND);
        return;
    }
    v->operation.verb.done = on_found;
    operation_find(api_store(), &v->operation, c->id);
}
