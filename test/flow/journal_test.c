/* journal_test.c - what is told is journaled now and then, and at once where it is much; each of
 * the turns has its time, and no event is missing or there twice. */
#include "flow/world.h"

#include "check.h"

TEST(the_journal_is_written_now_and_then)
{
    kept_world("sd----------------------d----------------------------d-------------------------f");
    ask();
    pass_for(13);
    assert_int_equal(fake.adds, 0);
    pass_for(5);
    assert_string_equal(fake.journal, "sd");
    pass_for(22);
    assert_string_equal(fake.journal, "sdd");
    assert_int_equal(fake.adds, 2);
    kept_end();
    assert_string_equal(fake.journal, "sdddf");
}

TEST(much_is_journaled_at_once)
{
    kept_world("s-ddddddddddddddddddddddddddddd-----------------------------------f");
    ask();
    pass_for(5);
    assert_int_equal(fake.adds, 1);
    kept_end();
}

TEST(little_is_not)
{
    kept_world("s-ddddd-----------------------------------f");
    ask();
    pass_for(10);
    assert_int_equal(fake.adds, 0);
    kept_end();
}

TEST(what_grows_while_it_is_written_follows_at_once)
{
    kept_world("");
    fake_hold(0);
    fake_hold(1);
    fake.is_slow = true;
    for (int i = 0; i < 30; i++)
        fake_say(0);
    assert_int_equal(fake.adds, 1);
    for (int i = 0; i < 30; i++) {
        fake_say(0);
        fake_say(1);
    }
    assert_int_equal(fake.adds, 1);
    fake.is_slow = false;
    fake_answer();
    assert_int_equal(fake.adds, 2);
    assert_int_equal(fake.pieces, 3);
    pass();
    for (int i = 0; i < 30; i++)
        fake_say(0);
    assert_int_equal(fake.adds, 3);
    pass();
    fake_let_go(0);
    fake_let_go(1);
    kept_by_hand_end();
}

TEST(a_piece_that_may_be_there_is_sent_as_it_was)
{
    for (int is_there = 0; is_there < 2; is_there++) {
        kept_world("sd------------------d-----------------d-----------------------------------f");
        fake.add = STORE_UNKNOWN;
        fake.adds_unheard = is_there;
        ask();
        pass_for(18);
        assert_int_equal(fake.adds, 1);
        fake.add = STORE_OK;
        pass_for(15);
        assert_int_equal(fake.adds, 2);
        assert_string_equal(fake.journal, "sd");
        pass_for(30);
        assert_string_equal(fake.journal, "sddd");
        kept_end();
        assert_string_equal(fake.journal, "sdddf");
    }
}

/* A round that begins while a piece is on its way finds nothing behind it. */
TEST(no_piece_is_empty)
{
    kept_world("");
    fake_hold(0);
    pass_for(12);
    fake.is_slow = true;
    while (fake.adds == 0)
        fake_say(0);
    pass_for(5);
    fake.is_slow = false;
    fake_answer();
    pass_for(20);
    assert_int_equal(fake.adds, 1);
    fake_say(0);
    pass_for(16);
    assert_int_equal(fake.adds, 2);
    fake_let_go(0);
    kept_by_hand_end();
}

TEST(who_is_saved_is_not_waited_for)
{
    kept_world("");
    fake_hold(0);
    fake_hold(1);
    pass_for(12);
    fake.is_slow = true;
    while (fake.adds == 0)
        fake_say(0);
    fake_say(1);
    pass_for(5);
    fake_kept[1].is_ending = true;
    fake.is_slow = false;
    fake_answer();
    assert_int_equal(fake.adds, 1);
    for (int n = 2; n < 5; n++) {
        fake_say(0);
        pass_for(16);
        assert_int_equal(fake.adds, n);
    }
    assert_int_equal(fake_kept[1].kept, 0);
    fake_let_go(0);
    fake_let_go(1);
    kept_by_hand_end();
}

TEST(who_was_not_sent_is_not_there)
{
    kept_world("");
    fake_hold(0);
    fake_hold(1);
    fake_say(0);
    fake.add = STORE_UNKNOWN;
    pass_for(17);
    assert_int_equal(fake.adds, 1);
    fake.add = STORE_OK;
    fake_kept[0].is_ending = true;
    fake_say(1);
    pass_for(16);
    assert_int_equal(fake.adds, 2);
    assert_int_equal(fake_kept[0].kept, 0);
    fake_kept[0].is_ending = false;
    pass_for(16);
    assert_int_equal(fake.adds, 3);
    assert_int_equal(fake_kept[0].kept, fake_kept[0].tale->words.n);
    fake_let_go(0);
    fake_let_go(1);
    kept_by_hand_end();
}

TEST(much_that_fails_is_not_sent_again_at_once)
{
    kept_world("");
    fake_hold(0);
    fake.add = STORE_AWAY;
    for (int i = 0; i < 30; i++)
        fake_say(0);
    assert_int_equal(fake.adds, 1);
    pass_for(10);
    for (int i = 0; i < 30; i++)
        fake_say(0);
    assert_int_equal(fake.adds, 1);
    fake.add = STORE_OK;
    pass_for(6);
    assert_int_equal(fake.adds, 3);           /* as it was, and what came since */
    for (int i = 0; i < 30; i++)
        fake_say(0);
    assert_int_equal(fake.adds, 4);
    pass();
    fake_let_go(0);
    kept_by_hand_end();
}

TEST(who_comes_does_not_put_off_the_others)
{
    kept_world("");
    fake_hold(0);
    fake_say(0);
    for (size_t i = 1; i < 10; i++) {
        pass_for(5);
        fake_hold(i);
    }
    assert_int_equal(fake.adds, 1);
    assert_int_equal(fake.extends, 1);
    for (size_t i = 0; i < 10; i++)
        fake_let_go(i);
    kept_by_hand_end();
}

TEST(where_nobody_is_nothing_is_done)
{
    kept_world("");
    catalog->settings->turns.lease = 9 * CLOCK_S;
    fake_hold(0);
    fake_let_go(0);
    pass_for(4600);
    assert_int_equal(fake.adds + fake.extends, 0);
    assert_true(deadlines_next() > clock_now() + 4 * CLOCK_S);    /* for what is left */
    kept_by_hand_end();
}

/* A statement takes five hundred pieces. */
TEST(everybody_has_his_turn)
{
    kept_world("");
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_hold(i);
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_say(i);
    pass_for(18);
    assert_int_equal(fake.first_pieces, FAKE_KEPT);
    assert_int_equal(fake.adds, 3);
    fake.is_slow = true;
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_say(i);
    pass_for(15);
    assert_int_equal(fake.adds, 4);
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_say(i);
    pass_for(16); /* but nobody a second time before */
    while (fake.adds < 6)
        fake_answer_next();
    assert_int_equal(fake.pieces, 2 * FAKE_KEPT);
    while (fake_is_asked() && fake.adds < 7)
        fake_answer_next();                   /* and then at once: that was late */
    assert_int_equal(fake.adds, 7);
    fake_answer();
    assert_int_equal(fake.adds, 7);           /* the others had their say       */
    fake.is_slow = false;
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_let_go(i);
    kept_by_hand_end();
}

TEST(pieces_that_fail_wait_for_the_next_round)
{
    kept_world("");
    fake_hold(0);
    fake_say(0);
    fake.add = STORE_AWAY;
    pass_for(25);
    assert_int_equal(fake.adds, 1);
    pass_for(8);
    assert_int_equal(fake.adds, 2);
    assert_int_equal(fake_kept[0].kept, 0);
    fake_let_go(0);
    kept_by_hand_end();
}

TEST(a_turn_may_end_while_its_piece_is_on_its_way)
{
    kept_world("");
    fake_hold(0);
    fake_hold(1);
    fake_say(0);
    fake_say(1);
    fake.is_slow = true;
    pass_for(17);
    assert_int_equal(fake.adds, 1);
    fake_let_go(0);
    fake_answer();
    assert_int_equal(fake_kept[1].kept, fake_kept[1].tale->words.n);
    assert_int_equal(fake_kept[1].kept_to, 1);
    fake_let_go(1);
    fake.is_slow = false;
    pass_for(100);
    assert_int_equal(fake.adds, 1);
    fake_hold(0);
    fake_say(0);
    pass_for(17);
    assert_int_equal(fake.adds, 2);
    fake_let_go(0);
    kept_by_hand_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_is_written_now_and_then),
        cmocka_unit_test(much_is_journaled_at_once),
        cmocka_unit_test(little_is_not),
        cmocka_unit_test(what_grows_while_it_is_written_follows_at_once),
        cmocka_unit_test(a_piece_that_may_be_there_is_sent_as_it_was),
        cmocka_unit_test(no_piece_is_empty),
        cmocka_unit_test(who_is_saved_is_not_waited_for),
        cmocka_unit_test(who_was_not_sent_is_not_there),
        cmocka_unit_test(much_that_fails_is_not_sent_again_at_once),
        cmocka_unit_test(who_comes_does_not_put_off_the_others),
        cmocka_unit_test(where_nobody_is_nothing_is_done),
        cmocka_unit_test(everybody_has_his_turn),
        cmocka_unit_test(pieces_that_fail_wait_for_the_next_round),
        cmocka_unit_test(a_turn_may_end_while_its_piece_is_on_its_way),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
