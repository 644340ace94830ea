#include "api/assistant_ask.h"

#include "api/api.h"
#include "api/assistant_plugin.h"
#include "api/assistant_visit.h"
#include "api/guard.h"
#include "base/utf8.h"

enum { TITLE_CHARACTERS = 20, REASON_LIMIT = 4096 };

/* ---- who answers ------------------------------------------------------------------------- */

static bool may_use(const void *x, struct str model)
{
    return guard_may_use(x, model);
}

static struct str reason_for(const struct asking *a)
{
    switch (a->routed.why) {
    case ROUTING_BY_RULE: return a->routed.reason;
    case ROUTING_BY_SIDE: return STR("按请求指定的类型选择模型");
    case ROUTING_BY_NAME: return STR("按请求指定的模型回答");
    case ROUTING_INSTEAD: break;
    }
    return a->routed.side == ROUTING_LOCAL ? STR("云端模型不可用，使用本地模型")
                                           : STR("本地模型不可用，使用云端模型");
}

static struct str reason_of_plugin(struct asking *a, const struct plugin_settings *p)
{
    struct buf text = BUF(REASON_LIMIT);
    struct str s;

    buf_addf(&text, "使用%s插件处理特定功能", p->name.p);
    s = arena_str(&a->question->arena, buf_str(&text));
    buf_release(&text);
    return s;
}

/* A plugin is asked for by its words; whoever names a class or a model wants just that. */
static const struct plugin_settings *find_plugin(const struct asking *a)
{
    bool may =
        a->wish.type == ASSISTANT_PLUGIN || (a->wish.type == ASSISTANT_AUTO && !a->wish.model.n);

    return may ? assistant_plugin_for(&api_settings()->assistant, a->question->messages[0].text)
               : NULL;
}

static bool choose(struct asking *a)
{
    static const enum routing_side sides[] = { [ASSISTANT_AUTO] = ROUTING_ANY,
                                               [ASSISTANT_LOCAL] = ROUTING_LOCAL,
                                               [ASSISTANT_CLOUD] = ROUTING_CLOUD,
                                               [ASSISTANT_PLUGIN] = ROUTING_ANY };
    static const char *const       names[] = {
              [ROUTING_LOCAL] = "local_small", [ROUTING_CLOUD] = "cloud_large"
    };
    const struct plugin_settings *plugin = find_plugin(a);
    struct arena                 *arena = &a->question->arena;
    struct routing_wish           wish = { .text = a->question->messages[0].text,
                                           .side = sides[a->wish.type],
                                           .model = a->wish.type == ASSISTANT_AUTO ? a->wish.model : STR(""),
                                           .may_use = may_use,
                                           .who = a->visit->x };

    if (!routing_choose(&wish, arena, &a->routed))
        return false;
    a->choice = (struct assistant_choice){
        names[a->routed.side], names[ROUTING_LOCAL + ROUTING_CLOUD - a->routed.side], reason_for(a),
        a->routed.side == ROUTING_CLOUD ? "云端模型不可用，使用本地模型"
                                        : "本地模型不可用，使用云端模型"
    };
    if (plugin) {
        a->choice.model_used = "plugin";
        a->choice.reason = reason_of_plugin(a, plugin);
        a->prompt = arena_str(arena, plugin->prompt);
    }
    return true;
}

/* ---- what it is told ------------------------------------------------------------------------ */

static struct message *next_message(struct question *q, enum role role, struct str text)
{
    struct message *m = &q->messages[q->n_messages++];

    *m = (struct message){ .role = role, .text = text };
    return m;
}

/* Of an answer that failed before its first word nothing is left to tell. */
static void compose(struct question *q, void *ctx, const struct kept_message *messages, size_t n)
{
    const struct asking *a = ctx;

    q->messages = arena_new(&q->arena, (n + 1) * sizeof *q->messages);
    q->n_messages = 0;
    if (a->prompt.n)
        next_message(q, ROLE_SYSTEM, a->prompt);
    for (size_t i = 0; i < n; i++)
        if (messages[i].content.n)
            next_message(q, messages[i].role == KEPT_USER ? ROLE_USER : ROLE_ASSISTANT,
                         arena_str(&q->arena, messages[i].content));
}

static void compose_alone(struct asking *a)
{
    struct kept_message question = { .role = KEPT_USER, .content = a->question->messages[0].text };

    compose(a->question, a, &question, 1);
}

/* ---- asking ------------------------------------------------------------------------------- */

static void start_turn(struct asking *a)
{
    struct visit       *v = a->visit;
    const struct route *route = v->x->route;
    bool                keeps = a->keeping.keeps_chat;
    struct turn_order   order = { .question = a->question,
                                  .asker = guard_asker(v->x),
                                  .route = route->path,
                                  .request_id = str_of(v->x->id),
                                  .client = str_of(v->x->client),
                                  .keeping = keeps ? &a->keeping : NULL,
                                  .on_leave = (enum leaving)api_settings()->assistant.on_leave };
    struct turn        *t;

    if (!choose(a)) {
        a->door->refuse(v, 403, "无权使用任何模型");
        return;
    }
    if (!a->keeping.remembers)
        compose_alone(a);
    order.model = a->routed.model;
    order.sink = a->door->make_sink(a);
    v->release = NULL;                        /* the question is the turn's     */
    t = turn_start(&order);
    if (t && a->door->begun)
        a->door->begun(a, t);
    visit_end(v);
}

static void on_session(struct verb *verb)
{
    struct visit  *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct asking *a = v->ctx;
    const char    *why;
    int            status;

    if (verb->end != STORE_OK) {
        status = assistant_status_of(verb->end, &why);
        a->door->refuse(v, status, why);
        return;
    }
    a->keeping.chat.id = v->chats.chats[0].id;
    start_turn(a);
}

static void keep(struct asking *a)
{
    uint64_t turns = api_settings()->assistant.remembers;

    a->keeping.whose = a->visit->whose;
    a->keeping.keeps_chat = true;
    a->keeping.content = a->question->messages[0].text;
    a->keeping.title = utf8_first(a->keeping.content, TITLE_CHARACTERS);
    a->keeping.remembers = turns ? 2 * turns + 1 : 0;
    a->keeping.compose = compose;
    a->keeping.ctx = a;
}

static void open_session(struct asking *a)
{
    struct visit *v = a->visit;

    keep(a);
    assistant_visit_name(v, a->wish.session);
    v->chats.verb.done = on_session;
    chat_open(api_store(), &v->chats, &v->whose,
              &(struct new_chat){ .uid = v->chat.uid,
                                  .mode = STR("assistant"),
                                  .more = assistant_visit_more(v, a->wish.session) });
}

/* ---- the door asks --------------------------------------------------------------------------- */

static void release_asking(struct visit *v)
{
    question_free(((struct asking *)v->ctx)->question);
}

struct asking *assistant_asking_new(struct visit *v, struct question *q,
                                    const struct assistant_wish *wish,
                                    const struct assistant_door *door)
{
    struct asking *a = arena_new(&q->arena, sizeof *a);

    *a = (struct asking){ .visit = v, .question = q, .wish = *wish, .door = door };
    v->ctx = a;
    v->release = release_asking;
    if (!a->wish.session.n)
        a->wish.session = assistant_new_session(&q->arena);
    return a;
}

void assistant_ask(struct asking *a)
{
    if (api_store())
        open_session(a);
    else
        start_turn(a);
}
