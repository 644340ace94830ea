/* routes.c - who serves what, and what is checked before anybody serves it. */
#include "api/api.h"

#include "api/assistant_answer.h"
#include "api/cors.h"
#include "api/dbgpt_answer.h"
#include "api/guard.h"
#include "api/openai_dialect.h"
#include "api/session_visit.h"
#include "api/xcx_answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct route routes[] = {
    { HTTP_METHOD_POST, "/v1/chat/completions", openai_serve_chat, ROUTE_TAKES_JSON, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/v1/embeddings", openai_serve_embeddings, ROUTE_TAKES_JSON, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_GET, "/v1/models", openai_serve_models, ROUTE_PLAIN, ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/v1/models/{id}", openai_serve_model, ROUTE_PLAIN, ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/v2/chat/completions", dbgpt_serve_chat, ROUTE_TAKES_JSON, ROUTE_DBGPT,
      false },
    { HTTP_METHOD_POST, "/v2/chat/completions", dbgpt_serve_chat, ROUTE_TAKES_JSON, ROUTE_DBGPT,
      false },
    { HTTP_METHOD_POST, "/api/v1/chat/completions", dbgpt_serve_chat_v1, ROUTE_TAKES_JSON,
      ROUTE_DBGPT, false },
    { HTTP_METHOD_POST, "/api/v1/embeddings", openai_serve_embeddings, ROUTE_TAKES_JSON,
      ROUTE_DBGPT, false },
    { HTTP_METHOD_GET, "/api/v1/models", models_serve, ROUTE_PLAIN, ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/v1/chat/dialogue/new", dbgpt_serve_new, ROUTE_PLAIN, ROUTE_DBGPT,
      false },
    { HTTP_METHOD_GET, "/api/v1/chat/dialogue/list", dbgpt_serve_list, ROUTE_PLAIN, ROUTE_DBGPT,
      false },
    { HTTP_METHOD_POST, "/api/v1/chat/dialogue/query", dbgpt_serve_query, ROUTE_TAKES_JSON,
      ROUTE_DBGPT, false },
    { HTTP_METHOD_POST, "/api/v1/chat/dialogue/query_page", dbgpt_serve_query_page,
      ROUTE_TAKES_JSON, ROUTE_DBGPT, false },
    { HTTP_METHOD_POST, "/api/v1/chat/dialogue/delete", dbgpt_serve_delete, ROUTE_PLAIN,
      ROUTE_DBGPT, false },
    { HTTP_METHOD_POST, "/api/v1/chat/dialogue/clear", dbgpt_serve_delete, ROUTE_PLAIN, ROUTE_DBGPT,
      false },
    { HTTP_METHOD_GET, "/api/v1/chat/dialogue/messages/history", dbgpt_serve_history, ROUTE_PLAIN,
      ROUTE_DBGPT, false },
    { HTTP_METHOD_GET, "/api/v1/chat/dialogue/export_messages", dbgpt_serve_export, ROUTE_PLAIN,
      ROUTE_DBGPT, false },
    { HTTP_METHOD_GET, "/api/v1/chat/dialogue/health", dbgpt_serve_health, ROUTE_PLAIN, ROUTE_OPEN,
      true },
    { HTTP_METHOD_GET, "/api/v1/chat/dialogue/test_auth", dbgpt_serve_health, ROUTE_PLAIN,
      ROUTE_DBGPT, false },
    { HTTP_METHOD_GET, "/api/xcx/chat/history", xcx_serve_history, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_GET, "/api/xcx/chat/messages", xcx_serve_messages_of_context, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/xcx/chat/stream", xcx_serve_stream, ROUTE_TAKES_JSON, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_GET, "/api/xcx/chat/{id}/messages", xcx_serve_messages, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/xcx/chat/{id}/messages", xcx_serve_say, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/xcx/chat/{id}/stream", xcx_serve_resume, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/api/xcx/chat/{id}/stop", xcx_serve_stop, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/api/xcx/auth/login", xcx_serve_login, ROUTE_TAKES_JSON, ROUTE_OPEN,
      false },
    { HTTP_METHOD_POST, "/api/xcx/auth/refresh", xcx_serve_refresh, ROUTE_TAKES_JSON, ROUTE_OPEN,
      false },
    { HTTP_METHOD_POST, "/api/xcx/auth/dev-login", xcx_serve_dev_login, ROUTE_TAKES_JSON,
      ROUTE_OPEN, false },
    { HTTP_METHOD_POST, "/api/v1/chat", assistant_serve_chat, ROUTE_TAKES_JSON, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/api/v1/chat/stream", assistant_serve_stream, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/v1/sessions", assistant_serve_sessions, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/api/v1/sessions", assistant_serve_new_session, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/v1/sessions/{id}/history", assistant_serve_history, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/v1/sessions/{id}", assistant_serve_session, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_DELETE, "/api/v1/sessions/{id}", assistant_serve_delete_session, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/v1/memory/query", assistant_serve_memory, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_DELETE, "/api/v1/memory/session/{id}", assistant_serve_forget, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/v1/system/status", assistant_serve_status, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_GET, "/api/v1/system/metrics", assistant_serve_metrics, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/v1/tasks", assistant_serve_new_task, ROUTE_TAKES_JSON, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_GET, "/api/v1/tasks/{id}", assistant_serve_task, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_GET, "/api/v1/plugins", assistant_serve_plugins, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/api/v1/plugins/execute", assistant_serve_execute, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/v1/plugins/{id}/enable", assistant_serve_enable, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/v1/plugins/{id}/disable", assistant_serve_disable, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/v1/plugins/{id}", assistant_serve_plugin, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/api/v1/config/update", assistant_serve_configure, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/ws/chat", assistant_serve_ws_chat, ROUTE_PLAIN, ROUTE_SOCKET, false },
    { HTTP_METHOD_GET, "/ws/system", assistant_serve_ws_system, ROUTE_PLAIN, ROUTE_SOCKET, false },
    { HTTP_METHOD_GET, "/api/chat/sessions", session_serve_list, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/api/chat/sessions", session_serve_new, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_PATCH, "/api/chat/sessions/{id}/title", session_serve_rename, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_PATCH, "/api/chat/sessions/{id}/pinned", session_serve_pin, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_PATCH, "/api/chat/sessions/{id}/assign-user", session_serve_assign, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/chat/sessions/{id}/stream", session_serve_stream, ROUTE_TAKES_JSON,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/chat/sessions/{id}/stream", session_serve_resume, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_DELETE, "/api/chat/sessions/{id}/stream", session_serve_leave, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/chat/sessions/{id}/messages/pending", session_serve_put,
      ROUTE_TAKES_JSON, ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/chat/sessions/{id}/messages/pending", session_serve_pending,
      ROUTE_PLAIN, ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/chat/sessions/{id}/cancel", session_serve_cancel, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/chat/tasks/{id}/stream", session_serve_follow, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/chat/tasks/{id}", session_serve_task, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_POST, "/api/chat", session_serve_ai, ROUTE_TAKES_JSON, ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/chat/{id}/cancel", session_serve_cancel, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_GET, "/api/chat/{id}/stream", session_serve_ai_resume, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_GET, "/api/chat/sessions/{id}", session_serve_show, ROUTE_PLAIN, ROUTE_GUARDED,
      false },
    { HTTP_METHOD_DELETE, "/api/chat/sessions/{id}", session_serve_delete, ROUTE_PLAIN,
      ROUTE_GUARDED, false },
    { HTTP_METHOD_POST, "/api/chat/operations/{id}/complete", session_serve_complete,
      ROUTE_TAKES_JSON, ROUTE_OPEN, false },
    { HTTP_METHOD_GET, "/api/chat/usage", session_serve_usage, ROUTE_PLAIN, ROUTE_GUARDED, false },
    { HTTP_METHOD_GET, "/api/chat/config/ttl", session_serve_ttl, ROUTE_PLAIN, ROUTE_GUARDED,
      true },
    { HTTP_METHOD_GET, "/api/chat/health", session_serve_health, ROUTE_PLAIN, ROUTE_OPEN, true },
    { HTTP_METHOD_GET, "/health", assistant_serve_health, ROUTE_PLAIN, ROUTE_OPEN, true },
    { HTTP_METHOD_GET, "/", assistant_serve_root, ROUTE_PLAIN, ROUTE_OPEN, true },
    { HTTP_METHOD_GET, "/livez", ops_serve_livez, ROUTE_PLAIN, ROUTE_OPEN, true },
    { HTTP_METHOD_GET, "/readyz", ops_serve_readyz, ROUTE_PLAIN, ROUTE_OPEN, true },
    { HTTP_METHOD_GET, "/metrics", ops_serve_metrics, ROUTE_PLAIN, ROUTE_OPEN, true },
};
enum { ROUTES = sizeof routes / sizeof *routes };

static const struct settings *settings;
static struct api_served      served;
static bool                   is_ready;
static struct store          *store;

void api_configure(const struct settings *s)
{
    settings = s;
    if (!served.since)
        served.since = clock_exact();
}

const struct api_served *api_served(void)
{
    return &served;
}

const struct settings *api_settings(void)
{
    return settings;
}

void api_use_store(struct store *s)
{
    store = s;
}

struct store *api_store(void)
{
    return store;
}

void api_set_ready(bool ready)
{
    is_ready = ready;
}

bool api_is_ready(void)
{
    return is_ready;
}

/* ---- matching --------------------------------------------------------------------- */

/* What stands at "{id}" is in `id`; nothing where there is none. */
static bool path_fits(const struct route *r, struct str path, struct str *id)
{
    struct str head = { r->path, strcspn(r->path, "{") }, tail, rest;

    *id = STR("");
    if (head.n == strlen(r->path))
        return str_eq(path, head);
    if (path.n <= head.n || !str_starts(path, head))
        return false;
    tail = str_of(strchr(r->path, '}') + 1);
    rest = str_from(path, head.n);
    *id = rest;
    if (tail.n)
        id->n = str_find(rest, '/');
    return id->n > 0 && str_eq(str_from(rest, id->n), tail);
}

static bool method_fits(const struct route *r, enum http_method m)
{
    return r->method == m || (r->method == HTTP_METHOD_GET && m == HTTP_METHOD_HEAD);
}

static const struct route *find_route(struct str path, enum http_method m)
{
    struct str id;

    for (size_t i = 0; i < ROUTES; i++)
        if (method_fits(&routes[i], m) && path_fits(&routes[i], path, &id))
            return &routes[i];
    return NULL;
}

/* "GET, HEAD, OPTIONS": what this path takes. False if it takes nothing. */
static bool write_allow(struct str path, struct buf *out)
{
    bool       any = false, all = str_eq(path, STR("*"));
    bool       seen[HTTP_METHOD_OPTIONS + 1] = { false };
    struct str id;

    buf_lit(out, "allow: ");
    for (size_t i = 0; i < ROUTES; i++) {
        if (seen[routes[i].method] || !(all || path_fits(&routes[i], path, &id)))
            continue;
        any = seen[routes[i].method] = true;
        buf_addf(out, "%s, ", http_method_name(routes[i].method));
        if (routes[i].method == HTTP_METHOD_GET)
            buf_lit(out, "HEAD, ");
    }
    buf_lit(out, "OPTIONS\r\n");
    return any;
}

bool api_path_id(const struct http_exchange *x, const struct http_reader *rq, struct arena *a,
                 struct str *id)
{
    struct str raw;

    return path_fits(x->route, rq->target.path, &raw) && http_decode(raw, a, id);
}

/* ---- before anybody serves it -------------------------------------------------------- */

static bool refuse(struct http_exchange *x, int status, const char *why)
{
    http_refuse(x, status, why, STR(""));
    return false;
}

static bool check_json(struct http_exchange *x, const struct http_reader *rq)
{
    struct str type = http_media_type(http_reader_header(rq, STR("content-type")));
    struct str coding = http_reader_header(rq, STR("content-encoding"));

    if (!http_reader_is_chunked(rq) && !http_reader_count(rq, STR("content-length")))
        return refuse(x, 411, "the request needs a Content-Length");
    if (!str_eq_nocase(type, STR("application/json")))
        return refuse(x, 415, "the body must be JSON: send Content-Type: application/json");
    if (coding.n && !str_eq_nocase(coding, STR("identity")))
        return refuse(x, 415, "the body must be sent without Content-Encoding");
    return true;
}

static bool refuse_route(struct http_exchange *x, struct str path)
{
    struct buf allow = BUF(256);
    bool       any = write_allow(path, &allow);

    if (any)
        http_refuse(x, 405, "this path does not take that method", buf_str(&allow));
    else
        http_refuse(x, 404, "there is nothing at this path", STR(""));
    buf_release(&allow);
    return false;
}

/* Who shows a key of the settings for that door need not be known to the guard. */
static bool is_let_in(struct http_exchange *x, const struct http_reader *rq,
                      const struct route *route)
{
    const struct conf_texts *keys = &settings->dbgpt.api_keys;

    if (route->guard == ROUTE_DBGPT && keys->n)
        return guard_check_door(x, rq, keys);
    if (route->guard == ROUTE_SOCKET)
        return guard_check_socket(x, rq);
    return route->guard == ROUTE_OPEN || guard_check(x, rq);
}

static bool on_head(struct http_exchange *x, const struct http_reader *rq)
{
    const struct route *route = find_route(rq->target.path, rq->method);

    x->route = route;
    cors_add_fields(x, rq, &settings->http);
    if (rq->method == HTTP_METHOD_OPTIONS)
        return true;
    if (!route)
        return refuse_route(x, rq->target.path);
    if (!is_let_in(x, rq, route))
        return false;
    return route->body == ROUTE_PLAIN || check_json(x, rq);
}

static void serve_options(struct http_exchange *x, const struct http_reader *rq)
{
    struct buf fields = BUF(8192);

    if (write_allow(rq->target.path, &fields)) {
        cors_write_preflight(rq, &settings->http, &fields);
        http_answer(x, &(struct http_answer){ .status = 204, .fields = buf_str(&fields) });
    } else {
        http_refuse(x, 404, "there is nothing at this path", STR(""));
    }
    buf_release(&fields);
}

static void on_request(struct http_exchange *x, const struct http_reader *rq)
{
    const struct route *route = x->route;

    if (rq->method == HTTP_METHOD_OPTIONS)
        serve_options(x, rq);
    else
        route->serve(x, rq);
}

/* ---- after it ---------------------------------------------------------------------------- */

/* Of a request that is answered later, the path is gone; the route's own says enough. */
static struct str path_or_route(const struct http_exchange *x, struct str path)
{
    const struct route *route = x->route;

    return !path.n && route ? str_of(route->path) : path;
}

static const char *code_of(int status)
{
    return status == 401 ? "invalid_api_key" : status == 429 ? "rate_limited" : NULL;
}

static bool is_of_dbgpt(struct str path)
{
    return str_starts(path, STR("/api/v2/")) || str_starts(path, STR("/v2/")) ||
           str_starts(path, STR("/api/v1/chat/dialogue/")) ||
           str_eq(path, STR("/api/v1/chat/completions")) || str_eq(path, STR("/api/v1/embeddings"));
}

static void write_refusal(const struct http_exchange *x, struct str path, int status,
                          const char *why, struct buf *body)
{
    path = path_or_route(x, path);
    if (session_is_path(path) || session_is_ai_path(path))
        session_refuse_early(body, x, path, status, why);
    else if (str_starts(path, STR("/api/xcx/")))
        xcx_write_refusal(body, status, why);
    else if (is_of_dbgpt(path))
        dbgpt_write_refusal(body, status, why);
    else if (assistant_is_path(path))
        assistant_write_refusal(body, status, why);
    else
        openai_write_error(body, status, why, NULL, code_of(status));
}

static void on_end(const struct http_exchange *x, struct str path)
{
    const struct route *route = x->route;
    char                status[12];

    guard_forget(x);
    if (x->status != 101) {                   /* how long a talk was says nothing of us */
        served.requests++;
        served.ns += clock_exact() - x->started;
    }
    snprintf(status, sizeof status, "%d", x->status);
    metric_add_labelled(METRIC_REQUESTS, route ? route->path : "none", status);
    if (x->logged)
        return;
    path = path_or_route(x, path);
    if (path.n > 200)
        path.n = 200;
    LOG(route && route->quiet ? LOG_DEBUG : LOG_INFO, L_MSG("request"), L_TEXT("request_id", x->id),
        L_TEXT("client", x->client), L_TEXT("method", http_method_name(x->method)),
        L_STR("path", path), L_INT("status", x->status), L_MS("ms", clock_exact() - x->started));
}

void api_answer_json(struct http_exchange *x, int status, struct str body)
{
    http_answer(x, &(struct http_answer){ status, STR("application/json"), STR(""), body });
}

const struct http_app api_app = {
    .on_head = on_head,
    .on_request = on_request,
    .write_refusal = write_refusal,
    .on_end = on_end,
};
