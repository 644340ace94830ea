/* assistant_watch.c - /ws/system: how the service is, told again and again. */
#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_frames.h"
#include "api/assistant_socket.h"
#include "api/assistant_system.h"
#include "api/guard.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "store/exchanges.h"

struct watch {
    struct ws_conn      *ws;
    struct arena         arena;               /* of `whose`                     */
    struct whose         whose;
    struct exchange_call call;                /* running while its verb has work */
    struct deadline      next;
    bool                 is_full;             /* it misses what is told meanwhile */
};

static void tell(struct watch *w, int64_t active)
{
    struct buf *out = assistant_socket_begin(w->ws, "system_status");

    assistant_add_status(active, out);
    buf_addf(out, ",\"active_connections\":%lld,\"timestamp\":",
             (long long)metric_value(METRIC_WEBSOCKETS));
    assistant_add_time(out, clock_wall_ms() * 1000);
    assistant_frame_close(out);
    ws_end(w->ws);
    w->is_full = !ws_push(w->ws);
}

static void on_counted(struct verb *verb)
{
    struct exchange_call *c = LIST_OWNER(verb, struct exchange_call, verb);

    tell(LIST_OWNER(c, struct watch, call), verb->end == STORE_OK ? c->active : 0);
}

static void look(struct watch *w)
{
    if (w->is_full || w->call.verb.work)
        return;
    if (!api_store()) {
        tell(w, 0);
        return;
    }
    verb_drop(&w->call.verb);
    w->call.verb.done = on_counted;
    exchange_count_chats(api_store(), &w->call, &w->whose, ASSISTANT_ACTIVE_S);
}

static void on_next(struct deadline *d)
{
    struct watch *w = LIST_OWNER(d, struct watch, next);

    deadline_arm(d, clock_now() + api_settings()->assistant.status_every);
    look(w);
}

static void on_message(void *user, struct str text)
{
    struct watch    *w = user;
    struct str       type;
    struct json_doc *doc = assistant_socket_read(w->ws, text, &type);

    if (!doc)
        return;
    if (str_eq(type, STR("ping")))
        assistant_socket_pong(w->ws);
    else
        assistant_socket_unknown(w->ws, type);
    json_free(doc);
}

static void on_room(void *user)
{
    ((struct watch *)user)->is_full = false;
}

static void watch_free(struct watch *w)
{
    deadline_disarm(&w->next);
    verb_drop(&w->call.verb);
    arena_release(&w->arena);
    mem_free(w);
}

static void on_drain(void *user)
{
    struct watch   *w = user;
    struct ws_conn *ws = w->ws;

    watch_free(w);
    ws_close(ws, WS_CODE_GOING_AWAY, "the service is restarting");
}

static void on_end(void *user)
{
    watch_free(user);
}

static const struct ws_app app = { on_message, on_room, on_drain, on_end };

void assistant_serve_ws_system(struct http_exchange *x, const struct http_reader *rq)
{
    struct watch *w;

    if (!assistant_socket_may_open(x, rq))
        return;
    w = mem_new(sizeof *w);
    w->whose =
        (struct whose){ guard_asker(x)->tenant, STR("assistant"), guard_owner(x, &w->arena) };
    w->next.run = on_next;
    w->ws = assistant_socket_open(x, rq, &app, w);
    deadline_arm(&w->next, clock_now() + api_settings()->assistant.status_every);
    look(w);
}
