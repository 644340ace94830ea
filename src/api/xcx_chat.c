/* xcx_chat.c - the mini-program asks.
 *
 *     body ---> whose conversation ---> its turn (turn/turn.h), as a stream or at once
 */
#include "api/api.h"
#include "api/guard.h"
#include "api/once.h"
#include "api/sse_sink.h"
#include "api/wechat.h"
#include "api/whole_sink.h"
#include "api/xcx_dialect.h"
#include "api/xcx_prompt.h"
#include "api/xcx_visit.h"
#include "base/log.h"
#include "base/utf8.h"
#include "turn/routing.h"
#include "turn/turn.h"

enum { TITLE_CHARACTERS = 20 };

/* ---- asking -------------------------------------------------------------------------------- */

struct asking {
    struct wechat_check check;
    struct visit       *visit;
    struct question    *question; /* everything below lives as long */
    struct turn_keeping keeping;
    struct xcx_page     page;
    bool                streams;
};

static bool may_use(const void *x, struct str model)
{
    return guard_may_use(x, model);
}

static const struct model *find_model(struct asking *a)
{
    struct visit       *v = a->visit;
    struct routing_wish wish = { .text = a->keeping.content, .may_use = may_use, .who = v->x };
    struct str          name = api_settings()->xcx.model;
    const struct model *m;

    if (!name.n && offer_count())
        name = offer_name(offer_at(0));
    m = routing_named(name, wish, &a->question->arena);
    if (!m && offer_find(name))
        xcx_visit_refuse(v, 403, "无权使用该模型");
    else if (!m)
        xcx_visit_refuse(v, 503, xcx_sorry);
    return m;
}

/* Who asks, for applications that want to know; and what they call the conversation. */
static void write_app_input(struct asking *a, const struct kept_chat *chat)
{
    const struct asker *asker = guard_asker(a->visit->x);
    struct buf          out = BUF(64 << 10);

    buf_lit(&out, ",\"biz_params\":{\"User_ID\":");
    json_add_str(&out, xcx_visit_user_id(a->visit));
    buf_lit(&out, ",\"Role\":");
    json_add_str(&out, asker->role.n ? asker->role : STR("coach"));
    buf_lit(&out, ",\"Nickname\":");
    json_add_str(&out, asker->nickname);
    buf_lit(&out, "}");
    if (chat->provider_session.n) {
        buf_lit(&out, ",\"session_id\":");
        json_add_str(&out, chat->provider_session);
    }
    a->question->app_input = arena_str(&a->question->arena, buf_str(&out));
    buf_release(&out);
}

static struct sink *make_sink(const struct asking *a)
{
    const struct settings *s = api_settings();
    struct xcx_state      *state =
        xcx_state_new(a->streams ? STR("") : a->keeping.content, s->xcx.ascii != 0);

    if (a->streams)
        return sse_sink_new(a->visit->x, &xcx_dialect, state, &s->stream);
    return whole_sink_new(a->visit->x, &xcx_dialect, state);
}

/* The model is looked for again, as the settings may have been read anew meanwhile. */
static void start_turn(struct asking *a)
{
    struct visit       *v = a->visit;
    const struct route *route = v->x->route;
    const struct model *model = find_model(a);
    struct turn_order   order = { .model = model,
                                  .asker = guard_asker(v->x),
                                  .route = route->path,
                                  .request_id = str_of(v->x->id),
                                  .client = str_of(v->x->client),
                                  .on_leave = (enum leaving)api_settings()->xcx.on_leave };

    if (!model)
        return;
    order.question = a->question;
    order.sink = make_sink(a);
    order.keeping = &a->keeping;
    v->x->logged = true;                      /* the turn has a line of its own */
    v->release = NULL;                        /* the question is the turn's     */
    wechat_check_drop(&a->check);
    turn_start(&order);
    visit_end(v);
}

/* ---- what the operator's tables know of the page, and of what the talk is about --------------- */

static void log_failed_lookup(const struct visit *v, const char *what)
{
    LOG(LOG_WARN, L_MSG("lookup failed"), L_TEXT("request_id", v->x->id), L_TEXT("what", what),
        L_TEXT("why", v->lookup.verb.why));
}

static void on_card(struct verb *verb)
{
    struct visit  *v = LIST_OWNER(verb, struct visit, lookup.verb);
    struct asking *a = v->ctx;
    struct buf     more = BUF(1 << 20);

    if (verb->end == STORE_OK) {
        buf_lit(&more, "{\"card\":");
        buf_add(&more, v->lookup.text);
        buf_lit(&more, "}");
        a->keeping.answer_more = arena_str(&a->question->arena, buf_str(&more));
        buf_release(&more);
    } else if (verb->end != STORE_NOT_FOUND) {
        log_failed_lookup(v, "card");
    }
    start_turn(a);
}

/* The first answer shows it. */
static void look_for_card(struct asking *a)
{
    struct visit              *v = a->visit;
    const struct kept_chat    *c = &v->chats.chats[0];
    struct lookup_about        about = xcx_visit_about(v, c->context_id);
    const struct lookup_query *q =
        c->n_messages == 0 && c->context_id.n ? lookup_card_of(api_store(), c->context_type) : NULL;

    if (!q) {
        start_turn(a);
        return;
    }
    v->lookup.verb.done = on_card;
    lookup_card(api_store(), &v->lookup, q, &about);
}

static void on_page(struct verb *verb)
{
    struct visit  *v = LIST_OWNER(verb, struct visit, lookup.verb);
    struct asking *a = v->ctx;

    if (verb->end == STORE_OK)
        a->page.text = arena_str(&a->question->arena, v->lookup.text);
    else
        log_failed_lookup(v, "page");
    look_for_card(a);
}

/* As JSON, but for a text, which is itself; nothing where there is none. */
static struct str written(const struct json *value, struct arena *a)
{
    struct buf text = BUF(1 << 20);
    struct str s = json_str(value);

    if (!value || json_type(value) == JSON_STRING)
        return s;
    json_add_value(&text, value);
    s = arena_str(a, buf_str(&text));
    buf_release(&text);
    return s;
}

/* What goes wrong here is no reason not to answer. */
static void look_at_page(struct asking *a)
{
    struct visit              *v = a->visit;
    const struct json         *root = json_root(v->body);
    const struct json         *context = json_get(root, "pageContext");
    const struct lookup_query *q;
    struct lookup_about        about =
        xcx_visit_about(v, written(json_get(context, "contextId"), &v->arena));

    a->page.name = arena_str(&a->question->arena, json_str(json_get(root, "sourcePage")));
    q = a->page.name.n ? lookup_page(api_store(), a->page.name) : NULL;
    if (!q) {
        look_for_card(a);
        return;
    }
    about.page = a->page.name;
    about.page_context = written(context, &v->arena);
    v->lookup.verb.done = on_page;
    lookup_text(api_store(), &v->lookup, q, &about);
}

/* ---- whose conversation it is -------------------------------------------------------------------- */

static void on_checked(struct wechat_check *c)
{
    struct asking *a = LIST_OWNER(c, struct asking, check);

    if (wechat_lets_pass(c->verdict))
        look_at_page(a);
    else
        xcx_visit_refuse(a->visit, 422, "消息内容未通过安全检查");
}

static void check_content(struct asking *a)
{
    if (!api_settings()->xcx.content_check) {
        look_at_page(a);
        return;
    }
    a->check.done = on_checked;
    wechat_check_content(&a->check, a->visit->whose.owner, a->keeping.content);
}

static void on_chat(struct verb *verb)
{
    struct visit  *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct asking *a = v->ctx;

    if (verb->end != STORE_OK) {
        xcx_visit_fail(v, verb->end);
        return;
    }
    if (!find_model(a))
        return;
    write_app_input(a, &v->chats.chats[0]);
    check_content(a);
}

static void release_asking(struct visit *v)
{
    struct asking *a = v->ctx;

    wechat_check_drop(&a->check);
    question_free(a->question);
}

/* The text is the question's, as what follows outlives the visit. */
static struct asking *begin_asking(struct visit *v, struct str content, bool streams)
{
    struct question *q = question_new();
    struct asking   *a = arena_new(&q->arena, sizeof *a);

    q->messages = arena_new(&q->arena, sizeof *q->messages);
    q->n_messages = 1;
    q->messages[0] = (struct message){ .role = ROLE_USER, .text = arena_str(&q->arena, content) };
    a->visit = v;
    a->question = q;
    a->streams = streams;
    a->keeping = (struct turn_keeping){
        .whose = v->whose,
        .keeps_chat = true,
        .chat = v->chat,
        .content = q->messages[0].text,
        .title = utf8_first(q->messages[0].text, TITLE_CHARACTERS),
        .counts_characters = true,
        .apology = streams ? STR("") : str_of(xcx_sorry),
        .remembers = XCX_REMEMBERS,
        .compose = xcx_compose,
        .ctx = &a->page,
        .goes_on = true,
    };
    v->ctx = a;
    v->release = release_asking;
    return a;
}

static void ask(struct visit *v, const struct http_reader *rq, bool streams)
{
    struct str     content;
    struct asking *a;
    const char    *why;

    if (!xcx_visit_takes_content(v, &content))
        return;
    a = begin_asking(v, content, streams);
    if (!once_read(v->x, rq, &a->question->arena, &a->keeping, &why)) {
        xcx_visit_refuse(v, 422, why);
        return;
    }
    v->chats.verb.done = on_chat;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}

void xcx_serve_say(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = xcx_visit_new(x);

    if (v && xcx_visit_takes_chat(v, rq) && xcx_visit_takes_body(v, rq))
        ask(v, rq, false);
}

static bool takes_page(struct visit *v)
{
    const struct json *page = json_get(json_root(v->body), "sourcePage");
    const struct json *context = json_get(json_root(v->body), "pageContext");

    if ((!page || json_type(page) == JSON_STRING) &&
        (!context || json_type(context) == JSON_OBJECT))
        return true;
    xcx_visit_refuse(v, 422, "sourcePage 必须是字符串，pageContext 必须是对象");
    return false;
}

void xcx_serve_stream(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = xcx_visit_new(x);

    if (v && xcx_visit_takes_body(v, rq) && xcx_visit_takes_chat_in_body(v) && takes_page(v))
        ask(v, rq, true);
}
