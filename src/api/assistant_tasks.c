/* assistant_tasks.c - tasks: what somebody wants to be done, and to look at later. A model works
 * on each, as on a question.
 *
 *     body ---> its model ---> its chat, where there is a database ---> its turn
 */
#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_task.h"
#include "api/assistant_visit.h"
#include "api/assistant_work.h"
#include "base/clock.h"
#include "base/id.h"

enum { ID_LENGTH = 24, TEXT_MAX = 10000, QUESTION_MAX = 16 << 20, TIMEOUT_MAX_S = 86400 };

static const char dialect[] = "task", no_task[] = "任务不存在";

static struct task_owner owner_of(const struct visit *v)
{
    return (struct task_owner){ v->whose.tenant, v->whose.owner };
}

static void answer_task(struct visit *v, const struct task_view *view)
{
    struct buf out = BUF(1 << 30);

    task_write(view, &out);
    assistant_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

/* ---- a new one ------------------------------------------------------------------------------- */

/* Lives in its question. */
struct beginning {
    struct question *question;
    char             id[ID_LENGTH + 1];
    uint64_t         limit;                   /* ns; 0: none                    */
    bool             keeps;
};

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
    if (timeout && (!json_int(timeout, &n) || n < 1 || n > TIMEOUT_MAX_S))
        return "timeout_seconds";
    return NULL;
}

static struct beginning *beginning_new(const struct json *root)
{
    struct buf        text = BUF(QUESTION_MAX);
    struct question  *q;
    struct beginning *b;
    int64_t           seconds = 0;

    assistant_work_tell("任务类型", json_get(root, "task_type"), &text);
    assistant_work_tell("任务描述", json_get(root, "description"), &text);
    assistant_work_tell("任务参数", json_get(root, "parameters"), &text);
    q = assistant_work_new(STR(""), buf_str(&text));
    buf_release(&text);
    b = arena_new(&q->arena, sizeof *b);
    b->question = q;
    b->keeps = api_store() != NULL;
    json_int(json_get(root, "timeout_seconds"), &seconds);
    b->limit = (uint64_t)seconds * CLOCK_S;
    id_fill(b->id, ID_LENGTH);
    return b;
}

static void release_beginning(struct visit *v)
{
    const struct beginning *b = v->ctx;

    question_free(b->question);
}

/* Nobody waits for what comes of it, so that its request is answered now. */
static void begin(struct visit *v, const struct model *model)
{
    struct beginning   *b = v->ctx;
    struct turn_keeping keeping = { .whose = v->whose,
                                    .keeps_chat = true,
                                    .chat = { .id = b->keeps ? v->chats.chats[0].id : 0 },
                                    .content = question_last_user_text(b->question) };
    uint64_t            limit = b->limit;
    struct task_view    view = { 0 };
    struct str          id = arena_str(&v->arena, str_of(b->id));
    struct task        *t = task_new(owner_of(v), id, b->keeps);
    struct turn        *turn;

    v->release = NULL;                        /* the question is the turn's     */
    turn = assistant_work_start(v->x, b->question, model, task_sink(t), b->keeps ? &keeping : NULL);
    task_run(t, turn, limit);
    task_look(owner_of(v), id, &view);
    answer_task(v, &view);
}

static void on_chat(struct verb *verb)
{
    struct visit           *v = LIST_OWNER(verb, struct visit, chats.verb);
    const struct beginning *b = v->ctx;
    const struct model     *model;

    if (verb->end != STORE_OK)
        assistant_visit_fail(v, verb->end);
    else if (!(model = assistant_work_model(v->x, b->question)))
        assistant_visit_refuse(v, 403, "无权使用任何模型");
    else
        begin(v, model);
}

static void open_chat(struct visit *v)
{
    const struct beginning *b = v->ctx;

    v->chats.verb.done = on_chat;
    chat_open(api_store(), &v->chats, &v->whose,
              &(struct new_chat){ .uid = str_of(b->id), .mode = STR("task"), .more = STR("{}") });
}

void assistant_serve_new_task(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit            *v = visit_new(x, dialect);
    struct assistant_problem problem = { .reason = "缺少或无效" };
    const struct model      *model;
    struct beginning        *b;

    if (!assistant_visit_takes_body(v, rq))
        return;
    problem.field = wrong_member(json_root(v->body));
    if (problem.field) {
        assistant_visit_refuse_value(v, &problem);
        return;
    }
    b = v->ctx = beginning_new(json_root(v->body));
    v->release = release_beginning;
    model = assistant_work_model(x, b->question);
    if (!model)
        assistant_visit_refuse(v, 403, "无权使用任何模型");
    else if (b->keeps)
        open_chat(v);
    else
        begin(v, model);
}

/* ---- one that is there ----------------------------------------------------------------------- */

static enum task_state state_of(enum kept_state state)
{
    return state == KEPT_STREAMING  ? TASK_RUNNING
           : state == KEPT_COMPLETE ? TASK_COMPLETED
                                    : TASK_FAILED;
}

/* What a process that died left is ended without a word of why. */
static const char *why(struct str fault)
{
    enum fault f = fault_read(fault);

    return fault_text(f ? f : FAULT_SHUTDOWN);
}

/* Its turn was never begun: it may be about to, or the process that would have is gone. */
static void answer_without_turn(struct visit *v)
{
    const struct kept_chat *c = &v->chats.chats[0];
    int64_t                 most = (int64_t)(api_settings()->turns.max_time / CLOCK_S) * 1000000;
    int64_t                 age = clock_wall_ms() * 1000 - c->created_at;
    struct task_view        view = { .id = c->uid,
                                     .state = age > most ? TASK_FAILED : TASK_CREATED,
                                     .error = str_of(fault_text(FAULT_SHUTDOWN)),
                                     .created_at = c->created_at,
                                     .updated_at = c->updated_at };

    answer_task(v, &view);
}

static void on_turn(struct verb *verb)
{
    struct visit           *v = LIST_OWNER(verb, struct visit, turn.verb);
    const struct kept_chat *c = &v->chats.chats[0];
    const struct kept_turn *t = &v->turn.turn;
    struct task_view        view;

    if (verb->end == STORE_NOT_FOUND) {
        answer_without_turn(v);
        return;
    }
    if (verb->end != STORE_OK) {
        assistant_visit_fail(v, verb->end);
        return;
    }
    view = (struct task_view){ .id = c->uid,
                               .state = state_of(t->state),
                               .content = t->content,
                               .tokens = t->completion_tokens,
                               .error = str_of(why(t->fault)),
                               .created_at = c->created_at,
                               .updated_at = t->ended_at ? t->ended_at : t->created_at };
    answer_task(v, &view);
}

static void on_found(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end == STORE_NOT_FOUND) {
        assistant_visit_refuse(v, 404, no_task);
        return;
    }
    if (verb->end != STORE_OK) {
        assistant_visit_fail(v, verb->end);
        return;
    }
    v->turn.verb.done = on_turn;
    turn_of_chat(api_store(), &v->turn, &v->whose, (struct chat_name){ .uid = v->chat.uid }, 0);
}

void assistant_serve_task(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit    *v = visit_new(x, dialect);
    struct task_view view;

    if (!api_path_id(x, rq, &v->arena, &v->chat.uid)) {
        assistant_visit_refuse(v, 404, no_task);
    } else if (task_look(owner_of(v), v->chat.uid, &view)) {
        answer_task(v, &view);
    } else if (!api_store()) {
        assistant_visit_refuse(v, 404, no_task);
    } else {
        v->chats.verb.done = on_found;
        chat_find(api_store(), &v->chats, &v->whose, (struct chat_name){ .uid = v->chat.uid });
    }
}
