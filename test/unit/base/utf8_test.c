#include "check.h"

#include "base/utf8.h"

/* By arithmetic instead of a table: put the bits together, then ask whether the number
 * may be written with that many bytes. */
static size_t naive_length(const unsigned char *b, size_t n)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t              code;
    size_t                length;

    if (n == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    if ((b[0] & 0xe0) == 0xc0)
        length = 2, code = b[0] & 0x1f;
    else if ((b[0] & 0xf0) == 0xe0)
        length = 3, code = b[0] & 0x0f;
    else if ((b[0] & 0xf8) == 0xf0)
        length = 4, code = b[0] & 0x07;
    else
        return 0;
    if (n < length)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (b[i] & 0x3f);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

static void check_one(const unsigned char *b, size_t n)
{
    size_t got = utf8_length((struct str){ (const char *)b, n }), want = naive_length(b, n);

    if (got != want)
        fail_msg("%02x %02x %02x %02x, %zu bytes: %zu, not %zu", b[0], b[1], b[2], b[3], n, got,
                 want);
}

TEST(all_sequences_of_one_to_three_bytes_agree_with_a_naive_decoder)
{
    unsigned char b[4] = { 0 };

    for (unsigned v = 0; v < 0x1000000; v++) {
        b[0] = (unsigned char)(v >> 16);
        b[1] = (unsigned char)(v >> 8);
        b[2] = (unsigned char)v;
        check_one(b, 3);
        if (b[2] == 0)
            check_one(b, 2);
        if (b[1] == 0 && b[2] == 0)
            check_one(b, 1);
    }
}

TEST(four_byte_sequences_agree_at_every_edge)
{
    static const unsigned char edges[] = { 0x00, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0,
                                           0xbe, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff };

    for (unsigned v = 0; v < 0x10000; v++)
        for (size_t i = 0; i < COUNT(edges); i++)
            for (size_t k = 0; k < COUNT(edges); k++) {
                unsigned char b[4] = { (unsigned char)(v >> 8), (unsigned char)v, edges[i],
                                       edges[k] };

                if (b[0] >= 0xe0)
                    check_one(b, 4);
            }
}

TEST(every_character_there_is_is_valid_and_cut_ones_are_not)
{
    for (uint32_t code = 1; code <= 0x10ffff; code++) {
        char   b[4];
        size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        bool   want = code < 0xd800 || code > 0xdfff;

        for (size_t i = n; i-- > 1;)
            b[i] = (char)(0x80 | (code >> (6 * (n - 1 - i)) & 0x3f));
        b[0] = (char)(n == 1 ? code : (0xf00 >> n & 0xff) | code >> (6 * (n - 1)));
        if (utf8_is_valid((struct str){ b, n }) != want ||
            utf8_is_valid((struct str){ b, n - 1 }) != (n == 1))
            fail_msg("U+%04X", code);
    }
}

TEST(a_text_is_valid_when_all_of_it_is)
{
    static const struct {
        struct str text;
        bool       valid;
    } rows[] = {
        { STR_INIT(""), true },
        { { NULL, 0 }, true },
        { STR_INIT("plain\0text"), true },
        { STR_INIT("\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80!"), true },
        { STR_INIT("abc\xe4\xbd"), false },
        { STR_INIT("abc\xff"), false },
        { STR_INIT("\x80"), false },
        { STR_INIT("\xe4\xbd\xa0\xa0"), false },
        { STR_INIT("a\xc0\x80z"), false },
        { STR_INIT("a\xed\xbf\xbfz"), false },
        { STR_INIT("a\xf4\x90\x80\x80z"), false },
        { STR_INIT("a\xf8\x88\x80\x80\x80z"), false },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(utf8_is_valid(rows[i].text) == rows[i].valid, "row %zu", i);
}

TEST(characters_are_counted_and_cut_whole)
{
    static const struct str text = STR_INIT("a\xe4\xbd\xa0\xf0\x9f\x98\x80z");
    static const size_t     ends[] = { 0, 1, 4, 8, 9, 9 };

    assert_int_equal(utf8_count(text), 4);
    assert_int_equal(utf8_count(STR("")), 0);
    for (size_t n = 0; n < COUNT(ends); n++)
        assert_int_equal(utf8_first(text, n).n, ends[n]);
    assert_int_equal(utf8_first(STR(""), 3).n, 0);
}

static void check_without_nul(struct str text, struct str want)
{
    struct arena room = { NULL };

    check_same(utf8_without_nul(text, &room), want);
    arena_release(&room);
}

TEST(another_sign_stands_for_a_nul)
{
    struct arena room = { NULL };
    struct str   plain = STR("a\xe4\xbd\xa0");

    assert_ptr_equal(utf8_without_nul(plain, &room).p, plain.p);
    assert_null(room.chunks);
    check_without_nul((struct str){ NULL, 0 }, STR(""));
    check_without_nul(plain, plain);
    check_without_nul((struct str){ "\0", 1 }, STR("\xef\xbf\xbd"));
    check_without_nul((struct str){ "a\0\0\xe4\xbd\xa0\0", 7 },
                      STR("a\xef\xbf\xbd\xef\xbf\xbd\xe4\xbd\xa0\xef\xbf\xbd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sequences_of_one_to_three_bytes_agree_with_a_naive_decoder),
        cmocka_unit_test(four_byte_sequences_agree_at_every_edge),
        cmocka_unit_test(every_character_there_is_is_valid_and_cut_ones_are_not),
        cmocka_unit_test(a_text_is_valid_when_all_of_it_is),
        cmocka_unit_test(characters_are_counted_and_cut_whole),
        cmocka_unit_test(another_sign_stands_for_a_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
