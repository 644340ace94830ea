#include "turn/errand.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "tool/tool.h"
#include "turn/keeper.h"
#include "turn/tool_text.h"
#include "turn/turn_state.h"

enum { NO_LIMIT_OF_OURS = 1 << 30 };

/* ---- what it came to --------------------------------------------------------------------- */

static void settle(struct errand *e, struct str output, bool failed)
{
    e->output = arena_str(e->arena, output);
    e->piece.failed = failed;
    e->is_done = true;
    turn_log_tool(e->turn, e->piece.name, e->began ? clock_exact() - e->began : 0, failed);
}

/* As a model and a page can read it. */
static void settle_badly(struct errand *e, struct str before, struct str behind, struct str words)
{
    struct buf out = BUF(NO_LIMIT_OF_OURS);

    tool_text_error(before, e->piece.name, behind, words, &out);
    settle(e, buf_str(&out), true);
    buf_release(&out);
}

static void on_forgotten(struct verb *v)
{
    struct errand *e = LIST_OWNER(v, struct errand, operation.verb);

    e->over(e);
}

/* What did not go on must not stand in the way of the next such call. */
static void forget_operation(struct errand *e)
{
    verb_drop(&e->operation.verb);
    e->operation.verb.done = on_forgotten;
    operation_forget(keeper_store(), &e->operation, turn_whose(e->turn), e->operation_id);
}

static void end_run(struct errand *e)
{
    e->run = NULL;
    deadline_disarm(&e->limit);
    if (e->operation_id.n)
        forget_operation(e);
    else
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

static void on_goes_on(void *ctx)
{
    struct errand *e = ctx;
    struct buf     out = BUF(NO_LIMIT_OF_OURS);

    tool_text_started(e->operation_id, e->piece.name, &out);
    settle(e, buf_str(&out), false);
    buf_release(&out);
    e->operation_id = STR("");                /* it is the service's now        */
    end_run(e);
}

static void cancel_run(struct errand *e)
{
    if (e->run)
        e->tool->ops->cancel(e->run);
    e->run = NULL;
}

static void took_too_long(struct deadline *d)
{
    struct errand *e = LIST_OWNER(d, struct errand, limit);
    struct buf     behind = BUF(64);

    cancel_run(e);
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

static void start(struct errand *e)
{
    struct turn *t = e->turn;

    e->run = e->tool->ops->start(e->tool,
                                 &(struct tool_order){ .arguments = buf_str(&e->arguments),
                                                       .whose = turn_whose(t),
                                                       .call = e->piece.id,
                                                       .request_id = t->request_id,
                                                       .operation = e->operation_id },
                                 (struct tool_ear){ on_told, e, on_goes_on });
}

static void tell_in_progress(struct errand *e)
{
    struct buf out = BUF(NO_LIMIT_OF_OURS);

    tool_text_in_progress(e->operation.operation.call, e->piece.name, &out);
    settle(e, buf_str(&out), false);
    buf_release(&out);
}

/* Nobody is asked to go on whose end nobody could be told. */
static void on_operation(struct verb *v)
{
    struct errand *e = LIST_OWNER(v, struct errand, operation.verb);

    if (v->end == STORE_OK && e->operation.is_new) {
        start(e);
        return;
    }
    if (v->end == STORE_OK)
        tell_in_progress(e);
    else
        settle_badly(e, STR("An error occurred while executing "), STR(""),
                     STR("The operation could not be kept."));
    if (v->end != STORE_UNKNOWN)
        e->operation_id = STR("");            /* there is none                  */
    end_run(e);
}

static void begin_operation(struct errand *e)
{
    struct turn        *t = e->turn;
    const struct payer *p = &t->bill.asker;
    struct asker        asker = { .tenant = p->tenant, .key = p->key, .account = p->account };
    char                id[ID_UUID_SIZE];

    id_fill_uuid(id);
    asker.is_limited = p->is_limited;
    e->operation_id = arena_str(e->arena, str_of(id));
    e->operation.verb.done = on_operation;
    operation_begin(keeper_store(), &e->operation, turn_whose(t),
                    &(struct operation_order){ .id = e->operation_id,
                                               .turn = t->id,
                                               .call = e->piece.id,
                                               .tool = e->piece.name,
                                               .arguments = buf_str(&e->arguments),
                                               .asker = &asker,
                                               .output_limit = e->tool->output_limit,
                                               .ttl = e->tool->operation_ttl });
}

/* False: what is wrong has been settled. */
static bool may_begin(struct errand *e)
{
    if (!e->tool)
        settle_badly(e, STR("There is no tool named "), STR(""), STR("unknown_tool"));
    else if (read_arguments(e) && e->tool->operation_ttl && !turn_takes_operations(e->turn))
        settle_badly(e, STR(""), STR(" cannot be used here"),
                     STR("It goes on when the answer has ended, and this conversation is not kept "
                         "as a session, where it could be told what it came to."));
    return !e->is_done;
}

bool errand_begin(struct errand *e)
{
    if (!may_begin(e))
        return false;
    e->began = clock_exact();
    e->limit.run = took_too_long;
    deadline_arm(&e->limit, clock_now() + e->tool->timeout);
    if (e->tool->operation_ttl)
        begin_operation(e);
    else
        start(e);
    return true;
}

void errand_cancel(struct errand *e)
{
    deadline_disarm(&e->limit);
    cancel_run(e);
    verb_drop(&e->operation.verb);
}

void errand_release(struct errand *e)
{
    verb_drop(&e->operation.verb);
    buf_release(&e->arguments);
}
