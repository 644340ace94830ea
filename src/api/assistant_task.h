/* assistant_task.h - a task that is being worked on: a turn to which nobody listens but the task.
 *
 * With a database the turn is kept, and whoever asks for the task on any instance reads it there;
 * here are then only those that run, and those that ended before they were kept. Without one,
 * all of them are here, as many as the settings say.
 */
#ifndef API_ASSISTANT_TASK_H
#define API_ASSISTANT_TASK_H

#include "base/buf.h"
#include "turn/turn.h"

enum task_state { TASK_CREATED, TASK_RUNNING, TASK_COMPLETED, TASK_FAILED };

/* What is told of one. Half an answer is no result. */
struct task_view {
    struct str      id;
    enum task_state state;
    struct str      content;                  /* completed                      */
    int64_t         tokens;
    struct str      error;                    /* failed                         */
    int64_t         created_at, updated_at;   /* microseconds since 1970        */
};

void task_write(const struct task_view *v, struct buf *out);

struct task;
struct task_owner {
    int32_t    tenant;
    struct str owner;
};

/* The oldest may be forgotten for it. All texts are copied. */
struct task *task_new(struct task_owner whose, struct str id, bool is_kept);
struct sink *task_sink(struct task *t);

/* Its turn has started; `limit` of ns, or 0. */
void task_run(struct task *t, struct turn *turn, uint64_t limit);

/* False: there is none of that id, or it is somebody else's. The texts are the task's. */
bool task_look(struct task_owner whose, struct str id, struct task_view *v);

void task_drop(struct task *t);               /* it was never run               */

#endif
