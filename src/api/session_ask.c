#include "api/session_ask.h"

#include "api/api.h"
#include "api/guard.h"
#include "api/session_dialect.h"
#include "api/sse_sink.h"
#include "chat/rounds.h"
#include "turn/routing.h"
#include "wire/sha256.h"

enum {
    GENERATIONS = 4,                          /* of answers, for which a question may wait */
    TEXT_LIMIT = 256 << 20,
    KEY_MAX = 255,                            /* as it is kept                  */
};

/* ---- who answers ----------------------------------------------------------------------------- */

static bool may_use(const void *x, struct str model)
{
    return guard_may_use(x, model);
}

const struct model *session_model(const struct http_exchange *x, struct str name, struct str text,
                                  struct arena *a)
{
    struct routing_wish wish = { .text = text, .may_use = x ? may_use : NULL, .who = x };
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

/* An answer in which tools were used is several messages; one of nothing is none. */
static size_t split(struct question *q, const struct kept_message *m, struct message **out)
{
    if (session_is_replaced(m->more) || session_refused_by(m->more))
        return 0;
    if (m->role == KEPT_ASSISTANT)
        return rounds_split(m->content, m->tool_calls, &q->arena, out);
    *out = arena_new(&q->arena, sizeof **out);
    **out = (struct message){ .role = ROLE_USER, .text = arena_str(&q->arena, m->content) };
    return m->content.n > 0;
}

static void gather(struct question *q, struct message **parts, const size_t *counts, size_t n)
{
    struct str prompt = api_settings()->session.prompt;
    size_t     total = 1;

    for (size_t i = 0; i < n; i++)
        total += counts[i];
    q->messages = arena_new(&q->arena, total * sizeof *q->messages);
    q->n_messages = 0;
    if (prompt.n)
        q->messages[q->n_messages++] =
            (struct message){ .role = ROLE_SYSTEM, .text = arena_str(&q->arena, prompt) };
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < counts[i]; k++)
            q->messages[q->n_messages++] = parts[i][k];
}

static void compose(struct question *q, void *ctx, const struct kept_message *messages, size_t n)
{
    const struct session_asking *a = ctx;
    struct message             **parts = arena_new(&q->arena, n * sizeof *parts);
    size_t                      *counts = arena_new(&q->arena, n * sizeof *counts);

    for (size_t i = 0; i < n; i++)
        counts[i] = split(q, &messages[i], &parts[i]);
    if (a->raw.n && n) {                      /* its images are not kept        */
        counts[n - 1] = 1;
        parts[n - 1] = arena_new(&q->arena, sizeof **parts);
        *parts[n - 1] = (struct message){ ROLE_USER, a->keeping.content, a->raw };
    }
    if (a->context.n && n && counts[n - 1])
        parts[n - 1]->text = with_context(q, a->context, parts[n - 1]->text);
    gather(q, parts, counts, n);
}

/* ---- asking ------------------------------------------------------------------------------------- */

static void release_asking(struct visit *v)
{
    question_free(((struct session_asking *)v->ctx)->question);
}

struct session_asking *session_asking_of(const struct whose *whose, struct chat_name chat,
                                         struct str content)
{
    struct question       *q = question_new();
    struct session_asking *a = arena_new(&q->arena, sizeof *a);

    q->messages = arena_new(&q->arena, sizeof *q->messages);
    q->n_messages = 1;
    q->messages[0] = (struct message){ .role = ROLE_USER, .text = arena_str(&q->arena, content) };
    a->question = q;
    a->dialect = &session_dialect;
    a->keeping = (struct turn_keeping){ .whose = *whose,
                                        .keeps_chat = true,
                                        .chat = chat,
                                        .crowd = session_crowd(),
                                        .content = q->messages[0].text,
                                        .remembers = api_settings()->session.remembers,
                                        .takes_operations = true,
                                        .compose = compose,
                                        .ctx = a };
    return a;
}

struct crowd_limits session_crowd(void)
{
    const struct settings *s = api_settings();

    return (struct crowd_limits){ .running = s->session.max_running,
                                  .in_flight = s->session.max_in_flight,
                                  .recent = GENERATIONS * s->turns.max_time };
}

struct session_asking *session_asking_new(struct visit *v, struct str content)
{
    struct session_asking *a = session_asking_of(&v->whose, v->chat, content);

    a->visit = v;
    v->ctx = a;
    v->release = release_asking;
    return a;
}

void session_asking_key(struct session_asking *a, struct str key)
{
    struct arena *arena = &a->question->arena;
    unsigned char digest[SHA256_BYTES];

    sha256(a->keeping.content, digest);
    a->keeping.key = arena_str(arena, key);
    a->keeping.question_hash =
        arena_str(arena, (struct str){ (const char *)digest, sizeof digest });
}

static void add_digest(struct str name, struct buf *out)
{
    unsigned char digest[SHA256_BYTES];

    sha256(name, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        buf_addf(out, "%02x", digest[i]);
}

void session_asking_name(struct session_asking *a, struct str name)
{
    struct buf key = BUF(TEXT_LIMIT);

    if (!name.n)
        return;
    buf_add(&key, a->visit->chat.uid);
    buf_lit(&key, ":");
    if (key.n + name.n <= KEY_MAX)
        buf_add(&key, name);
    else
        add_digest(name, &key);
    session_asking_key(a, buf_str(&key));
    buf_release(&key);
}

void session_go(struct session_asking *a)
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
    session_queue(a);
}

void session_ask(struct session_asking *a)
{
    struct visit *v = a->visit;

    v->chats.verb.done = on_session;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}

void session_open(struct visit *v)
{
    chat_open(api_store(), &v->chats, &v->whose,
              &(struct new_chat){ .uid = v->chat.uid,
                                  .mode = STR("session"),
                                  .more = session_visit_more(v, *v->name) });
}
