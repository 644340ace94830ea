/* session_system.c - whether sessions can be kept, and how long a stream is there. */
#include "api/api.h"
#include "api/guard.h"
#include "api/session_visit.h"
#include "base/clock.h"

enum { TENANT_OF_TRIALS = 1, BELIEVED_S = 5 };

/* ---- health ---------------------------------------------------------------------------------- */

static uint64_t healthy_at;                   /* clock; 0: never                */

static void tell_healthy(struct http_exchange *x)
{
    api_answer_json(x, 200,
                    STR("{\"status\":\"healthy\",\"service\":\"chat\",\"version\":\"0.1.0\"}"));
}

static void on_trial_gone(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    healthy_at = clock_now();
    tell_healthy(v->x);
    visit_end(v);
}

static void on_trial_read(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    v->chats.verb.done = on_trial_gone;
    chat_delete(api_store(), &v->chats, &v->whose, v->chat);
}

/* Anybody may ask, so what it takes is not done for each who does. */
void session_serve_health(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v;

    if (healthy_at && clock_now() - healthy_at < BELIEVED_S * CLOCK_S) {
        tell_healthy(x);
        return;
    }
    v = visit_new_of(x, (struct whose){ TENANT_OF_TRIALS, STR("trial"), STR("") });
    v->path = arena_str(&v->arena, rq->target.path);
    if (!api_store()) {
        session_visit_refuse(v, 503, "sessions need a database, and this service has none");
        return;
    }
    session_visit_call(v, session_new_name(&v->arena));
    v->chats.verb.done = on_trial_read;
    chat_open(api_store(), &v->chats, &v->whose,
              &(struct new_chat){ .uid = v->chat.uid, .mode = STR("trial") });
}

/* ---- settings that clients want to know -------------------------------------------------------- */

void session_serve_ttl(struct http_exchange *x, const struct http_reader *rq)
{
    uint64_t   ttl = api_settings()->session.stream_ttl;
    struct buf out = BUF(200);

    (void)rq;
    buf_addf(&out, "{\"stream_ttl_seconds\":%llu,\"stream_ttl_ms\":%llu}",
             (unsigned long long)(ttl / CLOCK_S), (unsigned long long)(ttl / CLOCK_MS));
    api_answer_json(x, 200, buf_str(&out));
    buf_release(&out);
}
