/* reading_test.c - who hears what another turn has told, or is telling in another process. */
#include "flow/world.h"

#include "check.h"
#include "chat/event_bytes.h"

#include <string.h>

static struct buf bytes[FAKE_THERE];

/* The piece that is there `nth`, from the event of that number on. */
static void put_piece(size_t nth, int64_t seq, const char *letters)
{
    struct buf *b = &bytes[nth];

    buf_release(b);
    *b = BUF(FAKE_TEXT);
    for (; *letters; letters++) {
        struct event ev = { .type = *letters == 's'   ? EVENT_START
                                    : *letters == 'd' ? EVENT_DELTA
                                    : *letters == 'e' ? EVENT_ERROR
                                                      : EVENT_FINISH,
                            .text = *letters == 'd' ? STR("old ") : STR(""),
                            .fault = *letters == 'e' ? FAULT_CUT : FAULT_NONE,
                            .finish = *letters == 'f' ? FINISH_LENGTH : FINISH_STOP };

        event_bytes_add(b, &ev);
    }
    fake.there[nth] = (struct journal_piece){ seq, buf_str(b) };
    if (fake.n_there <= nth)
        fake.n_there = nth + 1;
}

/* Whoever asks has a key, with which another turn was asked. */
static void told_before(enum kept_state state)
{
    keyed_world("sdf");
    fake.recall = STORE_OK;
    fake.turn = (struct kept_turn){ .id = STR("another"),
                                    .state = state,
                                    .chat = 7,
                                    .question = 80,
                                    .answer = 81,
                                    .created_at = 1,
                                    .question_at = 2,
                                    .answer_at = 3 };
}

/* That is no turn of the budget's. */
static void ask_again(void)
{
    ask();
    budget.turns--;
}

static void end(void)
{
    kept_end();
    for (size_t i = 0; i < FAKE_THERE; i++)
        buf_release(&bytes[i]);
}

/* ---- who asks again -------------------------------------------------------------------------- */

TEST(what_was_answered_is_told_again)
{
    int64_t turns = labelled_metric("runnel_turns_total{end=\"complete\"}");

    told_before(KEPT_COMPLETE);
    budget.asker.is_limited = true;
    put_piece(0, 0, "sd");
    put_piece(1, 2, "df");
    ask_again();
    pass_for(5);
    told("sddf", FAULT_NONE);
    assert_int_equal(tape.finish, FINISH_LENGTH);
    assert_int_equal(tape.first, 0);
    check_str(tape.facts.id, "another");
    assert_int_equal(tape.facts.chat, 7);
    assert_int_equal(tape.facts.question, 80);
    assert_int_equal(tape.facts.answer, 81);
    assert_int_equal(tape.facts.question_at, 2);
    assert_int_equal(tape.facts.answer_at, 3);
    assert_int_equal(tape.facts.at, 1);
    assert_int_equal(one.starts + budget.asks + fake.claims_asked, 0);
    assert_int_equal(fake.reads, 1);
    assert_int_equal(readings_alive(), 0);
    assert_int_equal(labelled_metric("runnel_turns_total{end=\"complete\"}"), turns);
    end();
}

static void who_lost_the_race_gives_back_what_he_reserved(void **state)
{
    (void)state;
    for (int is_over = 0; is_over < 2; is_over++) {
        told_before(is_over ? KEPT_COMPLETE : KEPT_STREAMING);
        fake.recall = STORE_NOT_FOUND;
        budget.asker.is_limited = true;
        fake.claims = is_over ? CLAIM_FINISHED : CLAIM_RUNNING;
        put_piece(0, 0, is_over ? "sddf" : "sd");
        ask();
        pass_for(5);
        assert_string_equal(tape.text, is_over ? "sddf" : "sd");
        check_str(tape.facts.id, "another");
        assert_int_equal(budget.asks, 1);
        assert_int_equal(budget.bills, 1);
        assert_true(budget.bill.was_refused);
        assert_false(budget.bill.is_failure);
        assert_int_equal(turns_alive(), 0);
        assert_int_equal(readings_alive(), !is_over);
        put_piece(0, 0, "sddf");
        fake.turn.state = KEPT_COMPLETE;
        pass_for(500);
        told("sddf", FAULT_NONE);
        assert_int_equal(one.starts + fake.saves, 0);
        end();
    }
}

TEST(who_is_to_end_does_not_go_on_as_a_reader)
{
    told_before(KEPT_STREAMING);
    fake.recall = STORE_NOT_FOUND;
    budget.asker.is_limited = true;
    fake.claims = CLAIM_RUNNING;
    ask();
    notes_run();
    notes_run();
    fake.is_slow = true;
    pass_for(2);
    assert_int_equal(fake.claims_asked, 1);
    turns_interrupt_all(FAULT_SHUTDOWN);
    pass();
    fake.is_slow = false;
    fake_answer();
    pass();
    told("e", FAULT_SHUTDOWN);
    assert_int_equal(readings_alive() + fake.saves + fake.reads, 0);
    assert_true(budget.bill.was_refused);
    end();
}

TEST(nothing_is_read_for_nobody)
{
    told_before(KEPT_STREAMING);
    on_leave = LEAVING_DETACHES;
    fake.is_slow = true;
    ask_again();
    pass();
    sink_leave(&tape.sink->sink);
    fake_answer();
    pass();
    assert_int_equal(turns_alive() + readings_alive(), 0);
    assert_int_equal(fake.reads, 0);
    end();
}

/* ---- as long as it is told ------------------------------------------------------------------- */

TEST(a_running_one_is_looked_at_now_and_then)
{
    told_before(KEPT_STREAMING);
    put_piece(0, 0, "sd");
    ask_again();
    pass_for(5);
    assert_string_equal(tape.text, "sd");
    assert_int_equal(tape.unflushed, 0);
    assert_int_equal(fake.reads, 1);
    put_piece(1, 2, "d");
    pass_for(380);
    assert_int_equal(fake.reads, 1);
    pass_for(40);
    assert_int_equal(fake.reads, 2);
    assert_int_equal(fake.read_from, 2);
    assert_string_equal(tape.text, "sdd");
    put_piece(1, 2, "dde");                   /* the last one may be longer     */
    fake.turn.state = KEPT_COMPLETE;
    pass_for(400);
    told("sddde", FAULT_CUT);
    end();
}

TEST(where_news_are_heard_it_is_looked_at_when_they_come)
{
    told_before(KEPT_STREAMING);
    fake.hears = true;
    put_piece(0, 0, "sd");
    ask_again();
    pass_for(1000);
    assert_int_equal(fake.reads, 1);
    fake.news->turn(STR("somebody else"));
    pass_for(3);
    assert_int_equal(fake.reads, 1);
    fake.news->turn(STR("another"));
    pass_for(3);
    assert_int_equal(fake.reads, 2);
    fake.news->missed();
    pass_for(3);
    assert_int_equal(fake.reads, 3);
    pass_for(2900);
    assert_int_equal(fake.reads, 3);
    pass_for(110);
    assert_int_equal(fake.reads, 4);          /* news may be lost on their way  */
    put_piece(1, 2, "f");
    fake.turn.state = KEPT_COMPLETE;
    fake.news->turn(STR("another"));
    pass_for(3);
    told("sdf", FAULT_NONE);
    end();
}

TEST(news_that_come_while_it_looks_are_not_forgotten)
{
    told_before(KEPT_STREAMING);
    fake.hears = true;
    put_piece(0, 0, "sd");
    ask_again();
    pass_for(5);
    fake.is_slow = true;
    fake.news->turn(STR("another"));
    pass_for(2);
    assert_int_equal(fake.reads, 2);
    fake.news->turn(STR("another"));
    fake_answer();                            /* and that one reads again       */
    assert_int_equal(fake.reads, 3);
    pass_for(3);
    assert_int_equal(fake.reads, 3);
    pass_for(2);
    fake.is_slow = false;
    put_piece(0, 0, "sdf");
    fake.turn.state = KEPT_COMPLETE;
    fake.news->turn(STR("another"));
    pass_for(2);
    told("sdf", FAULT_NONE);
    end();
}

TEST(more_pieces_than_fit_are_read_at_once)
{
    told_before(KEPT_COMPLETE);
    fake.at_once = 1;
    put_piece(0, 0, "sd");
    put_piece(1, 2, "dd");
    put_piece(2, 4, "df");
    ask_again();
    pass_for(12);
    told("sddddf", FAULT_NONE);
    assert_in_range(fake.reads, 3, 5);
    end();
}

TEST(events_that_are_in_two_pieces_are_told_once)
{
    told_before(KEPT_COMPLETE);
    put_piece(0, 0, "sdd");
    put_piece(1, 1, "ddd");
    put_piece(2, 3, "df");
    ask_again();
    pass_for(5);
    told("sdddf", FAULT_NONE);
    end();
}

/* ---- what is not there any more --------------------------------------------------------------- */

TEST(who_misses_some_of_it_is_told_so)
{
    told_before(KEPT_COMPLETE);
    put_piece(0, 0, "sd");
    put_piece(1, 3, "df");
    ask_again();
    pass_for(5);
    told("sde", FAULT_NOT_KEPT);
    end();

    told_before(KEPT_STREAMING);
    put_piece(0, 0, "sd");
    ask_again();
    pass_for(5);
    fake.n_there = 0;                         /* it ended, and was cleared      */
    fake.turn.state = KEPT_COMPLETE;
    fake.turn.content = STR("old and more");
    pass_for(500);
    told("sde", FAULT_NOT_KEPT);
    end();
}

TEST(an_answer_whose_journal_is_gone_is_told_as_it_was_kept)
{
    static const struct {
        const char     *content, *reasoning, *fault, *text;
        enum kept_state state;
        enum fault      heard;
        int             prompt, completion;
    } rows[] = {
        { "half of it", "", "shutdown", "sde", KEPT_INTERRUPTED, FAULT_SHUTDOWN, 1, 0 },
        { "half of it", "", "", "sde", KEPT_INTERRUPTED, FAULT_SHUTDOWN, 0, 0 },
        { "", "", "stopped", "se", KEPT_STOPPED, FAULT_STOPPED, 0, 0 },
        { "all of it", "why", "", "srduf", KEPT_COMPLETE, FAULT_NONE, 5, 0 },
        { "all of it", "", "", "sduf", KEPT_COMPLETE, FAULT_NONE, 0, 5 },
        { "all of it", "", "", "sdf", KEPT_COMPLETE, FAULT_NONE, 0, 0 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        told_before(rows[i].state);
        fake.turn.content = str_of(rows[i].content);
        fake.turn.reasoning = str_of(rows[i].reasoning);
        fake.turn.fault = str_of(rows[i].fault);
        fake.turn.finish = STR("length");
        fake.turn.prompt_tokens = rows[i].prompt;
        fake.turn.completion_tokens = rows[i].completion;
        ask_again();
        pass_for(5);
        told(rows[i].text, rows[i].heard);
        assert_int_equal(tape.finish, rows[i].heard ? FINISH_STOP : FINISH_LENGTH);
        end();
    }
}

TEST(an_answer_that_ended_is_told_to_the_end_of_its_journal)
{
    told_before(KEPT_STOPPED);
    fake.turn.fault = STR("stopped");
    put_piece(0, 0, "sd");                    /* without a last word            */
    ask_again();
    pass_for(5);
    told("sde", FAULT_STOPPED);
    end();
}

static void what_cannot_be_read_is_not_there(void **state)
{
    static const enum store_end ends[] = { STORE_NOT_FOUND, STORE_REFUSED };

    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        told_before(KEPT_COMPLETE);
        fake.read = ends[i];
        ask_again();
        pass_for(5);
        told("e", FAULT_NO_CHAT);
        end();
    }
}

TEST(a_reader_waits_for_a_database_that_is_away_but_not_for_ever)
{
    told_before(KEPT_STREAMING);
    fake.read = STORE_AWAY;
    ask_again();
    pass_for(20000);
    assert_int_equal(tape.last_words, 0);
    assert_in_range(fake.reads, 48, 52);
    fake.read = STORE_OK;                     /* which makes good what was before */
    pass_for(1000);
    fake.read = STORE_AWAY;
    pass_for(29000);
    assert_int_equal(tape.last_words, 0);
    pass_for(2000);
    told("e", FAULT_NO_DATABASE);
    end();
}

TEST(a_reader_may_leave)
{
    for (int passes = 1; passes < 6; passes++) {
        told_before(KEPT_STREAMING);
        put_piece(0, 0, "sd");
        ask_again();
        pass_for(3);
        fake.is_slow = passes % 2;
        fake.news->turn(STR("another"));
        pass_for(passes);
        assert_int_equal(readings_alive(), 1);
        sink_leave(&tape.sink->sink);
        assert_int_equal(readings_alive(), 0);
        assert_false(fake_is_asked());
        fake.news->turn(STR("another"));
        end();
    }
}

/* ---- from any event on ------------------------------------------------------------------------ */

TEST(a_reader_may_come_at_any_event)
{
    for (int64_t from = 0; from <= 4; from++) {
        static const char *const heard[] = { "sddduf", "ddduf", "dduf", "duf", "uf" };
        struct tape              late = { .n = 0 };

        kept_world("sddd-----uf");
        ask();
        pass_for(3);
        reading_start(new_reader(&late), &keeping.whose, tape.sink->sink.tale->facts->id, from);
        kept_end();
        told("sddduf", FAULT_NONE);
        assert_string_equal(late.text, heard[from]);
        assert_int_equal(late.first, from);
        assert_int_equal(late.closed, 1);
        assert_int_equal(fake.reads, 0);
    }
}

static void start_elsewhere(struct tape *t, int64_t from)
{
    char        *id = mem_copy("another", 7), *owner = mem_copy("anna", 4);
    char        *dialect = mem_copy("xcx", 3);
    struct whose w = { 1, { dialect, 3 }, { owner, 4 } };

    reading_start(new_reader(t), &w, (struct str){ id, 7 }, from);
    mem_free(id);
    mem_free(owner);
    mem_free(dialect);
}

TEST(a_reader_of_another_process_may_come_at_any_event)
{
    for (int64_t from = 0; from <= 5; from++) {
        static const char *const heard[] = { "sdddf", "dddf", "ddf", "df", "f", "f" };
        struct tape              late = { .n = 0 };

        told_before(KEPT_COMPLETE);
        put_piece(0, 0, "sd");
        put_piece(1, 2, "ddf");
        start_elsewhere(&late, from);
        pass_for(5);
        assert_string_equal(late.text, heard[from]);
        assert_int_equal(late.first, from);
        assert_int_equal(late.closed, 1);
        tape.closed = 1;                      /* nobody was asked               */
        end();
    }
}

TEST(two_readers_of_another_process_hear_it_each_for_himself)
{
    struct tape a = { .n = 0 }, b = { .hold_at = 1 };

    told_before(KEPT_STREAMING);
    put_piece(0, 0, "sd");
    start_elsewhere(&a, 0);
    start_elsewhere(&b, 1);
    assert_int_equal(readings_alive(), 2);
    pass_for(5);
    put_piece(0, 0, "sddf");
    fake.turn.state = KEPT_COMPLETE;
    pass_for(500);
    assert_int_equal(readings_alive(), 0);
    assert_string_equal(a.text, "sddf");
    assert_string_equal(b.text, "d");
    sink_go_on(&b.sink->sink);                /* the tale outlives its reading  */
    assert_string_equal(b.text, "ddf");
    assert_int_equal(a.closed + b.closed, 2);
    tape.closed = 1;
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_answered_is_told_again),
        cmocka_unit_test(who_lost_the_race_gives_back_what_he_reserved),
        cmocka_unit_test(who_is_to_end_does_not_go_on_as_a_reader),
        cmocka_unit_test(nothing_is_read_for_nobody),
        cmocka_unit_test(a_running_one_is_looked_at_now_and_then),
        cmocka_unit_test(where_news_are_heard_it_is_looked_at_when_they_come),
        cmocka_unit_test(news_that_come_while_it_looks_are_not_forgotten),
        cmocka_unit_test(more_pieces_than_fit_are_read_at_once),
        cmocka_unit_test(events_that_are_in_two_pieces_are_told_once),
        cmocka_unit_test(who_misses_some_of_it_is_told_so),
        cmocka_unit_test(an_answer_whose_journal_is_gone_is_told_as_it_was_kept),
        cmocka_unit_test(an_answer_that_ended_is_told_to_the_end_of_its_journal),
        cmocka_unit_test(what_cannot_be_read_is_not_there),
        cmocka_unit_test(a_reader_waits_for_a_database_that_is_away_but_not_for_ever),
        cmocka_unit_test(a_reader_may_leave),
        cmocka_unit_test(a_reader_may_come_at_any_event),
        cmocka_unit_test(a_reader_of_another_process_may_come_at_any_event),
        cmocka_unit_test(two_readers_of_another_process_hear_it_each_for_himself),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
