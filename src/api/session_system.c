/* session_system.c - whether sessions can be kept, how long a stream is there, and the doors of
 * operations that take longer than their turn.
 */
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

/* ---- operations ------------------------------------------------------------------------------- */

/* Compares all of it, so that the time it takes tells nothing. */
static bool is_same(struct str a, struct str b)
{
    unsigned char differs = a.n != b.n;

    for (size_t i = 0; i < a.n && i < b.n; i++)
        differs |= (unsigned char)(a.p[i] ^ b.p[i]);
    return !differs;
}

static bool is_service(const struct http_reader *rq)
{
    const struct conf_texts *keys = &api_settings()->session.service_keys;
    struct str               shown = http_reader_header(rq, STR("x-api-key"));
    bool                     any = false;

    for (size_t i = 0; i < keys->n; i++)
        any |= is_same(shown, keys->items[i]);
    return any && http_reader_count(rq, STR("x-api-key")) == 1;
}

/* There is no tool yet that goes on when its turn has ended. */
void session_serve_complete(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = visit_new_of(x, (struct whose){ 0, STR(""), STR("") });
    struct buf    why = BUF(16 << 10);
    struct str    id = STR("");

    api_path_id(x, rq, &v->arena, &id);
    buf_lit(&why, "Operation ");
    buf_add(&why, id);
    buf_lit(&why, " not found");
    if (is_service(rq))
        session_visit_detail(v, 404, arena_text(&v->arena, buf_str(&why)));
    else
        session_visit_detail(v, 401, "Invalid API key");
    buf_release(&why);
}
