#include "api/assistant_task.h"

#include "api/api.h"
#include "api/assistant_answer.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/json.h"
#include "base/mem.h"
#include "chat/gathering.h"

#include <string.h>

struct task {
    struct link      link;
    struct sink      sink;
    struct turn     *turn;                    /* NULL: it does not run          */
    struct deadline  limit;
    struct str       id, owner;               /* stand behind the struct        */
    int32_t          tenant;
    bool             is_kept, has_begun;
    enum task_state  state;
    enum fault       fault;
    int64_t          created_at, updated_at;
    struct gathering said;
};

static struct list tasks = { .head = { &tasks.head, &tasks.head } };

/* ---- what is told of it ---------------------------------------------------------------------- */

static const struct {
    const char *name, *message;
} states[] = {
    [TASK_CREATED] = { "created", "任务已创建" },
    [TASK_RUNNING] = { "running", "任务执行中" },
    [TASK_COMPLETED] = { "completed", "任务已完成" },
    [TASK_FAILED] = { "failed", "任务失败" },
};

static void write_result(const struct task_view *v, struct buf *out)
{
    if (v->state != TASK_COMPLETED) {
        buf_lit(out, "null");
        return;
    }
    buf_lit(out, "{\"content\":");
    json_add_str(out, v->content);
    buf_addf(out, ",\"token_count\":%lld}", (long long)v->tokens);
}

void task_write(const struct task_view *v, struct buf *out)
{
    buf_lit(out, "{\"task_id\":");
    json_add_str(out, v->id);
    buf_addf(out, ",\"status\":\"%s\",\"message\":\"%s\",\"progress\":%s,\"result\":",
             states[v->state].name, states[v->state].message,
             v->state == TASK_COMPLETED ? "100.0" : "0.0");
    write_result(v, out);
    buf_lit(out, ",\"error\":");
    if (v->state == TASK_FAILED)
        json_add_str(out, v->error);
    else
        buf_lit(out, "null");
    buf_lit(out, ",\"created_at\":");
    assistant_add_time(out, v->created_at);
    buf_lit(out, ",\"updated_at\":");
    assistant_add_time(out, v->updated_at);
    buf_lit(out, "}");
}

bool task_look(struct task_owner whose, struct str id, struct task_view *v)
{
    LIST_EACH(&tasks, k) {
        const struct task *t = LIST_OWNER(k, struct task, link);

        if (!str_eq(t->id, id) || t->tenant != whose.tenant || !str_eq(t->owner, whose.owner))
            continue;
        *v = (struct task_view){ .id = t->id,
                                 .state = t->state,
                                 .content = buf_str(&t->said.text),
                                 .tokens = (int64_t)t->said.usage.completion,
                                 .error = str_of(t->fault ? fault_text(t->fault) : ""),
                                 .created_at = t->created_at,
                                 .updated_at = t->updated_at };
        return true;
    }
    return false;
}

/* ---- its end --------------------------------------------------------------------------------- */

static void leave_list(struct task *t)
{
    if (link_is_in(&t->link))
        list_take(&tasks, &t->link);
}

void task_drop(struct task *t)
{
    leave_list(t);
    deadline_disarm(&t->limit);
    gathering_release(&t->said);
    mem_free(t);
}

/* What is kept elsewhere is worked on all the same. */
static void forget(struct task *t)
{
    leave_list(t);
    if (!t->turn)
        task_drop(t);
    else if (!t->is_kept)
        sink_leave(&t->sink);
}

void assistant_forget_tasks(void)
{
    struct link *k;

    while ((k = list_pop(&tasks)))
        task_drop(LIST_OWNER(k, struct task, link));
}

/* ---- as it is worked on ---------------------------------------------------------------------- */

static struct task *of(struct sink *k)
{
    return LIST_OWNER(k, struct task, sink);
}

static void enter(struct task *t, enum task_state state)
{
    t->state = state;
    t->updated_at = clock_wall_ms() * 1000;
}

static void on_begin(struct sink *k, const struct turn_facts *facts, int64_t first)
{
    (void)facts;
    (void)first;
    of(k)->has_begun = true;
    enter(of(k), TASK_RUNNING);
}

/* What is kept elsewhere is not gathered here, too. */
static void on_event(struct sink *k, const struct event *ev)
{
    struct task *t = of(k);

    if (!t->is_kept)
        gathering_add(&t->said, ev);
    if (ev->type == EVENT_FINISH)
        enter(t, TASK_COMPLETED);
    if (ev->type == EVENT_ERROR) {
        enter(t, TASK_FAILED);
        t->fault = ev->fault;
    }
}

static void on_flush(struct sink *k)
{
    (void)k;
}

static void on_close(struct sink *k)
{
    struct task *t = of(k);

    t->turn = NULL;
    deadline_disarm(&t->limit);
    if (!link_is_in(&t->link) || (t->is_kept && t->has_begun))
        task_drop(t);
}

static void on_room(struct sink *k, const struct budget_call *room)
{
    (void)k;
    (void)room;
}

static const struct sink_ops ops = { on_begin, on_event, on_flush, on_close, on_room };

static void limit_reached(struct deadline *d)
{
    turn_interrupt(LIST_OWNER(d, struct task, limit)->turn, FAULT_TIMEOUT);
}

/* ---- its beginning --------------------------------------------------------------------------- */

struct task *task_new(struct task_owner whose, struct str id, bool is_kept)
{
    struct task *t = mem_new(sizeof *t + id.n + whose.owner.n);
    char        *texts = (char *)(t + 1);

    memcpy(texts, id.p, id.n);
    memcpy(texts + id.n, whose.owner.p ? whose.owner.p : "", whose.owner.n);
    t->id = (struct str){ texts, id.n };
    t->owner = (struct str){ texts + id.n, whose.owner.n };
    t->tenant = whose.tenant;
    t->is_kept = is_kept;
    t->sink.ops = &ops;
    t->limit.run = limit_reached;
    gathering_begin(&t->said);
    enter(t, TASK_CREATED);
    t->created_at = t->updated_at;
    list_push(&tasks, &t->link);
    while (tasks.n > api_settings()->assistant.max_tasks)
        forget(LIST_OWNER(list_first(&tasks), struct task, link));
    return t;
}

struct sink *task_sink(struct task *t)
{
    return &t->sink;
}

void task_run(struct task *t, struct turn *turn, uint64_t limit)
{
    t->turn = turn;
    if (limit)
        deadline_arm(&t->limit, clock_now() + limit);
}
