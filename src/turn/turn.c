/* turn.c - one question, one answer.
 *
 *      admit --> recall --> afford --> claim --> remember --> equip
 *                                                              |
 *                         +------------------------------------+
 *                         v
 *                      shorten --> choose --> place --> answer
 *                         ^          ^          |        |  |
 *                         |          +----------+--------+  |
 *                         |           somebody else, or the |
 *                         |           same again, while     |
 *                         |           nothing was said      |
 *                         +- go on <---- tools <------------+
 *                          with what they came to, it is
 *                          asked what it says to that, if
 *                          its asker can afford it
 *
 * Equip asks which tools the asker's tenant has, if its model may use them (turn_equip.c).
 * Shorten lets what is too long for its model be summed up: that is a way through choose, place
 * and answer of its own, and back (turn_shorten.c).
 *
 * The end of every step that does not lead on is (gone), and save comes before it when the
 * turn was claimed. Where recall and claim find that the question was asked before, whoever
 * listens is handed over to a reading of that turn, and this one is gone.
 *
 * The table `script` is the flow; read it first. A step asks for one thing and
 * waits. When the thing comes, got_*() says where to go next. Of most turns nothing is
 * kept: recall, claim, remember and save are over at once then (turn_keep.c, turn_save.c).
 *
 * Two doors lead into a waiting turn, and both only leave a note: turn_resume() (the
 * thing came) and turn_interrupt() (somebody wants an end). The notes are read from
 * the top of the stack (base/note.h), so a step never runs inside another module's
 * callback, never recurses, and the turn may free itself.
 *
 * Deltas do not wait for any of this: on_event() in turn_call.c hands them straight from
 * the source to the tale, and it to the sinks. Only the last word is held back and spoken by
 * say_last_word(), because only the script knows whether it is true.
 */
#include "turn/turn.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "turn/admit.h"
#include "turn/keeper.h"
#include "turn/turn_state.h"

#include <assert.h>

enum { ID_LENGTH = 24, BYTES_PER_TOKEN = 4 };

static struct list all = { .head = { &all.head, &all.head } };

/* ---- the two doors ---------------------------------------------------------- */

void turn_resume(struct turn *t, enum fault came)
{
    assert(t->waiting);
    t->waiting = false;
    t->came = came;
    note_leave(&t->note);
}

void turn_interrupt(struct turn *t, enum fault why)
{
    if (t->interrupt)
        return;
    t->interrupt = why;
    note_leave(&t->note);
}

void turns_interrupt_all(enum fault why)
{
    LIST_EACH(&all, k)
        turn_interrupt(LIST_OWNER(k, struct turn, link), why);
}

void turns_hurry(uint64_t until)
{
    LIST_EACH(&all, k)
        turn_hurry(LIST_OWNER(k, struct turn, link), until);
}

static void limit_reached(struct deadline *d)
{
    turn_interrupt(LIST_OWNER(d, struct turn, limit), FAULT_TIMEOUT);
}

static void drained(struct deadline *d)
{
    turn_interrupt(LIST_OWNER(d, struct turn, limit), FAULT_CLIENT_GONE);
}

/* ---- when the last reader has left ----------------------------------------------------- */

/* It may yet cost so much, for the sake of an honest bill. */
static void drain(struct turn *t)
{
    const struct turn_settings *s = &t->catalog->settings->turns;
    uint64_t                    until = clock_now() + s->drain_time;

    t->bytes_left = s->drain_tokens * BYTES_PER_TOKEN;
    if (until >= t->ends_at)
        return;
    t->limit.run = drained;
    deadline_arm(&t->limit, until);
}

bool turn_is_drained(const struct turn *t)
{
    return t->bytes_left != UINT64_MAX;
}

/* It is worth its price again. */
static void on_visited(struct tale *tale)
{
    struct turn *t = tale->teller;

    t->bytes_left = UINT64_MAX;
    t->limit.run = limit_reached;
    deadline_arm(&t->limit, t->ends_at);
}

static void on_deserted(struct tale *tale)
{
    struct turn *t = tale->teller;

    switch (t->on_leave) {
    case LEAVING_CANCELS: turn_interrupt(t, FAULT_CLIENT_GONE); break;
    case LEAVING_DRAINS: drain(t); break;
    case LEAVING_DETACHES: break;
    }
}

static const struct teller_ops teller_ops = { .pace = turn_pace,
                                              .deserted = on_deserted,
                                              .visited = on_visited };

/* ---- admit: wait for a place ------------------------------------------------------ */

static void admitted(struct place *p, bool held)
{
    turn_resume(LIST_OWNER(p, struct turn, place), held ? FAULT_NONE : FAULT_OVERLOADED);
}

static void ask_admit(struct turn *t)
{
    gate_ask(admit_gate(), &t->place, admitted);
}

static enum step got_admit(struct turn *t, enum fault came)
{
    t->fault = came;
    return came ? STEP_GONE : STEP_RECALL;
}

static void drop_admit(struct turn *t)
{
    gate_give_back(&t->place);
}

/* ---- afford: may its asker use what it may use ---------------------------------------- */

static void heed_budget(struct turn *t, enum fault fault, const struct budget_call *room)
{
    t->advice.after = fault ? room->wait * CLOCK_S : 0;
    t->advice.not_again = fault == FAULT_USED_UP;
}

static void told_of_room(struct bill *b, enum fault fault, const struct budget_call *room)
{
    struct turn *t = LIST_OWNER(b, struct turn, bill);

    heed_budget(t, fault, room);
    LIST_EACH(&t->tale->sinks, k) {
        struct sink *s = LIST_OWNER(k, struct sink, link);

        s->ops->room(s, room);
    }
    turn_resume(t, fault);
}

static void ask_afford(struct turn *t)
{
    const struct turn_settings *s = &t->catalog->settings->turns;

    bill_reserve(&t->bill, t->question, s->answer_tokens, s->max_time, told_of_room);
}

static enum step got_afford(struct turn *t, enum fault came)
{
    t->fault = came;
    return came ? STEP_GONE : STEP_CLAIM;
}

static void drop_afford(struct turn *t)
{
    bill_drop(&t->bill);
}

/* ---- go on: may it use another round -------------------------------------------------- */

static void told_of_round(struct bill *b, enum fault fault, const struct budget_call *room)
{
    struct turn *t = LIST_OWNER(b, struct turn, bill);

    if (fault)
        heed_budget(t, fault, room);
    turn_resume(t, fault);
}

static void ask_go_on(struct turn *t)
{
    const struct turn_settings *s = &t->catalog->settings->turns;

    bill_go_on(&t->bill, t->question, s->answer_tokens, s->max_time, told_of_round);
}

static enum step got_go_on(struct turn *t, enum fault came)
{
    t->fault = came;
    return came ? STEP_GONE : STEP_SHORTEN;
}

static const struct turn_step step_admit = { "admit", ask_admit, got_admit, drop_admit };
static const struct turn_step step_afford = { "afford", ask_afford, got_afford, drop_afford };
static const struct turn_step step_go_on = { "go_on", ask_go_on, got_go_on, drop_afford };

/* ---- the flow ------------------------------------------------------------------------ */

static const struct turn_step *const script[] = {
    [STEP_ADMIT] = &step_admit,     [STEP_RECALL] = &step_recall,     [STEP_AFFORD] = &step_afford,
    [STEP_CLAIM] = &step_claim,     [STEP_REMEMBER] = &step_remember, [STEP_EQUIP] = &step_equip,
    [STEP_SHORTEN] = &step_shorten, [STEP_CHOOSE] = &step_choose,     [STEP_PLACE] = &step_place,
    [STEP_ANSWER] = &step_answer,   [STEP_TOOLS] = &step_tools,       [STEP_GO_ON] = &step_go_on,
    [STEP_SAVE] = &step_save,
};

static void turn_enter(struct turn *t, enum step step)
{
    LOG(LOG_DEBUG, L_MSG("step"), L_STR("request_id", t->request_id),
        L_TEXT("step", script[step]->name));
    t->step = step;
    t->waiting = true;
    if (t->interrupt && step != STEP_SAVE)
        turn_resume(t, t->interrupt);
    else
        script[step]->ask(t);
}

static void say_last_word(struct turn *t)
{
    struct event last = { .type = EVENT_FINISH, .finish = t->finish };

    if (t->fault)
        last = (struct event){ .type = EVENT_ERROR, .fault = t->fault };
    if (t->fault != t->interrupt)             /* else it is about a call before */
        last.advice = t->advice;
    tale_end(t->tale, &last);
    t->tale = NULL;
}

/* Says the last word, closes every sink, and frees the turn. */
static void end_turn(struct turn *t)
{
    bool is_ours = t->tale != NULL;

    turn_drop_summary(t);
    if (is_ours)
        turn_log_end(t, script[t->step]->name);
    bill_settle(&t->bill, &t->tally, is_ours ? fault_end(t->fault) == END_ERROR : false);
    turn_forget(t);
    turn_drop_tools(t);
    if (is_ours)
        say_last_word(t);
    gate_give_back(&t->place);
    deadline_disarm(&t->limit);
    note_tear(&t->note);
    list_take(&all, &t->link);
    catalog_drop(t->catalog);
    question_free(t->question);
    mem_free(t);
}

static enum step step_behind(struct turn *t)
{
    enum step next = script[t->step]->got(t, t->came);

    return next == STEP_GONE && t->step != STEP_SAVE && turn_is_kept(t) ? STEP_SAVE : next;
}

/* Steps that are over as soon as they are asked follow each other in one reading. */
static void turn_step(struct note *n)
{
    struct turn *t = LIST_OWNER(n, struct turn, note);
    enum step    next;

    do {
        note_tear(&t->note);
        if (t->waiting && !script[t->step]->drop)
            return;                           /* what it came to must be known  */
        if (t->waiting) {                     /* an interrupt, not a result     */
            script[t->step]->drop(t);
            t->waiting = false;
            t->came = t->interrupt;
        }
        next = step_behind(t);
        if (next == STEP_GONE) {
            end_turn(t);
            return;
        }
        turn_enter(t, next);
    } while (!t->waiting);
}

static void name_turn(struct turn *t, const struct turn_order *order)
{
    struct arena *a = &t->question->arena;
    char          id[ID_LENGTH + 1];

    id_fill(id, ID_LENGTH);
    t->id = arena_str(a, str_of(id));
    t->request_id = arena_str(a, order->request_id);
    t->client = arena_str(a, order->client);
    t->route = order->route;
}

void turn_begin_plan(struct turn *t)
{
    t->grammar = (struct grammar){ 0 };
    t->advice = (struct advice){ 0 };
    t->words = STR("");
    t->failed = FAULT_RESTING;                /* unless somebody can be asked   */
    plan_begin(&t->plan, t->model, t->asks, t->catalog->settings->turns.max_pause,
               &t->question->arena);
    if (!plan_has_any(&t->plan))
        t->failed = FAULT_NOT_OFFERED;
}

struct turn *turn_start(const struct turn_order *order)
{
    bool         keeps = order->keeping && keeper_store();
    struct turn *t;

    if (keeps && turn_joins(order->keeping, order->sink)) {
        question_free(order->question);
        return NULL;
    }
    t = mem_new(sizeof *t);
    t->question = t->asks = order->question;
    t->catalog = catalog_retain(offer_catalog());
    t->model = order->model;
    name_turn(t, order);
    t->on_leave = order->on_leave;
    bill_begin(&t->bill, order->asker, t->question, t->model, t->id);
    t->tally.asked = clock_exact();
    t->note.run = turn_step;
    turn_begin_plan(t);
    t->ends_at = clock_now() + t->catalog->settings->turns.max_time;
    list_push(&all, &t->link);
    t->tale = tale_new(&teller_ops, t, keeps ? TALE_LIMIT : 0);
    if (keeps)
        turn_keep(t, order->keeping);
    tale_join(t->tale, order->sink, 0);
    turn_enter(t, STEP_ADMIT);
    return t;
}

size_t turns_alive(void)
{
    return all.n;
}
