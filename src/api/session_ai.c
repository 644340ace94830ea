/* session_ai.c - POST /api/chat, as the `ai` SDK's own transport asks.
 *
 *     body ---> its chat, made on first use ---> what still runs there is stopped
 *          ---> what is asked for anew is replaced ---> its turn
 *
 * Where the client brings all messages, they are what the model is told, as only he knows what
 * became of them; where he brings one, it is what was kept. Without a database each question
 * stands for itself.
 */
#include "api/api.h"
#include "api/once.h"
#include "api/session_ai_question.h"
#include "api/session_ask.h"
#include "api/session_dialect.h"
#include "base/utf8.h"
#include "turn/keeper.h"

enum { MORE_LIMIT = 4096 };

struct talk {
    struct session_asking *asking;
    struct session_ai_wish wish;
};

static struct talk *talk_of(struct visit *v)
{
    return ((struct session_asking *)v->ctx)->more;
}

/* ---- what is replaced ------------------------------------------------------------------------- */

static bool is_called(const struct kept_message *m, struct str name)
{
    const char      *why;
    struct json_doc *doc = m->more.n > 2 ? json_read(m->more, &why) : NULL;
    bool             is = doc && str_eq(json_str(json_get(json_root(doc), "id")), name);

    json_free(doc);
    return is;
}

/* From the question on whose answer, or which itself, is meant; -1: nothing is. Who asks for the
 * last answer anew need not say which it was. */
static int64_t seq_to_replace(const struct visit *v, const struct session_ai_wish *w)
{
    int64_t answer = session_message_id(w->at), seq = -1, question = -1;

    for (size_t i = 0; i < v->messages.n; i++) {
        const struct kept_message *m = &v->messages.messages[i];

        if (m->role == KEPT_USER && !session_is_replaced(m->more))
            question = m->seq;
        if (w->at.n && (m->id == answer || (m->role == KEPT_USER && is_called(m, w->at))))
            seq = question;
    }
    return seq < 0 && w->regenerates ? question : seq;
}

static void on_replaced(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, messages.verb);

    if (verb->end == STORE_OK)
        session_go(talk_of(v)->asking);
    else
        session_visit_fail(v, verb->end);
}

static void on_messages(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, messages.verb);
    int64_t       seq = verb->end == STORE_OK ? seq_to_replace(v, &talk_of(v)->wish) : -1;

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
    } else if (seq < 0) {
        session_go(talk_of(v)->asking);
    } else {
        v->messages.verb.done = on_replaced;
        messages_replace(api_store(), &v->messages, &v->whose, v->chat, seq);
    }
}

static void replace(struct visit *v)
{
    const struct session_ai_wish *w = &talk_of(v)->wish;

    if (!w->regenerates && !w->at.n) {
        session_go(talk_of(v)->asking);
        return;
    }
    v->messages.verb.done = on_messages;
    message_last(api_store(), &v->messages, &v->whose, v->chat, ROLES_SPOKEN, MESSAGES_NEWEST,
                 MESSAGES_MAX);
}

/* ---- what still runs ---------------------------------------------------------------------------- */

static void on_stopped(struct verb *verb)
{
    replace(LIST_OWNER(verb, struct visit, turn.verb));
}

/* The client has left it, or he could not ask again. */
static void stop(struct visit *v)
{
    struct str           id = arena_str(&v->arena, v->turn.turn.id);
    struct kept         *here = keeper_find(&v->whose, id);
    struct crowd_limits *most = &talk_of(v)->asking->keeping.crowd;

    most->running += most->running > 0;       /* it is counted until it is over */
    most->in_flight += most->in_flight > 0;
    if (here) {
        turn_interrupt(here->turn, FAULT_STOPPED);
        replace(v);
        return;
    }
    v->turn.verb.done = on_stopped;
    turn_stop(api_store(), &v->turn, &v->whose, id);
}

static void on_last_turn(struct verb *verb)
{
    struct visit           *v = LIST_OWNER(verb, struct visit, turn.verb);
    const struct kept_turn *t = &v->turn.turn;
    struct str              key = talk_of(v)->asking->keeping.key;
    bool                    is_same = key.n && str_eq(t->key, key);

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND)
        session_visit_fail(v, verb->end);
    else if (verb->end == STORE_OK && is_same)
        session_go(talk_of(v)->asking);
    else if (verb->end == STORE_OK && t->state == KEPT_STREAMING)
        stop(v);
    else
        replace(v);
}

static void on_chat(struct verb *verb)
{
    struct visit          *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct session_asking *a = v->ctx;

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    a->keeping.chat.id = v->chats.chats[0].id;
    if (talk_of(v)->wish.is_alone && !talk_of(v)->wish.at.n && v->chats.chats[0].n_messages)
        a->is_whole = false;
    v->turn.verb.done = on_last_turn;
    turn_of_chat(api_store(), &v->turn, &v->whose, v->chat, 0);
}

/* ---- the request ---------------------------------------------------------------------------------- */

static void keep(struct session_asking *a, const struct session_ai_wish *w)
{
    const struct question *q = a->question;
    const struct message  *last = &q->messages[q->n_messages - 1];
    struct buf             more = BUF(MORE_LIMIT);

    a->dialect = &session_ai_dialect;
    a->model = w->model;
    a->is_whole = true;
    a->raw = last->raw;
    a->keeping.content = last->text;
    buf_lit(&more, "{\"id\":");
    json_add_str(&more, utf8_clip(w->question, MORE_LIMIT / 8));
    buf_lit(&more, "}");
    if (w->question.n)
        a->keeping.more = arena_str(&a->question->arena, buf_str(&more));
    buf_release(&more);
}

static void begin(struct visit *v, struct talk *t)
{
    struct str name = t->wish.chat.n ? t->wish.chat : session_new_name(&v->arena);

    keep(t->asking, &t->wish);
    session_visit_call(v, name);
    t->asking->keeping.chat = v->chat;
    if (!api_store()) {
        session_go(t->asking);
        return;
    }
    v->chats.verb.done = on_chat;
    session_open(v);
}

void session_serve_ai(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = visit_new(x, SESSION_DIALECT_NAME);
    struct talk  *t;
    const char   *why = "";

    v->path = arena_str(&v->arena, rq->target.path);
    if (!session_visit_takes_body(v, rq))
        return;
    t = arena_new(&v->arena, sizeof *t);
    t->asking = session_asking_new(v, STR(""));
    t->asking->more = t;
    if (!session_ai_read(json_root(v->body), api_settings()->session.prompt, t->asking->question,
                         &t->wish, &why))
        session_visit_refuse_value(v, "body", "", why);
    else if (!once_read(x, rq, &t->asking->question->arena, &t->asking->keeping, &why))
        session_visit_refuse(v, 400, why);
    else
        begin(v, t);
}
