/* keep_test.c - a turn that is kept: its four steps. Whom it reads instead of asking anybody is
 * reading_test.c's, what is done for all turns at once keeper_test.c's. */
#include "flow/world.h"

#include "check.h"

#include <string.h>

static void hear(const char *script)
{
    kept_world(script);
    ask();
    kept_end();
}

/* ---- claim and save ---------------------------------------------------------------------- */

TEST(kept_before_it_is_asked_and_before_it_is_done)
{
    kept_world("s-d-f");
    fake.is_slow = true;
    ask();
    pass();
    assert_int_equal(fake.claims_asked, 1);
    assert_int_equal(one.starts, 0);
    assert_int_equal(tape.begins, 0);
    fake_answer();
    pass_for(6);
    assert_int_equal(tape.begins, 1);
    assert_int_equal(fake.saves, 1);
    assert_int_equal(tape.last_words, 0);
    fake_answer();
    kept_end();
    told("sdf", FAULT_NONE);
    kept_as("complete", "none", "word ");
    assert_string_equal(fake.journal, "sdf");
    assert_int_equal(fake.recalls + fake.remembers, 0);
    assert_int_equal(fake.saves, 1);
}

TEST(who_reads_is_told_what_was_kept)
{
    hear("sdf");
    assert_int_equal(tape.facts.chat, 7);
    assert_int_equal(tape.facts.question, 70);
    assert_int_equal(tape.facts.answer, 71);
    assert_int_equal(tape.facts.question_at, 6);
    assert_int_equal(tape.facts.answer_at, 8);
    assert_int_equal(tape.facts.at, 5);
    assert_int_equal(tape.first, 0);
}

/* Whoever asked has freed his texts long ago. */
TEST(what_is_kept_is_the_turn_s_own)
{
    struct str *const texts[] = { &keeping.whose.dialect, &keeping.whose.owner, &keeping.key,
                                  &keeping.question_hash, &keeping.chat.uid,    &keeping.content,
                                  &keeping.name,          &keeping.more,        &keeping.title,
                                  &keeping.apology };
    char             *copies[COUNT(texts)];

    kept_world("sx");
    for (size_t i = 0; i < COUNT(texts); i++) {
        copies[i] = mem_copy("abcdefghijklmno", 15);
        *texts[i] = (struct str){ copies[i], 5 + i };
    }
    fake.recall = STORE_NOT_FOUND;
    ask();
    for (size_t i = 0; i < COUNT(texts); i++) {
        mem_free(copies[i]);
        *texts[i] = (struct str){ "abcdefghijklmno", 5 + i };
    }
    kept_end();
    assert_int_equal(fake.claims_asked, 1);
    kept_as("error", "answer_too_big", "abcdefghijklmn");
}

static void what_cannot_be_claimed_is_not_asked(void **state)
{
    static const struct {
        enum store_end end;
        enum fault     fault;
    } rows[] = { { STORE_NOT_FOUND, FAULT_NO_CHAT }, { STORE_CONFLICT, FAULT_KEY_REUSED },
                 { STORE_BUSY, FAULT_NO_DATABASE },  { STORE_CROWDED, FAULT_TOO_MANY_AT_ONCE },
                 { STORE_AWAY, FAULT_NO_DATABASE },  { STORE_REFUSED, FAULT_NOT_ACCEPTED } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        kept_world("sdf");
        fake.claim = rows[i].end;
        ask();
        budget.turns -= rows[i].end == STORE_CROWDED;     /* it is none         */
        kept_end();
        told("e", rows[i].fault);
        assert_int_equal(one.starts, 0);
        assert_int_equal(fake.saves, 0);
        assert_int_equal(fake.claims_asked, 1);
        assert_int_equal(tape.begins, 0);
    }
}

TEST(who_has_too_many_hears_when_to_come_again_and_pays_nothing)
{
    kept_world("sdf");
    budget.asker.is_limited = true;
    keeping.crowd = (struct crowd_limits){ 5, 15, 60 * CLOCK_S };
    fake.claim = STORE_CROWDED;
    ask();
    kept_end();
    told("e", FAULT_TOO_MANY_AT_ONCE);
    assert_int_equal(tape.advice.after, 5 * CLOCK_S);
    assert_int_equal(budget.bills, 1);
    assert_true(budget.bill.was_refused);     /* what was reserved is given back */
}

TEST(a_claim_of_which_nobody_knows_is_made_again)
{
    kept_world("sdf");
    fake.claim = STORE_UNKNOWN;
    ask();
    pass_for(100);
    assert_int_equal(fake.claims_asked, 1);
    fake.claim = STORE_OK;
    kept_end();
    told("sdf", FAULT_NONE);
    assert_int_equal(fake.claims_asked, 2);
}

TEST(a_claim_of_which_nobody_knows_is_made_again_until_the_database_is_back)
{
    static const enum store_end ends[] = { STORE_AWAY, STORE_BUSY };

    for (size_t i = 0; i < COUNT(ends); i++) {
        kept_world("sdf");
        fake.claim = STORE_UNKNOWN;
        ask();
        pass_for(20);
        fake.claim = ends[i];
        pass_for(210);
        assert_int_equal(tape.last_words, 0);
        fake.claim = STORE_OK;
        kept_end();
        told("sdf", FAULT_NONE);
        assert_int_equal(fake.claims_asked, 3);
    }
}

TEST(a_claim_is_not_made_again_for_ever)
{
    kept_world("sdf");
    fake.claim = STORE_UNKNOWN;
    ask();
    pass_for(900);
    assert_int_equal(tape.last_words, 0);     /* its limit is past, but it waits */
    kept_end();
    told("e", FAULT_NO_DATABASE);
    assert_in_range(fake.claims_asked, 5, 7);
}

TEST(who_leaves_while_it_is_claimed_leaves_a_row_that_ends)
{
    kept_world("sdf");
    fake.is_slow = true;
    ask();
    pass();
    sink_leave(&tape.sink->sink);
    pass_for(10);
    assert_int_equal(turns_alive(), 1);
    fake_answer();
    pass();
    assert_int_equal(fake.saves, 1);
    fake_answer();
    kept_end();
    assert_int_equal(one.starts, 0);
    kept_as("interrupted", "client_gone", "");
}

TEST(who_leaves_while_it_is_saved_has_it_saved)
{
    kept_world("sdf");
    ask();
    pass();
    fake.is_slow = true;
    pass_for(3);
    assert_int_equal(fake.saves, 1);
    sink_leave(&tape.sink->sink);
    pass_for(10);
    assert_int_equal(turns_alive(), 1);
    fake_answer();
    kept_end();
    kept_as("complete", "none", "word ");
}

TEST(every_end_is_saved)
{
    struct turn *t;

    hear("sddx");
    told("sdde", FAULT_ANSWER_TOO_BIG);
    kept_as("error", "answer_too_big", "word word ");
    assert_string_equal(fake.journal, "sdde");
    assert_string_equal(fake.finish, "");
    assert_int_equal(fake.tokens_used, -1);

    kept_world("sd");
    t = ask();
    pass_for(3);
    turn_interrupt(t, FAULT_STOPPED);
    kept_end();
    kept_as("stopped", "stopped", "word ");

    kept_world("");
    turn_interrupt(ask(), FAULT_SHUTDOWN);    /* before anything is kept        */
    kept_end();
    assert_int_equal(fake.claims_asked + fake.saves, 0);
}

TEST(all_of_the_answer_is_saved)
{
    kept_world("Srrtwdul");
    keeping.answer_more = STR("{\"a\":1}");
    ask();
    kept_end();
    told("srrtdduf", FAULT_NONE);
    kept_as("complete", "none", "\u4e2d\u6587word ");
    assert_string_equal(fake.reasoned, "thought thought ");
    assert_non_null(strstr(fake.calls, "\"name\":\"tool\""));
    assert_string_equal(fake.finish, "length");
    assert_string_equal(fake.more, "{\"a\":1}");
    assert_string_equal(fake.session, "");
    assert_int_equal(fake.usage.prompt, 3);
    assert_int_equal(fake.usage.completion, 2);
    assert_int_equal(fake.tokens_used, 2);
    assert_string_equal(fake.journal, "srrtdduf");
}

TEST(some_of_it_is_counted_and_carried_on_in_another_way)
{
    kept_world("Swduf");
    keeping.counts_characters = keeping.goes_on = keeping.is_of_tool = true;
    ask();
    kept_end();
    assert_int_equal(fake.tokens_used, 7);
    assert_string_equal(fake.session, "its session");
}

static void a_save_is_tried_until_it_is_done(void **state)
{
    static const enum store_end ends[] = { STORE_AWAY, STORE_BUSY, STORE_UNKNOWN };

    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        kept_world("sdf");
        fake.save = ends[i];
        fake.saves_that_fail = 3;
        ask();
        pass_for(150);
        assert_int_equal(fake.saves, 1);
        pass_for(350);
        assert_int_equal(tape.last_words, 0);
        kept_end();
        told("sdf", FAULT_NONE);
        assert_int_equal(fake.saves, 4);
        assert_string_equal(fake.journal, "sdf");
    }
}

static void what_cannot_be_saved_is_not_said_to_be_done(void **state)
{
    static const enum store_end ends[] = { STORE_CONFLICT, STORE_NOT_FOUND, STORE_AWAY };

    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        uint64_t begun = now_ms;

        kept_world("sdf");
        fake.save = ends[i];
        fake.saves_that_fail = 1000;
        ask();
        kept_end();
        told("sde", FAULT_NOT_KEPT);
        assert_int_equal(fake.saves > 1, ends[i] == STORE_AWAY);
        assert_true(now_ms - begun < 1300);
    }
}

TEST(what_is_refused_is_saved_without_its_words)
{
    kept_world("Srrtwduf");
    keeping.goes_on = keeping.counts_characters = true;
    fake.save = STORE_REFUSED;
    fake.saves_that_fail = 1;
    ask();
    kept_end();
    told("srrtddue", FAULT_NOT_KEPT);
    assert_int_equal(fake.saves, 2);
    kept_as("error", "not_kept", "");
    assert_string_equal(fake.reasoned, "");
    assert_string_equal(fake.calls, "");
    assert_string_equal(fake.session, "");
    assert_string_equal(fake.finish, "");
    assert_int_equal(fake.tokens_used, -1);
    assert_int_equal(fake.usage.prompt, 3);
    assert_string_equal(fake.journal, "srrtddue");
}

TEST(without_its_words_it_is_saved_until_it_is_done)
{
    kept_world("sdf");
    fake.slow = "s";
    fake.save = STORE_REFUSED;
    fake.saves_that_fail = 2;
    ask();
    while (!fake.saves)
        pass();
    fake.save = STORE_BUSY;
    fake_answer();
    pass_for(250);
    assert_int_equal(fake.saves, 3);
    assert_int_equal(tape.last_words, 0);
    fake_answer();
    kept_end();
    told("sde", FAULT_NOT_KEPT);
    kept_as("error", "not_kept", "");
}

TEST(what_is_refused_without_its_words_is_left_to_others)
{
    kept_world("sdf");
    fake.save = STORE_REFUSED;
    fake.saves_that_fail = 1000;
    ask();
    kept_end();
    told("sde", FAULT_NOT_KEPT);
    assert_int_equal(fake.saves, 2);
}

TEST(when_the_process_ends_a_save_is_not_tried_for_long)
{
    kept_world("sd");
    fake.save = STORE_AWAY;
    fake.saves_that_fail = 1000;
    ask();
    pass_for(3);
    turns_interrupt_all(FAULT_SHUTDOWN);
    turns_hurry(clock_now() + 300 * CLOCK_MS);
    pass_for(290);
    assert_int_equal(tape.last_words, 0);
    assert_int_equal(fake.saves, 2);
    pass_for(150);
    assert_int_equal(turns_alive(), 0);
    kept_end();
    told("sde", FAULT_NOT_KEPT);
    assert_int_equal(fake.saves, 3);
}

TEST(when_the_process_ends_a_save_is_tried_once_at_least)
{
    kept_world("sd");
    ask();
    pass_for(3);
    turns_interrupt_all(FAULT_SHUTDOWN);
    turns_hurry(clock_now());
    kept_end();
    told("sde", FAULT_SHUTDOWN);
    kept_as("interrupted", "shutdown", "word ");
}

TEST(when_the_process_ends_a_claim_is_not_made_for_long)
{
    kept_world("sdf");
    fake.claim = STORE_UNKNOWN;
    ask();
    pass_for(100);
    turns_interrupt_all(FAULT_SHUTDOWN);
    turns_hurry(clock_now() + 300 * CLOCK_MS);
    pass_for(550);
    assert_int_equal(turns_alive(), 0);
    kept_end();
    assert_in_range(fake.claims_asked, 2, 3);
}

TEST(a_piece_that_may_be_there_does_not_disturb_the_save)
{
    for (int is_there = 0; is_there < 2; is_there++) {
        kept_world("sd------------------d-----------------------d-f");
        fake.adds_unheard = is_there;
        ask();
        pass_for(16);
        assert_int_equal(fake.adds, 1);
        fake.add = STORE_UNKNOWN;
        kept_end();
        assert_true(fake.adds > 1);
        assert_string_equal(fake.journal, "sdddf");
    }
}

TEST(what_is_being_saved_is_journaled_no_more)
{
    kept_world("sd-d-f");
    fake.save = STORE_AWAY;
    fake.saves_that_fail = 3;
    keeping.apology = STR("sorry");
    ask();
    kept_end();
    assert_int_equal(fake.saves, 4);
    assert_int_equal(fake.adds, 0);
    kept_as("complete", "none", "word word ");
}

TEST(an_answer_that_failed_gets_its_apology)
{
    kept_world("sdx");
    keeping.apology = STR("sorry");
    ask();
    kept_end();
    told("sddde", FAULT_ANSWER_TOO_BIG);
    kept_as("error", "answer_too_big", "word \n\nsorry");

    kept_world("x");
    keeping.apology = STR("sorry");
    ask();
    kept_end();
    kept_as("error", "answer_too_big", "sorry");

    kept_world("sdf");
    keeping.apology = STR("sorry");
    ask();
    kept_end();
    kept_as("complete", "none", "word ");

    hear("sdx");
    told("sde", FAULT_ANSWER_TOO_BIG);

    kept_world("sd");
    keeping.apology = STR("sorry");
    ask();
    pass_for(3);
    turns_interrupt_all(FAULT_STOPPED);
    kept_end();
    kept_as("stopped", "stopped", "word ");
}

TEST(without_a_store_nothing_is_kept)
{
    kept_world("sdf");
    keeper_release();
    ask();
    pass_until_over(PASSES);
    told("sdf", FAULT_NONE);
    assert_int_equal(fake.claims_asked + fake.saves, 0);
    settle();
}

/* ---- remember ---------------------------------------------------------------------------- */

static int composed;

static void compose(struct question *q, void *ctx, const struct kept_message *messages, size_t n)
{
    assert_non_null(q);
    assert_non_null(messages);
    assert_int_equal(one.starts, 0);
    assert_ptr_equal(ctx, &composed);
    composed += (int)n;
}

static void world_with_a_past(void)
{
    kept_world("sdf");
    keeping.remembers = 20;
    keeping.compose = compose;
    keeping.ctx = &composed;
    composed = 0;
}

TEST(the_past_makes_the_question)
{
    world_with_a_past();
    ask();
    kept_end();
    assert_int_equal(composed, 3);
    assert_int_equal(fake.remembers, 1);
    told("sdf", FAULT_NONE);
}

TEST(without_its_past_nothing_is_asked)
{
    world_with_a_past();
    fake.remember = STORE_AWAY;
    ask();
    kept_end();
    told("e", FAULT_NO_DATABASE);
    kept_as("error", "no_database", "");
    assert_int_equal(composed + one.starts, 0);
}

TEST(a_past_is_not_waited_for_by_who_is_to_end)
{
    world_with_a_past();
    ask();
    notes_run();
    notes_run();
    fake.is_slow = true;
    notes_run();
    assert_int_equal(fake.remembers, 1);
    turns_interrupt_all(FAULT_STOPPED);
    notes_run();
    assert_int_equal(fake.saves, 1);
    fake_answer();
    kept_end();
    kept_as("stopped", "stopped", "");
    assert_int_equal(composed, 0);
}

/* ---- what people are shown ------------------------------------------------------------------ */

static void write_view(struct str answer, enum fault fault, struct buf *out)
{
    buf_addf(out, "<%.*s %s>", STR_ARG(answer), fault_name(fault));
}

static void shown_as(const char *view)
{
    const char *space = strchr(fake.view, ' ');

    assert_int_equal(fake.views, 1);
    assert_non_null(space);
    assert_int_equal(space - fake.view, 24 + strlen("view"));
    assert_memory_equal(space - 4, "view", 4);
    assert_string_equal(space + 1, view);
}

TEST(what_people_are_shown_is_kept_behind_the_answer)
{
    kept_world("sddf");
    keeping.write_view = write_view;
    ask();
    kept_end();
    told("sddf", FAULT_NONE);
    shown_as("<word word  none>");

    kept_world("sdx");
    keeping.write_view = write_view;
    ask();
    kept_end();
    told("sde", FAULT_ANSWER_TOO_BIG);
    shown_as("<word  answer_too_big>");
}

TEST(what_people_are_shown_is_waited_for)
{
    kept_world("sdf");
    keeping.write_view = write_view;
    fake.slow = "v";
    ask();
    pass_for(5);
    assert_int_equal(fake.views, 1);
    assert_int_equal(tape.last_words, 0);
    sink_leave(&tape.sink->sink);
    pass_for(5);
    assert_int_equal(turns_alive(), 1);
    fake_answer();
    kept_end();
    kept_as("complete", "none", "word ");
}

TEST(an_answer_is_good_without_what_people_are_shown)
{
    kept_world("sdf");
    keeping.write_view = write_view;
    fake.append = STORE_AWAY;
    ask();
    kept_end();
    told("sdf", FAULT_NONE);
    kept_as("complete", "none", "word ");
}

static void of_an_answer_that_was_not_kept_nothing_is_shown(void **state)
{
    static const enum store_end ends[] = { STORE_CONFLICT, STORE_REFUSED };

    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        kept_world("sdf");
        keeping.write_view = write_view;
        fake.save = ends[i];
        fake.saves_that_fail = 1;
        ask();
        kept_end();
        assert_int_equal(fake.views, 0);
        told("sde", FAULT_NOT_KEPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_before_it_is_asked_and_before_it_is_done),
        cmocka_unit_test(who_reads_is_told_what_was_kept),
        cmocka_unit_test(what_is_kept_is_the_turn_s_own),
        cmocka_unit_test(what_cannot_be_claimed_is_not_asked),
        cmocka_unit_test(who_has_too_many_hears_when_to_come_again_and_pays_nothing),
        cmocka_unit_test(a_claim_of_which_nobody_knows_is_made_again),
        cmocka_unit_test(a_claim_of_which_nobody_knows_is_made_again_until_the_database_is_back),
        cmocka_unit_test(a_claim_is_not_made_again_for_ever),
        cmocka_unit_test(who_leaves_while_it_is_claimed_leaves_a_row_that_ends),
        cmocka_unit_test(who_leaves_while_it_is_saved_has_it_saved),
        cmocka_unit_test(every_end_is_saved),
        cmocka_unit_test(all_of_the_answer_is_saved),
        cmocka_unit_test(some_of_it_is_counted_and_carried_on_in_another_way),
        cmocka_unit_test(a_save_is_tried_until_it_is_done),
        cmocka_unit_test(what_cannot_be_saved_is_not_said_to_be_done),
        cmocka_unit_test(what_is_refused_is_saved_without_its_words),
        cmocka_unit_test(without_its_words_it_is_saved_until_it_is_done),
        cmocka_unit_test(what_is_refused_without_its_words_is_left_to_others),
        cmocka_unit_test(when_the_process_ends_a_save_is_not_tried_for_long),
        cmocka_unit_test(when_the_process_ends_a_save_is_tried_once_at_least),
        cmocka_unit_test(when_the_process_ends_a_claim_is_not_made_for_long),
        cmocka_unit_test(a_piece_that_may_be_there_does_not_disturb_the_save),
        cmocka_unit_test(what_is_being_saved_is_journaled_no_more),
        cmocka_unit_test(an_answer_that_failed_gets_its_apology),
        cmocka_unit_test(without_a_store_nothing_is_kept),
        cmocka_unit_test(the_past_makes_the_question),
        cmocka_unit_test(without_its_past_nothing_is_asked),
        cmocka_unit_test(a_past_is_not_waited_for_by_who_is_to_end),
        cmocka_unit_test(what_people_are_shown_is_kept_behind_the_answer),
        cmocka_unit_test(what_people_are_shown_is_waited_for),
        cmocka_unit_test(an_answer_is_good_without_what_people_are_shown),
        cmocka_unit_test(of_an_answer_that_was_not_kept_nothing_is_shown),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
