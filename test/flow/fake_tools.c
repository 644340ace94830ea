#include "flow/fake_tools.h"

#include "flow/world.h"
#include "tool/toolbox.h"

#include <stdio.h>
#include <string.h>

struct toys toys;

static const char *const names[TOYS + 1] = { "a", "b", "c", "d", "e" };
static struct note       note;

/* ---- what they do ------------------------------------------------------------------------- */

static void answer_now(struct note *n)
{
    (void)n;
    for (size_t i = 0; i < toys.n_runs; i++)
        if (toys.runs[i].is_live && !((struct toy *)toys.runs[i].tool->own)->is_slow)
            toy_answer(i);
}

static struct tool_run *toy_start(struct tool *t, const struct tool_order *o, struct tool_ear ear)
{
    struct tool_run *r = &toys.runs[toys.n_runs++];

    assert_true(toys.n_runs <= RUNS_KEPT);
    assert_true(t->refs > 0);
    *r = (struct tool_run){ .tool = t, .ear = ear, .is_live = true, .order = o->arguments };
    snprintf(r->arguments, sizeof r->arguments, "%.*s", STR_ARG(o->arguments));
    snprintf(r->call, sizeof r->call, "%.*s", STR_ARG(o->call));
    snprintf(r->request_id, sizeof r->request_id, "%.*s", STR_ARG(o->request_id));
    snprintf(r->operation, sizeof r->operation, "%.*s", STR_ARG(o->operation));
    if (o->whose)
        snprintf(r->owner, sizeof r->owner, "%.*s", STR_ARG(o->whose->owner));
    toys.live++;
    if (toys.live > toys.most_live)
        toys.most_live = toys.live;
    if (!((struct toy *)t->own)->is_slow)
        note_leave(&note);
    return r;
}

/* The order's texts are there until the end. */
static void run_is_gone(struct tool_run *r)
{
    assert_true(r->is_live);
    assert_true(r->tool->refs > 0);
    assert_true(str_eq(str_of(r->arguments), r->order));
    r->is_live = false;
    toys.live--;
}

static void toy_cancel(struct tool_run *r)
{
    run_is_gone(r);
    toys.cancels++;
}

static void toy_release(struct tool *t)
{
    assert_non_null(t->own);
    toys.released++;
}

static const struct tool_ops toy_ops = { toy_start, toy_cancel, toy_release };

void toy_answer(size_t run)
{
    struct tool_run *r = &toys.runs[run];
    struct toy      *toy = r->tool->own;

    assert_true(run < toys.n_runs);
    run_is_gone(r);
    toys.told++;
    if (toy->goes_on && r->operation[0])
        r->ear.goes_on(r->ear.ctx);
    else
        r->ear.told(r->ear.ctx, str_of(toy->output), toy->fails);
}

/* ---- what is on offer --------------------------------------------------------------------- */

static struct tool *new_toy(size_t i)
{
    return tool_new(&(struct tool){ .ops = &toy_ops,
                                    .name = str_of(names[i]),
                                    .description = STR("a toy"),
                                    .parameters = STR("{}"),
                                    .timeout = 2 * LIMIT_MS * CLOCK_MS,
                                    .output_limit = 10000,
                                    .own = &toys.toys[i] });
}

void toys_begin(void)
{
    static const char *const outputs[TOYS] = { "of a", "of b", "of c", "of d" };
    static const char *const ids[WISHES] = { "c0", "c1", "c2", "c3", "c4", "c5" };
    static struct str        all[TOYS];

    note_tear(&note);
    memset(&toys, 0, sizeof toys);
    note.run = answer_now;
    for (size_t i = 0; i < TOYS; i++) {
        all[i] = str_of(names[i]);
        toys.toys[i].output = outputs[i];
        toys.tools[i] = new_toy(i);
    }
    for (size_t i = 0; i < WISHES; i++)
        toys.wishes[i] = (struct wish){ i, ids[i], names[i % TOYS], "{}" };
    model.tools = (struct conf_texts){ all, TOYS };
    catalog->settings->turns.max_rounds = 5;
}

void toys_reload(void)
{
    for (size_t i = 0; i < TOYS; i++) {
        tool_drop(toys.tools[i]);
        toys.tools[i] = new_toy(i);
    }
}

void toys_give_tenant(void)
{
    toys.toys[TOY_OF_TENANT].output = "of e";
    toys.of_tenant = new_toy(TOY_OF_TENANT);
    model.tenant_tools = true;
}

static void end_tenant(void)
{
    assert_null(toys.waits);
    if (!toys.of_tenant)
        return;
    assert_int_equal(toys.of_tenant->refs, 1);
    tool_drop(toys.of_tenant);
    toys.released--;
}

/* Nothing runs, and nobody but us holds any of them. */
void toys_end(void)
{
    assert_int_equal(toys.live, 0);
    end_tenant();
    assert_int_equal(toys.told + toys.cancels, toys.n_runs);
    for (size_t i = 0; i < TOYS; i++) {
        assert_int_equal(toys.tools[i]->refs, 1);
        tool_drop(toys.tools[i]);
    }
    assert_int_equal(toys.released % TOYS, 0);
}

void toolset_pick(struct toolset *set, const struct conf_texts *wanted)
{
    *set = (struct toolset){ NULL, 0 };
    for (size_t i = 0; i < wanted->n; i++)
        for (size_t k = 0; k < TOYS; k++)
            if (str_eq(toys.tools[k]->name, wanted->items[i]))
                toolset_add(set, toys.tools[k]);
}

/* ---- what a tenant has -------------------------------------------------------------------- */

bool tenant_tools_ask(struct tenant_ask *a, int32_t tenant)
{
    assert_int_equal(tenant, budget.asker.tenant);
    assert_non_null(a->done);
    assert_null(toys.waits);
    assert_int_equal(one.starts, 0);          /* before anybody is asked        */
    toys.looks++;
    if (toys.is_known)
        return true;
    toys.waits = a;
    return false;
}

void tenant_tools_leave(struct tenant_ask *a)
{
    assert_true(!toys.waits || toys.waits == a);
    toys.leaves += toys.waits != NULL;
    toys.waits = NULL;
}

void toys_known(void)
{
    struct tenant_ask *a = toys.waits;

    toys.waits = NULL;
    toys.is_known = true;
    if (a)
        a->done(a);
}

void tenant_tools_pick(struct toolset *set, int32_t tenant, struct str name)
{
    assert_int_equal(tenant, budget.asker.tenant);
    assert_true(str_eq(name, model.name));
    if (toys.of_tenant && toys.is_known)
        toolset_add(set, toys.of_tenant);
}

/* ---- what is said and heard --------------------------------------------------------------- */

void fake_wish(char digit, struct event *ev)
{
    static char  next_id[24];
    struct wish *w = &toys.wishes[digit - '0'];

    *ev = (struct event){ .type = EVENT_TOOL_CALL,
                          .text = str_of(w->arguments),
                          .tool = {
                              .index = w->index, .id = str_of(w->id), .name = str_of(w->name) } };
    if (!toys.counts_up)
        return;
    w->index++;
    snprintf(next_id, sizeof next_id, "c%llu", (unsigned long long)w->index);
    ev->tool.id = str_of(next_id);
}

void toys_note_question(const struct question *q)
{
    struct asked_text *a = &toys.asked[toys.n_asked];
    size_t             n = 0;

    if (toys.n_asked == QUESTIONS_KEPT)
        return;
    toys.n_asked++;
    for (size_t i = 0; i < q->n_messages && n < sizeof a->messages; i++) {
        const struct message *m = &q->messages[i];
        struct str            raw = m->raw.n ? m->raw : m->text;

        n += (size_t)snprintf(a->messages + n, sizeof a->messages - n, "%s:%.*s\n",
                              role_name(m->role), STR_ARG(raw));
    }
    snprintf(a->options, sizeof a->options, "%.*s", STR_ARG(q->options));
}

static void write_down(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void write_down(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    toys.n_heard +=
        (size_t)vsnprintf(toys.heard + toys.n_heard, HEARD_MAX - toys.n_heard, format, ap);
    va_end(ap);
    if (toys.n_heard >= HEARD_MAX)
        toys.n_heard = HEARD_MAX - 1;
}

static void hear_call(const struct event *ev)
{
    const struct tool_piece *p = &ev->tool;

    write_down("%c%d %.*s %.*s %.*s%c", p->is_ours ? '[' : '<', (int)p->index, STR_ARG(p->id),
               STR_ARG(p->name), STR_ARG(ev->text), p->is_ours ? ']' : '>');
}

void toys_hear(const struct event *ev)
{
    switch (ev->type) {
    case EVENT_DELTA: write_down("%.*s", STR_ARG(ev->text)); return;
    case EVENT_TOOL_CALL: hear_call(ev); return;
    case EVENT_TOOL_RESULT:
        assert_true(ev->tool.is_ours);
        write_down("(%d%s %.*s)", (int)ev->tool.index, ev->tool.failed ? "!" : "",
                   STR_ARG(ev->text));
        return;
    case EVENT_ROUND: write_down("|"); return;
    case EVENT_USAGE:
        write_down("u%d/%d", (int)ev->usage.prompt, (int)ev->usage.completion);
        return;
    default: write_down("%c", event_name(ev->type)[0]);
    }
}
