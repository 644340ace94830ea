/* keeper_test.c - what is done for all kept turns at once: names, leases and news. The
 * journal is journal_test.c's, and what dead processes left sweep_test.c's. */
#include "flow/world.h"

#include "check.h"

/* ---- names ---------------------------------------------------------------------------------- */

TEST(a_turn_is_found_by_its_owner_only)
{
    struct whose w, berta, other;

    kept_world("");
    w = berta = other = keeping.whose;
    berta.owner = STR("berta");
    other.tenant += 1024;                     /* in the same bucket             */
    fake_hold(0);
    assert_ptr_equal(keeper_find(&w, STR("t0")), &fake_kept[0]);
    assert_null(keeper_find(&w, STR("t1")));
    assert_null(keeper_find(&berta, STR("t0")));
    assert_null(keeper_find(&other, STR("t0")));
    fake_let_go(0);
    assert_null(keeper_find(&w, STR("t0")));
    kept_by_hand_end();
}

/* However they fall into the buckets. */
TEST(each_is_found_by_its_own_name)
{
    kept_world("");
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_hold(i);
    for (size_t i = 0; i < FAKE_KEPT; i++) {
        assert_ptr_equal(keeper_find(&keeping.whose, fake_kept[i].id), &fake_kept[i]);
        assert_ptr_equal(keeper_find_key(&keeping.whose, fake_kept[i].id), &fake_kept[i]);
    }
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_let_go(i);
    kept_by_hand_end();
}

TEST(of_a_chat_the_newest_is_found)
{
    struct whose w, openai, berta;

    kept_world("");
    w = openai = berta = keeping.whose;
    openai.dialect = STR("openai");
    berta.owner = STR("berta");
    fake_hold(0);
    fake_hold(1);
    fake_hold(2);
    fake_kept[2].chat = 8;
    assert_ptr_equal(keeper_find_chat(&w, 7), &fake_kept[1]);
    assert_ptr_equal(keeper_find_chat(&w, 8), &fake_kept[2]);
    assert_null(keeper_find_chat(&w, 9));
    assert_null(keeper_find_chat(&openai, 7));
    assert_null(keeper_find_chat(&berta, 7));
    fake_let_go(1);
    assert_ptr_equal(keeper_find_chat(&w, 7), &fake_kept[0]);
    fake_let_go(0);
    fake_let_go(2);
    kept_by_hand_end();
}

TEST(a_chat_that_was_named_by_its_uid_is_known_by_its_number)
{
    kept_world("sd---f");
    keeping.chat = (struct chat_name){ .uid = STR("uid") };
    ask();
    pass_for(3);
    assert_non_null(keeper_find_chat(&keeping.whose, 7));
    kept_end();
}

/* ---- leases ---------------------------------------------------------------------------------- */

TEST(leases_are_renewed_and_bring_who_is_to_stop)
{
    kept_world("sd");
    ask();
    pass_for(27);
    assert_int_equal(fake.extends, 0);
    pass_for(13);
    assert_int_equal(fake.extends, 1);
    assert_int_equal(fake.extended, 1);
    assert_int_equal(turns_alive(), 1);
    fake.stop_asked = true;
    pass_for(40);
    kept_as("stopped", "stopped", "word ");
    told("sde", FAULT_STOPPED);
    pass_for(100);
    assert_int_equal(fake.extends, 2);        /* there is nobody left           */
    kept_end();
}

TEST(who_is_to_stop_may_be_heard_of_before)
{
    kept_world("sd");
    ask();
    pass_for(5);
    fake.stop_asked = true;
    fake.news->stop(STR("whoever it is"));
    pass_for(5);
    told("sde", FAULT_STOPPED);
    kept_end();

    kept_world("sd");
    ask();
    pass_for(5);
    fake.stop_asked = true;
    fake.news->missed();
    pass_for(5);
    told("sde", FAULT_STOPPED);
    kept_end();
}

TEST(who_lost_his_lease_ends)
{
    kept_world("sd");
    fake.is_lost = true;
    fake.save = STORE_CONFLICT;
    fake.saves_that_fail = 1000;
    ask();
    pass_for(40);
    told("sde", FAULT_NOT_KEPT);
    kept_end();
}

TEST(who_had_it_may_lose_it)
{
    kept_world("sd");
    ask();
    pass_for(40);
    assert_int_equal(fake.extends, 1);
    fake.is_lost = true;
    pass_for(30);
    told("sde", FAULT_NOT_KEPT);
    kept_end();
}

/* However names fall into the buckets. */
TEST(only_who_is_to_stop_stops)
{
    struct turn *t;

    kept_world("sd");
    t = ask();
    pass_for(3);
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_hold(i);
    fake.stop_asked = true;
    for (size_t i = 0; i < 20; i++) {
        fake.stop_id = fake_kept[i].id.p;
        fake_kept[i].turn = t;                /* the others have none           */
        fake.news->stop(fake_kept[i].id);
        fake_answer();
        fake_kept[i].turn = NULL;
    }
    for (size_t i = 0; i < FAKE_KEPT; i++)
        fake_let_go(i);
    kept_end();
    told("sde", FAULT_STOPPED);
}

TEST(no_two_processes_have_one_name)
{
    char first[40];

    kept_world("");
    snprintf(first, sizeof first, "%.*s", STR_ARG(keeper_holder()));
    assert_int_equal(strlen(first), 20);
    kept_by_hand_end();
    kept_world("");
    assert_false(str_eq(keeper_holder(), str_of(first)));
    kept_by_hand_end();
}

TEST(who_was_not_asked_for_has_not_lost_it)
{
    kept_world("sd-----------------------------------f");
    fake.slow = "ce";
    ask();
    pass();
    assert_int_equal(fake.claims_asked, 1);
    fake_hold(0);
    fake.is_lost = true;
    pass_for(32);
    assert_int_equal(fake.extends, 1);
    assert_int_equal(fake.extended, 2);       /* the row may be there already   */
    keeper_leave(&fake_kept[0]);
    fake_answer_next();
    pass();
    assert_int_equal(one.starts, 1);
    fake.is_lost = false;
    fake_answer_next();
    fake.slow = NULL;
    pass();
    assert_int_equal(turns_alive(), 1);
    kept_end();
    told("sdf", FAULT_NONE);
    tale_free(fake_kept[0].tale);
}

TEST(a_lease_that_could_not_be_renewed_is_not_lost)
{
    kept_world("sd------------------------------------------------------f");
    fake.extend = STORE_AWAY;
    fake.is_lost = true;
    ask();
    kept_end();
    told("sdf", FAULT_NONE);
}

TEST(nobody_asks_twice_at_once)
{
    kept_world("sd");
    fake.hears = true;
    ask();
    pass_for(5);
    fake.is_slow = true;
    fake.news->stop(STR("a"));
    fake.news->stop(STR("b"));
    assert_int_equal(fake.extends, 1);
    fake.is_slow = false;
    fake_answer();
    fake.news->stop(STR("c"));
    assert_int_equal(fake.extends, 2);
    pass();
    turns_interrupt_all(FAULT_SHUTDOWN);
    kept_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_is_found_by_its_owner_only),
        cmocka_unit_test(each_is_found_by_its_own_name),
        cmocka_unit_test(of_a_chat_the_newest_is_found),
        cmocka_unit_test(a_chat_that_was_named_by_its_uid_is_known_by_its_number),
        cmocka_unit_test(leases_are_renewed_and_bring_who_is_to_stop),
        cmocka_unit_test(who_is_to_stop_may_be_heard_of_before),
        cmocka_unit_test(who_lost_his_lease_ends),
        cmocka_unit_test(who_had_it_may_lose_it),
        cmocka_unit_test(only_who_is_to_stop_stops),
        cmocka_unit_test(no_two_processes_have_one_name),
        cmocka_unit_test(who_was_not_asked_for_has_not_lost_it),
        cmocka_unit_test(a_lease_that_could_not_be_renewed_is_not_lost),
        cmocka_unit_test(nobody_asks_twice_at_once),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
