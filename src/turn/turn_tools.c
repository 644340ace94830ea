/* turn_tools.c - what a model wants done here: the step tools, and what is heard of it before.
 *
 * While the provider speaks, its calls get their own numbers (event.h). When it has finished
 * they are run, those that may at the same time, and what they came to is told in their
 * order. Then the question goes out again, followed by all that has been said and done since,
 * and the model goes on: that is a round.
 */
#include "base/json.h"
#include "chat/gathering.h"
#include "chat/rounds.h"
#include "tool/toolbox.h"
#include "turn/errand.h"
#include "turn/turn_state.h"

enum { NO_LIMIT_OF_OURS = 1 << 30, CALLS_MAX = 128, MADE_UP_MAX = 8 };

/* What a round needs is gone with it: each asks all anew that was said before, and what a hundred
 * of them ask, one behind the other, is more than anybody has room for. */
struct work {
    struct toolset   set;
    struct arena     round;                   /* the question as it goes out, calls, results */
    struct gathering said;                    /* all that was told so far       */
    struct message  *asked;                   /* the question, as it was at first */
    size_t           n_asked, rounds;
    struct str       options;                 /* the client's                   */
    struct str      *clients;                 /* names of the client's own tools */
    size_t           n_clients_tools;
    uint64_t         n_ours, n_clients;       /* calls of all rounds            */
    uint64_t         output_bytes;            /* of their results               */
    struct errand   *errands[CALLS_MAX];      /* of this round                  */
    size_t           n_errands, next, running;
    bool             asks_client;             /* in this round                  */
};

/* ---- what is on offer -------------------------------------------------------------------- */

static void learn_clients(struct work *w, const struct json *tools, struct arena *a)
{
    struct json_walk   walk = json_walk(tools);
    const struct json *tool;

    w->clients = arena_new(a, json_count(tools) * sizeof *w->clients);
    w->n_clients_tools = 0;
    while ((tool = json_walk_next(&walk)))
        w->clients[w->n_clients_tools++] =
            arena_str(a, json_str(json_get(json_get(tool, "function"), "name")));
}

static bool is_clients(const struct work *w, struct str name)
{
    for (size_t i = 0; i < w->n_clients_tools; i++)
        if (str_eq(w->clients[i], name))
            return true;
    return false;
}

static void write_tool(const struct tool *t, struct buf *out)
{
    buf_lit(out, "{\"type\":\"function\",\"function\":{\"name\":");
    json_add_str(out, t->name);
    buf_lit(out, ",\"description\":");
    json_add_str(out, t->description);
    buf_lit(out, ",\"parameters\":");
    buf_add(out, t->parameters);
    buf_lit(out, "}}");
}

/* The client's own stand first; of one name, his is meant. */
static void write_tools(const struct work *w, const struct json *theirs, struct buf *out)
{
    struct json_walk   walk = json_walk(theirs);
    const struct json *tool;
    const char        *comma = "";

    buf_lit(out, ",\"tools\":[");
    for (; (tool = json_walk_next(&walk)); comma = ",") {
        buf_add(out, str_of(comma));
        json_add_value(out, tool);
    }
    for (size_t i = 0; i < w->set.n; i++) {
        if (is_clients(w, w->set.tools[i]->name))
            continue;
        buf_add(out, str_of(comma));
        write_tool(w->set.tools[i], out);
        comma = ",";
    }
    buf_lit(out, "]");
}

/* A model that was told to use a tool has done so by the second round; else it would for ever. */
static bool is_passed_on(const struct work *w, struct str name)
{
    return !str_eq(name, STR("tools")) && (w->rounds == 0 || !str_eq(name, STR("tool_choice")));
}

static struct str write_options(const struct work *w, const struct json *client, struct arena *a)
{
    struct buf          out = BUF(NO_LIMIT_OF_OURS);
    struct json_members m = json_members(client);
    const struct json  *v;
    struct str          name, all;

    while (json_members_next(&m, &name, &v)) {
        if (!is_passed_on(w, name))
            continue;
        buf_lit(&out, ",");
        json_add_str(&out, name);
        buf_lit(&out, ":");
        json_add_value(&out, v);
    }
    write_tools(w, json_get(client, "tools"), &out);
    all = arena_str(a, buf_str(&out));
    buf_release(&out);
    return all;
}

static void offer_tools(struct turn *t)
{
    struct work     *w = t->work;
    struct buf       text = BUF(NO_LIMIT_OF_OURS);
    const char      *why;
    struct json_doc *doc;

    buf_lit(&text, "{");
    buf_add(&text, str_from(w->options, 1));  /* behind its first comma         */
    buf_lit(&text, "}");
    doc = json_read(buf_str(&text), &why);
    learn_clients(w, json_get(json_root(doc), "tools"), &w->round);
    t->question->options = write_options(w, json_root(doc), &w->round);
    json_free(doc);
    buf_release(&text);
}

void turn_pick_tools(struct turn *t)
{
    struct toolset set;
    struct work   *w;

    if (t->question->asked != ASKED_CHAT || t->question->has_no_tools)
        return;
    toolset_pick(&set, &t->model->tools);
    if (turn_has_tenants_tools(t))
        tenant_tools_pick(&set, t->bill.asker.tenant, t->model->name);
    if (set.n == 0)
        return;
    w = t->work = arena_new(&t->question->arena, sizeof *w);
    w->set = set;
    gathering_begin(&w->said);
    w->asked = t->question->messages;
    w->n_asked = t->question->n_messages;
    w->options = t->question->options;
    offer_tools(t);
}

/* ---- what the provider says ---------------------------------------------------------------- */

static bool is_ours(const struct work *w, struct str name)
{
    return !is_clients(w, name) && (toolset_find(&w->set, name) || !w->n_clients_tools);
}

static struct errand *find_errand(const struct work *w, uint64_t theirs)
{
    for (size_t i = w->n_errands; i-- > 0;)
        if (w->errands[i]->theirs == theirs)
            return w->errands[i];
    return NULL;
}

static bool is_taken(const struct work *w, struct str id)
{
    for (size_t i = 0; i < w->said.n_calls; i++)
        if (str_eq(w->said.calls[i].id, id))
            return true;
    return false;
}

/* For a service that gives none (provider/source.h): call_0, call_1, in each answer. */
static bool is_made_up(struct str id)
{
    return str_starts(id, STR("call_")) && id.n < sizeof "call_" + MADE_UP_MAX;
}

/* Models and clients find a call by its id, in all of a conversation. */
static struct str id_of(const struct turn *t, struct str theirs)
{
    struct work *w = t->work;
    struct buf   own = BUF(64);
    struct str   id;

    if (theirs.n && !is_made_up(theirs) && !is_taken(w, theirs))
        return arena_str(&w->round, theirs);
    buf_addf(&own, "call_%.*s_%llu", STR_ARG(t->id),
             (unsigned long long)(w->n_ours + w->n_clients));
    id = arena_str(&w->round, buf_str(&own));
    buf_release(&own);
    return id;
}

static void run_is_over(struct errand *e);

/* NULL: there are too many; nobody could mean that. */
static struct errand *new_errand(struct turn *t, const struct tool_piece *piece)
{
    struct work   *w = t->work;
    struct arena  *a = &w->round;
    struct errand *e;

    if (w->n_errands == CALLS_MAX)
        return NULL;
    e = w->errands[w->n_errands++] = arena_new(a, sizeof *e);
    *e = (struct errand){ .turn = t,
                          .arena = a,
                          .theirs = piece->index,
                          .arguments = BUF(NO_LIMIT_OF_OURS),
                          .tool = toolset_find(&w->set, piece->name),
                          .over = run_is_over };
    e->piece.id = id_of(t, piece->id);
    e->piece.name = arena_str(a, piece->name);
    e->piece.is_ours = is_ours(w, piece->name);
    e->piece.index = e->piece.is_ours ? w->n_ours++ : w->n_clients++;
    e->is_done = e->is_told = !e->piece.is_ours;
    w->asks_client = w->asks_client || !e->piece.is_ours;
    return e;
}

static void tell(struct turn *t, const struct event *ev)
{
    gathering_add(&t->work->said, ev);
    tale_tell(t->tale, ev);
}

static void tell_call(struct turn *t, struct event ev)
{
    struct errand *e = find_errand(t->work, ev.tool.index);

    if (!e)
        e = new_errand(t, &ev.tool);
    if (!e) {
        turn_interrupt(t, FAULT_GARBAGE);
        return;
    }
    buf_add(&e->arguments, ev.text);
    if (ev.tool.id.n || !e->is_heard)
        ev.tool.id = e->piece.id;
    e->is_heard = true;
    ev.tool.index = e->piece.index;
    ev.tool.is_ours = e->piece.is_ours;
    tell(t, &ev);
}

void turn_tell(struct turn *t, const struct event *ev)
{
    struct event said = *ev;

    if (ev->type == EVENT_USAGE)
        said.usage = t->tally.usage;          /* of all calls                   */
    if (!t->work) {
        tale_tell(t->tale, &said);
        return;
    }
    if (ev->type == EVENT_TOOL_CALL) {
        tell_call(t, said);
        return;
    }
    if (ev->type == EVENT_START && t->work->rounds)
        said.type = EVENT_ROUND;
    tell(t, &said);
}

bool turn_wants_tools(const struct turn *t)
{
    const struct work *w = t->work;

    if (!w || t->finish != FINISH_TOOL_CALLS)
        return false;
    for (size_t i = 0; i < w->n_errands; i++)
        if (w->errands[i]->piece.is_ours)
            return true;
    return false;
}

/* ---- what they came to ------------------------------------------------------------------- */

static void tell_result(struct turn *t, struct errand *e)
{
    struct work *w = t->work;

    if (e->is_told)
        return;
    e->is_told = true;
    w->output_bytes += e->output.n;
    tell(t, &(struct event){ .type = EVENT_TOOL_RESULT, .tool = e->piece, .text = e->output });
    if (turn_is_too_big(t))
        turn_interrupt(t, FAULT_ANSWER_TOO_BIG);
}

static void tell_results(struct turn *t)
{
    struct work *w = t->work;

    for (size_t i = 0; i < w->n_errands && w->errands[i]->is_done && !turn_is_too_big(t); i++)
        tell_result(t, w->errands[i]);
    tale_flush(t->tale);
    turn_keep_up(t);
}

bool turn_is_too_big(const struct turn *t)
{
    uint64_t outputs = t->work ? t->work->output_bytes : 0;

    return t->tally.text_bytes + outputs > t->catalog->settings->turns.max_answer_bytes;
}

static void run_is_over(struct errand *e)
{
    struct turn *t = e->turn;

    t->work->running--;
    tell_results(t);
    if (t->work->running == 0 && t->waiting)
        turn_resume(t, FAULT_NONE);
}

/* ---- tools: run them ------------------------------------------------------------------------ */

static bool is_alone(const struct errand *e)
{
    return e->tool && e->tool->runs_alone;
}

static bool may_join(const struct work *w)
{
    return w->running == 0 ||
           (!is_alone(w->errands[w->next]) && !is_alone(w->errands[w->next - 1]));
}

/* As many of those that are left as may run at the same time. */
static void ask_tools(struct turn *t)
{
    struct work *w = t->work;

    while (w->next < w->n_errands && may_join(w)) {
        struct errand *e = w->errands[w->next++];

        if (!e->is_done && errand_begin(e))
            w->running++;
    }
    tell_results(t);
    if (w->running == 0)
        turn_resume(t, FAULT_NONE);
}

/* What was carried out is told, whatever the others came to: or the model would do it again. */
static void drop_tools(struct turn *t)
{
    struct work *w = t->work;

    for (size_t i = 0; i < w->n_errands; i++)
        errand_cancel(w->errands[i]);
    w->running = 0;
    for (size_t i = 0; i < w->n_errands && !turn_is_too_big(t); i++)
        if (w->errands[i]->is_done)
            tell_result(t, w->errands[i]);
}

static void forget_errands(struct work *w)
{
    for (size_t i = 0; i < w->n_errands; i++)
        errand_release(w->errands[i]);
    w->n_errands = w->next = 0;
}

/* The question as it was, and behind it all that was said and done since. */
static void write_question(struct turn *t)
{
    struct work     *w = t->work;
    struct question *q = t->question;
    struct buf       calls = BUF(NO_LIMIT_OF_OURS);
    struct message  *since, *all;
    size_t           n;

    arena_release(&w->round);
    gathering_write_calls(&w->said, &calls);
    n = rounds_split(buf_str(&w->said.text), buf_str(&calls), &w->round, &since);
    buf_release(&calls);
    all = arena_new(&w->round, (w->n_asked + n) * sizeof *all);
    for (size_t i = 0; i < w->n_asked + n; i++)
        all[i] = i < w->n_asked ? w->asked[i] : since[i - w->n_asked];
    q->messages = all;
    q->n_messages = w->n_asked + n;
    offer_tools(t);
}

static void begin_round(struct turn *t)
{
    t->work->rounds++;
    forget_errands(t->work);
    write_question(t);
    bill_call_over(&t->bill, &t->tally);
    tally_next_call(&t->tally);
    turn_begin_plan(t);
}

static enum step got_tools(struct turn *t, enum fault came)
{
    t->fault = came;
    if (came)
        return STEP_GONE;
    if (t->work->next < t->work->n_errands)
        return STEP_TOOLS;
    if (t->work->asks_client)
        return STEP_GONE;                     /* it is his turn now             */
    if (turn_is_drained(t)) {
        t->fault = FAULT_CLIENT_GONE;         /* a rest is drained, not a round */
        return STEP_GONE;
    }
    if (t->work->rounds == t->catalog->settings->turns.max_rounds) {
        t->fault = FAULT_TOO_MANY_ROUNDS;
        return STEP_GONE;
    }
    begin_round(t);
    return STEP_GO_ON;
}

void turn_drop_tools(struct turn *t)
{
    if (!t->work)
        return;
    forget_errands(t->work);
    arena_release(&t->work->round);
    gathering_release(&t->work->said);
    toolset_release(&t->work->set);
}

const struct turn_step step_tools = { "tools", ask_tools, got_tools, drop_tools };
