/* assistant_system.c - how the service is, as the assistant's clients ask it, and its plugins. */
#include "api/assistant_system.h"

#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_plugin.h"
#include "api/assistant_visit.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "store/exchanges.h"
#include "turn/routing.h"

#include <time.h>
#include <unistd.h>

enum { LIST_LIMIT = 1 << 24, NS_PER_MS = 1000000 };

/* ---- figures ------------------------------------------------------------------------------- */

/* Of one processor, since the process began. */
static double cpu_percent(void)
{
    double used = (double)clock() / CLOCKS_PER_SEC;
    double life = (double)(clock_exact() - api_served()->since) / (double)CLOCK_S;

    return life > 0 ? 100 * used / life : 0;
}

static double memory_percent(void)
{
    double all = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

    return all > 0 ? 100 * (double)api_resident_bytes() / all : 0;
}

static double mean_ms(void)
{
    const struct api_served *s = api_served();

    return s->requests ? (double)s->ns / (double)s->requests / NS_PER_MS : 0;
}

static bool database_is_well(void)
{
    return !api_store() || store_is_ready(api_store());
}

static const char *truth(bool is_true)
{
    return is_true ? "true" : "false";
}

static void add_health(struct buf *out)
{
    buf_addf(out,
             "{\"grpc_client\":%s,\"orchestrator\":%s,\"cloud_client\":%s,\"ollama_client\":%s,"
             "\"database\":%s}",
             truth(api_is_ready()), truth(api_is_ready()), truth(routing_has(ROUTING_CLOUD)),
             truth(routing_has(ROUTING_LOCAL)), truth(database_is_well()));
}

static const char *health(void)
{
    return database_is_well() ? "healthy" : "unhealthy";
}

/* ---- /health, / -------------------------------------------------------------------------------- */

void assistant_serve_health(struct http_exchange *x, const struct http_reader *rq)
{
    struct buf out = BUF(4096);

    (void)rq;
    if (!api_is_ready()) {
        api_answer_json(x, 503, STR("{\"detail\":\"服务不可用\"}"));
        return;
    }
    buf_addf(&out, "{\"status\":\"%s\",\"components\":", health());
    add_health(&out);
    buf_lit(&out, ",\"timestamp\":");
    assistant_add_time(&out, clock_wall_ms() * 1000);
    buf_lit(&out, "}");
    api_answer_json(x, 200, buf_str(&out));
    buf_release(&out);
}

void assistant_serve_root(struct http_exchange *x, const struct http_reader *rq)
{
    (void)rq;
    api_answer_json(
        x, 200,
        STR("{\"message\":\"runnel\",\"version\":\"" RUNNEL_VERSION "\",\"status\":\"healthy\"}"));
}

/* ---- /system ------------------------------------------------------------------------------------ */

struct looking {
    struct exchange_call call;
    struct visit        *visit;
};

void assistant_add_status(int64_t active, struct buf *out)
{
    double cpu = cpu_percent(), memory = memory_percent();

    buf_addf(out, "\"status\":\"%s\",\"cpu_usage\":%.2f,\"memory_usage\":%.2f,\"gpu_usage\":0.0,",
             health(), cpu, memory);
    buf_addf(out,
             "\"cpu\":{\"usage_percent\":%.2f},\"memory\":{\"usage_percent\":%.2f},"
             "\"connections\":{\"total\":%lld},\"active_sessions\":%lld,",
             cpu, memory, (long long)metric_value(METRIC_CONNECTIONS), (long long)active);
    buf_addf(out, "\"total_requests\":%llu,\"avg_response_time\":%.3f,\"components_health\":",
             (unsigned long long)api_served()->requests, mean_ms());
    add_health(out);
    buf_addf(out, ",\"uptime_seconds\":%.3f",
             (double)(clock_exact() - api_served()->since) / (double)CLOCK_S);
}

static void answer_status(struct visit *v, int64_t active)
{
    struct buf out = BUF(8192);

    buf_lit(&out, "{");
    assistant_add_status(active, &out);
    buf_lit(&out, "}");
    assistant_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

/* A database that is away is told as unhealthy, not by a refusal. */
static void on_counted(struct verb *verb)
{
    struct exchange_call *c = LIST_OWNER(verb, struct exchange_call, verb);

    answer_status(LIST_OWNER(c, struct looking, call)->visit,
                  verb->end == STORE_OK ? c->active : 0);
}

static void release_looking(struct visit *v)
{
    verb_drop(&((struct looking *)v->ctx)->call.verb);
}

void assistant_serve_status(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit   *v = assistant_visit_new(x);
    struct looking *l;

    (void)rq;
    if (!api_store()) {
        answer_status(v, 0);
        return;
    }
    l = v->ctx = arena_new(&v->arena, sizeof *l);
    l->visit = v;
    l->call.verb.done = on_counted;
    v->release = release_looking;
    exchange_count_chats(api_store(), &l->call, &v->whose, ASSISTANT_ACTIVE_S);
}

void assistant_serve_metrics(struct http_exchange *x, const struct http_reader *rq)
{
    struct buf out = BUF(1024);

    (void)rq;
    buf_addf(&out, "{\"requests_total\":%llu,\"response_time_avg\":%.3f}",
             (unsigned long long)api_served()->requests, mean_ms());
    api_answer_json(x, 200, buf_str(&out));
    buf_release(&out);
}

/* Nothing is configured from outside; who tries is told what he was always told. */
void assistant_serve_configure(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = assistant_visit_new(x);

    if (assistant_visit_takes_body(v, rq))
        assistant_visit_answer(v, STR("{\"message\":\"配置更新成功\"}"));
}

/* ---- /plugins -------------------------------------------------------------------------------------- */

static void add_plugin(const struct plugin_settings *p, struct buf *out)
{
    buf_lit(out, "{\"name\":");
    json_add_str(out, p->name);
    buf_lit(out, ",\"version\":");
    json_add_str(out, p->version);
    buf_lit(out, ",\"description\":");
    json_add_str(out, p->description);
    buf_lit(out, ",\"author\":");
    json_add_str(out, p->author);
    buf_lit(out, ",\"capabilities\":[");
    for (size_t i = 0; i < p->capabilities.n; i++) {
        if (i)
            buf_lit(out, ",");
        json_add_str(out, p->capabilities.items[i]);
    }
    buf_addf(out, "],\"enabled\":%s,\"config_schema\":{},\"dependencies\":[]}",
             truth(assistant_plugin_works(p)));
}

void assistant_serve_plugins(struct http_exchange *x, const struct http_reader *rq)
{
    const struct conf_records *all = &api_settings()->assistant.plugins;
    struct buf                 out = BUF(LIST_LIMIT);

    (void)rq;
    buf_lit(&out, "[");
    for (size_t i = 0; i < all->n; i++) {
        if (i)
            buf_lit(&out, ",");
        add_plugin((const struct plugin_settings *)all->items + i, &out);
    }
    buf_lit(&out, "]");
    api_answer_json(x, 200, buf_str(&out));
    buf_release(&out);
}

void assistant_serve_plugin(struct http_exchange *x, const struct http_reader *rq)
{
    const struct conf_records    *all = &api_settings()->assistant.plugins;
    const struct plugin_settings *p = all->items;
    struct visit                 *v = assistant_visit_new(x);
    struct buf                    out = BUF(LIST_LIMIT);
    struct str                    name = STR("");

    api_path_id(x, rq, &v->arena, &name);
    for (size_t i = 0; i < all->n && !out.n; i++)
        if (str_eq(p[i].name, name))
            add_plugin(&p[i], &out);
    if (out.n)
        assistant_visit_answer(v, buf_str(&out));
    else
        assistant_visit_refuse(v, 404, "插件不存在");
    buf_release(&out);
}

static void switch_plugin(struct http_exchange *x, const struct http_reader *rq, bool works)
{
    struct visit *v = assistant_visit_new(x);
    struct buf    out = BUF(4096);
    struct str    name = STR("");

    if (api_path_id(x, rq, &v->arena, &name) &&
        assistant_plugin_switch(&api_settings()->assistant, name, works)) {
        buf_lit(&out, "{\"message\":\"插件 ");
        json_add_text(&out, name);
        buf_add(&out, works ? STR(" 已启用\"}") : STR(" 已禁用\"}"));
        assistant_visit_answer(v, buf_str(&out));
    } else {
        assistant_visit_refuse(v, 400, works ? "插件启用失败" : "插件禁用失败");
    }
    buf_release(&out);
}

void assistant_serve_enable(struct http_exchange *x, const struct http_reader *rq)
{
    switch_plugin(x, rq, true);
}

void assistant_serve_disable(struct http_exchange *x, const struct http_reader *rq)
{
    switch_plugin(x, rq, false);
}
