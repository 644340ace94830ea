/* dbgpt_dialogue.c - below /api/v1/chat/dialogue/: conversations, as DB-GPT's pages list them. */
#include "api/api.h"
#include "api/dbgpt_answer.h"
#include "api/dbgpt_dialect.h"
#include "api/dbgpt_kept.h"
#include "api/dbgpt_lax.h"
#include "api/dbgpt_visit.h"
#include "api/guard.h"
#include "base/id.h"
#include "turn/offer.h"
#include "wire/http_text.h"

#include <stdio.h>

enum {
    PAGE_SIZE = 10,
    PAGE_MAX = 1000000000,
    UID_RANDOM = 32,
    LIST_LIMIT = 1 << 30,
};

/* ---- what a request asks for ------------------------------------------------------------------- */

struct wanted {
    struct dbgpt_wanted what;
    bool                as_page, is_one;
};

static struct wanted *wanted_new(struct visit *v)
{
    return v->ctx = arena_new(&v->arena, sizeof(struct wanted));
}

static bool query_text(struct visit *v, const struct http_reader *rq, const char *name,
                       struct str *value)
{
    return http_query_get(rq->target.query, str_of(name), &v->arena, value) == HTTP_QUERY_FOUND;
}

static bool takes_number(struct visit *v, const struct http_reader *rq, const char *name,
                         int64_t most, int64_t *n)
{
    struct str text;
    char       where[40];

    if (!query_text(v, rq, name, &text))
        return true;
    snprintf(where, sizeof where, "query.%s", name);
    if (!lax_read_int(text, n)) {
        dbgpt_visit_refuse(v, where,
                           "Input should be a valid integer, unable to parse string as an integer");
        return false;
    }
    if (*n < 1 || *n > most) {
        dbgpt_visit_refuse(v, where, "Input should be at least 1, and not that large");
        return false;
    }
    return true;
}

static bool takes_pages(struct visit *v, const struct http_reader *rq)
{
    v->page = 1;
    v->page_size = PAGE_SIZE;
    return takes_number(v, rq, "page", PAGE_MAX, &v->page) &&
           takes_number(v, rq, "page_size", CHATS_MAX, &v->page_size);
}

static bool takes_uid(struct visit *v, const struct http_reader *rq)
{
    if (query_text(v, rq, "con_uid", &v->chat.uid))
        return true;
    dbgpt_visit_refuse(v, "query.con_uid", "Field required");
    return false;
}

static bool takes_body(struct visit *v, const struct http_reader *rq, struct wanted *w)
{
    const char *why;
    struct buf  mistakes = BUF(4096);
    struct lax  l;

    v->body = json_read(http_reader_body(rq), &why);
    l = (struct lax){ json_root(v->body), &mistakes };
    if (!v->body)
        lax_mistake(&l, STR(""), "JSON decode error");
    else if (json_type(l.body) != JSON_OBJECT)
        lax_mistake(&l, STR(""),
                    "Input should be a valid dictionary or object to extract fields from");
    lax_str(&l, "chat_mode", &v->arena, &w->what.mode);
    lax_str(&l, "conv_uid", &v->arena, &w->what.uid);
    lax_str(&l, "user_name", &v->arena, &w->what.user);
    lax_str(&l, "sys_code", &v->arena, &w->what.system);
    if (mistakes.n) {
        dbgpt_fail(v->x, "E0001", buf_str(&mistakes), "invalid_request_error");
        visit_end(v);
    }
    why = mistakes.n ? "refused" : NULL;
    buf_release(&mistakes);
    return !why;
}

/* ---- a conversation ------------------------------------------------------------------------------ */

static void add_chat(const struct kept_chat *c, struct buf *out)
{
    const char        *why;
    struct json_doc   *doc = json_read(c->more, &why);
    const struct json *more = json_root(doc);

    buf_lit(out, "{\"conv_uid\":");
    json_add_str(out, c->uid);
    buf_lit(out, ",\"user_input\":");
    json_add_str(out, c->title);
    buf_lit(out, ",\"chat_mode\":");
    json_add_str(out, c->mode);
    buf_lit(out, ",\"app_code\":null,\"select_param\":null");
    dbgpt_add_or_null(out, "model_name", json_str(json_get(more, "model_name")));
    dbgpt_add_or_null(out, "user_name", json_str(json_get(more, "user_name")));
    dbgpt_add_or_null(out, "sys_code", json_str(json_get(more, "sys_code")));
    buf_lit(out, ",\"gmt_created\":");
    dbgpt_add_time(out, c->created_at);
    buf_lit(out, ",\"gmt_modified\":");
    dbgpt_add_time(out, c->updated_at);
    buf_lit(out, "}");
    json_free(doc);
}

/* ---- lists --------------------------------------------------------------------------------------- */

static bool is_filtered(const struct wanted *w)
{
    return w->what.uid.n || w->what.mode.n || w->what.user.n || w->what.system.n;
}

static int64_t offset_of(const struct visit *v)
{
    return (v->page - 1) * v->page_size;
}

/* Those of this page; how many there are on all pages is what it returns. */
static int64_t add_chats(const struct visit *v, struct buf *out)
{
    const struct wanted *w = v->ctx;
    int64_t              n = 0, from = is_filtered(w) ? offset_of(v) : 0;
    bool                 any = false;

    for (size_t i = 0; i < v->chats.n; i++) {
        if (!dbgpt_is_wanted(&v->chats.chats[i], &w->what))
            continue;
        if (n >= from && n < from + v->page_size) {
            buf_add(out, any ? STR(",") : STR(""));
            add_chat(&v->chats.chats[i], out);
            any = true;
        }
        n++;
    }
    return is_filtered(w) ? n : v->chats.total;
}

static void add_paging(const struct visit *v, int64_t total, struct buf *out)
{
    buf_addf(out, ",\"total_count\":%lld,\"total_pages\":%lld,\"page\":%lld,\"page_size\":%lld}",
             (long long)total, (long long)((total + v->page_size - 1) / v->page_size),
             (long long)v->page, (long long)v->page_size);
}

static void on_chats(struct verb *verb)
{
    struct visit        *v = LIST_OWNER(verb, struct visit, chats.verb);
    const struct wanted *w = v->ctx;
    struct buf           out = BUF(LIST_LIMIT);
    int64_t              total;

    if (verb->end != STORE_OK) {
        dbgpt_visit_fail(v, verb->end);
        return;
    }
    if (!w->is_one)
        buf_add(&out, w->as_page ? STR("{\"items\":[") : STR("["));
    total = add_chats(v, &out);
    if (!w->is_one)
        buf_lit(&out, "]");
    else if (!total)
        buf_lit(&out, "null");
    if (w->as_page)
        add_paging(v, total, &out);
    dbgpt_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

/* The store knows nothing of a client's users: they are looked for among the newest ones. */
static void find_chats(struct visit *v)
{
    bool is_all = is_filtered(v->ctx);

    v->chats.verb.done = on_chats;
    chat_page(api_store(), &v->chats, &v->whose, CHATS_BY_BIRTH, is_all ? 0 : offset_of(v),
              is_all ? CHATS_MAX : v->page_size);
}

void dbgpt_serve_list(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit  *v = dbgpt_visit_new(x);
    struct wanted *w = v ? wanted_new(v) : NULL;

    if (!v || !takes_pages(v, rq))
        return;
    if (!query_text(v, rq, "user_name", &w->what.user))
        query_text(v, rq, "user_id", &w->what.user);
    query_text(v, rq, "sys_code", &w->what.system);
    find_chats(v);
}

void dbgpt_serve_query_page(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit  *v = dbgpt_visit_new(x);
    struct wanted *w = v ? wanted_new(v) : NULL;

    if (!v || !takes_body(v, rq, w) || !takes_pages(v, rq))
        return;
    w->as_page = true;
    find_chats(v);
}

static void on_one(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end == STORE_NOT_FOUND)
        dbgpt_visit_answer(v, STR("null"));
    else
        on_chats(verb);
}

void dbgpt_serve_query(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit  *v = dbgpt_visit_new(x);
    struct wanted *w = v ? wanted_new(v) : NULL;

    if (!v || !takes_body(v, rq, w))
        return;
    w->is_one = true;
    v->page = v->page_size = 1;
    if (!w->what.uid.n) {
        find_chats(v);
        return;
    }
    v->chats.verb.done = on_one;
    chat_find(api_store(), &v->chats, &v->whose, (struct chat_name){ .uid = w->what.uid });
}

/* ---- a new one ------------------------------------------------------------------------------------- */

/* Nothing is kept before something is said. */
void dbgpt_serve_new(struct http_exchange *x, const struct http_reader *rq)
{
    static const char *const names[] = { "app_code", "user_name", "sys_code" };
    struct arena             arena = { NULL };
    struct buf               out = BUF(64 << 10);
    struct str               value = STR("chat_normal");
    char                     random[UID_RANDOM + 1], uuid[37];

    id_fill(random, UID_RANDOM);
    dbgpt_write_uuid(str_of(random), '1', uuid);
    buf_addf(&out, "{\"user_input\":\"\",\"conv_uid\":\"%s\",\"chat_mode\":", uuid);
    if (http_query_get(rq->target.query, STR("chat_mode"), &arena, &value) != HTTP_QUERY_FOUND)
        value = STR("chat_normal");
    json_add_str(&out, value);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (http_query_get(rq->target.query, str_of(names[i]), &arena, &value) != HTTP_QUERY_FOUND)
            value = STR("");
        dbgpt_add_or_null(&out, names[i], value);
    }
    buf_lit(&out, ",\"select_param\":null,\"model_name\":null}");
    dbgpt_answer(x, buf_str(&out));
    buf_release(&out);
    arena_release(&arena);
}

void dbgpt_serve_health(struct http_exchange *x, const struct http_reader *rq)
{
    (void)rq;
    dbgpt_answer(x, STR("{\"status\":\"ok\"}"));
}

/* ---- an end --------------------------------------------------------------------------------------- */

static void on_deleted(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end == STORE_OK || verb->end == STORE_NOT_FOUND)
        dbgpt_visit_answer(v, STR("null"));
    else
        dbgpt_visit_fail(v, verb->end);
}

void dbgpt_serve_delete(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = dbgpt_visit_new(x);

    if (!v || !takes_uid(v, rq))
        return;
    v->chats.verb.done = on_deleted;
    chat_delete(api_store(), &v->chats, &v->whose, v->chat);
}

/* ---- what was said in one --------------------------------------------------------------------------- */

struct history {
    struct dbgpt_history said;
    int64_t              seen;
};

static void release_history(struct visit *v)
{
    struct history *h = v->ctx;

    buf_release(&h->said.out);
}

static void look_on(struct visit *v);

static void on_messages(struct verb *verb)
{
    struct visit   *v = LIST_OWNER(verb, struct visit, messages.verb);
    struct history *h = v->ctx;

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND) {
        dbgpt_visit_fail(v, verb->end);
        return;
    }
    for (size_t i = 0; i < v->messages.n; i++)
        dbgpt_history_add(&h->said, &v->messages.messages[i]);
    h->seen += (int64_t)v->messages.n;
    if (v->messages.n && h->seen < v->messages.total) {
        look_on(v);
        return;
    }
    dbgpt_history_end(&h->said);
    dbgpt_visit_answer(v, buf_str(&h->said.out));
}

static void look_on(struct visit *v)
{
    const struct history *h = v->ctx;

    v->messages.verb.done = on_messages;
    message_page(api_store(), &v->messages, &v->whose, v->chat, ROLES_ALL, h->seen, MESSAGES_MAX);
}

void dbgpt_serve_history(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit   *v = dbgpt_visit_new(x);
    struct history *h;

    if (!v || !takes_uid(v, rq))
        return;
    h = v->ctx = arena_new(&v->arena, sizeof *h);
    v->release = release_history;
    dbgpt_history_begin(&h->said, &v->arena, offer_count() ? offer_name(offer_at(0)) : STR(""),
                        LIST_LIMIT);
    look_on(v);
}
