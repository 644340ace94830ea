/* keep_test.c - a turn that is kept: its four steps, its readers, and what the keeper does. */
#include "flow/world.h"

#include "check.h"
#include "chat/event_bytes.h"

#include <string.h>

static void begin(const char *script)
{
    world_begin(script, NULL);
    world_keeps();
}

static void end(void)
{
    pass_until_over(2000);
    settle();
}

static void kept_as(const char *state, const char *fault, const char *text)
{
    assert_string_equal(fake.state, state);
    assert_string_equal(fake.fault, fault);
    assert_string_equal(fake.saved, text);
}

/* ---- claim and save ---------------------------------------------------------------------- */

TEST(kept_before_it_is_asked_and_before_it_is_done)
{
    begin("s-d-f");
    fake.is_slow = true;
    ask();
    pass();
    assert_int_equal(fake.claims_asked, 1);
    assert_int_equal(one.starts, 0);
    assert_int_equal(tape.begins, 0);
    fake_answer();
    pass_for(6);
    assert_int_equal(tape.answer, 71);
    assert_int_equal(fake.saves, 1);
    assert_int_equal(tape.last_words, 0);
    fake_answer();
    end();
    told("sdf", FAULT_NONE);
    kept_as("complete", "none", "word ");
}

static void what_cannot_be_claimed_is_not_asked(void **state)
{
    static const struct {
        enum store_end end;
        enum fault     fault;
    } rows[] = { { STORE_NOT_FOUND, FAULT_NO_CHAT },
                 { STORE_CONFLICT, FAULT_KEY_REUSED },
                 { STORE_BUSY, FAULT_NO_DATABASE },
                 { STORE_AWAY, FAULT_NO_DATABASE },
                 { STORE_REFUSED, FAULT_NOT_ACCEPTED } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin("sdf");
        fake.claim = rows[i].end;
        ask();
        end();
        told("e", rows[i].fault);
        assert_int_equal(one.starts, 0);
        assert_int_equal(fake.saves, 0);
    }
}

TEST(a_claim_of_which_nobody_knows_is_made_again)
{
    begin("sdf");
    fake.claim = STORE_UNKNOWN;
    ask();
    pass_for(100);
    fake.claim = STORE_OK;
    end();
    told("sdf", FAULT_NONE);
    assert_int_equal(fake.claims_asked, 2);
}

TEST(who_leaves_while_it_is_claimed_leaves_a_row_that_ends)
{
    begin("sdf");
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
    end();
    assert_int_equal(one.starts, 0);
    kept_as("interrupted", "client_gone", "");
}

TEST(every_end_is_saved)
{
    struct turn *t;

    begin("sddx");
    ask();
    end();
    told("sdde", FAULT_ANSWER_TOO_BIG);
    kept_as("error", "answer_too_big", "word word ");

    begin("sd");
    t = ask();
    pass_for(3);
    turn_interrupt(t, FAULT_STOPPED);
    end();
    kept_as("stopped", "stopped", "word ");
}

TEST(a_save_is_tried_until_it_is_done)
{
    begin("sdf");
    fake.save = STORE_AWAY;
    fake.saves_that_fail = 3;
    ask();
    pass_for(500);
    assert_int_equal(tape.last_words, 0);
    end();
    told("sdf", FAULT_NONE);
    assert_int_equal(fake.saves, 4);
}

static void what_cannot_be_saved_is_not_said_to_be_done(void **state)
{
    static const enum store_end ends[] = { STORE_CONFLICT, STORE_NOT_FOUND, STORE_REFUSED,
                                           STORE_AWAY };

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        begin("sdf");
        fake.save = ends[i];
        fake.saves_that_fail = 1000;
        ask();
        end();
        told("sde", FAULT_NOT_KEPT);
        assert_int_equal(fake.saves > 1, ends[i] == STORE_AWAY);
    }
}

TEST(an_answer_that_failed_gets_its_apology)
{
    begin("sdx");
    keeping.apology = STR("sorry");
    ask();
    end();
    kept_as("error", "answer_too_big", "word \n\nsorry");
    begin("x");
    keeping.apology = STR("sorry");
    ask();
    end();
    kept_as("error", "answer_too_big", "sorry");
    begin("sdf");
    keeping.apology = STR("sorry");
    ask();
    end();
    kept_as("complete", "none", "word ");
}

/* ---- remember ---------------------------------------------------------------------------- */

static int composed;

static void compose(struct question *q, void *ctx, const struct kept_message *messages, size_t n)
{
    (void)q, (void)messages;
    assert_ptr_equal(ctx, &composed);
    composed += 1 + (int)n;
}

TEST(the_past_makes_the_question)
{
    begin("sdf");
    keeping.remembers = 20;
    keeping.compose = compose;
    keeping.ctx = &composed;
    composed = 0;
    ask();
    end();
    assert_int_equal(composed, 1);
    assert_int_equal(fake.remembers, 1);
    told("sdf", FAULT_NONE);
}

TEST(without_its_past_nothing_is_asked)
{
    begin("sdf");
    keeping.remembers = 20;
    keeping.compose = compose;
    fake.remember = STORE_AWAY;
    ask();
    end();
    told("e", FAULT_NO_DATABASE);
    kept_as("error", "no_database", "");
    assert_int_equal(one.starts, 0);
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
    assert_true(space - fake.view > 4 && memcmp(space - 4, "view", 4) == 0);
    assert_string_equal(space + 1, view);
}

TEST(what_people_are_shown_is_kept_behind_the_answer)
{
    begin("sddf");
    keeping.write_view = write_view;
    ask();
    end();
    told("sddf", FAULT_NONE);
    shown_as("<word word  none>");
    begin("sdx");
    keeping.write_view = write_view;
    ask();
    end();
    shown_as("<word  answer_too_big>");
}

TEST(an_answer_is_good_without_what_people_are_shown)
{
    begin("sdf");
    keeping.write_view = write_view;
    fake.append = STORE_AWAY;
    ask();
    end();
    told("sdf", FAULT_NONE);
    kept_as("complete", "none", "word ");
}

TEST(of_an_answer_that_was_not_kept_nothing_is_shown)
{
    begin("sdf");
    keeping.write_view = write_view;
    fake.save = STORE_CONFLICT;
    fake.saves_that_fail = 1;
    ask();
    end();
    assert_int_equal(fake.views, 0);
}

/* ---- the client's key ---------------------------------------------------------------------- */

static void begin_keyed(const char *script)
{
    begin(script);
    keeping.key = STR("key");
    keeping.question_hash = STR("hash");
    fake.recall = STORE_NOT_FOUND;
}

TEST(two_of_one_key_hear_one_answer)
{
    struct tape second = { .n = 0 };

    begin_keyed("s-d-d-f");
    ask();
    pass_for(4);
    assert_null(ask_on(&second));
    budget.turns--;                           /* it is none                     */
    end();
    told("sddf", FAULT_NONE);
    assert_string_equal(second.text, "sddf");
    assert_int_equal(second.begins, 1);
    assert_int_equal(second.closed, 1);
    assert_int_equal(one.starts, 1);
    assert_int_equal(fake.recalls, 1);
}

TEST(another_question_of_that_key_is_refused)
{
    struct tape second = { .n = 0 };

    begin_keyed("s-d-f");
    ask();
    pass();
    keeping.question_hash = STR("another");
    assert_null(ask_on(&second));
    budget.turns--;
    assert_int_equal(second.fault, FAULT_KEY_REUSED);
    assert_int_equal(second.closed, 1);
    end();
    told("sdf", FAULT_NONE);
}

static void put_piece(struct buf *b, const char *letters)
{
    for (; *letters; letters++) {
        struct event ev = { .type = *letters == 's'   ? EVENT_START
                                    : *letters == 'd' ? EVENT_DELTA
                                                      : EVENT_FINISH,
                            .text = *letters == 'd' ? STR("old ") : STR("") };

        event_bytes_add(b, &ev);
    }
    fake.piece.events = buf_str(b);
}

TEST(what_was_answered_is_told_again)
{
    struct buf piece = BUF(1000);

    begin_keyed("sdf");
    budget.asker.is_limited = true;
    fake.recall = STORE_OK;
    fake.turn.state = KEPT_COMPLETE;
    put_piece(&piece, "sddf");
    ask();
    budget.turns--;
    pass_for(5);
    told("sddf", FAULT_NONE);
    assert_int_equal(one.starts + budget.asks + fake.claims_asked, 0);
    assert_int_equal(readings_alive(), 0);
    end();
    buf_release(&piece);
}

TEST(who_lost_the_race_gives_back_what_he_reserved)
{
    struct buf piece = BUF(1000);

    begin_keyed("sdf");
    budget.asker.is_limited = true;
    fake.claims = CLAIM_RUNNING;
    fake.turn.state = KEPT_STREAMING;
    put_piece(&piece, "sd");
    ask();
    pass_for(5);
    assert_string_equal(tape.text, "sd");
    assert_int_equal(budget.asks, 1);
    assert_true(budget.bill.was_refused);
    assert_int_equal(turns_alive(), 0);
    assert_int_equal(readings_alive(), 1);
    buf_clear(&piece);
    put_piece(&piece, "sddf");
    fake.turn.state = KEPT_COMPLETE;
    pass_for(500);
    told("sddf", FAULT_NONE);
    assert_int_equal(one.starts, 0);
    end();
    buf_release(&piece);
}

TEST(an_answer_whose_journal_is_gone_is_told_as_it_was_kept)
{
    begin_keyed("sdf");
    fake.recall = STORE_OK;
    fake.turn = (struct kept_turn){ .id = STR("old"),
                                    .state = KEPT_INTERRUPTED,
                                    .fault = STR("shutdown"),
                                    .content = STR("half of it") };
    ask();
    budget.turns--;
    pass_for(5);
    told("sde", FAULT_SHUTDOWN);
    end();
}

TEST(a_reader_waits_for_a_database_that_is_away_but_not_for_ever)
{
    begin_keyed("sdf");
    fake.recall = STORE_OK;
    fake.turn.state = KEPT_COMPLETE;
    fake.read = STORE_AWAY;
    ask();
    budget.turns--;
    pass_for(20000);
    assert_int_equal(tape.last_words, 0);
    pass_for(12000);
    told("e", FAULT_NO_DATABASE);
    end();
}

TEST(a_reader_of_another_process_may_leave)
{
    begin_keyed("sdf");
    fake.recall = STORE_OK;
    fake.turn.state = KEPT_STREAMING;
    ask();
    budget.turns--;
    pass_for(5);
    assert_int_equal(readings_alive(), 1);
    sink_leave(&tape.sink->sink);
    assert_int_equal(readings_alive(), 0);
    end();
}

/* ---- who leaves, and who comes back ------------------------------------------------------------ */

TEST(nobody_is_needed_for_an_answer_that_is_detached)
{
    begin("s-d-d-f");
    on_leave = LEAVING_DETACHES;
    ask();
    pass_for(4);
    sink_leave(&tape.sink->sink);
    end();
    kept_as("complete", "none", "word word ");
    assert_int_equal(one.cancels, 0);
}

TEST(a_drained_answer_may_take_some_time)
{
    begin("s-d-----------------------------------------------d-f");
    on_leave = LEAVING_DRAINS;
    ask();
    pass_for(4);
    sink_leave(&tape.sink->sink);
    end();
    kept_as("interrupted", "client_gone", "word ");
    assert_int_equal(one.cancels, 1);
}

TEST(a_drained_answer_may_take_some_tokens)
{
    begin("s-d-d-d-d-d-d-d-d-d-d-f");          /* 5 tokens are 20 bytes         */
    on_leave = LEAVING_DRAINS;
    ask();
    pass_for(4);
    sink_leave(&tape.sink->sink);
    end();
    assert_string_equal(fake.fault, "client_gone");
    assert_int_equal(strlen(fake.saved), 5 * (2 + 4 + 1));
}

TEST(a_short_rest_is_drained_in_full)
{
    begin("s-d-d-d-f");
    on_leave = LEAVING_DRAINS;
    ask();
    pass_for(4);
    sink_leave(&tape.sink->sink);
    end();
    kept_as("complete", "none", "word word word ");
}

TEST(a_reader_may_come_at_any_event)
{
    for (int64_t from = 0; from <= 4; from++) {
        static const char *const heard[] = { "sddduf", "ddduf", "dduf", "duf", "uf" };
        struct tape              late = { .n = 0 };

        begin("sddd-----uf");
        ask();
        pass_for(3);
        reading_start(new_reader(&late), &keeping.whose, tape.sink->sink.tale->facts->id, from);
        end();
        told("sddduf", FAULT_NONE);
        assert_string_equal(late.text, heard[from]);
        assert_int_equal(late.first, from);
        assert_int_equal(late.closed, 1);
    }
}

TEST(who_is_slow_holds_nobody_up)
{
    struct tape slow = { .hold_at = 1 };

    begin("sd-d-d-d-d-d-f");
    ask();
    pass_for(3);
    reading_start(new_reader(&slow), &keeping.whose, tape.sink->sink.tale->facts->id, 0);
    pass_until_over(100);
    told("sddddddf", FAULT_NONE);
    assert_int_equal(one.pauses, 0);
    assert_int_equal(slow.closed, 0);
    assert_int_equal(turns_alive(), 0);
    sink_go_on(&slow.sink->sink);             /* the tale outlives its turn     */
    assert_string_equal(slow.text, "sddddddf");
    assert_int_equal(slow.closed, 1);
    end();
}

TEST(who_is_slow_may_leave_when_all_is_over)
{
    struct tape slow = { .hold_at = 1 };

    begin("sd-d-d-d-f");
    ask();
    pass_for(3);
    reading_start(new_reader(&slow), &keeping.whose, tape.sink->sink.tale->facts->id, 0);
    pass_until_over(100);
    sink_leave(&slow.sink->sink);
    assert_int_equal(slow.closed, 1);
    end();
}

/* ---- the keeper ---------------------------------------------------------------------------- */

TEST(the_journal_is_written_now_and_then)
{
    begin("sd----------------------d----------------------------d-------------------------f");
    ask();
    pass_for(20);
    assert_string_equal(fake.journal, "word ");
    pass_for(20);
    assert_string_equal(fake.journal, "word word ");
    assert_int_equal(fake.adds, 2);
    end();
    assert_string_equal(fake.journal, "word word word ");
}

TEST(much_is_journaled_at_once)
{
    begin("sddddddddddddddddddddddddddddd-----------------------------------f");
    ask();
    pass_for(4);
    assert_int_equal(fake.adds, 1);
    end();
}

/* More than one statement carries, and all of them talk all the time. */
TEST(the_journal_gets_to_everybody)
{
    enum { TALKERS = 1201, A_ROUND_MS = 22 };
    static struct kept             talkers[TALKERS];
    static const struct teller_ops ops = { .pace = NULL };
    static const struct event      start = { .type = EVENT_START };

    begin("sdf");
    for (int i = 0; i < TALKERS; i++) {
        talkers[i] = (struct kept){ .id = STR("talker"), .tale = tale_new(&ops, NULL, 1 << 20) };
        keeper_hold(&talkers[i]);
    }
    for (int ms = 0; ms < A_ROUND_MS; ms++) {
        for (int i = 0; i < TALKERS; i++)
            tale_tell(talkers[i].tale, &start);
        pass();
    }
    for (int i = 0; i < TALKERS; i++) {
        assert_true(talkers[i].kept > 0);
        keeper_leave(&talkers[i]);
        tale_free(talkers[i].tale);
    }
    ask();
    end();
}

TEST(a_piece_that_may_be_there_is_sent_as_it_was)
{
    begin("sd------------------d-----------------d-------------------------------------------f");
    fake.add = STORE_UNKNOWN;
    ask();
    pass_for(18);
    assert_int_equal(fake.adds, 1);
    fake.add = STORE_OK;
    pass_for(15);
    assert_int_equal(fake.adds, 2);
    assert_string_equal(fake.journal, "word ");
    pass_for(30);
    assert_string_equal(fake.journal, "word word word ");
    end();
}

TEST(what_is_being_saved_is_journaled_no_more)
{
    begin("sd-d-f");
    fake.save = STORE_AWAY;
    fake.saves_that_fail = 3;
    ask();
    end();
    assert_int_equal(fake.saves, 4);
    assert_int_equal(fake.adds, 0);
    kept_as("complete", "none", "word word ");
}

TEST(leases_are_renewed_and_bring_who_is_to_stop)
{
    begin("sd");
    ask();
    pass_for(40);
    assert_int_equal(fake.extends, 1);
    assert_int_equal(turns_alive(), 1);
    fake.stop_asked = true;
    pass_for(40);
    kept_as("stopped", "stopped", "word ");
    told("sde", FAULT_STOPPED);
    end();
}

TEST(who_lost_his_lease_ends)
{
    begin("sd");
    fake.is_lost = true;
    fake.save = STORE_CONFLICT;
    fake.saves_that_fail = 1000;
    ask();
    pass_for(40);
    told("sde", FAULT_NOT_KEPT);
    end();
}

TEST(a_lease_that_could_not_be_renewed_is_not_lost)
{
    begin("sd------------------------------------------------------f");
    fake.extend = STORE_AWAY;
    fake.is_lost = true;
    ask();
    end();
    told("sdf", FAULT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_before_it_is_asked_and_before_it_is_done),
        cmocka_unit_test(what_cannot_be_claimed_is_not_asked),
        cmocka_unit_test(a_claim_of_which_nobody_knows_is_made_again),
        cmocka_unit_test(who_leaves_while_it_is_claimed_leaves_a_row_that_ends),
        cmocka_unit_test(every_end_is_saved),
        cmocka_unit_test(a_save_is_tried_until_it_is_done),
        cmocka_unit_test(what_cannot_be_saved_is_not_said_to_be_done),
        cmocka_unit_test(an_answer_that_failed_gets_its_apology),
        cmocka_unit_test(the_past_makes_the_question),
        cmocka_unit_test(without_its_past_nothing_is_asked),
        cmocka_unit_test(what_people_are_shown_is_kept_behind_the_answer),
        cmocka_unit_test(an_answer_is_good_without_what_people_are_shown),
        cmocka_unit_test(of_an_answer_that_was_not_kept_nothing_is_shown),
        cmocka_unit_test(two_of_one_key_hear_one_answer),
        cmocka_unit_test(another_question_of_that_key_is_refused),
        cmocka_unit_test(what_was_answered_is_told_again),
        cmocka_unit_test(who_lost_the_race_gives_back_what_he_reserved),
        cmocka_unit_test(an_answer_whose_journal_is_gone_is_told_as_it_was_kept),
        cmocka_unit_test(a_reader_waits_for_a_database_that_is_away_but_not_for_ever),
        cmocka_unit_test(a_reader_of_another_process_may_leave),
        cmocka_unit_test(nobody_is_needed_for_an_answer_that_is_detached),
        cmocka_unit_test(a_drained_answer_may_take_some_time),
        cmocka_unit_test(a_drained_answer_may_take_some_tokens),
        cmocka_unit_test(a_short_rest_is_drained_in_full),
        cmocka_unit_test(a_reader_may_come_at_any_event),
        cmocka_unit_test(who_is_slow_holds_nobody_up),
        cmocka_unit_test(who_is_slow_may_leave_when_all_is_over),
        cmocka_unit_test(the_journal_is_written_now_and_then),
        cmocka_unit_test(much_is_journaled_at_once),
        cmocka_unit_test(the_journal_gets_to_everybody),
        cmocka_unit_test(a_piece_that_may_be_there_is_sent_as_it_was),
        cmocka_unit_test(what_is_being_saved_is_journaled_no_more),
        cmocka_unit_test(leases_are_renewed_and_bring_who_is_to_stop),
        cmocka_unit_test(who_lost_his_lease_ends),
        cmocka_unit_test(a_lease_that_could_not_be_renewed_is_not_lost),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
