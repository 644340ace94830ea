#include "api/session_ask.h"

#include "api/api.h"
#include "api/guard.h"
#include "api/session_dialect.h"
#include "api/sse_sink.h"
#include "turn/routing.h"
#include "wire/sha256.h"

enum { TEXT_LIMIT = 256 << 20 };

/* ---- who answers ----------------------------------------------------------------------------- */

static bool may_use(const void *x, struct str model)
{
    return guard_may_use(x, model);
}

const struct model *session_model(const struct http_exchange *x, struct str name, struct str text,
                                  struct arena *a)
{
    struct routing_wish wish = { .text = text, .may_use = may_use, .who = x };
    const struct model *m = name.n ? routing_named(name, wish, a) : NULL;
    struct str          ours = api_settings()->session.model;

    if (!m && !ours.n && offer_count())
        ours = offer_name(offer_at(0));
    return m ? m : routing_named(ours, wish, a);
}

struct sink *session_sink_new(struct http_exchange *x, const struct dialect *d)
{
    struct stream_settings s = api_settings()->stream;

    s.heartbeat = api_settings()->session.heartbeat;
    session_add_fields(x);
    return sse_sink_new(x, d, session_state_new(), &s);
}

/* ---- what it is told --------------------------------------------------------------------------- */

static struct message *next_message(struct question *q, enum role role, struct str text)
{
    struct message *m = &q->messages[q->n_messages++];

    *m = (struct message){ .role = role, .text = arena_str(&q->arena, text) };
    return m;
}

static struct str with_context(struct question *q, struct str context, struct str text)
{
    struct buf both = BUF(TEXT_LIMIT);
    struct str s;

    buf_add(&both, context);
    buf_add(&both, text);
    s = arena_str(&q->arena, buf_str(&both));
    buf_release(&both);
    return s;
}

/* Of an answer that failed before its first word nothing is left to tell. */
static void compose(struct question *q, void *ctx, const struct kept_message *messages, size_t n)
{
    const struct session_asking *a = ctx;
    struct str                   prompt = api_settings()->session.prompt;

    q->messages = arena_new(&q->arena, (n + 1) * sizeof *q->messages);
    q->n_messages = 0;
    if (prompt.n)
        next_message(q, ROLE_SYSTEM, prompt);
    for (size_t i = 0; i < n; i++) {
        const struct kept_message *m = &messages[i];
        enum role                  role = m->role == KEPT_USER ? ROLE_USER : ROLE_ASSISTANT;

        if (m->content.n && !session_is_replaced(m->more))
            next_message(q, role,
                         i + 1 < n ? m->content : with_context(q, a->context, m->content));
    }
}

static void compose_alone(struct session_asking *a)
{
    struct kept_message question = { .role = a->keeping.is_assistants ? KEPT_ASSISTANT : KEPT_USER,
                                     .content = a->keeping.content };

    compose(a->question, a, &question, 1);
}

/* ---- asking ------------------------------------------------------------------------------------- */

static void release_asking(struct visit *v)
{
    question_free(((struct session_asking *)v->ctx)->question);
}

struct session_asking *session_asking_new(struct visit *v, struct str content)
{
    struct question       *q = question_new();
    struct session_asking *a = arena_new(&q->arena, sizeof *a);

    q->messages = arena_new(&q->arena, sizeof *q->messages);
    q->n_messages = 1;
    q->messages[0] = (struct message){ .role = ROLE_USER, .text = arena_str(&q->arena, content) };
    a->visit = v;
    a->question = q;
    a->dialect = &session_dialect;
    a->keeping = (struct turn_keeping){ .whose = v->whose,
                                        .keeps_chat = true,
                                        .chat = v->chat,
                                        .content = q->messages[0].text,
                                        .remembers = api_settings()->session.remembers,
                                        .compose = compose,
                                        .ctx = a };
    v->ctx = a;
    v->release = release_asking;
    return a;
}

void session_asking_name(struct session_asking *a, struct str name)
{
    struct arena *arena = &a->question->arena;
    struct buf    key = BUF(TEXT_LIMIT);
    unsigned char digest[SHA256_BYTES];

    if (!name.n)
        return;
    buf_add(&key, a->visit->chat.uid);
    buf_lit(&key, ":");
    buf_add(&key, name);
    a->keeping.key = arena_str(arena, buf_str(&key));
    sha256(a->keeping.content, digest);
    a->keeping.question_hash = arena_str(arena, (struct str){ (const char *)digest, sizeof digest });
    buf_release(&key);
}

static void start_turn(struct session_asking *a)
{
    struct visit       *v = a->visit;
    const struct route *route = v->x->route;
    const struct model *model =
        session_model(v->x, a->model, a->keeping.content, &a->question->arena);
    struct turn_order order = { .question = a->question,
                                .model = model,
                                .asker = guard_asker(v->x),
                                .route = route->path,
                                .request_id = str_of(v->x->id),
                                .client = str_of(v->x->client),
                                .keeping = api_store() ? &a->keeping : NULL,
                                .on_leave = (enum leaving)api_settings()->session.on_leave };

    if (!model) {
        session_visit_refuse(v, 403, "none of the models may be used");
        return;
    }
    if (a->is_whole)
        a->keeping.remembers = 0;
    else if (!api_store())
        compose_alone(a);
    if (v->chats.n && v->chats.chats[0].n_messages == 0)
        session_find_title(v, v->chats.chats[0].id, a->keeping.content);
    order.sink = session_sink_new(v->x, a->dialect);
    v->x->logged = true;                      /* the turn has a line of its own */
    v->release = NULL;                        /* the question is the turn's     */
    turn_start(&order);
    visit_end(v);
}

static void on_session(struct verb *verb)
{
    struct visit          *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct session_asking *a = v->ctx;

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    a->keeping.chat.id = v->chats.chats[0].id;
    start_turn(a);
}

void session_ask(struct session_asking *a)
{
    struct visit *v = a->visit;

    v->chats.verb.done = on_session;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}

void session_ask_anywhere(struct session_asking *a)
{
    struct visit *v = a->visit;

    if (!api_store()) {
        start_turn(a);
        return;
    }
    v->chats.verb.done = on_session;
    chat_open(api_store(), &v->chats, &v->whose,
              &(struct new_chat){ .uid = v->chat.uid,
                                  .mode = STR("session"),
                                  .more = session_visit_more(v, *v->name) });
}
