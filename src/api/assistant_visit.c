#include "api/assistant_visit.h"

#include "api/api.h"
#include "api/assistant_answer.h"
#include "base/clock.h"
#include "base/id.h"

#include <stdio.h>

enum { RANDOM_DIGITS = 9 };

static const char no_session[] = "会话不存在";

struct visit *assistant_visit_new(struct http_exchange *x)
{
    return visit_new(x, "assistant");
}

struct visit *assistant_visit_kept(struct http_exchange *x)
{
    if (api_store())
        return assistant_visit_new(x);
    assistant_refuse(x, 503, assistant_not_ready);
    return NULL;
}

void assistant_visit_name(struct visit *v, struct str session)
{
    visit_name(v, session);
}

struct str assistant_new_session(struct arena *a)
{
    char    text[60];
    int64_t ms = clock_wall_ms();
    int     n =
        snprintf(text, sizeof text, "session_%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));

    for (int i = 0; i < RANDOM_DIGITS; i++) /* so that nobody guesses it      */
        text[n + i] = (char)('0' + id_pick(10));
    return arena_str(a, (struct str){ text, (size_t)(n + RANDOM_DIGITS) });
}

struct str assistant_visit_more(struct visit *v, struct str session)
{
    struct buf more = BUF(8 * session.n + 40);
    struct str s;

    buf_lit(&more, "{\"session_id\":");
    json_add_str(&more, session);
    buf_lit(&more, "}");
    s = arena_str(&v->arena, buf_str(&more));
    buf_release(&more);
    return s;
}

struct str assistant_session_in(struct visit *v, struct str more)
{
    const char      *why;
    struct json_doc *doc = more.n ? json_read(more, &why) : NULL;
    struct str       name = STR("");

    if (doc)
        name = arena_str(&v->arena, json_str(json_get(json_root(doc), "session_id")));
    json_free(doc);
    return name;
}

bool assistant_visit_takes_body(struct visit *v, const struct http_reader *rq)
{
    struct assistant_problem problem = { "body", "必须是 JSON 对象" };

    v->body = json_read(http_reader_body(rq), &problem.reason);
    if (v->body && json_type(json_root(v->body)) == JSON_OBJECT)
        return true;
    assistant_visit_refuse_value(v, &problem);
    return false;
}

bool assistant_visit_takes_session(struct visit *v, const struct http_reader *rq)
{
    struct str *session = v->ctx = arena_new(&v->arena, sizeof *session);

    if (api_path_id(v->x, rq, &v->arena, session) && assistant_is_session(*session)) {
        assistant_visit_name(v, *session);
        return true;
    }
    assistant_visit_refuse(v, 404, no_session);
    return false;
}

void assistant_visit_answer(struct visit *v, struct str json)
{
    api_answer_json(v->x, 200, json);
    visit_end(v);
}

void assistant_visit_refuse(struct visit *v, int status, const char *why)
{
    assistant_refuse(v->x, status, why);
    visit_end(v);
}

int assistant_status_of(enum store_end end, const char **why)
{
    if (end == STORE_NOT_FOUND) {
        *why = no_session;
        return 404;
    }
    if (end == STORE_REFUSED || end == STORE_CONFLICT) {
        *why = "请求包含无法保存的内容";
        return 400;
    }
    *why = assistant_not_ready;
    return 503;
}

void assistant_visit_fail(struct visit *v, enum store_end end)
{
    const char *why;
    int         status = assistant_status_of(end, &why);

    assistant_visit_refuse(v, status, why);
}

void assistant_visit_refuse_value(struct visit *v, const struct assistant_problem *p)
{
    assistant_refuse_value(v->x, p);
    visit_end(v);
}
