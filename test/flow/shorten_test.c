/* shorten_test.c - a conversation that is too long for its model: who is asked what, what the
 * reader hears of it, what is paid, and that it may end at every moment. The ladder itself is
 * unit/chat/context_test.c's. */
#include "flow/world.h"

#include <string.h>

/* Every message takes 24 tokens, the answer 100 (world.c); each ends with its number. */
enum { EACH = 24, ANSWER = 100, LONG_ONE = 20 };
static const char padding[] =
    "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww";

static struct question *conversation(size_t n)
{
    struct question *q = question_new();

    q->messages = arena_new(&q->arena, n * sizeof *q->messages);
    q->n_messages = n;
    for (size_t i = 0; i < n; i++) {
        struct buf text = BUF(200);

        buf_addf(&text, "%s%02zu", padding, i);
        q->messages[i] = (struct message){ i == 0           ? ROLE_SYSTEM
                                           : i % 2 == n % 2 ? ROLE_ASSISTANT
                                                            : ROLE_USER,
                                           arena_str(&q->arena, buf_str(&text)), STR("") };
        buf_release(&text);
    }
    return q;
}

/* Room for so many of its messages. */
static void small_world(const char *script, uint64_t room)
{
    patient_world(script, NULL, 0);
    model.context_tokens = room * EACH + ANSWER;
    model.compacts = true;
}

static void asked_with(int call, size_t n, const char *second, const char *last)
{
    const struct fake_asked *a = &one.asked[call];

    assert_int_equal(a->n_messages, n);
    assert_non_null(strstr(a->second, second));
    assert_non_null(strstr(a->last, last));
}

static void run_it(void)
{
    pass_until_over(LONG);
}

/* ---- what fits goes as it is ---------------------------------------------------------------- */

static void what_fits_is_not_touched(void **state)
{
    (void)state;
    small_world("sduf", LONG_ONE);
    ask_for(&tape, conversation(LONG_ONE));
    run_it();
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 1);
    asked_with(0, LONG_ONE, "w01", "w19");
    settle();
}

static void nothing_is_looked_at_unless_that_is_wanted(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        small_world("sduf", 1);
        if (i == 0)
            model.context_tokens = 0;
        else
            model.compacts = false;           /* it is the client's             */
        ask_for(&tape, conversation(LONG_ONE));
        run_it();
        told("sduf", FAULT_NONE);
        assert_int_equal(one.starts, 1);
        asked_with(0, LONG_ONE, "w01", "w19");
        settle();
    }
}

/* ---- what does not --------------------------------------------------------------------------- */

static void the_model_sums_up_what_was_before(void **state)
{
    (void)state;
    small_world("sddduf|srduf", LONG_ONE - 1);
    ask_for(&tape, conversation(LONG_ONE));
    run_it();
    told("srduf", FAULT_NONE);                /* nobody hears the summary       */
    assert_int_equal(one.starts, 2);
    assert_int_equal(one.asked[0].n_messages, 2);
    assert_non_null(strstr(one.asked[0].first, "Summarize"));
    assert_non_null(strstr(one.asked[0].last, "user: www"));
    assert_string_equal(one.asked[0].options, ",\"max_tokens\":114,\"temperature\":0.3");
    assert_int_equal(one.asked[0].max_tokens, 114);       /* a fourth of the room */
    asked_with(1, 1 + 1 + 12,
               "[Previous conversation summary \u2014 for context only]: word word word", "w19");
    assert_non_null(strstr(one.asked[1].first, "w00"));
    assert_int_equal(budget.bill.usage.prompt, 3 + 3);
    assert_int_equal(budget.bill.usage.completion, 2 + 2);
    settle();
}

static void what_nobody_counted_is_estimated(void **state)
{
    (void)state;
    small_world("sdddf|sdf", LONG_ONE - 1);
    ask_for(&tape, conversation(LONG_ONE));
    run_it();
    told("sdf", FAULT_NONE);
    assert_true(budget.bill.is_estimated);
    assert_in_range(budget.bill.usage.prompt, LONG_ONE * EACH + 200, LONG_ONE * EACH + 300);
    assert_int_equal(budget.bill.usage.completion, 2 + 4);
    settle();
}

static void a_failed_summary_is_asked_for_again(void **state)
{
    (void)state;
    small_world("-c|sduf|sduf", LONG_ONE - 1);
    one.settings.retries = 2;
    ask_for(&tape, conversation(LONG_ONE));
    run_it();
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 3);
    assert_int_equal(one.asked[1].n_messages, 2);
    asked_with(2, 1 + 1 + 12, "[Previous", "w19");
    settle();
}

/* Refused, broken off, of no words at all, or not let through. */
static void without_a_summary_it_goes_on(void **state)
{
    static const char *const scripts[] = { "-n|sduf", "sd-c|sduf", "suf|sduf", "sdup|sduf" };

    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        small_world(scripts[i], LONG_ONE - 1);
        ask_for(&tape, conversation(LONG_ONE));
        run_it();
        told("sduf", FAULT_NONE);
        assert_int_equal(one.starts, 2);
        asked_with(1, 1 + 15, "w05", "w19");
        assert_int_equal(budget.bill.is_estimated, i == 1);   /* words that nobody counted */
        settle();
    }
}

static void a_service_that_fails_fails_the_answer_too(void **state)
{
    (void)state;
    small_world("-x", LONG_ONE - 1);
    ask_for(&tape, conversation(LONG_ONE));
    run_it();
    told("e", FAULT_ANSWER_TOO_BIG);
    assert_int_equal(one.starts, 2);
    settle();
}

static void where_no_summary_fits_none_is_asked_for(void **state)
{
    (void)state;
    small_world("sduf", 2);
    model.context_tokens += 4;
    ask_for(&tape, conversation(LONG_ONE));
    run_it();
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 1);
    asked_with(0, 2, "w19", "w19");
    settle();
}

static void at_last_it_goes_without_the_rules(void **state)
{
    (void)state;
    small_world("sduf", 1);
    model.context_tokens = 2 * EACH;          /* of which the answer takes half */
    ask_for(&tape, conversation(LONG_ONE));
    run_it();
    told("sduf", FAULT_NONE);
    assert_int_equal(one.asked[0].n_messages, 1);
    assert_non_null(strstr(one.asked[0].first, "w19"));
    settle();
}

static void a_question_that_is_too_long_itself_is_refused(void **state)
{
    (void)state;
    small_world("sduf", 1);
    model.context_tokens = 2 * EACH - 2;
    ask_for(&tape, conversation(LONG_ONE));
    run_it();
    told("e", FAULT_CONTEXT_TOO_LONG);
    assert_int_equal(one.starts, 0);
    assert_int_equal(budget.bill.usage.prompt, 0);
    settle();
}

static void who_wants_a_long_answer_has_less_room(void **state)
{
    (void)state;
    for (uint64_t more = 0; more < 2; more++) {
        struct question *q = conversation(LONG_ONE);

        small_world("sduf", LONG_ONE);
        q->max_tokens = ANSWER + more;
        ask_for(&tape, q);
        run_it();
        assert_int_equal(one.starts, 1 + more);
        settle();
    }
}

/* ---- of what we keep --------------------------------------------------------------------------- */

static void make_long(struct question *q, void *ctx, const struct kept_message *m, size_t n)
{
    struct question *whole = conversation(LONG_ONE);

    (void)ctx, (void)m, (void)n;
    q->messages = arena_new(&q->arena, LONG_ONE * sizeof *q->messages);
    q->n_messages = LONG_ONE;
    for (size_t i = 0; i < LONG_ONE; i++)
        q->messages[i] = (struct message){ whole->messages[i].role,
                                           arena_str(&q->arena, whole->messages[i].text), STR("") };
    question_free(whole);
}

static void what_we_keep_is_shortened_unasked(void **state)
{
    (void)state;
    kept_world("sduf|swuf");
    model.context_tokens = (LONG_ONE - 1) * EACH + ANSWER;
    keeping.remembers = 3;
    keeping.compose = make_long;
    ask();
    pass_until_over(LONG);
    told("sduf", FAULT_NONE);
    assert_int_equal(one.starts, 2);
    assert_string_equal(fake.saved, "\u4e2d\u6587");    /* the answer alone   */
    kept_end();
}

/* ---- at every moment ----------------------------------------------------------------------------- */

static void it_may_end_at_every_moment(void **state)
{
    (void)state;
    for (int at = 0; at < 12; at++) {
        bool         disturbed = false;
        struct turn *t;

        small_world("-s-d-d-uf|-s-d-uf", LONG_ONE - 1);
        t = ask_for(&tape, conversation(LONG_ONE));
        for (int i = 0; i < PASSES && turns_alive(); i++) {
            if (i == at) {
                turn_interrupt(t, FAULT_SHUTDOWN);
                disturbed = true;
            }
            pass();
        }
        assert_int_equal(tape.fault, disturbed ? FAULT_SHUTDOWN : FAULT_NONE);
        assert_int_equal(disturbed, at < 9);
        assert_int_equal(budget.bills, 1);
        assert_int_equal(one.cancels, disturbed && at > 0);
        if (at == 3 || at == 4)               /* it has heard of the summary    */
            assert_true(budget.bill.is_estimated && budget.bill.usage.completion > 0);
        if (at > 4 && disturbed)              /* all of it                      */
            assert_true(budget.bill.usage.completion == 2 ||
                        (budget.bill.usage.completion == 4 && budget.bill.is_estimated));
        settle();
    }
}

static void who_has_left_is_not_summed_up(void **state)
{
    (void)state;
    small_world("-s-d-d-uf|sduf", LONG_ONE - 1);
    ask_for(&tape, conversation(LONG_ONE));
    pass();
    pass();
    sink_leave(&tape.sink->sink);
    run_it();
    assert_int_equal(one.cancels, 1);
    assert_int_equal(one.starts, 1);
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_not_touched),
        cmocka_unit_test(nothing_is_looked_at_unless_that_is_wanted),
        cmocka_unit_test(the_model_sums_up_what_was_before),
        cmocka_unit_test(what_nobody_counted_is_estimated),
        cmocka_unit_test(a_failed_summary_is_asked_for_again),
        cmocka_unit_test(without_a_summary_it_goes_on),
        cmocka_unit_test(a_service_that_fails_fails_the_answer_too),
        cmocka_unit_test(where_no_summary_fits_none_is_asked_for),
        cmocka_unit_test(at_last_it_goes_without_the_rules),
        cmocka_unit_test(a_question_that_is_too_long_itself_is_refused),
        cmocka_unit_test(who_wants_a_long_answer_has_less_room),
        cmocka_unit_test(what_we_keep_is_shortened_unasked),
        cmocka_unit_test(it_may_end_at_every_moment),
        cmocka_unit_test(who_has_left_is_not_summed_up),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
