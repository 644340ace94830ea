#include "check.h"

#include "base/list.h"

struct item {
    int         number;
    struct link link;
};

static struct item items[6];

static void setup_list(struct list *l)
{
    list_init(l);
    for (int i = 0; i < (int)COUNT(items); i++) {
        items[i] = (struct item){ .number = i };
        list_push(l, &items[i].link);
    }
}

static void check_numbers(struct list *l, const char *want)
{
    char   got[COUNT(items) + 1] = "";
    size_t n = 0;

    LIST_EACH(l, k)
        got[n++] = (char)('0' + LIST_OWNER(k, struct item, link)->number);
    assert_string_equal(got, want);
    assert_int_equal(l->n, n);
}

TEST(a_new_list_is_empty)
{
    struct list l;

    list_init(&l);
    check_numbers(&l, "");
    assert_null(list_first(&l));
    assert_null(list_pop(&l));
}

TEST(what_is_pushed_stands_at_the_end)
{
    struct list l;

    setup_list(&l);
    check_numbers(&l, "012345");
    assert_ptr_equal(list_first(&l), &items[0].link);
}

TEST(links_are_taken_from_anywhere)
{
    struct list l;

    setup_list(&l);
    list_take(&l, &items[0].link);
    list_take(&l, &items[5].link);
    list_take(&l, &items[3].link);
    check_numbers(&l, "124");
    assert_false(link_is_in(&items[3].link));
    assert_true(link_is_in(&items[4].link));
    list_push(&l, &items[3].link);
    check_numbers(&l, "1243");
    list_take(&l, &items[1].link);
    list_take(&l, &items[2].link);
    list_take(&l, &items[4].link);
    list_take(&l, &items[3].link);
    check_numbers(&l, "");
}

TEST(pop_takes_the_first_until_none_is_left)
{
    struct list l;

    setup_list(&l);
    for (size_t i = 0; i < COUNT(items); i++) {
        struct link *k = list_pop(&l);

        assert_ptr_equal(k, &items[i].link);
        assert_false(link_is_in(k));
    }
    assert_null(list_pop(&l));
    check_numbers(&l, "");
}

TEST(a_link_may_move_to_another_list)
{
    struct list l, other;

    setup_list(&l);
    list_init(&other);
    list_push(&other, list_pop(&l));
    list_take(&l, &items[4].link);
    list_push(&other, &items[4].link);
    check_numbers(&l, "1235");
    check_numbers(&other, "04");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_list_is_empty),
        cmocka_unit_test(what_is_pushed_stands_at_the_end),
        cmocka_unit_test(links_are_taken_from_anywhere),
        cmocka_unit_test(pop_takes_the_first_until_none_is_left),
        cmocka_unit_test(a_link_may_move_to_another_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
