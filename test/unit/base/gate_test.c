#include "check.h"

#include "base/clock.h"
#include "base/gate.h"

enum { PLACES = 6 };

/* Every test begins and ends with all places free. */
static struct gate  gate;
static struct place places[PLACES];
static int          shown_held, shown_waiting; /* what the owner has been shown last */
static char         told[100]; /* "0" place 0 holds, "0!" it was refused */

static void write_down(struct place *p, bool held)
{
    char   digit = (char)('0' + (p - places));
    size_t n = strlen(told);

    assert_int_equal(p->state, held ? PLACE_HELD : PLACE_NONE);
    snprintf(told + n, sizeof told - n, held ? "%c" : "%c!", digit);
}

static void check_told(const char *want)
{
    assert_string_equal(told, want);
    told[0] = '\0';
}

static void configure(uint64_t max, uint64_t waiting, uint64_t wait_ms)
{
    gate_configure(&gate, max, waiting, wait_ms * CLOCK_MS);
}

static void ask(int first, int last)
{
    for (int i = first; i <= last; i++)
        gate_ask(&gate, &places[i], write_down);
}

static void show(const struct gate *g)
{
    shown_held = (int)g->held;
    shown_waiting = (int)g->line.n;
}

static void check_figures(int held, int waiting)
{
    assert_int_equal(gate.held, held);
    assert_int_equal(gate.line.n, waiting);
    assert_int_equal(shown_held, held);
    assert_int_equal(shown_waiting, waiting);
}

static void pass(uint64_t at_ms)
{
    clock_fake(CLOCK_S + at_ms * CLOCK_MS);
    deadlines_run(clock_now());
}

static int setup(void **state)
{
    (void)state;
    memset(places, 0, sizeof places);
    told[0] = '\0';
    pass(0);
    gate_init(&gate, show);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    configure(0, 0, 0);
    for (int i = 0; i < PLACES; i++)
        gate_give_back(&places[i]);
    return gate.held || gate.line.n || deadlines_next() != UINT64_MAX ? -1 : 0;
}

TEST(places_are_held_until_there_are_no_more)
{
    configure(2, 0, 1000);
    ask(0, 2);
    check_told("012!");
    check_figures(2, 0);
    gate_give_back(&places[0]);
    check_figures(1, 0);
    ask(3, 3);
    check_told("3");
}

TEST(who_comes_first_is_served_first)
{
    configure(1, 10, 1000);
    ask(0, 4);
    check_told("0");
    check_figures(1, 4);
    for (int i = 0; i < 4; i++)
        gate_give_back(&places[i]);
    check_told("1234");
    check_figures(1, 0);
}

TEST(the_line_has_an_end)
{
    configure(1, 2, 1000);
    ask(0, 4);
    check_told("03!4!");
    check_figures(1, 2);
}

TEST(nobody_waits_longer_than_max_wait)
{
    configure(1, 10, 100);
    ask(0, 1);
    pass(50);
    ask(2, 2);
    pass(99);
    check_told("0");
    pass(100);
    check_told("1!");
    check_figures(1, 1);
    pass(149);
    check_told("");
    pass(150);
    check_told("2!");
    check_figures(1, 0);
}

TEST(who_is_served_is_not_refused_later)
{
    configure(1, 10, 100);
    ask(0, 1);
    gate_give_back(&places[0]);
    check_told("01");
    pass(1000);
    check_told("");
    check_figures(1, 0);
}

TEST(without_patience_nobody_waits)
{
    configure(1, 10, 0);
    ask(0, 1);
    check_told("01!");
    check_figures(1, 0);
}

TEST(who_leaves_the_line_is_forgotten)
{
    configure(1, 10, 100);
    ask(0, 3);
    gate_give_back(&places[2]);
    check_figures(1, 2);
    gate_give_back(&places[2]);
    gate_give_back(&places[0]);
    gate_give_back(&places[1]);
    check_told("013");
    pass(1000);
    check_told("");
}

TEST(giving_back_nothing_changes_nothing)
{
    configure(1, 0, 0);
    ask(0, 1);
    check_told("01!");
    gate_give_back(&places[1]);
    gate_give_back(&places[5]);
    check_figures(1, 0);
    gate_give_back(&places[0]);
    gate_give_back(&places[0]);
    check_figures(0, 0);
    ask(2, 3);
    check_told("23!");
}

TEST(more_places_serve_the_line_at_once)
{
    configure(1, 10, 1000);
    ask(0, 4);
    configure(3, 10, 1000);
    check_told("012");
    check_figures(3, 2);
}

TEST(fewer_places_take_none_away)
{
    configure(3, 10, 1000);
    ask(0, 3);
    check_told("012");
    configure(1, 10, 1000);
    check_figures(3, 1);
    gate_give_back(&places[0]);
    gate_give_back(&places[1]);
    check_told("");
    gate_give_back(&places[2]);
    check_told("3");
    check_figures(1, 0);
}

static void bring_a_friend(struct place *p, bool held)
{
    write_down(p, held);
    gate_ask(&gate, &places[5], write_down);
}

TEST(who_comes_while_the_line_is_served_does_not_overtake_it)
{
    configure(1, 10, 1000);
    ask(0, 0);
    gate_ask(&gate, &places[1], bring_a_friend);
    ask(2, 3);
    configure(4, 10, 1000);
    check_told("0123");
    check_figures(4, 1);
    gate_give_back(&places[0]);
    check_told("5");
}

static void give_back_at_once(struct place *p, bool held)
{
    write_down(p, held);
    gate_give_back(p);
}

TEST(a_place_may_be_given_back_by_who_is_told)
{
    configure(1, 10, 1000);
    ask(0, 0);
    for (int i = 1; i < PLACES; i++)
        gate_ask(&gate, &places[i], give_back_at_once);
    gate_give_back(&places[0]);
    check_told("012345");
    check_figures(0, 0);
}

static void ask_again(struct place *p, bool held)
{
    write_down(p, held);
    gate_ask(&gate, p, write_down);
}

TEST(who_is_refused_may_ask_again)
{
    configure(1, 1, 100);
    ask(0, 0);
    gate_ask(&gate, &places[1], ask_again);
    pass(100);
    check_told("01!");
    check_figures(1, 1);
    gate_give_back(&places[0]);
    check_told("1");
}

/* Behind those who wait there is no room, even while a place is free. */
TEST(room_is_a_free_place_and_nobody_before_us)
{
    configure(0, 10, 1000);
    assert_false(gate_has_room(&gate));
    configure(2, 10, 1000);
    assert_true(gate_has_room(&gate));
    ask(0, 0);
    assert_true(gate_has_room(&gate));
    ask(1, 1);
    assert_false(gate_has_room(&gate));
    ask(2, 2);
    gate.max = 3;
    assert_false(gate_has_room(&gate));
    configure(4, 10, 1000);
    assert_true(gate_has_room(&gate));
}

TEST(a_shorter_line_sends_nobody_away)
{
    configure(1, 10, 1000);
    ask(0, 2);
    configure(1, 1, 1000);
    ask(3, 3);
    check_told("03!");
    check_figures(1, 2);
    gate_give_back(&places[0]);
    gate_give_back(&places[1]);
    check_told("12");
}

TEST(gates_know_nothing_of_each_other)
{
    struct gate other;

    gate_init(&other, NULL);
    gate_configure(&other, 1, 10, CLOCK_S);
    configure(1, 10, 1000);
    gate_ask(&other, &places[0], write_down);
    ask(1, 2);
    gate_ask(&other, &places[3], write_down);
    check_told("01");
    gate_give_back(&places[1]);
    check_told("2");
    gate_give_back(&places[0]);
    check_told("3");
    gate_give_back(&places[3]);
    check_figures(1, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(places_are_held_until_there_are_no_more),
        T(who_comes_first_is_served_first),
        T(the_line_has_an_end),
        T(nobody_waits_longer_than_max_wait),
        T(who_is_served_is_not_refused_later),
        T(without_patience_nobody_waits),
        T(who_leaves_the_line_is_forgotten),
        T(giving_back_nothing_changes_nothing),
        T(more_places_serve_the_line_at_once),
        T(fewer_places_take_none_away),
        T(who_comes_while_the_line_is_served_does_not_overtake_it),
        T(a_place_may_be_given_back_by_who_is_told),
        T(who_is_refused_may_ask_again),
        T(room_is_a_free_place_and_nobody_before_us),
        T(a_shorter_line_sends_nobody_away),
        T(gates_know_nothing_of_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
