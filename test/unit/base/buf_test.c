#include "check.h"

#include "base/buf.h"

TEST(an_empty_buf_holds_no_memory)
{
    size_t     before = mem_live_bytes();
    struct buf b = BUF(100);

    buf_add(&b, STR(""));
    buf_add(&b, (struct str){ NULL, 0 });
    assert_int_equal(buf_str(&b).n, 0);
    assert_int_equal(mem_live_bytes(), before);
    buf_release(&b);
}

TEST(exactly_the_limit_fits_however_it_comes)
{
    struct buf b = BUF(8);

    buf_add(&b, STR("12345678"));
    check_buf(&b, "12345678");
    buf_clear(&b);
    for (char c = 'a'; c <= 'h'; c++)
        buf_add_char(&b, c);
    check_buf(&b, "abcdefgh");
    buf_clear(&b);
    buf_lit(&b, "abcd");
    buf_add_u64(&b, 1234);
    check_buf(&b, "abcd1234");
    assert_false(b.over);
    buf_release(&b);
}

TEST(addf_may_fill_the_buf_to_its_limit)
{
    struct buf b = BUF(8);

    buf_addf(&b, "%s%d", "abcd", 1234);
    assert_false(b.over);
    check_buf(&b, "abcd1234");
    buf_addf(&b, "%s", "");
    assert_false(b.over);
    buf_release(&b);
}

TEST(one_byte_over_the_limit_appends_nothing_at_all)
{
    struct buf b = BUF(8);

    for (int how = 0; how < 4; how++) {
        buf_clear(&b);
        buf_lit(&b, "12345");
        switch (how) {
        case 0: buf_add(&b, STR("6789")); break;
        case 1: buf_addf(&b, "%s", "6789"); break;
        case 2: buf_add_u64(&b, 6789); break;
        case 3: assert_false(buf_reserve(&b, 4)); break;
        }
        check_buf(&b, "12345");
        assert_true(b.over);
    }
    buf_clear(&b);
    buf_lit(&b, "12345678");
    assert_false(b.over);
    buf_add_char(&b, '9');
    check_buf(&b, "12345678");
    assert_true(b.over);
    buf_release(&b);
}

TEST(over_stays_until_the_buf_is_cleared)
{
    struct buf b = BUF(4);

    buf_lit(&b, "too long");
    buf_lit(&b, "ab");
    buf_add_char(&b, 'c');
    buf_add_u64(&b, 1);
    buf_addf(&b, "%d", 1);
    assert_false(buf_reserve(&b, 0));
    assert_true(b.over);
    assert_int_equal(b.n, 0);
    buf_clear(&b);
    buf_lit(&b, "ab");
    check_buf(&b, "ab");
    assert_false(b.over);
    buf_release(&b);
}

TEST(clear_keeps_the_memory_and_release_does_not)
{
    size_t      before = mem_live_bytes();
    struct buf  b = BUF(1000);
    const char *p;

    buf_lit(&b, "some text");
    p = b.p;
    buf_clear(&b);
    buf_lit(&b, "again");
    assert_ptr_equal(b.p, p);
    b.over = true;
    buf_release(&b);
    assert_int_equal(mem_live_bytes(), before);
    assert_false(b.over);
    assert_int_equal(b.limit, 1000);
    buf_lit(&b, "and again");
    check_buf(&b, "and again");
    buf_release(&b);
}

TEST(it_grows_and_never_past_its_limit)
{
    struct buf b = BUF(10000);

    for (size_t i = 0; i < 10000; i++) {
        buf_add_char(&b, (char)('a' + i % 26));
        assert_true(b.cap <= b.limit && b.n == i + 1);
    }
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
    buf_release(&b);
}

TEST(a_limit_of_nothing_takes_nothing)
{
    struct buf b = BUF(0);

    buf_lit(&b, "");
    assert_false(b.over);
    buf_add_char(&b, 'x');
    assert_true(b.over);
    assert_int_equal(b.n, 0);
    buf_release(&b);
}

TEST(numbers_come_out_in_full)
{
    struct buf b = BUF(100);

    buf_add_u64(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, 10);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    check_buf(&b, "0 10 18446744073709551615");
    buf_release(&b);
}

TEST(addf_takes_texts_longer_than_the_first_memory)
{
    struct buf b = BUF(5000);

    buf_lit(&b, "<");
    buf_addf(&b, "%01000d", 7);
    buf_addf(&b, "%c>", '\0');
    assert_int_equal(b.n, 1003);
    check_same(((struct str){ b.p + 999, 4 }), STR("07\0>"));
    buf_release(&b);
}

TEST(reserve_gives_room_behind_the_end)
{
    struct buf b = BUF(1000);

    buf_lit(&b, "ab");
    assert_true(buf_reserve(&b, 998));
    assert_int_equal(b.n, 2);
    memset(b.p + 2, 'x', 998);
    assert_false(buf_reserve(&b, 999));
    assert_false(buf_reserve(&b, SIZE_MAX));
    buf_release(&b);
}

TEST(drop_front_keeps_the_rest_and_makes_room)
{
    struct buf b = BUF(6);

    buf_lit(&b, "abcdef");
    buf_drop_front(&b, 0);
    check_buf(&b, "abcdef");
    buf_drop_front(&b, 2);
    check_buf(&b, "cdef");
    buf_lit(&b, "gh");
    check_buf(&b, "cdefgh");
    assert_false(b.over);
    buf_drop_front(&b, 6);
    assert_int_equal(b.n, 0);
    buf_drop_front(&b, 0);
    buf_lit(&b, "123456");
    check_buf(&b, "123456");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buf_holds_no_memory),
        cmocka_unit_test(exactly_the_limit_fits_however_it_comes),
        cmocka_unit_test(addf_may_fill_the_buf_to_its_limit),
        cmocka_unit_test(one_byte_over_the_limit_appends_nothing_at_all),
        cmocka_unit_test(over_stays_until_the_buf_is_cleared),
        cmocka_unit_test(clear_keeps_the_memory_and_release_does_not),
        cmocka_unit_test(it_grows_and_never_past_its_limit),
        cmocka_unit_test(a_limit_of_nothing_takes_nothing),
        cmocka_unit_test(numbers_come_out_in_full),
        cmocka_unit_test(addf_takes_texts_longer_than_the_first_memory),
        cmocka_unit_test(reserve_gives_room_behind_the_end),
        cmocka_unit_test(drop_front_keeps_the_rest_and_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
