/* assistant_execute.c - POST /api/v1/plugins/execute: a command for a plugin, which is a question
 * to the model that is told what the plugin is told. */
#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_plugin.h"
#include "api/assistant_visit.h"
#include "api/assistant_work.h"
#include "api/dialect.h"
#include "api/whole_sink.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"

enum { COMMAND_MAX = 10000, QUESTION_MAX = 16 << 20 };

/* ---- its answer ------------------------------------------------------------------------------ */

struct execution {
    struct arena arena;
    struct str   plugin, command;
    uint64_t     asked;                       /* clock, ns                      */
};

static void write_whole(void *state, const struct whole_answer *a, struct buf *out)
{
    const struct execution *e = state;
    double                  ms = (double)(clock_exact() - e->asked) / (double)CLOCK_MS;

    buf_lit(out, "{\"plugin_name\":");
    json_add_str(out, e->plugin);
    buf_lit(out, ",\"command\":");
    json_add_str(out, e->command);
    buf_lit(out, ",\"result\":");
    if (a->fault)
        buf_lit(out, "null");
    else
        json_add_str(out, a->text);
    buf_addf(out, ",\"success\":%s,\"error\":", a->fault ? "false" : "true");
    if (a->fault)
        json_add_str(out, str_of(fault_text(a->fault)));
    else
        buf_lit(out, "null");
    buf_addf(out, ",\"execution_time_ms\":%.3f}", ms);
}

static void write_event(void *state, const struct event *ev, struct buf *out)
{
    (void)state;
    (void)ev;
    (void)out;
}

static void write_fault(enum fault fault, struct buf *out)
{
    assistant_write_refusal(out, fault_http(fault), fault_text(fault));
}

static void release(void *state)
{
    struct execution *e = state;

    arena_release(&e->arena);
    mem_free(e);
}

static const struct dialect dialect = {
    .stream_type = STR_INIT("application/json"),
    .has_errors_in_band = true,
    .write_event = write_event,
    .write_whole = write_whole,
    .write_fault = write_fault,
    .release = release,
};

/* ---- the request ----------------------------------------------------------------------------- */

/* Clients have two names for the same. */
static const struct json *either(const struct json *root, const char *name, const char *other)
{
    const struct json *v = json_get(root, name);

    return v ? v : json_get(root, other);
}

static const char *wrong_member(const struct json *root)
{
    const struct json *args = either(root, "args", "parameters");
    struct str         command = json_str(json_get(root, "command"));

    if (json_type(either(root, "plugin", "plugin_name")) != JSON_STRING)
        return "plugin";
    if (command.n == 0 || command.n > COMMAND_MAX)
        return "command";
    return args && json_type(args) != JSON_OBJECT ? "args" : NULL;
}

static const struct plugin_settings *find_plugin(struct str name)
{
    const struct conf_records    *all = &api_settings()->assistant.plugins;
    const struct plugin_settings *p = all->items;

    for (size_t i = 0; i < all->n; i++)
        if (str_eq(p[i].name, name))
            return &p[i];
    return NULL;
}

static bool has_members(const struct json *object)
{
    struct json_members m = json_members(object);
    const struct json  *value;
    struct str          name;

    return json_members_next(&m, &name, &value);
}

static struct question *write_question(const struct json *root, const struct plugin_settings *p)
{
    struct buf         text = BUF(QUESTION_MAX);
    const struct json *args = either(root, "args", "parameters");
    struct question   *q;

    buf_add(&text, json_str(json_get(root, "command")));
    if (has_members(args))
        assistant_work_tell("参数", args, &text);
    q = assistant_work_new(p->prompt, buf_str(&text));
    buf_release(&text);
    return q;
}

static void execute(struct visit *v, const struct plugin_settings *p)
{
    const struct json  *root = json_root(v->body);
    struct question    *q = write_question(root, p);
    const struct model *model = assistant_work_model(v->x, q);
    struct execution   *e;

    if (!model) {
        question_free(q);
        assistant_visit_refuse(v, 403, "无权使用任何模型");
        return;
    }
    e = mem_new(sizeof *e);
    e->plugin = arena_str(&e->arena, p->name);
    e->command = arena_str(&e->arena, json_str(json_get(root, "command")));
    e->asked = clock_exact();
    v->x->logged = true;                      /* the turn has a line of its own */
    assistant_work_start(v->x, q, model, whole_sink_new(v->x, &dialect, e), NULL);
    visit_end(v);
}

void assistant_serve_execute(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit                 *v = assistant_visit_new(x);
    struct assistant_problem      problem = { .reason = "缺少或无效" };
    const struct plugin_settings *p;

    if (!assistant_visit_takes_body(v, rq))
        return;
    problem.field = wrong_member(json_root(v->body));
    if (problem.field) {
        assistant_visit_refuse_value(v, &problem);
        return;
    }
    p = find_plugin(json_str(either(json_root(v->body), "plugin", "plugin_name")));
    if (!p)
        assistant_visit_refuse(v, 404, "插件不存在");
    else if (!assistant_plugin_works(p))
        assistant_visit_refuse(v, 400, "插件未启用");
    else
        execute(v, p);
}
