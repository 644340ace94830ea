#include "check.h"

#include "provider/retelling.h"
#include "base/utf8.h"

enum { ROUNDS = 20000, PIECES_MAX = 12 };

static const char *const letters[] = { "a", "b", "你", "全", "😀", "\xef\xbf\xbd" };

struct tape {
    struct retelling r;
    struct buf       told;
};

static struct tape begin(void)
{
    struct tape t = { .told = BUF(1 << 20) };

    retelling_init(&t.r, 1000);
    return t;
}

static void end(struct tape *t)
{
    retelling_release(&t->r);
    buf_release(&t->told);
}

/* In memory of its own, which is gone after the call. */
static bool hear(struct tape *t, struct str text)
{
    char      *copy = mem_copy(text.p ? text.p : "", text.n);
    struct str fresh;
    bool       fits = retelling_add(&t->r, (struct str){ copy, text.n }, &fresh);

    check_that(utf8_is_valid(fresh), "half a character: %s", check_shown(fresh));
    buf_add(&t->told, fresh);
    mem_free(copy);
    return fits;
}

static void settle(struct tape *t)
{
    struct str fresh = retelling_settle(&t->r);

    check_that(utf8_is_valid(fresh), "half a character: %s", check_shown(fresh));
    buf_add(&t->told, fresh);
}

static void add_letters(struct buf *b, uint64_t *seed, size_t kinds, size_t most)
{
    for (size_t n = 1 + check_random(seed) % most; n > 0; n--)
        buf_add(b, str_of(letters[check_random(seed) % kinds]));
}

/* Pieces of at most three letters: they cannot grow from their beginning three times. */
TEST(pieces_are_told_as_they_came)
{
    uint64_t seed = 1;

    for (int round = 0; round < ROUNDS; round++) {
        struct tape t = begin();
        struct buf  all = BUF(4096), piece = BUF(4096);
        size_t      kinds = 1 + (size_t)round % COUNT(letters);

        for (size_t n = 1 + check_random(&seed) % PIECES_MAX; n > 0; n--) {
            buf_clear(&piece);
            add_letters(&piece, &seed, kinds, 3);
            if (check_random(&seed) % 4 == 0)
                assert_true(hear(&t, STR("")));
            assert_true(hear(&t, buf_str(&piece)));
            buf_add(&all, buf_str(&piece));
            check_that(str_starts(buf_str(&all), buf_str(&t.told)), "round %d", round);
        }
        assert_true(hear(&t, STR("")));
        settle(&t);
        check_same(buf_str(&t.told), buf_str(&all));
        buf_release(&all);
        buf_release(&piece);
        end(&t);
    }
}

/* Without U+FFFD, which is not told where it stands last. */
TEST(a_whole_text_is_told_once)
{
    uint64_t seed = 2;

    for (int round = 0; round < ROUNDS; round++) {
        struct tape t = begin();
        struct buf  all = BUF(4096);
        size_t      kinds = 1 + (size_t)round % (COUNT(letters) - 1);

        for (size_t n = 1 + check_random(&seed) % PIECES_MAX; n > 0; n--) {
            add_letters(&all, &seed, kinds, 4);
            assert_true(hear(&t, buf_str(&all)));
            if (check_random(&seed) % 4 == 0)
                assert_true(hear(&t, buf_str(&all)));
            check_that(str_starts(buf_str(&all), buf_str(&t.told)), "round %d", round);
        }
        settle(&t);
        check_same(buf_str(&t.told), buf_str(&all));
        buf_release(&all);
        end(&t);
    }
}

static struct tape whole_abcd(void)
{
    struct tape t = begin();

    assert_true(hear(&t, STR("a")));
    assert_true(hear(&t, STR("ab")));
    assert_true(hear(&t, STR("abc")));
    check_buf(&t.told, "a");                  /* both readings fit              */
    assert_true(hear(&t, STR("abcd")));
    check_buf(&t.told, "abcd");
    return t;
}

TEST(what_was_told_is_not_contradicted)
{
    struct tape t = whole_abcd();

    assert_true(hear(&t, STR("abc")));        /* it lost its end                */
    assert_true(hear(&t, STR("abcde")));
    check_buf(&t.told, "abcde");
    assert_false(hear(&t, STR("abcxe")));
    assert_false(hear(&t, STR("abx")));
    check_buf(&t.told, "abcde");
    end(&t);
}

TEST(a_half_character_waits_for_its_other_half)
{
    struct tape t = whole_abcd();

    assert_true(hear(&t, STR("abcd\xef\xbf\xbd")));
    check_buf(&t.told, "abcd");
    assert_true(hear(&t, STR("abcd😀")));
    check_buf(&t.told, "abcd😀");
    end(&t);
}

TEST(another_text_begins_anew)
{
    struct tape t = whole_abcd();

    retelling_restart(&t.r);
    assert_true(hear(&t, STR("x")));
    assert_true(hear(&t, STR("y")));
    check_buf(&t.told, "abcdxy");
    end(&t);
}

TEST(a_text_that_is_too_long_is_refused)
{
    static char a[1001];
    struct tape t = begin();

    memset(a, 'a', sizeof a);
    assert_false(hear(&t, (struct str){ a, sizeof a }));
    end(&t);
    t = begin();
    assert_true(hear(&t, (struct str){ a, 600 }));
    assert_false(hear(&t, (struct str){ a, 600 }));   /* both readings are kept */
    end(&t);
    t = whole_abcd();
    memcpy(a, "abcd", 4);
    assert_false(hear(&t, (struct str){ a, sizeof a }));
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_told_as_they_came),
        cmocka_unit_test(a_whole_text_is_told_once),
        cmocka_unit_test(what_was_told_is_not_contradicted),
        cmocka_unit_test(a_half_character_waits_for_its_other_half),
        cmocka_unit_test(another_text_begins_anew),
        cmocka_unit_test(a_text_that_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
