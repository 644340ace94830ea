/* tale_test.c - what a tale says to whom: to who listens from the beginning, who comes late, who
 * is slow, and who leaves; whether its teller is there or has gone. */
#include "flow/world.h"

#include "check.h"
#include "turn/tale.h"

#include <string.h>

enum { LIMIT = 1 << 20, BIG = 1000 };

static struct {
    int paces, desertions, visits;
} heard;

static void on_pace(struct tale *t)
{
    assert_ptr_equal(t->teller, &heard);
    heard.paces++;
}

static void on_deserted(struct tale *t)
{
    assert_ptr_equal(t->teller, &heard);
    heard.desertions++;
}

static void on_visited(struct tale *t)
{
    assert_int_equal(t->sinks.n, 1);
    heard.visits++;
}

static const struct teller_ops teller = { on_pace, on_deserted, on_visited };

static struct tale *new_tale(size_t limit)
{
    memset(&heard, 0, sizeof heard);
    return tale_new(&teller, &heard, limit);
}

static void begin(struct tale *t, int64_t first)
{
    static const struct turn_facts facts = { .id = STR_INIT("id"), .answer = 71 };

    tale_begin(t, &facts, first);
}

/* Letters as told() has them; D is a thousand bytes. */
static void tell(struct tale *t, const char *letters)
{
    static char big[BIG];

    memset(big, 'x', sizeof big);
    for (; *letters; letters++)
        tale_tell(t, &(struct event){ .type = *letters == 's' ? EVENT_START : EVENT_DELTA,
                                      .text = { big, *letters == 'D' ? sizeof big : 1 } });
    tale_flush(t);
}

static void finish(struct tale *t)
{
    tale_end(t, &(struct event){ .type = EVENT_FINISH });
}

/* ---- who listens ---------------------------------------------------------------------------- */

TEST(all_hear_all_of_it)
{
    struct tape  a = { .n = 0 }, b = { .n = 0 };
    struct tale *t = new_tale(0);

    tale_join(t, new_reader(&a), 0);
    tale_join(t, new_reader(&b), 0);
    assert_int_equal(a.begins, 0);
    begin(t, 5);
    assert_int_equal(a.first, 5);
    assert_int_equal(b.facts.answer, 71);
    tell(t, "sdd");
    finish(t);
    assert_string_equal(a.text, "sddf");
    assert_string_equal(b.text, "sddf");
    assert_int_equal(a.closed + b.closed, 2);
    assert_int_equal(heard.visits, 1);
    assert_int_equal(heard.desertions + heard.paces, 0);
}

TEST(who_leaves_hears_no_more)
{
    struct tape  a = { .n = 0 }, b = { .n = 0 };
    struct tale *t = new_tale(0);

    tale_join(t, new_reader(&a), 0);
    tale_join(t, new_reader(&b), 0);
    begin(t, 0);
    tell(t, "sd");
    sink_leave(&a.sink->sink);
    assert_int_equal(a.closed, 1);
    assert_int_equal(heard.desertions, 0);
    assert_int_equal(heard.paces, 0);
    assert_int_equal(t->full, 0);
    tell(t, "d");
    sink_leave(&b.sink->sink);
    assert_int_equal(heard.desertions, 1);
    assert_string_equal(a.text, "sd");
    assert_string_equal(b.text, "sdd");
    tell(t, "d");
    finish(t);
}

TEST(a_tale_that_is_not_told_may_be_freed)
{
    struct tape  a = { .n = 0 };
    struct tale *t = new_tale(LIMIT);

    tale_join(t, new_reader(&a), 0);
    begin(t, 0);
    tell(t, "sd");
    sink_leave(&a.sink->sink);
    tale_free(t);
}

TEST(another_may_go_on_telling)
{
    static const struct teller_ops another = { .deserted = on_deserted };
    struct tape                    a = { .n = 0 }, b = { .n = 0 };
    struct tale                   *t = new_tale(LIMIT);

    tale_join(t, new_reader(&a), 0);
    tale_take_over(t, &another, &heard);
    begin(t, 0);
    tell(t, "s");
    sink_leave(&a.sink->sink);
    tale_join(t, new_reader(&b), 1);
    assert_int_equal(heard.visits, 1);        /* the other one does not ask     */
    sink_leave(&b.sink->sink);
    assert_int_equal(heard.desertions, 2);
    finish(t);
}

/* ---- who holds it up -------------------------------------------------------------------------- */

TEST(a_tale_that_keeps_nothing_waits_for_the_slowest)
{
    struct tape  a = { .n = 0 }, b = { .n = 0 };
    struct tale *t = new_tale(0);

    tale_join(t, new_reader(&a), 0);
    tale_join(t, new_reader(&b), 0);
    begin(t, 0);
    tell(t, "s");
    sink_hold(&a.sink->sink);
    sink_hold(&a.sink->sink);
    sink_hold(&b.sink->sink);
    assert_int_equal(t->full, 2);
    assert_int_equal(heard.paces, 2);
    sink_go_on(&a.sink->sink);
    sink_go_on(&a.sink->sink);
    assert_int_equal(t->full, 1);
    assert_int_equal(heard.paces, 3);
    sink_leave(&b.sink->sink);
    assert_int_equal(t->full, 0);
    assert_int_equal(heard.paces, 4);
    tell(t, "d");
    sink_hold(&a.sink->sink);
    finish(t);                                /* it is closed all the same      */
    assert_string_equal(a.text, "sdf");
    assert_int_equal(a.closed, 1);
}

/* ---- who comes late ---------------------------------------------------------------------------- */

TEST(a_tale_that_keeps_is_told_from_any_event_on)
{
    static const struct {
        int64_t     from, first;
        const char *text;
    } rows[] = { { 0, 10, "sdddd" }, { 10, 10, "sdddd" }, { 11, 11, "dddd" }, { 13, 13, "dd" },
                 { 14, 14, "d" },    { 15, 15, "" },      { 16, 15, "" } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tape  a = { .n = 0 }, late = { .n = 0 };
        struct tale *t = new_tale(LIMIT);
        char         all[20];

        tale_join(t, new_reader(&a), 0);
        begin(t, 10);
        tell(t, "sdddd");
        tale_join(t, new_reader(&late), rows[i].from);
        assert_int_equal(late.begins, 1);
        assert_int_equal(late.first, rows[i].first);
        assert_string_equal(late.text, rows[i].text);
        tell(t, "d");
        finish(t);
        snprintf(all, sizeof all, "%sdf", rows[i].text);
        assert_string_equal(late.text, all);
        assert_string_equal(a.text, "sdddddf");
        assert_int_equal(late.closed, 1);
    }
}

TEST(much_is_told_to_who_comes_late_a_slice_at_a_time)
{
    struct tape  late = { .hold_at = 1 };
    struct tale *t = new_tale(LIMIT);

    begin(t, 0);
    tell(t, "sDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD");
    tale_join(t, new_reader(&late), 0);
    assert_in_range(late.n, 16, 18);          /* 16 KiB of it                   */
    tell(t, "DD");
    assert_in_range(late.n, 16, 18);
    late.hold_at = 3;
    sink_go_on(&late.sink->sink);
    assert_in_range(late.n, 48, 52);
    sink_go_on(&late.sink->sink);
    assert_int_equal(late.n, 53);
    tell(t, "D");
    assert_int_equal(late.n, 54);
    finish(t);
    assert_int_equal(late.n, 55);
    assert_int_equal(late.closed, 1);
    assert_int_equal(heard.paces, 0);
}

/* ---- who is slow -------------------------------------------------------------------------------- */

TEST(who_is_slow_falls_behind_and_hears_the_rest_later)
{
    struct tape  a = { .n = 0 }, slow = { .n = 0 };
    struct tale *t = new_tale(LIMIT);

    tale_join(t, new_reader(&a), 0);
    tale_join(t, new_reader(&slow), 0);
    begin(t, 0);
    tell(t, "sd");
    sink_hold(&slow.sink->sink);
    tell(t, "dd");
    sink_hold(&slow.sink->sink);
    assert_string_equal(a.text, "sddd");
    assert_string_equal(slow.text, "sd");
    assert_int_equal(t->full, 0);
    sink_go_on(&slow.sink->sink);
    sink_go_on(&slow.sink->sink);
    assert_string_equal(slow.text, "sddd");
    tell(t, "d");
    assert_string_equal(slow.text, "sdddd");
    finish(t);
    assert_string_equal(slow.text, "sddddf");
    assert_int_equal(slow.closed, 1);
}

TEST(who_is_slow_at_the_end_is_closed_when_he_has_heard_it)
{
    struct tape  slow = { .n = 0 }, last = { .hold_at = 2 };
    struct tale *t = new_tale(LIMIT);

    tale_join(t, new_reader(&slow), 0);
    tale_join(t, new_reader(&last), 0);
    begin(t, 0);
    tell(t, "sd");
    sink_hold(&slow.sink->sink);
    finish(t);
    assert_string_equal(slow.text, "sd");
    assert_string_equal(last.text, "sdf");
    assert_int_equal(slow.closed + last.closed, 0);
    sink_go_on(&last.sink->sink);
    assert_int_equal(last.closed, 1);
    sink_go_on(&slow.sink->sink);
    assert_string_equal(slow.text, "sdf");
    assert_int_equal(slow.closed, 1);
    assert_int_equal(heard.desertions, 0);
}

TEST(who_is_slow_again_behind_the_end_hears_all_of_it)
{
    struct tape  slow = { .n = 0 };
    struct tale *t = new_tale(LIMIT);

    tale_join(t, new_reader(&slow), 0);
    begin(t, 0);
    tell(t, "s");
    sink_hold(&slow.sink->sink);
    tell(t, "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD");
    finish(t);
    slow.hold_at = slow.flushes + 1;
    sink_go_on(&slow.sink->sink);
    assert_in_range(slow.n, 16, 18);
    assert_int_equal(slow.closed, 0);
    sink_go_on(&slow.sink->sink);
    assert_int_equal(slow.n, 42);
    assert_int_equal(slow.closed, 1);
}

TEST(who_is_slow_may_leave_before_the_end_and_behind_it)
{
    struct tape  a = { .n = 0 }, slow = { .n = 0 };
    struct tale *t = new_tale(LIMIT);

    tale_join(t, new_reader(&a), 0);
    tale_join(t, new_reader(&slow), 0);
    begin(t, 0);
    tell(t, "sd");
    sink_hold(&a.sink->sink);
    sink_hold(&slow.sink->sink);
    sink_leave(&a.sink->sink);
    assert_int_equal(heard.paces, 0);
    assert_int_equal(t->full, 0);
    finish(t);
    assert_int_equal(slow.closed, 0);
    sink_leave(&slow.sink->sink);
    assert_int_equal(slow.closed, 1);
    assert_string_equal(slow.text, "sd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hear_all_of_it),
        cmocka_unit_test(who_leaves_hears_no_more),
        cmocka_unit_test(a_tale_that_is_not_told_may_be_freed),
        cmocka_unit_test(another_may_go_on_telling),
        cmocka_unit_test(a_tale_that_keeps_nothing_waits_for_the_slowest),
        cmocka_unit_test(a_tale_that_keeps_is_told_from_any_event_on),
        cmocka_unit_test(much_is_told_to_who_comes_late_a_slice_at_a_time),
        cmocka_unit_test(who_is_slow_falls_behind_and_hears_the_rest_later),
        cmocka_unit_test(who_is_slow_at_the_end_is_closed_when_he_has_heard_it),
        cmocka_unit_test(who_is_slow_again_behind_the_end_hears_all_of_it),
        cmocka_unit_test(who_is_slow_may_leave_before_the_end_and_behind_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
