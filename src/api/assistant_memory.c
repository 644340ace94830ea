/* assistant_memory.c - what the assistant remembers: looking for it, and forgetting it. */
#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_visit.h"
#include "store/exchanges.h"

enum { RESULTS = 10, LIST_LIMIT = 1 << 30 };

/* ---- looking ------------------------------------------------------------------------------- */

struct query {
    struct exchange_call call;
    struct visit        *visit;
};

static void add_content(const struct kept_exchange *e, struct buf *out)
{
    struct buf text = BUF(LIST_LIMIT);

    buf_lit(&text, "用户: ");
    buf_add(&text, e->question);
    buf_lit(&text, "\nAI: ");
    buf_add(&text, e->answer);
    json_add_str(out, buf_str(&text));
    buf_release(&text);
}

/* All are as important as each other, so that the newest comes first. */
static void add_exchange(struct visit *v, const struct kept_exchange *e, struct buf *out)
{
    buf_lit(out, "{\"id\":");
    json_add_str(out, e->turn);
    buf_lit(out, ",\"session_id\":");
    json_add_str(out, assistant_session_in(v, e->chat_more));
    buf_lit(out, ",\"content\":");
    add_content(e, out);
    buf_lit(out, ",\"content_type\":\"conversation\",\"embedding\":null,\"metadata\":{");
    assistant_add_state(out, e->state);
    buf_lit(out, "},\"created_at\":");
    assistant_add_time(out, e->created_at);
    buf_lit(out, ",\"importance\":0.5}");
}

static void on_found(struct verb *verb)
{
    struct exchange_call *c = LIST_OWNER(verb, struct exchange_call, verb);
    struct visit         *v = LIST_OWNER(c, struct query, call)->visit;
    struct buf            out = BUF(LIST_LIMIT);

    if (verb->end != STORE_OK) {
        assistant_visit_fail(v, verb->end);
        return;
    }
    buf_lit(&out, "{\"results\":[");
    for (size_t i = 0; i < c->n; i++) {
        if (i)
            buf_lit(&out, ",");
        add_exchange(v, &c->exchanges[i], &out);
    }
    buf_addf(&out, "],\"total_count\":%zu}", c->n);
    assistant_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static void release_query(struct visit *v)
{
    verb_drop(&((struct query *)v->ctx)->call.verb);
}

static bool takes_query(struct visit *v, struct str *text, struct str *session, int64_t *limit)
{
    const struct json       *root = json_root(v->body), *query = json_get(root, "query_text");
    const struct json       *session_id = json_get(root, "session_id");
    const struct json       *most = json_get(root, "limit");
    struct assistant_problem problem = { "query_text", "必须是字符串" };

    *text = json_str(query);
    *session = json_str(session_id);
    *limit = RESULTS;
    if (json_type(query) == JSON_STRING) {
        problem = (struct assistant_problem){ "session_id", "必须是字符串" };
        if (!session_id || json_type(session_id) == JSON_STRING) {
            problem = (struct assistant_problem){ "limit", "必须是 1 到 100 的整数" };
            if (!most || (json_int(most, limit) && *limit >= 1 && *limit <= EXCHANGES_MAX))
                return true;
        }
    }
    assistant_visit_refuse_value(v, &problem);
    return false;
}

/* How similar it must be means nothing to who looks for the very words. */
void assistant_serve_memory(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = assistant_visit_kept(x);
    struct query *q;
    struct str    text, session;
    int64_t       limit;

    if (!v || !assistant_visit_takes_body(v, rq) || !takes_query(v, &text, &session, &limit))
        return;
    q = v->ctx = arena_new(&v->arena, sizeof *q);
    q->visit = v;
    v->release = release_query;
    if (session.n)
        assistant_visit_name(v, session);
    q->call.verb.done = on_found;
    exchange_find(api_store(), &q->call, &v->whose, v->chat.uid, text, limit);
}

/* ---- forgetting ---------------------------------------------------------------------------- */

/* Whoever forgets what is not there has forgotten it. */
static void on_forgotten(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct buf    out = BUF(4096);

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND) {
        assistant_visit_refuse(v, 400, "清除会话记忆失败");
        return;
    }
    buf_lit(&out, "{\"message\":\"会话 ");
    json_add_text(&out, *(const struct str *)v->ctx);
    buf_lit(&out, " 的记忆已清除\"}");
    assistant_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

void assistant_serve_forget(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = assistant_visit_kept(x);

    if (!v || !assistant_visit_takes_session(v, rq))
        return;
    v->chats.verb.done = on_forgotten;
    chat_delete(api_store(), &v->chats, &v->whose, v->chat);
}
