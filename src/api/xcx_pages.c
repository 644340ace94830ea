/* xcx_pages.c - the mini-program's lists: conversations, and what was said in one. */
#include "api/api.h"
#include "api/xcx_answer.h"
#include "api/xcx_visit.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/utf8.h"
#include "wire/http_text.h"

enum {
    HISTORY_PAGE = 20,
    MESSAGES_PAGE = 50,
    LAST_MESSAGE_CHARACTERS = 100,
    CONTEXT_TYPE_MAX = 20,                    /* characters                     */
    CONTEXT_ID_MAX = 50,
    UID_LENGTH = 24,
    LIST_LIMIT = 1 << 30,
};

/* ---- pieces ------------------------------------------------------------------------------- */

static void add_paging(const struct visit *v, int64_t total, struct buf *out)
{
    buf_addf(out, "],\"total\":%lld,\"page\":%lld,\"pageSize\":%lld}", (long long)total,
             (long long)v->page, (long long)v->page_size);
}

static int64_t offset_of(const struct visit *v)
{
    return (v->page - 1) * v->page_size;
}

/* ---- conversations ------------------------------------------------------------------------- */

/* What a conversation is about, and so what it is called, the operator's tables know. */
struct history {
    struct str *names;                        /* of each conversation, or empty */
    size_t      next;                         /* the first that was not looked up */
};

static void add_chat(const struct kept_chat *c, struct str name, struct buf *out)
{
    buf_addf(out, "{\"id\":%lld,\"title\":", (long long)c->id);
    json_add_str(out, name.n ? name : c->title.n ? c->title : STR("新对话"));
    buf_lit(out, ",\"customerName\":");
    if (name.n)
        json_add_str(out, name);
    else
        buf_lit(out, "null");
    buf_lit(out, ",\"lastMessage\":");
    if (c->last_message_at)
        json_add_str(out, utf8_first(c->last_message, LAST_MESSAGE_CHARACTERS));
    else
        buf_lit(out, "null");
    buf_lit(out, ",\"timestamp\":");
    xcx_add_time(out, c->last_message_at ? c->last_message_at : c->created_at);
    buf_lit(out, ",\"unreadCount\":0}");
}

static void answer_history(struct visit *v)
{
    const struct history *h = v->ctx;
    struct buf            out = BUF(LIST_LIMIT);

    buf_lit(&out, "{\"items\":[");
    for (size_t i = 0; i < v->chats.n; i++) {
        if (i)
            buf_lit(&out, ",");
        add_chat(&v->chats.chats[i], h->names[i], &out);
    }
    add_paging(v, v->chats.total, &out);
    xcx_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static void look_up_names(struct visit *v);

static bool is_of_type(const struct kept_chat *c, struct str type)
{
    return c->context_id.n && str_eq(c->context_type, type);
}

/* Without names the list is good all the same. */
static void on_names(struct verb *verb)
{
    struct visit   *v = LIST_OWNER(verb, struct visit, lookup.verb);
    struct history *h = v->ctx;
    struct str      type = v->chats.chats[h->next].context_type;

    for (size_t i = 0; verb->end == STORE_OK && i < v->chats.n; i++)
        for (size_t j = 0; is_of_type(&v->chats.chats[i], type) && j < v->lookup.n; j++)
            if (str_eq(v->lookup.names[j].id, v->chats.chats[i].context_id))
                h->names[i] = arena_str(&v->arena, v->lookup.names[j].name);
    h->next++;
    look_up_names(v);
}

static bool was_looked_up(const struct visit *v, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (is_of_type(&v->chats.chats[i], v->chats.chats[at].context_type))
            return true;
    return false;
}

static void look_up_type(struct visit *v, const struct lookup_query *q, struct str type)
{
    struct lookup_about about = xcx_visit_about(v, STR(""));
    struct str         *ids = arena_new(&v->arena, v->chats.n * sizeof *ids);
    size_t              n = 0;

    for (size_t i = 0; i < v->chats.n; i++)
        if (is_of_type(&v->chats.chats[i], type))
            ids[n++] = v->chats.chats[i].context_id;
    v->lookup.verb.done = on_names;
    lookup_names(api_store(), &v->lookup, q, &about, ids, n);
}

/* One query for all conversations of a kind. */
static void look_up_names(struct visit *v)
{
    struct history *h = v->ctx;

    for (; h->next < v->chats.n; h->next++) {
        const struct kept_chat    *c = &v->chats.chats[h->next];
        const struct lookup_query *q =
            c->context_id.n ? lookup_names_of(api_store(), c->context_type) : NULL;

        if (!q || was_looked_up(v, h->next))
            continue;
        look_up_type(v, q, c->context_type);
        return;
    }
    answer_history(v);
}

static void on_chats(struct verb *verb)
{
    struct visit   *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct history *h;

    if (verb->end != STORE_OK) {
        xcx_visit_fail(v, verb->end);
        return;
    }
    h = v->ctx = arena_new(&v->arena, sizeof *h);
    h->names = arena_new(&v->arena, (v->chats.n + 1) * sizeof *h->names);
    look_up_names(v);
}

void xcx_serve_history(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = xcx_visit_new(x);

    if (!v || !xcx_visit_takes_pages(v, rq, HISTORY_PAGE))
        return;
    v->chats.verb.done = on_chats;
    chat_page(api_store(), &v->chats, &v->whose, CHATS_BY_MESSAGE, offset_of(v), v->page_size);
}

/* ---- messages ------------------------------------------------------------------------------- */

static void add_card(struct str more, struct buf *out)
{
    const char        *why;
    struct json_doc   *doc = more.n ? json_read(more, &why) : NULL;
    const struct json *card = doc ? json_get(json_root(doc), "card") : NULL;

    if (json_type(card) == JSON_OBJECT)
        json_add_value(out, card);
    else
        buf_lit(out, "null");
    json_free(doc);
}

static void add_message(const struct kept_message *m, struct buf *out)
{
    buf_addf(out, "{\"id\":%lld,\"role\":\"%s\",\"content\":", (long long)m->id,
             kept_role_name(m->role));
    json_add_str(out, m->content);
    buf_lit(out, ",\"createdAt\":");
    xcx_add_time(out, m->created_at);
    buf_lit(out, ",\"referenceCard\":");
    add_card(m->more, out);
    buf_addf(out, ",\"status\":\"%s\"}", kept_state_name(m->state));
}

static void on_messages(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, messages.verb);
    struct buf    out = BUF(LIST_LIMIT);

    if (verb->end != STORE_OK) {
        xcx_visit_fail(v, verb->end);
        return;
    }
    buf_addf(&out, "{\"chatId\":%lld,\"items\":[", (long long)v->chat.id);
    for (size_t i = 0; i < v->messages.n; i++) {
        if (i)
            buf_lit(&out, ",");
        add_message(&v->messages.messages[i], &out);
    }
    add_paging(v, v->messages.total, &out);
    xcx_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static void find_messages(struct visit *v)
{
    v->messages.verb.done = on_messages;
    message_page(api_store(), &v->messages, &v->whose, v->chat, ROLES_SPOKEN, offset_of(v),
                 v->page_size);
}

void xcx_serve_messages(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = xcx_visit_new(x);

    if (v && xcx_visit_takes_chat(v, rq) && xcx_visit_takes_pages(v, rq, MESSAGES_PAGE))
        find_messages(v);
}

/* ---- the conversation about something --------------------------------------------------------- */

static int64_t seconds(uint64_t ns)
{
    return (int64_t)(ns / CLOCK_S);
}

/* A task has a life of its own. Whoever opens a talk about nothing in particular wants a new
 * one, but not one more for each time that he only looks. */
static struct chat_reuse reuse_of(struct str type)
{
    const struct xcx_settings *s = &api_settings()->xcx;

    if (str_eq(type, STR("task")))
        return (struct chat_reuse){ .window = -1 };
    if (str_eq(type, STR("customer")))
        return (struct chat_reuse){ .window = seconds(s->reuse_customer) };
    if (str_eq(type, STR("coach")))
        return (struct chat_reuse){ .window = seconds(s->reuse_coach) };
    return (struct chat_reuse){ .window = seconds(s->reuse_general), .untouched = true };
}

static void on_taken_up(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end != STORE_OK) {
        xcx_visit_fail(v, verb->end);
        return;
    }
    v->chat.id = v->chats.chats[0].id;
    find_messages(v);
}

static void take_up(struct visit *v, struct str type, struct str id)
{
    struct chat_reuse rule = reuse_of(id.n ? type : STR("general"));
    char              uid[UID_LENGTH + 1];

    id_fill(uid, UID_LENGTH);
    v->chats.verb.done = on_taken_up;
    chat_take_up(api_store(), &v->chats, &v->whose,
                 &(struct new_chat){ .uid = str_of(uid),
                                     .mode = STR("app1_chat"),
                                     .context_type = type.n ? type : STR("general"),
                                     .context_id = id },
                 &rule);
}

static bool takes_context(struct visit *v, const struct http_reader *rq, const char *name,
                          size_t most, struct str *value)
{
    if (http_query_get(rq->target.query, str_of(name), &v->arena, value) != HTTP_QUERY_FOUND) {
        xcx_visit_refuse(v, 422, "contextType 和 contextId 都是必填参数");
        return false;
    }
    if (utf8_count(*value) > most) {
        xcx_visit_refuse(v, 422, "contextType 最多 20 个字符，contextId 最多 50 个字符");
        return false;
    }
    return true;
}

void xcx_serve_messages_of_context(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = xcx_visit_new(x);
    struct str    type, id;

    if (v && takes_context(v, rq, "contextType", CONTEXT_TYPE_MAX, &type) &&
        takes_context(v, rq, "contextId", CONTEXT_ID_MAX, &id) &&
        xcx_visit_takes_pages(v, rq, MESSAGES_PAGE))
        take_up(v, type, id);
}
