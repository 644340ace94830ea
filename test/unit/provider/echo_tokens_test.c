#include "check.h"

#include "provider/echo_tokens.h"
#include "base/utf8.h"

#define A10 "aaaaaaaaaa"
#define B10 "          "

TEST(a_token_is_a_word_with_its_blanks_or_a_character)
{
    static const struct {
        struct str  text;
        const char *tokens; /* each in angle brackets         */
    } rows[] = {
        { STR_INIT(""), "" },
        { STR_INIT("Hello"), "<Hello>" },
        { STR_INIT("Hello, big world!"), "<Hello,>< big>< world!>" },
        { STR_INIT("  two  blanks "), "<  two><  blanks>< >" },
        { STR_INIT("a\n\tb\r\nc\v\fd"), "<a><\n\tb><\r\nc><\v\fd>" },
        { STR_INIT(" "), "< >" },
        { STR_INIT("\xe4\xbd\xa0\xe5\xa5\xbd"), "<\xe4\xbd\xa0><\xe5\xa5\xbd>" },
        { STR_INIT("na\xc3\xafve"), "<na><\xc3\xaf><ve>" },
        { STR_INIT("a \xe4\xbd\xa0 b"), "<a>< ><\xe4\xbd\xa0>< b>" },
        { STR_INIT("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"),
          "<\xf0\x9f\x91\xa9><\xe2\x80\x8d><\xf0\x9f\x92\xbb>" },
        { STR_INIT(A10 A10 A10 "aa"), "<" A10 A10 A10 "aa>" },
        { STR_INIT(A10 A10 A10 "aab"), "<" A10 A10 A10 "aa><b>" },
        { STR_INIT(" " A10 A10 A10 "aab"), "< " A10 A10 A10 "a><ab>" },
        { STR_INIT(B10 B10 B10 "   a"), "<" B10 B10 B10 "  >< a>" },
        { STR_INIT("\xff\xe4\xbd"), "<\xff><\xe4><\xbd>" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf got = BUF(1000);
        struct str rest = rows[i].text;
        uint64_t   n = 0;

        for (; rest.n; n++) {
            struct str token = { rest.p, echo_token_length(rest) };

            buf_addf(&got, "<%.*s>", STR_ARG(token));
            rest = str_from(rest, token.n);
        }
        check_text(buf_str(&got), rows[i].tokens);
        assert_int_equal(echo_token_count(rows[i].text), n);
        buf_release(&got);
    }
    assert_int_equal(echo_token_length((struct str){ NULL, 0 }), 0);
}

/* Random texts of blanks, letters, Chinese and joined emoji. */
TEST(tokens_are_short_whole_and_together_the_text)
{
    static const struct str pieces[] = {
        STR_INIT(" "),
        STR_INIT("\n"),
        STR_INIT("a"),
        STR_INIT("word"),
        STR_INIT(","),
        STR_INIT(A10),
        STR_INIT("\xe4\xbd\xa0"),
        STR_INIT("\xc3\xa9"),
        STR_INIT("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"),
        STR_INIT(B10),
    };
    uint64_t seed = 99;

    for (int round = 0; round < 3000; round++) {
        struct buf text = BUF(10000);
        struct str rest;

        for (uint64_t n = check_random(&seed) % 40; n > 0; n--)
            buf_add(&text, pieces[check_random(&seed) % COUNT(pieces)]);
        rest = buf_str(&text);
        while (rest.n) {
            size_t n = echo_token_length(rest);

            assert_in_range(n, 1, rest.n < 32 ? rest.n : 32);
            assert_true(utf8_is_valid((struct str){ rest.p, n }));
            rest = str_from(rest, n);
        }
        buf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_a_word_with_its_blanks_or_a_character),
        cmocka_unit_test(tokens_are_short_whole_and_together_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
