/* assistant_sessions.c - the assistant's sessions, and what was said in one. */
#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_visit.h"
#include "wire/http_text.h"

enum { SESSIONS = 50, MESSAGES = 100, LIST_MAX = 1000, LIST_LIMIT = 1 << 30, TITLE_MAX = 200 };

/* ---- pieces ------------------------------------------------------------------------------- */

static void add_session(struct visit *v, const struct kept_chat *c, struct buf *out)
{
    struct str id = assistant_session_in(v, c->more);

    buf_lit(out, "{\"id\":");
    json_add_str(out, id);
    buf_lit(out, ",\"session_id\":");
    json_add_str(out, id);
    buf_lit(out, ",\"title\":");
    json_add_str(out, c->title);
    buf_lit(out, ",\"created_at\":");
    assistant_add_time(out, c->created_at);
    buf_lit(out, ",\"updated_at\":");
    assistant_add_time(out, c->last_message_at ? c->last_message_at : c->updated_at);
    buf_addf(out, ",\"message_count\":%lld,\"metadata\":{}}", (long long)c->n_messages);
}

static void answer_session(struct visit *v)
{
    struct buf out = BUF(LIST_LIMIT);

    add_session(v, &v->chats.chats[0], &out);
    assistant_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static void on_session(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end == STORE_OK)
        answer_session(v);
    else
        assistant_visit_fail(v, verb->end);
}

/* ---- lists -------------------------------------------------------------------------------- */

static void on_sessions(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct buf    out = BUF(LIST_LIMIT);

    if (verb->end != STORE_OK) {
        assistant_visit_fail(v, verb->end);
        return;
    }
    buf_lit(&out, "[");
    for (size_t i = 0; i < v->chats.n; i++) {
        if (i)
            buf_lit(&out, ",");
        add_session(v, &v->chats.chats[i], &out);
    }
    buf_lit(&out, "]");
    assistant_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static bool takes_limit(struct visit *v, const struct http_reader *rq, int64_t fallback)
{
    struct assistant_problem problem = { "limit", "必须是 1 到 1000 的整数" };
    struct str               value;
    uint64_t                 n;

    v->page_size = fallback;
    switch (http_query_get(rq->target.query, STR("limit"), &v->arena, &value)) {
    case HTTP_QUERY_ABSENT: return true;
    case HTTP_QUERY_FOUND:
        if (str_to_u64(value, &n) && n >= 1 && n <= LIST_MAX) {
            v->page_size = (int64_t)n;
            return true;
        }
        break;
    default: break;
    }
    assistant_visit_refuse_value(v, &problem);
    return false;
}

void assistant_serve_sessions(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = assistant_visit_kept(x);

    if (!v || !takes_limit(v, rq, SESSIONS))
        return;
    v->chats.verb.done = on_sessions;
    chat_page(api_store(), &v->chats, &v->whose, CHATS_BY_MESSAGE, 0, v->page_size);
}

/* ---- one ---------------------------------------------------------------------------------- */

void assistant_serve_new_session(struct http_exchange *x, const struct http_reader *rq)
{
    struct assistant_problem problem = { "title", "必须是最多 200 字节的字符串" };
    struct visit            *v = assistant_visit_kept(x);
    const struct json       *title;
    struct str               session;

    if (!v || !assistant_visit_takes_body(v, rq))
        return;
    title = json_get(json_root(v->body), "title");
    if (title && (json_type(title) != JSON_STRING || json_str(title).n > TITLE_MAX)) {
        assistant_visit_refuse_value(v, &problem);
        return;
    }
    session = assistant_new_session(&v->arena);
    assistant_visit_name(v, session);
    v->chats.verb.done = on_session;
    chat_open(api_store(), &v->chats, &v->whose,
              &(struct new_chat){ .uid = v->chat.uid,
                                  .mode = STR("assistant"),
                                  .title = json_str(title),
                                  .more = assistant_visit_more(v, session) });
}

void assistant_serve_session(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = assistant_visit_kept(x);

    if (!v || !assistant_visit_takes_session(v, rq))
        return;
    v->chats.verb.done = on_session;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}

static void on_deleted(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end == STORE_OK)
        assistant_visit_answer(v, STR("{\"message\":\"会话已删除\"}"));
    else
        assistant_visit_fail(v, verb->end);
}

void assistant_serve_delete_session(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = assistant_visit_kept(x);

    if (!v || !assistant_visit_takes_session(v, rq))
        return;
    v->chats.verb.done = on_deleted;
    chat_delete(api_store(), &v->chats, &v->whose, v->chat);
}

/* ---- what was said ---------------------------------------------------------------------------- */

static void add_message(const struct kept_message *m, struct buf *out)
{
    buf_addf(out, "{\"id\":\"%lld\",\"role\":\"%s\",\"content\":", (long long)m->id,
             kept_role_name(m->role));
    json_add_str(out, m->content);
    buf_addf(out, ",\"timestamp\":%lld,\"metadata\":{", (long long)(m->created_at / 1000));
    assistant_add_state(out, m->state);
    buf_lit(out, "}}");
}

static void on_messages(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, messages.verb);
    struct buf    out = BUF(LIST_LIMIT);

    if (verb->end != STORE_OK) {
        assistant_visit_fail(v, verb->end);
        return;
    }
    buf_lit(&out, "{\"session_id\":");
    json_add_str(&out, *(struct str *)v->ctx);
    buf_lit(&out, ",\"messages\":[");
    for (size_t i = 0; i < v->messages.n; i++) {
        if (i)
            buf_lit(&out, ",");
        add_message(&v->messages.messages[i], &out);
    }
    buf_lit(&out, "]}");
    assistant_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

void assistant_serve_history(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = assistant_visit_kept(x);

    if (!v || !assistant_visit_takes_session(v, rq) || !takes_limit(v, rq, MESSAGES))
        return;
    v->messages.verb.done = on_messages;
    message_last(api_store(), &v->messages, &v->whose, v->chat, ROLES_SPOKEN, MESSAGES_NEWEST,
                 v->page_size);
}
