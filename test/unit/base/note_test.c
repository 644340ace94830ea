#include "check.h"

#include "base/note.h"

/* A note that writes its letter down and then does one thing. */
struct item {
    struct note  note;
    char         letter;
    struct item *leave, *tear;
    bool         free_self;
};

static char   said[100];
static size_t n_said;

static void run(struct note *n)
{
    struct item *it = LIST_OWNER(n, struct item, note);

    assert_true(n_said + 1 < sizeof said);
    said[n_said++] = it->letter;
    said[n_said] = '\0';
    if (it->leave)
        note_leave(&it->leave->note);
    if (it->tear)
        note_tear(&it->tear->note);
    if (it->free_self)
        mem_free(it);
}

static struct item item(char letter)
{
    return (struct item){ .note.run = run, .letter = letter };
}

static void check_said(const char *want)
{
    assert_string_equal(said, want);
    n_said = 0;
    said[0] = '\0';
}

TEST(notes_run_in_the_order_they_were_left)
{
    struct item a = item('a'), b = item('b'), c = item('c');

    assert_false(notes_waiting());
    note_leave(&b.note);
    note_leave(&a.note);
    note_leave(&c.note);
    assert_true(notes_waiting());
    check_said("");
    notes_run();
    check_said("bac");
    assert_false(notes_waiting());
    notes_run();
    check_said("");
}

TEST(a_note_left_twice_runs_once_and_keeps_its_place)
{
    struct item a = item('a'), b = item('b');

    note_leave(&a.note);
    note_leave(&b.note);
    note_leave(&a.note);
    notes_run();
    notes_run();
    check_said("ab");
}

TEST(a_note_left_while_notes_are_read_waits_for_the_next_reading)
{
    struct item a = item('a'), b = item('b'), c = item('c');

    a.leave = &c;
    note_leave(&a.note);
    note_leave(&b.note);
    notes_run();
    check_said("ab");
    assert_true(notes_waiting());
    notes_run();
    check_said("c");
}

TEST(a_note_that_leaves_itself_again_runs_once_a_reading)
{
    struct item a = item('a'), b = item('b');

    a.leave = &a;
    note_leave(&a.note);
    note_leave(&b.note);
    notes_run();
    check_said("ab");
    notes_run();
    notes_run();
    check_said("aa");
    note_tear(&a.note);
    assert_false(notes_waiting());
}

TEST(a_note_left_again_before_its_turn_is_not_doubled)
{
    struct item a = item('a'), b = item('b');

    a.leave = &b;
    note_leave(&a.note);
    note_leave(&b.note);
    notes_run();
    notes_run();
    check_said("ab");
}

TEST(a_torn_note_does_not_run)
{
    struct item a = item('a'), b = item('b');

    note_tear(&a.note);
    note_leave(&a.note);
    note_leave(&b.note);
    note_tear(&a.note);
    note_tear(&a.note);
    notes_run();
    check_said("b");
    note_leave(&a.note);
    notes_run();
    check_said("a");
}

TEST(a_note_may_tear_one_that_was_to_run_after_it)
{
    struct item a = item('a'), b = item('b'), c = item('c');

    a.tear = &b;
    note_leave(&a.note);
    note_leave(&b.note);
    note_leave(&c.note);
    notes_run();
    check_said("ac");
    assert_false(notes_waiting());
}

TEST(the_last_note_may_be_torn_while_notes_are_read)
{
    struct item a = item('a'), b = item('b');

    a.tear = &b;
    note_leave(&a.note);
    note_leave(&b.note);
    notes_run();
    check_said("a");
}

TEST(a_note_may_free_the_object_it_lives_in)
{
    struct item *a = mem_new(sizeof *a), b = item('b');

    *a = item('a');
    a->free_self = true;
    note_leave(&a->note);
    note_leave(&b.note);
    notes_run();
    check_said("ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_run_in_the_order_they_were_left),
        cmocka_unit_test(a_note_left_twice_runs_once_and_keeps_its_place),
        cmocka_unit_test(a_note_left_while_notes_are_read_waits_for_the_next_reading),
        cmocka_unit_test(a_note_that_leaves_itself_again_runs_once_a_reading),
        cmocka_unit_test(a_note_left_again_before_its_turn_is_not_doubled),
        cmocka_unit_test(a_torn_note_does_not_run),
        cmocka_unit_test(a_note_may_tear_one_that_was_to_run_after_it),
        cmocka_unit_test(the_last_note_may_be_torn_while_notes_are_read),
        cmocka_unit_test(a_note_may_free_the_object_it_lives_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
