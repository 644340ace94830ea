/* xcx_resume.c - the mini-program comes back to an answer, or stops one. */
#include "api/api.h"
#include "api/sse_sink.h"
#include "api/xcx_dialect.h"
#include "api/xcx_visit.h"
#include "turn/keeper.h"
#include "turn/reading.h"
#include "turn/turn.h"
#include "wire/http_text.h"

/* ---- coming back --------------------------------------------------------------------------- */

/* "<answer>.<event>", which is what the last event that was heard had as its id. Its number is
 * counted on from, so that it must be far from the largest. */
static bool read_last_id(struct str s, int64_t *answer, int64_t *event)
{
    size_t   dot = str_find(s, '.');
    uint64_t a, e;

    if (!str_to_u64((struct str){ s.p, dot }, &a) ||
        !str_to_u64(str_from(s, dot + (dot < s.n)), &e) || a > INT64_MAX || e > INT32_MAX)
        return false;
    *answer = (int64_t)a;
    *event = (int64_t)e;
    return true;
}

static void read_on(struct visit *v, struct str turn)
{
    const struct settings *s = api_settings();
    struct sink           *sink =
        sse_sink_new(v->x, &xcx_dialect, xcx_state_new(STR(""), s->xcx.ascii != 0), &s->stream);

    reading_start(sink, &v->whose, turn, v->from);
    visit_end(v);
}

static void answer_nothing(struct visit *v)
{
    http_answer(v->x, &(struct http_answer){ .status = 204 });
    visit_end(v);
}

static void on_last_turn(struct verb *verb)
{
    struct visit           *v = LIST_OWNER(verb, struct visit, turn.verb);
    const struct kept_turn *t = &v->turn.turn;
    bool                    is_there =
        verb->end == STORE_OK && (t->state == KEPT_STREAMING || (v->answer && t->has_journal));

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND)
        xcx_visit_fail(v, verb->end);
    else if (is_there)
        read_on(v, t->id);
    else
        answer_nothing(v);
}

static void on_chat_to_read(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end != STORE_OK) {
        xcx_visit_fail(v, verb->end);
        return;
    }
    v->turn.verb.done = on_last_turn;
    turn_of_chat(api_store(), &v->turn, &v->whose, v->chat, v->answer);
}

/* Where the header cannot be set a query parameter does. */
static bool takes_last_id(struct visit *v, const struct http_reader *rq)
{
    struct str last = http_reader_header(rq, STR("last-event-id"));

    if (!last.n &&
        http_query_get(rq->target.query, STR("lastEventId"), &v->arena, &last) == HTTP_QUERY_ABSENT)
        return true;
    if (!last.n)
        return true;
    if (read_last_id(last, &v->answer, &v->from)) {
        v->from++;
        return true;
    }
    xcx_visit_refuse(v, 422, "Last-Event-ID 无效");
    return false;
}

void xcx_serve_resume(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = xcx_visit_new(x);

    if (!v || !xcx_visit_takes_chat(v, rq) || !takes_last_id(v, rq))
        return;
    v->chats.verb.done = on_chat_to_read;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}

/* ---- stopping --------------------------------------------------------------------------------- */

static void tell_stopped(struct visit *v, bool is_stopped)
{
    xcx_visit_answer(v, is_stopped ? STR("{\"stopped\":true}") : STR("{\"stopped\":false}"));
}

static void on_stopped(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, turn.verb);

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND)
        xcx_visit_fail(v, verb->end);
    else
        tell_stopped(v, verb->end == STORE_OK && v->turn.turn.state == KEPT_STREAMING);
}

static void on_turn_to_stop(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, turn.verb);
    struct str    id = arena_str(&v->arena, v->turn.turn.id);

    if (verb->end != STORE_OK || v->turn.turn.state != KEPT_STREAMING) {
        on_stopped(verb);
        return;
    }
    v->turn.verb.done = on_stopped;
    turn_stop(api_store(), &v->turn, &v->whose, id);
}

static void on_chat_to_stop(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct kept  *here = keeper_find_chat(&v->whose, v->chat.id);

    if (verb->end != STORE_OK) {
        xcx_visit_fail(v, verb->end);
    } else if (here) {
        turn_interrupt(here->turn, FAULT_STOPPED);
        tell_stopped(v, true);
    } else {
        v->turn.verb.done = on_turn_to_stop;
        turn_of_chat(api_store(), &v->turn, &v->whose, v->chat, 0);
    }
}

void xcx_serve_stop(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = xcx_visit_new(x);

    if (!v || !xcx_visit_takes_chat(v, rq))
        return;
    v->chats.verb.done = on_chat_to_stop;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}
