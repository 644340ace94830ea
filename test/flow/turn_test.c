/* turn_test.c - the turn's script, every step x { now, later, fails, never } x every
 * moment of an interrupt, with a provider and a reader that do as they are told.
 *
 * A pass here is what the loop does: read the notes, let a millisecond go by, run what
 * is due, let the provider speak. The fakes assert the contracts (provider.h, sink.h)
 * themselves; settle() asserts what must hold after every turn, however it ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/note.h"
#include "provider/catalog.h"
#include "turn/admit.h"
#include "turn/turn.h"

#include <stdio.h>
#include <string.h>

enum mode { NOW, LATER, FAILS, NEVER, MODES };
enum { PASSES = 40, PATIENCE_MS = 300, LIMIT_MS = 500 };

/* ---- a provider that says what its script says ------------------------------------ */

struct call {
    struct provider *provider;
    struct outlet    out;
    const char      *at;                      /* what it still has to say       */
    bool             paused;
};

/* A script is a letter an event: s start, d delta, u usage, f finish, l finish for
 * length, e a fault that may be retried, x one that may not, - a pass of silence.
 * It ends with a last word, or the call stays silent for ever. */
struct fake_provider {
    struct provider          provider;
    struct provider_settings settings;
    const char              *script;
    struct call              call;
    bool                     live;
    int                      starts, cancels, pauses, resumes;
};

static struct call *fake_start(struct provider *p, const struct question *q, struct str model,
                               struct outlet out)
{
    struct fake_provider *f = (struct fake_provider *)p;

    assert_non_null(q);
    assert_true(str_eq(model, STR("real-name")));
    assert_false(f->live);
    f->live = true;
    f->starts++;
    f->call = (struct call){ .provider = p, .out = out, .at = f->script };
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

static void fake_say(struct call *c, char letter)
{
    struct event ev = { .type = EVENT_START };

    switch (letter) {
    case 's': break;
    case 'd': ev = (struct event){ .type = EVENT_DELTA, .text = STR("word ") }; break;
    case 'u': ev = (struct event){ .type = EVENT_USAGE, .usage = { 3, 2 } }; break;
    case 'f': ev = (struct event){ .type = EVENT_FINISH, .finish = FINISH_STOP }; break;
    case 'l': ev = (struct event){ .type = EVENT_FINISH, .finish = FINISH_LENGTH }; break;
    case 'e': ev = (struct event){ .type = EVENT_ERROR, .fault = FAULT_PROVIDER_BUSY }; break;
    case 'x': ev = (struct event){ .type = EVENT_ERROR, .fault = FAULT_ANSWER_TOO_BIG }; break;
    default: fail_msg("no such letter: %c", letter);
    }
    if (ev.type == EVENT_FINISH || ev.type == EVENT_ERROR)
        fake_gone(c);
    c->out.put(c->out.ctx, &ev);
}

/* One pass: everything up to the next silence, in one breath, and then the flush. */
static void fake_speak(struct fake_provider *f)
{
    struct call *c = &f->call;
    bool         spoke = false;

    if (!f->live || c->paused)
        return;
    for (; f->live && *c->at && *c->at != '-'; c->at++) {
        fake_say(c, *c->at);
        spoke = true;
    }
    c->at += f->live && *c->at == '-';
    if (spoke)
        c->out.flush(c->out.ctx);
}

/* ---- a reader that writes down what it hears --------------------------------------- */

struct tape_sink {
    struct sink  sink;
    struct tape *tape;
};

static struct tape {
    char              text[4096];
    size_t            n;
    int               last_words, closed, unflushed;
    enum fault        fault;
    enum finish       finish;
    int               hold_at;                /* holds the turn at this flush; 0: never */
    int               flushes;
    struct tape_sink *sink;                   /* NULL: closed                   */
} tape;

static void tape_event(struct sink *k, const struct event *ev)
{
    struct tape *t = ((struct tape_sink *)k)->tape;

    assert_int_equal(t->last_words, 0);
    assert_int_equal(t->closed, 0);
    t->unflushed++;
    t->n += (size_t)snprintf(t->text + t->n, sizeof t->text - t->n, "%c", event_name(ev->type)[0]);
    t->last_words += ev->type == EVENT_FINISH || ev->type == EVENT_ERROR;
    if (ev->type == EVENT_ERROR)
        t->fault = ev->fault;
    if (ev->type == EVENT_FINISH)
        t->finish = ev->finish;
}

static void tape_flush(struct sink *k)
{
    struct tape *t = ((struct tape_sink *)k)->tape;

    t->unflushed = 0;
    if (++t->flushes == t->hold_at)
        turn_hold(k);
}

static void tape_close(struct sink *k)
{
    struct tape *t = ((struct tape_sink *)k)->tape;

    assert_null(k->turn);
    assert_int_equal(t->unflushed, 0);
    t->closed++;
    t->sink = NULL;
    mem_free(k);
}

static const struct sink_ops tape_ops = { tape_event, tape_flush, tape_close };

/* ---- a world ------------------------------------------------------------------------- */

static struct fake_provider one, two;
static struct catalog      *catalog;
static struct model         model;
static struct target        targets[2];
static struct place         holder;           /* somebody else's place          */
static uint64_t             now_ms;

static void holder_told(struct place *p, bool held)
{
    (void)p;
    assert_true(held);
}

static struct standing *stand(const char *provider, const char *at)
{
    struct standing *s = standing_hold(str_of(provider), str_of(at));

    gate_configure(&s->gate, 100, 0, 0);
    return s;
}

static void world_begin(const char *first, const char *second)
{
    struct settings *s = mem_new(sizeof *s);

    one = (struct fake_provider){ .script = first };
    two = (struct fake_provider){ .script = second ? second : "" };
    one.settings.name = STR("one");
    two.settings.name = STR("two");
    one.provider = (struct provider){ .ops = &fake_ops, .settings = &one.settings };
    two.provider = (struct provider){ .ops = &fake_ops, .settings = &two.settings };
    one.provider.standing = stand("one", "");
    two.provider.standing = stand("two", "");
    targets[0] = (struct target){ .provider = &one.provider,
                                  .model = STR("real-name"),
                                  .standing = stand("one", "real-name") };
    targets[1] = (struct target){ .provider = &two.provider,
                                  .model = STR("real-name"),
                                  .standing = stand("two", "real-name") };
    model = (struct model){ STR("model"), targets, second ? 2 : 1 };
    s->turns = (struct turn_settings){ .max_running = 10,
                                       .max_waiting = 10,
                                       .max_wait = PATIENCE_MS * CLOCK_MS,
                                       .max_time = LIMIT_MS * CLOCK_MS,
                                       .max_answer_bytes = 1000 };
    catalog = mem_new(sizeof *catalog);
    catalog->settings = s;
    catalog->owners = 1;
    offer_use(catalog);
    tape = (struct tape){ .n = 0 };
    holder = (struct place){ .state = PLACE_NONE };
    admit_configure(&s->turns);
}

static struct turn *ask(void)
{
    struct question  *q = question_new();
    struct tape_sink *k = mem_new(sizeof *k);

    k->sink.ops = &tape_ops;
    k->tape = &tape;
    tape.sink = k;
    return turn_start(&(struct turn_order){ .question = q,
                                            .model = &model,
                                            .sink = &k->sink,
                                            .route = "/test",
                                            .request_id = STR("id"),
                                            .client = STR("c") });
}

static void pass(void)
{
    notes_run();
    clock_fake(++now_ms * CLOCK_MS);
    deadlines_run(clock_now());
    fake_speak(&one);
    fake_speak(&two);
    notes_run();
}

/* Passes until nothing is alive, or so many. */
static void pass_until_over(int limit)
{
    while (turns_alive() && limit--)
        pass();
}

static void settle(void)
{
    assert_int_equal(turns_alive(), 0);
    assert_int_equal(tape.closed, 1);
    assert_false(one.live || two.live);
    gate_give_back(&holder);
    assert_int_equal(metric_value(METRIC_TURNS_RUNNING), 0);
    assert_int_equal(metric_value(METRIC_TURNS_WAITING), 0);
    assert_int_equal(deadlines_next(), UINT64_MAX);
    assert_false(notes_waiting());
    assert_int_equal(catalog->owners, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(targets[i].standing->gate.held + targets[i].standing->gate.line.n, 0);
        assert_int_equal(targets[i].provider->standing->gate.held, 0);
        assert_false(targets[i].standing->tried);
        standing_drop(targets[i].standing);
        standing_drop(targets[i].provider->standing);
    }
    offer_withdraw();
}

static void told(const char *events, enum fault fault)
{
    assert_string_equal(tape.text, events);
    assert_int_equal(tape.fault, fault);
}

static int64_t turns_ended(const char *end)
{
    struct buf  text = BUF(1 << 20);
    char        row[80];
    const char *at;
    long long   n = 0;

    metrics_write(&text);
    buf_add_char(&text, '\0');
    snprintf(row, sizeof row, "\nrunnel_turns_total{end=\"%s\"} ", end);
    at = strstr(text.p, row);
    if (at)
        sscanf(at + strlen(row), "%lld", &n);
    buf_release(&text);
    return n;
}

/* ---- every step x every mode x every moment -------------------------------------------- */

static const char *const answer_scripts[MODES] = {
    [NOW] = "sdduf",
    [LATER] = "-s-d--d-u-f",
    [FAILS] = "--x",
    [NEVER] = "s-d",
};

static void arrange_admission(enum mode mode)
{
    struct turn_settings *s = &catalog->settings->turns;

    if (mode == NOW)
        return;
    s->max_running = 1;
    s->max_waiting = mode == FAILS ? 0 : 10;
    admit_configure(s);
    gate_ask(admit_gate(), &holder, holder_told);
}

static void run_case(enum mode admission, enum mode answer, int interrupt_at)
{
    struct turn *t;
    int          i;

    world_begin(answer_scripts[answer], NULL);
    arrange_admission(admission);
    t = ask();
    for (i = 0; i < PASSES && turns_alive(); i++) {
        if (i == interrupt_at)
            turn_interrupt(t, FAULT_SHUTDOWN);
        if (i == 5 && admission == LATER)
            gate_give_back(&holder);
        pass();
    }
    if (turns_alive()) {                      /* only silence may last, and only undisturbed */
        assert_true(admission == NEVER || answer == NEVER);
        assert_true(interrupt_at < 0);
        pass_until_over(LIMIT_MS + 10);
        assert_int_equal(tape.fault, admission == NEVER ? FAULT_OVERLOADED : FAULT_TIMEOUT);
    }
    assert_int_equal(tape.last_words, 1);
    assert_true(one.starts <= 1);
    if (admission == FAILS || admission == NEVER)
        assert_int_equal(one.starts, 0);      /* no place: nobody was asked     */
    if (tape.fault == FAULT_NONE)
        assert_string_equal(tape.text, "sdduf");
    if (interrupt_at < 0 && admission < FAILS && answer < FAILS)
        assert_int_equal(tape.fault, FAULT_NONE);
    settle();
}

static void every_step_every_mode_every_moment(void **state)
{
    (void)state;
    for (int admission = 0; admission < MODES; admission++)
        for (int answer = 0; answer < MODES; answer++)
            for (int at = -1; at < 25; at++)
                run_case((enum mode)admission, (enum mode)answer, at);
}

/* ---- what the steps promise -------------------------------------------------------------- */

static void a_good_answer_is_told_whole_and_once(void **state)
{
    int64_t before = turns_ended("complete");

    (void)state;
    world_begin("-sd-du-l", NULL);
    ask();
    pass_until_over(PASSES);
    told("sdduf", FAULT_NONE);
    assert_int_equal(tape.finish, FINISH_LENGTH);
    assert_int_equal(turns_ended("complete"), before + 1);
    assert_int_equal(one.cancels, 0);
    settle();
}

static void the_next_target_is_asked_while_nothing_was_said(void **state)
{
    (void)state;
    world_begin("-e", "-sduf");
    ask();
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts + two.starts, 2);
    settle();
}

static void nobody_else_is_asked_once_something_was_said(void **state)
{
    int64_t before = turns_ended("error");

    (void)state;
    world_begin("-s-e", "-sduf");
    ask();
    pass_until_over(PASSES);
    told("se", FAULT_PROVIDER_BUSY);
    assert_int_equal(two.starts, 0);
    assert_int_equal(turns_ended("error"), before + 1);
    settle();
}

static void nobody_else_is_asked_when_it_would_not_help(void **state)
{
    (void)state;
    world_begin("-x", "-sduf");
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_ANSWER_TOO_BIG);
    assert_int_equal(two.starts, 0);
    settle();
}

static void the_last_target_s_fault_is_the_turn_s(void **state)
{
    (void)state;
    world_begin("-e", "-x");
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_ANSWER_TOO_BIG);
    settle();

    world_begin("-e", "-e");
    ask();
    pass_until_over(PASSES);
    told("e", FAULT_PROVIDER_BUSY);
    settle();
}

static void a_full_provider_is_passed_over(void **state)
{
    (void)state;
    world_begin("sduf", "sduf");
    gate_configure(&one.provider.standing->gate, 0, 0, 0);
    ask();
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 0);
    assert_int_equal(two.starts, 1);
    settle();

    world_begin("sduf", NULL);
    gate_configure(&targets[0].standing->gate, 1, 0, 0);
    ask();
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

static void nothing_is_said_before_the_start_has_returned(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    ask();
    assert_int_equal(one.starts, 0);          /* the place's note comes first   */
    assert_string_equal(tape.text, "");
    notes_run();
    assert_int_equal(one.starts, 1);
    pass_until_over(PASSES);
    settle();
}

static void events_reach_the_reader_in_the_provider_s_own_breath(void **state)
{
    (void)state;
    world_begin("sdd-f", NULL);
    ask();
    notes_run();
    fake_speak(&one);
    assert_string_equal(tape.text, "sdd");    /* no note had to be read         */
    assert_int_equal(tape.flushes, 1);
    pass_until_over(PASSES);
    settle();
}

static void the_first_reason_stands(void **state)
{
    struct turn *t;

    (void)state;
    world_begin("-sd", NULL);
    t = ask();
    pass();
    pass();
    turn_interrupt(t, FAULT_SHUTDOWN);
    turn_interrupt(t, FAULT_TIMEOUT);
    pass();
    told("sde", FAULT_SHUTDOWN);
    assert_int_equal(one.cancels, 1);
    settle();
}

static void an_answer_that_was_finished_stays_finished(void **state)
{
    struct turn *t;

    (void)state;
    world_begin("-sduf", NULL);
    t = ask();
    notes_run();
    fake_speak(&one);
    fake_speak(&one);
    turn_interrupt(t, FAULT_SHUTDOWN);        /* a moment too late              */
    pass();
    told("sduf", FAULT_NONE);
    settle();
}

static void nothing_is_told_between_the_interrupt_and_the_last_word(void **state)
{
    struct turn *t;

    (void)state;
    world_begin("s-d-d-d", NULL);
    t = ask();
    pass();
    turn_interrupt(t, FAULT_SHUTDOWN);
    fake_speak(&one);                         /* it does not know yet           */
    assert_string_equal(tape.text, "s");
    pass();
    told("se", FAULT_SHUTDOWN);
    settle();
}

static void an_interrupted_turn_asks_nobody_else(void **state)
{
    struct turn *t;

    (void)state;
    world_begin("-e", "-sduf");
    t = ask();
    notes_run();
    fake_speak(&one);
    fake_speak(&one);                         /* a fault that may be retried    */
    turn_interrupt(t, FAULT_SHUTDOWN);
    pass();
    assert_int_equal(two.starts, 0);
    assert_int_equal(tape.last_words, 1);
    settle();
}

static void every_turn_can_be_interrupted_at_once(void **state)
{
    int64_t before = turns_ended("interrupted");

    (void)state;
    world_begin("s-d-d", NULL);
    ask();
    pass();
    turns_interrupt_all(FAULT_SHUTDOWN);
    pass();
    told("se", FAULT_SHUTDOWN);
    assert_int_equal(turns_ended("interrupted"), before + 1);
    settle();
}

/* ---- readers --------------------------------------------------------------------------------- */

static void when_the_reader_leaves_nobody_is_paid(void **state)
{
    (void)state;
    for (int at = 1; at < 10; at++) {
        world_begin("-s-d-d-d-d", NULL);
        ask();
        for (int i = 0; i < at; i++)
            pass();
        turn_leave(&tape.sink->sink);
        assert_int_equal(tape.closed, 1);     /* at once                        */
        assert_int_equal(tape.last_words, 0);
        pass();
        assert_int_equal(one.cancels, 1);
        settle();
    }
}

static void a_reader_may_leave_while_it_waits_for_a_place(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    arrange_admission(NEVER);
    ask();
    pass();
    turn_leave(&tape.sink->sink);
    pass();
    assert_int_equal(one.starts, 0);
    settle();
}

static void a_full_reader_pauses_the_provider(void **state)
{
    (void)state;
    world_begin("s-d-d-uf", NULL);
    tape.hold_at = 2;
    ask();
    for (int i = 0; i < 10; i++)
        pass();
    assert_string_equal(tape.text, "sd");
    assert_int_equal(one.pauses, 1);
    turn_hold(&tape.sink->sink);              /* saying it twice changes nothing */
    turn_go_on(&tape.sink->sink);
    turn_go_on(&tape.sink->sink);
    assert_int_equal(one.resumes, 1);
    pass_until_over(PASSES);
    told("sdduf", FAULT_NONE);
    settle();
}

static void a_full_reader_may_leave_or_be_interrupted(void **state)
{
    (void)state;
    for (int leave = 0; leave < 2; leave++) {
        struct turn *t;

        world_begin("s-d-d-uf", NULL);
        tape.hold_at = 1;
        t = ask();
        for (int i = 0; i < 5; i++)
            pass();
        assert_int_equal(one.pauses, 1);
        if (leave)
            turn_leave(&tape.sink->sink);
        else
            turn_interrupt(t, FAULT_TIMEOUT);
        pass();
        assert_int_equal(one.cancels, 1);
        settle();
    }
}

static void a_reader_that_is_full_from_the_start_is_respected(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    ask();
    turn_hold(&tape.sink->sink);
    for (int i = 0; i < 5; i++)
        pass();
    assert_int_equal(one.pauses, 1);
    assert_string_equal(tape.text, "");
    turn_go_on(&tape.sink->sink);
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

static void a_reader_that_is_full_at_the_last_word_changes_nothing(void **state)
{
    (void)state;
    world_begin("sduf", NULL);
    tape.hold_at = 1;
    ask();
    notes_run();
    fake_speak(&one);
    assert_true(tape.sink->sink.full);
    assert_int_equal(one.pauses, 0);          /* the call is gone already       */
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

/* The pause belongs to the call: the next target's call has not been paused. */
static void a_pause_does_not_outlive_its_call(void **state)
{
    (void)state;
    world_begin("-e", "-sd-uf");
    ask();
    notes_run();
    turn_hold(&tape.sink->sink);
    assert_int_equal(one.pauses, 1);
    turn_go_on(&tape.sink->sink);
    turn_hold(&tape.sink->sink);
    one.call.paused = false;                  /* what was on its way still comes */
    fake_speak(&one);
    fake_speak(&one);
    pass();
    assert_int_equal(two.starts, 1);
    assert_int_equal(two.pauses, 1);
    turn_go_on(&tape.sink->sink);
    pass_until_over(PASSES);
    told("sduf", FAULT_NONE);
    settle();
}

/* ---- limits ------------------------------------------------------------------------------------- */

static void an_answer_has_a_size(void **state)
{
    (void)state;
    world_begin("sddd-ddd-ddd", NULL);
    catalog->settings->turns.max_answer_bytes = 12;      /* "word " is five     */
    ask();
    pass_until_over(PASSES);
    assert_int_equal(tape.fault, FAULT_ANSWER_TOO_BIG);
    assert_int_equal(one.cancels, 1);
    assert_true(tape.n <= 5);
    settle();

    world_begin("sddduf", NULL);
    catalog->settings->turns.max_answer_bytes = 15;
    ask();
    pass_until_over(PASSES);
    told("sddduf", FAULT_NONE);
    settle();
}

static void a_turn_has_a_time(void **state)
{
    uint64_t begun = now_ms;

    (void)state;
    world_begin("s-d", NULL);
    ask();
    pass_until_over(2 * LIMIT_MS);
    told("sde", FAULT_TIMEOUT);
    assert_in_range(now_ms - begun, LIMIT_MS, LIMIT_MS + 3);
    settle();
}

static void a_line_has_a_patience_and_an_order(void **state)
{
    uint64_t begun = now_ms;

    (void)state;
    world_begin("sduf", NULL);
    arrange_admission(NEVER);
    ask();
    pass_until_over(2 * LIMIT_MS);
    told("e", FAULT_OVERLOADED);
    assert_in_range(now_ms - begun, PATIENCE_MS, PATIENCE_MS + 3);
    settle();
}

static void the_events_are_counted(void **state)
{
    int64_t before = metric_value(METRIC_EVENTS), firsts = metric_value(METRIC_FIRST_EVENT);

    (void)state;
    world_begin("-sd-duf", NULL);
    ask();
    pass_until_over(PASSES);
    assert_int_equal(metric_value(METRIC_EVENTS), before + 5);
    assert_int_equal(metric_value(METRIC_FIRST_EVENT), firsts + 1);
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_every_mode_every_moment),
        cmocka_unit_test(a_good_answer_is_told_whole_and_once),
        cmocka_unit_test(the_next_target_is_asked_while_nothing_was_said),
        cmocka_unit_test(nobody_else_is_asked_once_something_was_said),
        cmocka_unit_test(nobody_else_is_asked_when_it_would_not_help),
        cmocka_unit_test(the_last_target_s_fault_is_the_turn_s),
        cmocka_unit_test(a_full_provider_is_passed_over),
        cmocka_unit_test(nothing_is_said_before_the_start_has_returned),
        cmocka_unit_test(events_reach_the_reader_in_the_provider_s_own_breath),
        cmocka_unit_test(the_first_reason_stands),
        cmocka_unit_test(an_answer_that_was_finished_stays_finished),
        cmocka_unit_test(nothing_is_told_between_the_interrupt_and_the_last_word),
        cmocka_unit_test(an_interrupted_turn_asks_nobody_else),
        cmocka_unit_test(every_turn_can_be_interrupted_at_once),
        cmocka_unit_test(when_the_reader_leaves_nobody_is_paid),
        cmocka_unit_test(a_reader_may_leave_while_it_waits_for_a_place),
        cmocka_unit_test(a_full_reader_pauses_the_provider),
        cmocka_unit_test(a_full_reader_may_leave_or_be_interrupted),
        cmocka_unit_test(a_reader_that_is_full_from_the_start_is_respected),
        cmocka_unit_test(a_reader_that_is_full_at_the_last_word_changes_nothing),
        cmocka_unit_test(a_pause_does_not_outlive_its_call),
        cmocka_unit_test(an_answer_has_a_size),
        cmocka_unit_test(a_turn_has_a_time),
        cmocka_unit_test(a_line_has_a_patience_and_an_order),
        cmocka_unit_test(the_events_are_counted),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
