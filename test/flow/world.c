#include "flow/world.h"

#include "base/mem.h"
#include "flow/fake_store.h"
#include "flow/fake_tools.h"
#include "turn/keeper.h"

#include <stdio.h>
#include <string.h>

/* ---- a provider that says what its script says ------------------------------------ */

static const char *script_of_call(const struct fake_provider *f)
{
    const char *at = f->script;

    for (int i = 0; i < f->starts && strchr(at, '|'); i++)
        at = strchr(at, '|') + 1;
    return at;
}

static void write_down(struct fake_asked *a, const struct question *q)
{
    const struct message *m = q->messages;
    size_t                n = q->n_messages;

    *a = (struct fake_asked){ .n_messages = n, .max_tokens = q->max_tokens };
    if (n > 0)
        snprintf(a->first, sizeof a->first, "%.*s", STR_ARG(m[0].text));
    if (n > 1)
        snprintf(a->second, sizeof a->second, "%.*s", STR_ARG(m[1].text));
    if (n > 0)
        snprintf(a->last, sizeof a->last, "%.*s", STR_ARG(m[n - 1].text));
    snprintf(a->options, sizeof a->options, "%.*s", STR_ARG(q->options));
}

static struct call *fake_start(struct provider *p, const struct question *q, struct str model_name,
                               struct outlet out)
{
    struct fake_provider *f = (struct fake_provider *)p;

    assert_non_null(q);
    assert_true(str_eq(model_name, STR("real-name")));
    assert_false(f->live);
    toys_note_question(q);
    f->live = true;
    f->call = (struct call){ .provider = p, .out = out, .at = script_of_call(f) };
    if (f->starts < STARTS_KEPT) {
        f->asked_at[f->starts] = now_ms;
        write_down(&f->asked[f->starts], q);
    }
    f->starts++;
    return &f->call;
}

static void fake_gone(struct call *c)
{
    struct fake_provider *f = (struct fake_provider *)c->provider;

    assert_true(f->live);
    f->live = false;
}

static void fake_cancel(struct call *c)
{
    ((struct fake_provider *)c->provider)->cancels++;
    fake_gone(c);
}

static void fake_pause(struct call *c)
{
    struct fake_provider *f = (struct fake_provider *)c->provider;

    assert_true(f->live && !c->paused);
    c->paused = true;
    f->pauses++;
}

static void fake_resume(struct call *c)
{
    struct fake_provider *f = (struct fake_provider *)c->provider;

    assert_true(f->live && c->paused);
    c->paused = false;
    f->resumes++;
}

static const struct provider_ops fake_ops = {
    .start = fake_start,
    .pause = fake_pause,
    .resume = fake_resume,
    .cancel = fake_cancel,
};

static enum fault fault_of_letter(char letter)
{
    switch (letter) {
    case 'e': return FAULT_PROVIDER_BUSY;
    case 'x': return FAULT_ANSWER_TOO_BIG;
    case 'c': return FAULT_CUT;
    case 'b': return FAULT_SERVICE_BUSY;
    case 'k': return FAULT_SERVICE_DENIED;
    case 'n': return FAULT_NOT_ACCEPTED;
    }
    fail_msg("no such letter: %c", letter);
    return FAULT_NONE;
}

static void fake_letter(struct call *c, char letter)
{
    struct fake_provider *f = (struct fake_provider *)c->provider;
    struct event          ev = { .type = EVENT_START };

    switch (letter) {
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5': fake_wish(letter, &ev); break;
    case 's': break;
    case 'S': ev.text = STR("its session"); break;
    case 'r': ev = (struct event){ .type = EVENT_REASONING, .text = STR("thought ") }; break;
    case 't':
        ev = (struct event){ .type = EVENT_TOOL_CALL,
                             .text = STR("{}"),
                             .tool = { .id = STR("call"), .name = STR("tool") } };
        break;
    case 'w': ev = (struct event){ .type = EVENT_DELTA, .text = STR("\u4e2d\u6587") }; break;
    case 'd': ev = (struct event){ .type = EVENT_DELTA, .text = STR("word ") }; break;
    case 'u': ev = (struct event){ .type = EVENT_USAGE, .usage = f->usage }; break;
    case 'f': ev = (struct event){ .type = EVENT_FINISH, .finish = FINISH_STOP }; break;
    case 'p': ev = (struct event){ .type = EVENT_FINISH, .finish = FINISH_CONTENT_FILTER }; break;
    case 'l': ev = (struct event){ .type = EVENT_FINISH, .finish = FINISH_LENGTH }; break;
    case 'T': ev = (struct event){ .type = EVENT_FINISH, .finish = FINISH_TOOL_CALLS }; break;
    default:
        ev = (struct event){ .type = EVENT_ERROR,
                             .fault = fault_of_letter(letter),
                             .advice = f->advice };
    }
    if (ev.type == EVENT_FINISH || ev.type == EVENT_ERROR)
        fake_gone(c);
    c->out.put(c->out.ctx, &ev);
}

void fake_speak(struct fake_provider *f)
{
    struct call *c = &f->call;
    bool         spoke = false;

    if (!f->live || c->paused)
        return;
    for (; f->live && *c->at && *c->at != '-' && *c->at != '|'; c->at++) {
        fake_letter(c, *c->at);
        spoke = true;
    }
    c->at += f->live && *c->at == '-';
    if (spoke)
        c->out.flush(c->out.ctx);
}

/* ---- a reader that writes down what it hears --------------------------------------- */

struct tape tape;

static void tape_begin(struct sink *k, const struct turn_facts *facts, int64_t first)
{
    struct tape *t = ((struct tape_sink *)k)->tape;

    assert_int_equal(t->n + (size_t)t->begins, 0);
    assert_int_not_equal(facts->id.n, 0);
    t->begins++;
    t->first = first;
    t->facts = *facts;
    snprintf(t->turn, sizeof t->turn, "%.*s", STR_ARG(facts->id));
    t->facts.id = str_of(t->turn);
}

static void tape_event(struct sink *k, const struct event *ev)
{
    struct tape *t = ((struct tape_sink *)k)->tape;

    assert_int_equal(t->last_words, 0);
    assert_int_equal(t->closed, 0);
    assert_false(k->full && k->behind);
    t->unflushed++;
    toys_hear(ev);
    t->stood_in = t->stood_in || ev->stands_in;
    t->n += (size_t)snprintf(t->text + t->n, sizeof t->text - t->n, "%c", event_name(ev->type)[0]);
    t->last_words += ev->type == EVENT_FINISH || ev->type == EVENT_ERROR;
    if (ev->type == EVENT_ERROR) {
        t->fault = ev->fault;
        t->advice = ev->advice;
    }
    if (ev->type == EVENT_FINISH)
        t->finish = ev->finish;
}

static void tape_flush(struct sink *k)
{
    struct tape *t = ((struct tape_sink *)k)->tape;

    assert_false(k->full && k->behind);
    t->unflushed = 0;
    if (++t->flushes == t->hold_at)
        sink_hold(k);
}

static void tape_close(struct sink *k)
{
    struct tape *t = ((struct tape_sink *)k)->tape;

    assert_null(k->tale);
    assert_int_equal(t->unflushed, 0);
    t->closed++;
    t->sink = NULL;
    mem_free(k);
}

static void tape_room(struct sink *k, const struct budget_call *room)
{
    struct tape *t = ((struct tape_sink *)k)->tape;

    assert_int_equal(t->n, 0);
    t->rooms++;
    t->room = *room;
}

static const struct sink_ops tape_ops = { tape_begin, tape_event, tape_flush, tape_close,
                                          tape_room };

/* ---- a budget that has room for whom it is told to let in ----------------------------- */

struct fake_budget budget;

static struct store *fake_store(void)
{
    return (struct store *)&budget;
}

static void check_asker(int32_t tenant, int64_t key, int64_t account)
{
    assert_int_equal(tenant, budget.asker.tenant);
    assert_int_equal(key, budget.asker.key);
    assert_int_equal(account, budget.asker.account);
}

static void answer_round(struct budget_call *c)
{
    bool is_good = budget.rounds <= budget.good_rounds;

    c->limit = is_good ? BUDGET_FREE : budget.round_limit;
    c->wait = budget.room.wait;
    c->verb.end = is_good ? STORE_OK : budget.round_end;
    c->verb.done(&c->verb);
}

void budget_answer(void)
{
    struct budget_call *c = budget.under_way;

    if (!c)
        return;
    budget.under_way = NULL;
    if (budget.goes_on) {
        answer_round(c);
        return;
    }
    if (budget.end != STORE_UNKNOWN)          /* then it may have been reserved */
        budget.refusals += budget.end != STORE_OK || budget.room.limit != BUDGET_FREE;
    c->limit = budget.room.limit;
    c->wait = budget.room.wait;
    c->requests = budget.room.requests;
    c->tokens = budget.room.tokens;
    c->verb.end = budget.end;
    c->verb.done(&c->verb);
}

static void answer_now(struct note *n)
{
    (void)n;
    budget_answer();
}

static void begin_asking(struct budget_call *c, bool is_slow)
{
    assert_non_null(c->verb.done);
    budget.under_way = c;
    budget.kept = &c->verb;
    if (!is_slow)
        note_leave(&budget.note);
}

void budget_reserve(struct store *s, struct budget_call *c, const struct budget_ask *ask)
{
    assert_ptr_equal(s, fake_store());
    assert_null(budget.kept);
    assert_true(ask->asker->is_limited);
    check_asker(ask->asker->tenant, ask->asker->key, ask->asker->account);
    snprintf(budget.turn, sizeof budget.turn, "%.*s", STR_ARG(ask->turn));
    assert_int_equal(strlen(budget.turn), 24);
    budget.ask =
        (struct budget_ask){ .tokens = ask->tokens, .money = ask->money, .seconds = ask->seconds };
    budget.asks++;
    budget.goes_on = false;
    begin_asking(c, budget.is_slow);
}

/* Of a turn that was let in, and has not been settled. */
void budget_go_on(struct store *s, struct budget_call *c, const struct budget_round *round)
{
    assert_ptr_equal(s, fake_store());
    assert_null(budget.under_way);
    assert_true(round->asker->is_limited);
    check_asker(round->asker->tenant, round->asker->key, round->asker->account);
    assert_true(str_eq(round->turn, str_of(budget.turn)));
    assert_int_equal(budget.bills, 0);
    budget.round = *round;
    budget.round.asker = NULL;
    budget.round.turn = STR("");
    budget.rounds++;
    budget.goes_on = true;
    begin_asking(c, budget.is_slow_to_go_on);
}

void verb_drop(struct verb *v)
{
    fake_drop(v);
    if (v != budget.kept)
        return;
    budget.kept = NULL;
    budget.under_way = NULL;
    note_tear(&budget.note);
}

void budget_settle(struct store *s, const struct budget_bill *bill)
{
    assert_ptr_equal(s, fake_store());
    assert_null(budget.under_way);
    check_asker(bill->tenant, bill->key, bill->account);
    assert_int_equal(bill->turn.n, 24);
    assert_true(!bill->was_refused || !budget.turn[0] || str_eq(bill->turn, str_of(budget.turn)));
    assert_true(str_eq(bill->model, STR("model")));
    budget.bill = *bill;
    budget.bill.turn = budget.bill.model = STR("");
    budget.bills++;
}

static void make_budget(void)
{
    note_tear(&budget.note);
    budget = (struct fake_budget){ .asker = { .tenant = 1, .key = 22, .account = 333 },
                                   .note.run = answer_now };
    bill_use_store(fake_store());
}

void world_without_database(void)
{
    budget.is_missing = true;
    bill_use_store(NULL);
}

/* Every turn is settled once, but for those whom the budget did not let in. */
static void check_budget(void)
{
    assert_null(budget.kept);
    assert_int_equal(budget.bills + budget.refusals, budget.is_missing ? 0 : budget.turns);
}

/* ---- a world ------------------------------------------------------------------------- */

static bool         keeps;
struct turn_keeping keeping;
enum leaving        on_leave;

struct fake_provider one, two, three;
struct catalog      *catalog;
struct model         model;
struct target        targets[3];
struct place         holders[3];
uint64_t             now_ms;

static void holder_told(struct place *p, bool held)
{
    (void)p;
    assert_true(held);
}

void hold_place(struct gate *g, struct place *p)
{
    gate_ask(g, p, holder_told);
}

static struct standing *stand(struct str provider, const char *at)
{
    struct standing *s = standing_hold(provider, str_of(at));

    gate_configure(&s->gate, 100, 0, 0);
    return s;
}

static void make_fake(struct fake_provider *f, struct target *t, const char *name,
                      const char *script)
{
    *f = (struct fake_provider){ .script = script ? script : "", .usage = { 3, 2 } };
    f->settings.name = str_of(name);
    f->settings.breaker_time = 20 * CLOCK_MS;
    f->settings.retry_pause = 500 * CLOCK_MS;
    f->settings.longest_retry_pause = 8 * CLOCK_S;
    f->provider = (struct provider){ .ops = &fake_ops, .settings = &f->settings };
    f->provider.standing = stand(f->settings.name, "");
    *t = (struct target){ .provider = &f->provider,
                          .model = STR("real-name"),
                          .standing = stand(f->settings.name, "real-name") };
}

static void make_catalog(void)
{
    struct settings *s = mem_new(sizeof *s);

    s->turns = (struct turn_settings){ .max_running = 10,
                                       .max_waiting = 10,
                                       .max_wait = PATIENCE_MS * CLOCK_MS,
                                       .max_time = LIMIT_MS * CLOCK_MS,
                                       .max_answer_bytes = 1000,
                                       .answer_tokens = 100,
                                       .drain_time = 30 * CLOCK_MS,
                                       .drain_tokens = 5,
                                       .journal_every = 20 * CLOCK_MS,
                                       .journal_bytes = 100,
                                       .journal_keep = 1000 * CLOCK_MS,
                                       .lease = 90 * CLOCK_MS,
                                       .save_wait = 1000 * CLOCK_MS };
    catalog = mem_new(sizeof *catalog);
    catalog->settings = s;
    catalog->owners = 1;
    offer_use(catalog);
    admit_configure(&s->turns);
}

/* A failed assertion leaves its world as it was; the next one comes to a fresh clock. */
void world_begin(const char *first, const char *second)
{
    clock_fake(++now_ms * CLOCK_MS);
    make_fake(&one, &targets[0], "one", first);
    make_fake(&two, &targets[1], "two", second);
    make_fake(&three, &targets[2], "three", NULL);
    model = (struct model){ .name = STR("model"), .targets = targets, .n_targets = second ? 2 : 1 };
    make_catalog();
    make_budget();
    tape = (struct tape){ .n = 0 };
    memset(holders, 0, sizeof holders);
    keeps = false;
    on_leave = LEAVING_CANCELS;
    fake_begin();
}

void world_keeps(void)
{
    keeps = true;
    keeping = (struct turn_keeping){ .whose = { 1, STR("xcx"), STR("anna") },
                                     .keeps_chat = true,
                                     .chat = { .id = 7 },
                                     .content = STR("question") };
    keeper_use((struct store *)&fake, &catalog->settings->turns);
}

void world_third(const char *script)
{
    three.script = script;
    model.n_targets = 3;
}

void patient_world(const char *first, const char *second, uint64_t retries)
{
    world_begin(first, second);
    one.settings.retries = two.settings.retries = three.settings.retries = retries;
    catalog->settings->turns.max_pause = 20 * CLOCK_S;
    catalog->settings->turns.max_time = LONG * CLOCK_MS;
}

struct turn *ask(void)
{
    return ask_on(&tape);
}

struct turn *ask_on(struct tape *t)
{
    return ask_for(t, question_new());
}

struct sink *new_reader(struct tape *t)
{
    struct tape_sink *k = mem_new(sizeof *k);

    k->sink.ops = &tape_ops;
    k->tape = t;
    t->sink = k;
    return &k->sink;
}

struct turn *ask_for(struct tape *t, struct question *q)
{
    struct sink *k = new_reader(t);

    budget.turns++;
    return turn_start(&(struct turn_order){ .question = q,
                                            .model = &model,
                                            .sink = k,
                                            .asker = &budget.asker,
                                            .route = "/test",
                                            .request_id = STR("id"),
                                            .client = STR("c"),
                                            .keeping = keeps ? &keeping : NULL,
                                            .on_leave = on_leave });
}

void ask_another(void)
{
    assert_int_equal(tape.closed, 1);
    tape = (struct tape){ .n = 0 };
    ask();
}

void pass(void)
{
    notes_run();
    clock_fake(++now_ms * CLOCK_MS);
    deadlines_run(clock_now());
    fake_speak(&one);
    fake_speak(&two);
    fake_speak(&three);
    notes_run();
}

void pass_for(int ms)
{
    while (ms--)
        pass();
}

void pass_until_over(int limit)
{
    while (turns_alive() && limit--)
        pass();
}

static void check_gate(const struct gate *g)
{
    assert_int_equal(g->held, 0);
    assert_int_equal(g->line.n, 0);
}

void settle(void)
{
    assert_int_equal(turns_alive(), 0);
    assert_int_equal(tape.closed, 1);
    assert_false(one.live || two.live || three.live);
    for (int i = 0; i < 3; i++)
        gate_give_back(&holders[i]);
    assert_int_equal(metric_value(METRIC_TURNS_RUNNING), 0);
    assert_int_equal(metric_value(METRIC_TURNS_WAITING), 0);
    keeper_release();
    assert_int_equal(deadlines_next(), UINT64_MAX);
    assert_false(notes_waiting());
    assert_int_equal(catalog->owners, 1);
    for (int i = 0; i < 3; i++) {
        check_gate(&targets[i].standing->gate);
        check_gate(&targets[i].provider->standing->gate);
        assert_false(targets[i].standing->tried);
        standing_drop(targets[i].standing);
        standing_drop(targets[i].provider->standing);
    }
    assert_int_equal(metric_value(METRIC_BREAKERS_OPEN), 0);
    check_budget();
    offer_withdraw();
}

void told(const char *events, enum fault fault)
{
    assert_string_equal(tape.text, events);
    assert_int_equal(tape.fault, fault);
}

int64_t labelled_metric(const char *row)
{
    struct buf  text = BUF(1 << 20);
    char        line[120];
    const char *at;
    long long   n = 0;

    metrics_write(&text);
    buf_add_char(&text, '\0');
    snprintf(line, sizeof line, "\n%s ", row);
    at = strstr(text.p, line);
    if (at)
        sscanf(at + strlen(line), "%lld", &n);
    buf_release(&text);
    return n;
}
