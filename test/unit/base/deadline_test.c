#include "check.h"

#include "base/deadline.h"
#include "base/list.h"

/* A deadline that writes down that it ran and then does one thing. */
struct item {
    struct deadline d;
    int             runs;
    struct item    *arm, *disarm;
    uint64_t        arm_at;
    bool            free_self;
};

static struct item *ran[200];
static size_t       n_ran;

static void run(struct deadline *d)
{
    struct item *it = LIST_OWNER(d, struct item, d);

    assert_false(deadline_is_armed(d));
    it->runs++;
    if (n_ran < COUNT(ran))
        ran[n_ran++] = it;
    if (it->arm)
        deadline_arm(&it->arm->d, it->arm_at);
    if (it->disarm)
        deadline_disarm(&it->disarm->d);
    if (it->free_self)
        mem_free(it);
}

static struct item item(void)
{
    n_ran = 0;
    return (struct item){ .d.run = run };
}

TEST(none_armed_none_due)
{
    struct item a = item();

    assert_int_equal(deadlines_next(), UINT64_MAX);
    deadline_disarm(&a.d);
    deadlines_run(UINT64_MAX);
    assert_int_equal(a.runs, 0);
}

TEST(it_runs_at_its_moment_once_and_not_before)
{
    struct item a = item();

    deadline_arm(&a.d, 100);
    assert_true(deadline_is_armed(&a.d));
    assert_int_equal(deadlines_next(), 100);
    deadlines_run(99);
    assert_int_equal(a.runs, 0);
    deadlines_run(100);
    assert_int_equal(a.runs, 1);
    deadlines_run(1000);
    assert_int_equal(a.runs, 1);
    assert_false(deadline_is_armed(&a.d));
    assert_int_equal(deadlines_next(), UINT64_MAX);
}

TEST(a_disarmed_one_does_not_run)
{
    struct item a = item();

    deadline_arm(&a.d, 100);
    deadline_disarm(&a.d);
    deadline_disarm(&a.d);
    assert_int_equal(deadlines_next(), UINT64_MAX);
    deadlines_run(200);
    assert_int_equal(a.runs, 0);
}

TEST(the_later_moment_counts_and_so_does_the_earlier)
{
    struct item a = item();

    deadline_arm(&a.d, 100);
    deadline_arm(&a.d, 300);
    deadlines_run(299);
    assert_int_equal(a.runs, 0);
    assert_int_equal(deadlines_next(), 300);
    deadline_arm(&a.d, 250);
    deadlines_run(250);
    assert_int_equal(a.runs, 1);
    deadline_arm(&a.d, 500);
    deadline_arm(&a.d, 900);
    deadline_arm(&a.d, 700);
    deadlines_run(699);
    assert_int_equal(a.runs, 1);
    deadlines_run(700);
    assert_int_equal(a.runs, 2);
    assert_int_equal(deadlines_next(), UINT64_MAX);
}

TEST(those_due_run_in_the_order_of_their_moments)
{
    static struct item items[150];
    uint64_t           seed = 42;

    for (size_t i = 0; i < COUNT(items); i++) {
        items[i] = item();
        deadline_arm(&items[i].d, 1000 + check_random(&seed) % 5000);
    }
    deadlines_run(10000);
    assert_int_equal(n_ran, COUNT(items));
    for (size_t i = 1; i < n_ran; i++)
        assert_true(ran[i - 1]->d.due <= ran[i]->d.due);
}

TEST(a_run_may_arm_itself_again)
{
    struct item a = item();

    a.arm = &a;
    a.arm_at = 200;
    deadline_arm(&a.d, 100);
    deadlines_run(150);
    assert_int_equal(a.runs, 1);
    assert_int_equal(deadlines_next(), 200);
    deadline_disarm(&a.d);
}

TEST(a_run_may_disarm_one_that_is_due_too)
{
    struct item a = item(), b = item(), c = item();

    a.disarm = &b;
    deadline_arm(&a.d, 1);
    deadline_arm(&b.d, 2);
    deadline_arm(&c.d, 3);
    deadlines_run(5);
    assert_int_equal(a.runs + c.runs, 2);
    assert_int_equal(b.runs, 0);
    assert_false(deadline_is_armed(&b.d));
}

TEST(a_run_may_free_the_object_it_lives_in)
{
    struct item *a = mem_new(sizeof *a), *b = mem_new(sizeof *b);

    *a = *b = item();
    a->free_self = b->free_self = true;
    deadline_arm(&b->d, 2);
    deadline_arm(&a->d, 1);
    deadlines_run(1);
    assert_int_equal(n_ran, 1);
    assert_int_equal(deadlines_next(), 2);
    deadlines_run(2);
    assert_int_equal(n_ran, 2);
    assert_int_equal(deadlines_next(), UINT64_MAX);
}

TEST(two_that_arm_each_other_for_now_do_not_keep_the_loop)
{
    struct item a = item(), b = item();

    a.arm = &b;
    b.arm = &a;
    deadline_arm(&a.d, 0);
    deadlines_run(10);
    assert_in_range(a.runs + b.runs, 1, 2);
    deadlines_run(10);
    assert_in_range(a.runs + b.runs, 2, 4);
    deadline_disarm(&a.d);
    deadline_disarm(&b.d);
}

/* ---- against a model ------------------------------------------------------------- */

enum { MODELLED = 50, STEPS = 40000 };

static struct {
    struct deadline d;
    bool            armed, has_run;
    uint64_t        due;
} model[MODELLED];
static uint64_t model_now, model_seed;

static size_t any(size_t n)
{
    return (size_t)(check_random(&model_seed) % n);
}

static void model_arm(size_t i, uint64_t at)
{
    deadline_arm(&model[i].d, at);
    model[i].armed = true;
    model[i].due = at;
}

static void model_disarm(size_t i)
{
    deadline_disarm(&model[i].d);
    model[i].armed = false;
}

/* Runs, and now and then arms itself, pushes another back or disarms it. */
static void model_run(struct deadline *d)
{
    size_t i = 0, other = any(MODELLED);

    while (&model[i].d != d)
        i++;
    assert_true(model[i].armed && model[i].due <= model_now && !model[i].has_run);
    model[i].armed = false;
    model[i].has_run = true;
    switch (any(4)) {
    case 0: model_arm(i, model_now + 1 + any(50)); break;
    case 1: model_arm(other, model_now + 1 + any(50)); break;
    case 2: model_disarm(other); break;
    }
}

static void model_check(void)
{
    uint64_t earliest = UINT64_MAX;

    for (size_t i = 0; i < MODELLED; i++) {
        assert_int_equal(deadline_is_armed(&model[i].d), model[i].armed);
        if (model[i].armed && model[i].due < earliest)
            earliest = model[i].due;
    }
    assert_true(deadlines_next() <= earliest);
    assert_int_equal(deadlines_next() == UINT64_MAX, earliest == UINT64_MAX);
}

static void model_pass(void)
{
    model_now += any(40);
    for (size_t i = 0; i < MODELLED; i++)
        model[i].has_run = false;
    deadlines_run(model_now);
    for (size_t i = 0; i < MODELLED; i++)
        assert_false(model[i].armed && model[i].due <= model_now);
    assert_true(deadlines_next() > model_now);
}

TEST(thousands_of_random_steps_agree_with_a_naive_model)
{
    model_seed = 20261121;
    for (size_t i = 0; i < MODELLED; i++)
        model[i].d.run = model_run;
    for (int step = 0; step < STEPS; step++) {
        size_t i = any(MODELLED);

        switch (any(8)) {
        case 0:
        case 1:
        case 2: model_arm(i, model_now + any(100)); break;
        case 3:
        case 4: model_arm(i, (model[i].armed ? model[i].due : model_now) + any(60)); break;
        case 5: model_disarm(i); break;
        default: model_pass(); break;
        }
        model_check();
    }
    for (size_t i = 0; i < MODELLED; i++)
        model_disarm(i);
    model_check();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_armed_none_due),
        cmocka_unit_test(it_runs_at_its_moment_once_and_not_before),
        cmocka_unit_test(a_disarmed_one_does_not_run),
        cmocka_unit_test(the_later_moment_counts_and_so_does_the_earlier),
        cmocka_unit_test(those_due_run_in_the_order_of_their_moments),
        cmocka_unit_test(a_run_may_arm_itself_again),
        cmocka_unit_test(a_run_may_disarm_one_that_is_due_too),
        cmocka_unit_test(a_run_may_free_the_object_it_lives_in),
        cmocka_unit_test(two_that_arm_each_other_for_now_do_not_keep_the_loop),
        cmocka_unit_test(thousands_of_random_steps_agree_with_a_naive_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
