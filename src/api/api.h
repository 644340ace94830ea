/* api.h - the doors to the world: routes, and what every route shares. */
#ifndef API_API_H
#define API_API_H

#include "base/settings.h"
#include "net/http_server.h"

/* "{id}" stands for one segment of a path; at its end it takes all that is left, because
 * model names may hold slashes. */
struct route {
    enum http_method method;
    const char      *path;
    void (*serve)(struct http_exchange *x, const struct http_reader *rq);
    enum { ROUTE_PLAIN, ROUTE_TAKES_JSON } body;
    enum {
        ROUTE_OPEN,
        ROUTE_GUARDED,
        ROUTE_SOCKET,
        ROUTE_DBGPT
    } guard;    /* DBGPT: its own keys, if it has any */
    bool quiet; /* asked all the time: logged at debug */
};

extern const struct http_app api_app;

/* The settings of new requests; they stay the caller's. */
void                   api_configure(const struct settings *s);
const struct settings *api_settings(void);

/* What this process has done since it began. */
struct api_served {
    uint64_t since;                           /* clock, ns                      */
    uint64_t requests, ns;                    /* ended ones, and what they took */
};
const struct api_served *api_served(void);

struct store;
void          api_use_store(struct store *s); /* NULL: nothing is kept         */
struct store *api_store(void);

void api_set_ready(bool ready);
bool api_is_ready(void);

/* What stands at "{id}" in the path, decoded into the arena; false if it cannot be. */
bool api_path_id(const struct http_exchange *x, const struct http_reader *rq, struct arena *a,
                 struct str *id);

int64_t api_resident_bytes(void);             /* of all processes               */

void api_answer_json(struct http_exchange *x, int status, struct str body);

/* The routes' servants, by file. */
void openai_serve_chat(struct http_exchange *x, const struct http_reader *rq);
void openai_serve_embeddings(struct http_exchange *x, const struct http_reader *rq);
void openai_serve_models(struct http_exchange *x, const struct http_reader *rq);
void openai_serve_model(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_chat(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_chat_v1(struct http_exchange *x, const struct http_reader *rq);
void models_serve(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_new(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_list(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_query(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_query_page(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_delete(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_export(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_history(struct http_exchange *x, const struct http_reader *rq);
void dbgpt_serve_health(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_history(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_messages(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_messages_of_context(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_say(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_stream(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_resume(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_stop(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_chat(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_stream(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_sessions(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_new_session(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_session(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_delete_session(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_history(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_memory(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_forget(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_status(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_metrics(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_new_task(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_task(struct http_exchange *x, const struct http_reader *rq);
void assistant_forget_tasks(void);            /* at the very end                */
void assistant_serve_plugins(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_plugin(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_enable(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_disable(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_execute(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_configure(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_ws_chat(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_ws_system(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_health(struct http_exchange *x, const struct http_reader *rq);
void assistant_serve_root(struct http_exchange *x, const struct http_reader *rq);
void session_serve_list(struct http_exchange *x, const struct http_reader *rq);
void session_serve_new(struct http_exchange *x, const struct http_reader *rq);
void session_serve_show(struct http_exchange *x, const struct http_reader *rq);
void session_serve_rename(struct http_exchange *x, const struct http_reader *rq);
void session_serve_pin(struct http_exchange *x, const struct http_reader *rq);
void session_serve_assign(struct http_exchange *x, const struct http_reader *rq);
void session_serve_delete(struct http_exchange *x, const struct http_reader *rq);
void session_serve_stream(struct http_exchange *x, const struct http_reader *rq);
void session_serve_put(struct http_exchange *x, const struct http_reader *rq);
void session_serve_pending(struct http_exchange *x, const struct http_reader *rq);
void session_serve_resume(struct http_exchange *x, const struct http_reader *rq);
void session_serve_leave(struct http_exchange *x, const struct http_reader *rq);
void session_serve_cancel(struct http_exchange *x, const struct http_reader *rq);
void session_serve_task(struct http_exchange *x, const struct http_reader *rq);
void session_serve_follow(struct http_exchange *x, const struct http_reader *rq);
void session_serve_ai_resume(struct http_exchange *x, const struct http_reader *rq);
void session_serve_ai(struct http_exchange *x, const struct http_reader *rq);
void session_serve_health(struct http_exchange *x, const struct http_reader *rq);
void session_serve_ttl(struct http_exchange *x, const struct http_reader *rq);
void session_serve_usage(struct http_exchange *x, const struct http_reader *rq);
void session_serve_complete(struct http_exchange *x, const struct http_reader *rq);
void ops_serve_livez(struct http_exchange *x, const struct http_reader *rq);
void ops_serve_readyz(struct http_exchange *x, const struct http_reader *rq);
void ops_serve_metrics(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_login(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_refresh(struct http_exchange *x, const struct http_reader *rq);
void xcx_serve_dev_login(struct http_exchange *x, const struct http_reader *rq);

#endif
