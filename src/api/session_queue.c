/* session_queue.c - questions that were asked while an answer was made, and what operations came
 * to, in whichever process.
 *
 * They wait in the database (store/pending.h), and any process that finds one whose turn has come
 * asks it; so a question outlives the process that took it. Who asked has been told so by an
 * empty stream, and reads the answer by coming back.
 *
 * What is refused before its turn is claimed is asked again where that may help. Else it would
 * stand in the way of all behind it: it gets an answer that says why there is none.
 */
#include "api/api.h"
#include "api/guard.h"
#include "api/session_ask.h"
#include "api/session_dialect.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/context.h"
#include "store/budget.h"
#include "turn/routing.h"
#include "turn/sink.h"

enum {
    SOON_MS = 200,
    SELDOM_S = 10,
    PATIENCE_MS = 10 * 60 * 1000,             /* with what an allowance may let in later */
    NAME_LETTERS = 24,
    LIST_LIMIT = 1 << 30,
};

static const char no_turn[] = "Session has no active turn. Start a new turn with POST /stream.";
static const char route[] = "/api/chat/sessions/{id}/messages/pending";

/* ---- asking what has waited ------------------------------------------------------------------- */

/* Hears its turn, to know that it has been taken; so that there is somebody who does. */
struct waited {
    struct sink         sink;
    struct link         link;
    int32_t             tenant;
    int64_t             id, created_at;
    uint64_t            tokens;               /* that have to be left to whoever asks */
    struct pending_call call;                 /* drops it, gives it back or refuses it */
    bool                has_begun, is_closed;
    enum fault          fault;                /* why it was refused; NONE: it was not */
    enum budget_limit   limit;                /* of an allowance: the one in the way */
    uint64_t            wait, tokens_most;    /* s; 0: any number               */
};

static struct list           all = { .head = { &all.head, &all.head } };
static struct deadline       look;
static struct operation_call settling;
static struct pending_call   taking;

static void waited_free(struct waited *w)
{
    verb_drop(&w->call.verb);
    list_take(&all, &w->link);
    mem_free(w);
}

/* What is still there is taken again, and its turn is found. */
static void on_dropped(struct verb *verb)
{
    struct waited *w = LIST_OWNER(verb, struct waited, call.verb);

    if (w->is_closed)
        waited_free(w);
}

static void on_tried(struct verb *verb)
{
    waited_free(LIST_OWNER(verb, struct waited, call.verb));
    session_queue_look();
}

static void hear_begin(struct sink *k, const struct turn_facts *facts, int64_t first)
{
    struct waited *w = (struct waited *)k;

    (void)facts;
    (void)first;
    w->has_begun = true;
    w->call.verb.done = on_dropped;
    pending_drop(api_store(), &w->call, w->tenant, w->id);
}

static void hear_event(struct sink *k, const struct event *ev)
{
    struct waited *w = (struct waited *)k;

    if (ev->type == EVENT_ERROR && !w->has_begun)
        w->fault = ev->fault;
}

static void hear_flush(struct sink *k)
{
    (void)k;
}

/* There was a place when it was taken, but whoever takes does not lock out those who come. What
 * has to do with this service passes, and so may what an allowance says of a minute. */
static bool may_yet_be_asked(const struct waited *w)
{
    bool is_patient = clock_wall_ms() - w->created_at / 1000 < PATIENCE_MS;

    if (!fault_may_retry(w->fault) || w->fault == FAULT_USED_UP || w->fault == FAULT_NOT_OFFERED)
        return false;
    if (w->limit == BUDGET_TOKENS && w->tokens > w->tokens_most)
        return false;
    return w->limit == BUDGET_FREE || is_patient;
}

static void refuse(struct waited *w)
{
    char turn[NAME_LETTERS + 1];

    id_fill(turn, NAME_LETTERS);
    LOG(LOG_WARN, L_MSG("a question that waited is refused"), L_TEXT("turn", turn),
        L_TEXT("fault", fault_name(w->fault)));
    pending_refuse(api_store(), &w->call, w->tenant, w->id, str_of(turn), w->fault);
}

static void try_later(struct waited *w)
{
    w->call.verb.done = on_tried;
    if (may_yet_be_asked(w))
        pending_give_back(api_store(), &w->call, w->tenant, w->id, w->wait ? w->wait : 1);
    else
        refuse(w);
}

static void hear_close(struct sink *k)
{
    struct waited *w = (struct waited *)k;

    if (w->fault) {
        try_later(w);
        return;
    }
    w->is_closed = true;
    deadline_arm(&look, clock_now());         /* there may be one behind it     */
    if (!w->call.verb.work)
        waited_free(w);
}

static void hear_room(struct sink *k, const struct budget_call *room)
{
    struct waited *w = (struct waited *)k;

    w->limit = room->limit;
    w->wait = room->wait;
    w->tokens_most = (uint64_t)room->tokens.limit;
}

static const struct sink_ops ops = { hear_begin, hear_event, hear_flush, hear_close, hear_room };

static struct waited *waited_new(const struct pending *p, const struct question *q)
{
    struct waited *w = mem_new(sizeof *w);

    w->sink.ops = &ops;
    w->tenant = p->whose.tenant;
    w->id = p->id;
    w->created_at = p->created_at;
    w->tokens = context_message_tokens(&q->messages[0]) + api_settings()->turns.answer_tokens;
    list_push(&all, &w->link);
    return w;
}

static void ask(const struct pending *p)
{
    struct session_asking *a =
        session_asking_of(&p->whose, (struct chat_name){ .id = p->chat }, p->content);
    struct arena       *arena = &a->question->arena;
    const struct model *model = session_model(NULL, p->model, p->content, arena);
    struct waited      *w = waited_new(p, a->question);
    struct turn_order   order = { .question = a->question,
                                  .model = model,
                                  .asker = &p->asker,
                                  .route = route,
                                  .request_id = p->key,
                                  .on_leave = LEAVING_DETACHES };

    if (!model) {
        question_free(a->question);
        w->fault = FAULT_NOT_OFFERED;
        try_later(w);
        return;
    }
    a->context = arena_str(arena, p->context);
    a->keeping.is_assistants = p->is_assistants;
    a->keeping.crowd.in_flight = 0;           /* it is one of them              */
    a->keeping.is_of_tool = p->is_operations;
    session_asking_key(a, p->key);
    order.keeping = &a->keeping;
    order.sink = &w->sink;
    turn_start(&order);
}

static void look_in(uint64_t ns)
{
    deadline_arm(&look, clock_now() + ns);
}

static void on_taken(struct verb *verb)
{
    struct pending_call *c = LIST_OWNER(verb, struct pending_call, verb);
    bool                 is_more = verb->end == STORE_OK && c->waiting > 0;

    if (verb->end == STORE_OK && c->n)
        ask(&c->all[0]);
    look_in(is_more ? SOON_MS * CLOCK_MS : SELDOM_S * CLOCK_S);
}

/* What cannot be settled holds up its own chat only. */
static void on_settled(struct verb *verb)
{
    struct crowd_limits most = session_crowd();

    (void)verb;
    taking.verb.done = on_taken;
    pending_take(api_store(), &taking, &most);
}

/* Who is about to end asks nobody any more. */
static void on_look(struct deadline *d)
{
    (void)d;
    if (taking.verb.work || settling.verb.work)
        return;
    if (!api_is_ready()) {
        look_in(SELDOM_S * CLOCK_S);
        return;
    }
    settling.verb.done = on_settled;
    operations_settle(api_store(), &settling);
}

void session_queue_look(void)
{
    look_in(SOON_MS * CLOCK_MS);
}

void session_queue_begin(void)
{
    if (!api_store() || look.run)
        return;
    look.run = on_look;
    look_in(CLOCK_S);
}

void session_queue_forget(void)
{
    verb_drop(&settling.verb);
    verb_drop(&taking.verb);
    deadline_disarm(&look);
    while (all.n)
        waited_free(LIST_OWNER(all.head.next, struct waited, link));
}

/* ---- queueing ------------------------------------------------------------------------------------ */

static void answer_nothing(struct visit *v)
{
    struct buf out = BUF(4096);

    session_add_fields(v->x);
    session_write_nothing(&out);
    http_answer(v->x, &(struct http_answer){ 200, STR("text/event-stream; charset=utf-8"),
                                             STR("cache-control: no-cache, no-transform\r\n"
                                                 "x-accel-buffering: no\r\n"),
                                             buf_str(&out) });
    buf_release(&out);
    visit_end(v);
}

static void on_put(struct verb *verb)
{
    struct visit          *v = LIST_OWNER(verb, struct visit, pending.verb);
    struct session_asking *a = v->ctx;

    if (verb->end == STORE_CONFLICT) {
        session_visit_detail(v, fault_http(FAULT_KEY_REUSED), fault_text(FAULT_KEY_REUSED));
    } else if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
    } else if (v->pending.is_queued) {
        session_queue_look();
        if (a->only_waits)
            session_visit_answer(v, STR("{\"status\":\"queued\"}"));
        else
            answer_nothing(v);
    } else if (a->only_waits) {
        session_visit_detail(v, 409, no_turn);
    } else {
        session_go(a);
    }
}

/* A wish that is not granted is none, now as well as later. */
static struct str model_for(const struct visit *v, struct str name)
{
    bool is_there = offer_find(name) || str_eq(name, STR(ROUTING_AUTO));

    return is_there && guard_may_use(v->x, name) ? name : STR("");
}

void session_queue(struct session_asking *a)
{
    struct visit *v = a->visit;
    char          key[NAME_LETTERS + 1];

    id_fill(key, NAME_LETTERS);
    v->pending.verb.done = on_put;
    pending_put(api_store(), &v->pending, &v->whose, v->chat,
                &(struct pending){ .key = a->keeping.key.n ? a->keeping.key : str_of(key),
                                   .content = a->keeping.content,
                                   .context = a->context,
                                   .model = model_for(v, a->model),
                                   .is_assistants = a->keeping.is_assistants,
                                   .asker = *guard_asker(v->x) },
                !a->only_waits, &a->keeping.crowd);
}

/* ---- what waits ------------------------------------------------------------------------------------- */

static void on_list(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, pending.verb);
    struct buf    out = BUF(LIST_LIMIT);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    buf_lit(&out, "{\"messages\":[");
    for (size_t i = 0; i < v->pending.n; i++) {
        const struct pending *p = &v->pending.all[i];

        buf_addf(&out, "%s{\"id\":\"%lld\",\"content\":", i ? "," : "", (long long)p->id);
        json_add_str(&out, p->content);
        session_add_time(&out, "created_at", p->created_at);
        buf_lit(&out, "}");
    }
    buf_addf(&out, "],\"count\":%zu}", v->pending.n);
    session_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

void session_serve_pending(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v || !session_visit_takes_session(v, rq))
        return;
    v->pending.verb.done = on_list;
    pending_list(api_store(), &v->pending, &v->whose, v->chat);
}
