/* session_list.c - sessions are made, listed, named, pinned, given to somebody and deleted. */
#include "api/api.h"
#include "api/session_visit.h"
#include "base/utf8.h"

enum { SESSIONS = 50, SESSIONS_MOST = 100, OFFSET_MOST = 1000000000, TITLE_CHARACTERS = 255 };
enum { LIST_LIMIT = 1 << 30, TEXT_LIMIT = 64 << 10 };

static const char running[] = "running", idle[] = "idle";

/* ---- a list --------------------------------------------------------------------------------- */

static bool is_running(const struct visit *v, int64_t chat)
{
    for (size_t i = 0; i < v->running.n; i++)
        if (v->running.chats[i] == chat)
            return true;
    return false;
}

static void add_session(struct visit *v, const struct kept_chat *c, struct buf *out)
{
    bool is_busy = is_running(v, c->id);

    buf_lit(out, "{\"id\":");
    json_add_str(out, session_name_of(v, c));
    session_add_time(out, "created_at", c->created_at);
    session_add_time(out, "updated_at", c->updated_at);
    buf_lit(out, ",\"title\":");
    if (c->title.n)
        json_add_str(out, c->title);
    else
        buf_lit(out, "null");
    buf_addf(out,
             ",\"chat_status\":\"%s\",\"is_processing\":%s,\"is_pinned\":%s,"
             "\"source_platform\":null}",
             is_busy ? running : idle, is_busy ? "true" : "false", c->is_pinned ? "true" : "false");
}

static void on_sessions(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct buf    out = BUF(LIST_LIMIT);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    buf_lit(&out, "{\"sessions\":[");
    for (size_t i = 0; i < v->chats.n; i++) {
        if (i)
            buf_lit(&out, ",");
        add_session(v, &v->chats.chats[i], &out);
    }
    buf_addf(&out, "],\"total\":%lld}", (long long)v->chats.total);
    session_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static void on_running(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, running.verb);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    v->chats.verb.done = on_sessions;
    chat_page(api_store(), &v->chats, &v->whose, CHATS_BY_UPDATE, v->page, v->page_size);
}

void session_serve_list(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v)
        return;
    v->page_size = SESSIONS;
    v->page = 0;
    if (!session_visit_takes_count(v, rq, "limit", 1, SESSIONS_MOST, &v->page_size) ||
        !session_visit_takes_count(v, rq, "offset", 0, OFFSET_MOST, &v->page))
        return;
    v->running.verb.done = on_running;
    turns_running(api_store(), &v->running, &v->whose);
}

/* ---- a new one ------------------------------------------------------------------------------- */

static void on_made(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct buf    out = BUF(TEXT_LIMIT);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    buf_lit(&out, "{\"id\":");
    json_add_str(&out, *v->name);
    session_add_time(&out, "created_at", v->chats.chats[0].created_at);
    session_add_owner(&out, v->whose.owner);
    buf_lit(&out, "}");
    session_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

/* Newer clients say what kind of session they want, which is none that we know. */
static bool takes_wish(struct visit *v, const struct http_reader *rq)
{
    struct json_members m;
    struct str          name;
    const struct json  *value;

    if (str_trim(http_reader_body(rq)).n == 0)
        return true;
    if (!session_visit_takes_body(v, rq))
        return false;
    m = json_members(json_root(v->body));
    while (json_members_next(&m, &name, &value)) {
        if (str_eq(name, STR("dry_run")) || str_eq(name, STR("metadata")))
            continue;
        session_visit_refuse_value(v, "body", "", "a session is made without such a member");
        return false;
    }
    return true;
}

void session_serve_new(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v || !takes_wish(v, rq))
        return;
    session_visit_call(v, session_new_name(&v->arena));
    v->chats.verb.done = on_made;
    chat_open(api_store(), &v->chats, &v->whose,
              &(struct new_chat){ .uid = v->chat.uid, .mode = STR("session") });
}

/* ---- what is done to one ----------------------------------------------------------------------- */

static void on_done(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end == STORE_OK)
        session_visit_answer(v, STR("{\"status\":\"ok\"}"));
    else
        session_visit_fail(v, verb->end);
}

static bool takes_title(struct visit *v, struct str *title)
{
    const struct json *value = json_get(json_root(v->body), "title");

    *title = str_trim(json_str(value));
    if (title->n && utf8_count(*title) <= TITLE_CHARACTERS)
        return true;
    session_visit_refuse_value(v, "body", "title", "it must be a text of 1 to 255 characters");
    return false;
}

void session_serve_rename(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);
    struct str    title;

    if (!v || !session_visit_takes_session(v, rq) || !session_visit_takes_body(v, rq) ||
        !takes_title(v, &title))
        return;
    v->chats.verb.done = on_done;
    chat_rename(api_store(), &v->chats, &v->whose, v->chat, title);
}

void session_serve_pin(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit      *v = session_visit_new(x, rq);
    const struct json *value;

    if (!v || !session_visit_takes_session(v, rq) || !session_visit_takes_body(v, rq))
        return;
    value = json_get(json_root(v->body), "is_pinned");
    if (json_type(value) != JSON_BOOL) {
        session_visit_refuse_value(v, "body", "is_pinned", "it must be true or false");
        return;
    }
    v->chats.verb.done = on_done;
    chat_pin(api_store(), &v->chats, &v->whose, v->chat, json_is_true(value));
}

/* Nobody's session becomes the asker's; his own stays his. */
void session_serve_assign(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);
    struct str    owner;

    if (!v || !session_visit_takes_session(v, rq))
        return;
    owner = v->whose.owner;
    v->whose.owner = STR("");
    v->chats.verb.done = on_done;
    chat_assign(api_store(), &v->chats, &v->whose, v->chat, owner);
}

static void on_deleted(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct buf    why = BUF(TEXT_LIMIT);

    if (verb->end == STORE_OK) {
        session_visit_nothing(v, 204);
    } else if (verb->end == STORE_NOT_FOUND) {
        buf_lit(&why, "Session ");
        buf_add(&why, *v->name);
        buf_lit(&why, " not found or access denied");
        session_visit_detail(v, 404, arena_text(&v->arena, buf_str(&why)));
    } else {
        session_visit_fail(v, verb->end);
    }
    buf_release(&why);
}

void session_serve_delete(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v || !session_visit_takes_session(v, rq))
        return;
    v->chats.verb.done = on_deleted;
    chat_delete(api_store(), &v->chats, &v->whose, v->chat);
}
