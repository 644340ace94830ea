/* session_resume.c - coming back to an answer, stopping one, and looking at one by its name. */
#include "api/api.h"
#include "api/session_ask.h"
#include "api/session_dialect.h"
#include "base/clock.h"
#include "turn/keeper.h"
#include "turn/reading.h"

#include <stdio.h>

enum { LOOK_MS = 100, PATIENCE_S = 5, TEXT_LIMIT = 16 << 10 };

/* ---- coming back ------------------------------------------------------------------------------ */

static const struct dialect *dialect_of(const struct visit *v)
{
    return session_is_ai_path(v->path) ? &session_ai_dialect : &session_dialect;
}

static void read_all(struct visit *v, struct str turn)
{
    reading_start(session_sink_new(v->x, dialect_of(v)), &v->whose, turn, 0);
    visit_end(v);
}

static void on_last_turn(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, turn.verb);

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND)
        session_visit_fail(v, verb->end);
    else if (verb->end == STORE_OK && v->turn.turn.state == KEPT_STREAMING)
        read_all(v, v->turn.turn.id);
    else
        session_visit_nothing(v, 204);
}

static void on_session_to_read(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end == STORE_NOT_FOUND && session_is_ai_path(v->path)) {
        session_visit_nothing(v, 204);        /* a page that opens asks this first */
        return;
    }
    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    v->turn.verb.done = on_last_turn;
    turn_of_chat(api_store(), &v->turn, &v->whose, v->chat, 0);
}

void session_serve_resume(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v || !session_visit_takes_session(v, rq) || session_takes_query(v, rq))
        return;
    v->chats.verb.done = on_session_to_read;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}

/* Without a database there is nothing to come back to. */
void session_serve_ai_resume(struct http_exchange *x, const struct http_reader *rq)
{
    if (!api_store())
        http_answer(x, &(struct http_answer){ .status = 204 });
    else
        session_serve_resume(x, rq);
}

/* Who stops listening says so; what is made goes on. */
static void on_session_to_leave(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end == STORE_OK)
        session_visit_nothing(v, 204);
    else
        session_visit_fail(v, verb->end);
}

void session_serve_leave(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v || !session_visit_takes_session(v, rq))
        return;
    v->chats.verb.done = on_session_to_leave;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}

/* ---- stopping ----------------------------------------------------------------------------------- */

struct stopping {
    struct visit   *visit;
    struct deadline look;
    struct str      turn;
    uint64_t        until;
};

static void release_stopping(struct visit *v)
{
    deadline_disarm(&((struct stopping *)v->ctx)->look);
}

static void look_again(struct deadline *d)
{
    struct stopping *s = LIST_OWNER(d, struct stopping, look);

    turn_find(api_store(), &s->visit->turn, &s->visit->whose, s->turn);
}

/* Its holder may be another process, or be dead: then it is closed when its lease has run out. */
static void on_look(struct verb *verb)
{
    struct visit    *v = LIST_OWNER(verb, struct visit, turn.verb);
    struct stopping *s = v->ctx;
    bool             is_over = verb->end == STORE_OK && v->turn.turn.state != KEPT_STREAMING;

    if (verb->end == STORE_NOT_FOUND || is_over || clock_now() >= s->until)
        session_visit_answer(v, STR("{\"cancelled\":true,\"reason\":null}"));
    else
        deadline_arm(&s->look, clock_now() + LOOK_MS * CLOCK_MS);
}

static void wait_for_end(struct visit *v, struct str turn)
{
    struct stopping *s = arena_new(&v->arena, sizeof *s);

    s->visit = v;
    s->turn = turn;
    s->look.run = look_again;
    s->until = clock_now() + PATIENCE_S * CLOCK_S;
    v->ctx = s;
    v->release = release_stopping;
    v->turn.verb.done = on_look;
    deadline_arm(&s->look, clock_now() + LOOK_MS * CLOCK_MS);
}

static void on_stop(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, turn.verb);

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND)
        session_visit_fail(v, verb->end);
    else
        wait_for_end(v, arena_str(&v->arena, v->turn.turn.id));
}

static void stop(struct visit *v)
{
    struct str   id = arena_str(&v->arena, v->turn.turn.id);
    struct kept *here = keeper_find(&v->whose, id);

    if (here) {
        turn_interrupt(here->turn, FAULT_STOPPED);
        wait_for_end(v, id);
        return;
    }
    v->turn.verb.done = on_stop;
    turn_stop(api_store(), &v->turn, &v->whose, id);
}

static void on_turn_to_stop(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, turn.verb);

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND)
        session_visit_fail(v, verb->end);
    else if (verb->end == STORE_OK && v->turn.turn.state == KEPT_STREAMING)
        stop(v);
    else
        session_visit_answer(v, STR("{\"cancelled\":true,\"reason\":\"no_active_session\"}"));
}

static void on_session_to_stop(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    v->turn.verb.done = on_turn_to_stop;
    turn_of_chat(api_store(), &v->turn, &v->whose, v->chat, 0);
}

void session_serve_cancel(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v || !session_visit_takes_session(v, rq))
        return;
    v->chats.verb.done = on_session_to_stop;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}

/* ---- a turn by its name --------------------------------------------------------------------------- */

static void refuse_task(struct visit *v, enum store_end end)
{
    char why[1100];

    if (end != STORE_NOT_FOUND && end != STORE_OK) {
        session_visit_fail(v, end);
        return;
    }
    snprintf(why, sizeof why, "Task %.*s not found or access denied.", STR_ARG(*v->name));
    session_visit_refuse(v, 404, why);
}

static const char *status_of(enum kept_state state)
{
    return state == KEPT_STREAMING ? "running" : state == KEPT_COMPLETE ? "completed" : "failed";
}

static void on_session_of_task(struct verb *verb)
{
    struct visit           *v = LIST_OWNER(verb, struct visit, chats.verb);
    const struct kept_turn *t = &v->turn.turn;
    struct buf              out = BUF(TEXT_LIMIT);

    if (verb->end != STORE_OK) {
        refuse_task(v, verb->end);
        return;
    }
    buf_lit(&out, "{\"task_id\":");
    json_add_str(&out, t->id);
    buf_lit(&out, ",\"session_id\":");
    json_add_str(&out, session_name_of(v, &v->chats.chats[0]));
    buf_addf(&out,
             ",\"status\":\"%s\",\"tool_name\":\"chat\",\"operation_id\":", status_of(t->state));
    json_add_str(&out, t->id);
    session_add_time(&out, "created_at", t->created_at);
    buf_lit(&out, "}");
    session_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

/* A turn of another door is not one of a session. */
static void on_task(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, turn.verb);

    if (verb->end != STORE_OK || !v->turn.turn.chat) {
        refuse_task(v, verb->end);
        return;
    }
    v->chats.verb.done = on_session_of_task;
    chat_find(api_store(), &v->chats, &v->whose, (struct chat_name){ .id = v->turn.turn.chat });
}

static void find_task(struct http_exchange *x, const struct http_reader *rq,
                      void (*done)(struct verb *verb))
{
    struct visit *v = session_visit_new(x, rq);

    if (!v || !session_visit_takes_session(v, rq))
        return;
    v->turn.verb.done = done;
    turn_find(api_store(), &v->turn, &v->whose, *v->name);
}

void session_serve_task(struct http_exchange *x, const struct http_reader *rq)
{
    find_task(x, rq, on_task);
}

static void on_session_to_follow(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end != STORE_OK)
        refuse_task(v, verb->end);
    else
        read_all(v, v->turn.turn.id);
}

static void on_task_to_follow(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, turn.verb);

    if (verb->end != STORE_OK || !v->turn.turn.chat) {
        refuse_task(v, verb->end);
        return;
    }
    v->chats.verb.done = on_session_to_follow;
    chat_find(api_store(), &v->chats, &v->whose, (struct chat_name){ .id = v->turn.turn.chat });
}

void session_serve_follow(struct http_exchange *x, const struct http_reader *rq)
{
    find_task(x, rq, on_task_to_follow);
}
