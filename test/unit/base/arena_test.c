#include "check.h"

#include "base/arena.h"

#include <stdalign.h>

TEST(memory_is_zeroed_and_aligned_whatever_its_size)
{
    struct arena a = { NULL };

    for (size_t size = 0; size < 1500; size += size < 40 ? 1 : 37) {
        unsigned char *p = arena_new(&a, size);

        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xa5, size);
    }
    arena_release(&a);
}

TEST(pieces_do_not_overlap)
{
    struct arena   a = { NULL };
    unsigned char *pieces[200];
    uint64_t       seed = 7;
    size_t         sizes[COUNT(pieces)];

    for (size_t i = 0; i < COUNT(pieces); i++) {
        sizes[i] = check_random(&seed) % 700;
        pieces[i] = arena_new(&a, sizes[i]);
        memset(pieces[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < COUNT(pieces); i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(pieces[i][k], i);
    arena_release(&a);
}

TEST(a_copy_does_not_follow_its_source)
{
    struct arena a = { NULL };
    char         source[] = "word";
    struct str   s = arena_str(&a, (struct str){ source, 4 });
    char        *t = arena_text(&a, (struct str){ source, 3 });

    memset(source, 'x', 4);
    check_str(s, "word");
    assert_string_equal(t, "wor");
    arena_release(&a);
}

TEST(copies_keep_nul_and_are_terminated)
{
    struct arena a = { NULL };
    struct str   s = arena_str(&a, STR("a\0b"));
    struct str   empty = arena_str(&a, (struct str){ NULL, 0 });

    check_str(s, "a\0b");
    assert_int_equal(s.p[3], 0);
    assert_int_equal(empty.n, 0);
    assert_string_equal(empty.p, "");
    arena_release(&a);
}

TEST(small_pieces_share_their_memory)
{
    struct arena a = { NULL };
    uint64_t     before = mem_allocations();

    for (int i = 0; i < 8; i++)
        arena_new(&a, 16);
    assert_int_equal(mem_allocations() - before, 1);
    arena_release(&a);
}

TEST(a_large_piece_fits_at_any_time)
{
    struct arena a = { NULL };
    char        *small = arena_new(&a, 8), *large = arena_new(&a, 100000);

    memset(large, 'l', 100000);
    assert_int_equal(small[0], 0);
    memset(arena_new(&a, 8), 's', 8);
    assert_int_equal(large[0], 'l');
    assert_int_equal(large[99999], 'l');
    arena_release(&a);
}

TEST(release_gives_all_back_and_the_arena_can_be_used_again)
{
    struct arena a = { NULL };
    size_t       before = mem_live_bytes();

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 100; i++)
            arena_new(&a, i * 10);
        assert_true(mem_live_bytes() > before);
        arena_release(&a);
        assert_null(a.chunks);
        assert_int_equal(mem_live_bytes(), before);
    }
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned_whatever_its_size),
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(a_copy_does_not_follow_its_source),
        cmocka_unit_test(copies_keep_nul_and_are_terminated),
        cmocka_unit_test(small_pieces_share_their_memory),
        cmocka_unit_test(a_large_piece_fits_at_any_time),
        cmocka_unit_test(release_gives_all_back_and_the_arena_can_be_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
