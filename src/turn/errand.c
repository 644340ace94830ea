#include "turn/errand.h"

#include "base/clock.h"
#include "base/json.h"
#include "tool/tool.h"
#include "turn/turn_state.h"

enum { NO_LIMIT_OF_OURS = 1 << 30 };

/* ---- what it came to --------------------------------------------------------------------- */

static void settle(struct errand *e, struct str output, bool failed)
{
    e->output = arena_str(&e->turn->question->arena, output);
    e->piece.failed = failed;
    e->is_done = true;
    turn_log_tool(e->turn, e->piece.name, e->began ? clock_exact() - e->began : 0, failed);
}

/* As a model and a page can read it. */
static void settle_badly(struct errand *e, struct str before, struct str behind, struct str words)
{
    struct buf message = BUF(NO_LIMIT_OF_OURS), out = BUF(NO_LIMIT_OF_OURS);

    buf_add(&message, before);
    buf_add(&message, e->piece.name);
    buf_add(&message, behind);
    buf_lit(&out, "{\"type\":\"error\",\"message\":");
    json_add_str(&out, buf_str(&message));
    buf_lit(&out, ",\"error\":");
    json_add_str(&out, words);
    buf_lit(&out, ",\"details\":null}");
    settle(e, buf_str(&out), true);
    buf_release(&out);
    buf_release(&message);
}

static void end_run(struct errand *e)
{
    e->run = NULL;
    deadline_disarm(&e->limit);
    e->over(e);
}

static void on_told(void *ctx, struct str output, bool failed)
{
    struct errand *e = ctx;
    struct buf     cut = BUF(NO_LIMIT_OF_OURS);

    tool_cut(e->tool, output, &cut);
    if (failed)
        settle_badly(e, STR("An error occurred while executing "), STR(""), buf_str(&cut));
    else
        settle(e, buf_str(&cut), false);
    buf_release(&cut);
    end_run(e);
}

static void took_too_long(struct deadline *d)
{
    struct errand *e = LIST_OWNER(d, struct errand, limit);
    struct buf     behind = BUF(64);

    e->tool->ops->cancel(e->run);
    buf_addf(&behind, " timed out after %gs", (double)e->tool->timeout / (double)CLOCK_S);
    settle_badly(e, STR(""), buf_str(&behind), STR("timeout"));
    buf_release(&behind);
    end_run(e);
}

/* ---- begin and end ----------------------------------------------------------------------- */

static bool read_arguments(struct errand *e)
{
    const char      *why;
    struct json_doc *doc;
    bool             good;

    if (e->arguments.n == 0)
        buf_lit(&e->arguments, "{}");
    doc = json_read(buf_str(&e->arguments), &why);
    good = json_type(json_root(doc)) == JSON_OBJECT;
    if (!good)
        settle_badly(e, STR("Invalid tool call arguments for tool "), STR(""),
                     str_of(doc ? "they are no object" : why));
    json_free(doc);
    return good;
}

bool errand_begin(struct errand *e)
{
    struct turn *t = e->turn;

    if (!e->tool) {
        settle_badly(e, STR("There is no tool named "), STR(""), STR("unknown_tool"));
        return false;
    }
    if (!read_arguments(e))
        return false;
    e->began = clock_exact();
    e->limit.run = took_too_long;
    deadline_arm(&e->limit, clock_now() + e->tool->timeout);
    e->run = e->tool->ops->start(e->tool,
                                 &(struct tool_order){ .arguments = buf_str(&e->arguments),
                                                       .whose = turn_whose(t),
                                                       .call = e->piece.id,
                                                       .request_id = t->request_id },
                                 (struct tool_ear){ on_told, e });
    return true;
}

void errand_cancel(struct errand *e)
{
    deadline_disarm(&e->limit);
    if (e->run)
        e->tool->ops->cancel(e->run);
    e->run = NULL;
}

void errand_release(struct errand *e)
{
    buf_release(&e->arguments);
}
