/* assistant_tasks.c - tasks that are put down for later. Nobody works on them: they are kept in
 * this process's memory, the newest of them, for who put them down to look at.
 */
#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_visit.h"
#include "api/guard.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"

#include <string.h>

enum { ID_LENGTH = 24, TEXT_MAX = 10000 };

struct task {
    struct link link;
    char        id[ID_LENGTH + 1];
    int32_t     tenant;
    int64_t     created_at;                   /* microseconds since 1970        */
    struct str  owner;                        /* stands behind the struct       */
};

static struct list tasks = { .head = { &tasks.head, &tasks.head } };

void assistant_forget_tasks(void)
{
    struct link *k;

    while ((k = list_pop(&tasks)))
        mem_free(LIST_OWNER(k, struct task, link));
}

static struct task *put_down(int32_t tenant, struct str owner)
{
    struct task *t = mem_new(sizeof *t + owner.n);

    memcpy(t + 1, owner.p ? owner.p : "", owner.n);
    t->owner = (struct str){ (const char *)(t + 1), owner.n };
    t->tenant = tenant;
    t->created_at = clock_wall_ms() * 1000;
    id_fill(t->id, ID_LENGTH);
    list_push(&tasks, &t->link);
    while (tasks.n > api_settings()->assistant.max_tasks)
        mem_free(LIST_OWNER(list_pop(&tasks), struct task, link));
    return t;
}

static void answer_task(struct visit *v, const struct task *t)
{
    struct buf out = BUF(4096);

    buf_addf(
        &out,
        "{\"task_id\":\"%s\",\"status\":\"created\",\"message\":\"任务已创建\",\"progress\":0.0,"
        "\"result\":null,\"error\":null,\"created_at\":",
        t->id);
    assistant_add_time(&out, t->created_at);
    buf_lit(&out, ",\"updated_at\":");
    assistant_add_time(&out, t->created_at);
    buf_lit(&out, "}");
    assistant_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static bool is_text(const struct json *root, const char *name)
{
    struct str text = json_str(json_get(root, name));

    return text.n > 0 && text.n <= TEXT_MAX;
}

static const char *wrong_member(const struct json *root)
{
    const struct json *parameters = json_get(root, "parameters");
    const struct json *priority = json_get(root, "priority");
    const struct json *timeout = json_get(root, "timeout_seconds");
    int64_t            n;

    if (!is_text(root, "task_type"))
        return "task_type";
    if (!is_text(root, "description"))
        return "description";
    if (parameters && json_type(parameters) != JSON_OBJECT)
        return "parameters";
    if (priority && !json_int(priority, &n))
        return "priority";
    return timeout && !json_int(timeout, &n) ? "timeout_seconds" : NULL;
}

void assistant_serve_new_task(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit            *v = assistant_visit_new(x);
    struct assistant_problem problem = { .reason = "缺少或无效" };

    if (!assistant_visit_takes_body(v, rq))
        return;
    problem.field = wrong_member(json_root(v->body));
    if (problem.field)
        assistant_visit_refuse_value(v, &problem);
    else
        answer_task(v, put_down(v->whose.tenant, v->whose.owner));
}

void assistant_serve_task(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = assistant_visit_new(x);
    struct str    id = STR("");

    if (api_path_id(x, rq, &v->arena, &id))
        LIST_EACH(&tasks, k) {
            const struct task *t = LIST_OWNER(k, struct task, link);

            if (str_eq(str_of(t->id), id) && t->tenant == v->whose.tenant &&
                str_eq(t->owner, v->whose.owner)) {
                answer_task(v, t);
                return;
            }
        }
    assistant_visit_refuse(v, 404, "任务不存在");
}
