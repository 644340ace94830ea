#include "check.h"

#include "chat/event.h"

#include <regex.h>

static const struct {
    char            letter;
    enum event_type type;
    const char     *name;
} all[] = {
    { 'S', EVENT_START, "start" },         { 'D', EVENT_DELTA, "delta" },
    { 'R', EVENT_REASONING, "reasoning" }, { 'T', EVENT_TOOL_CALL, "tool_call" },
    { 'C', EVENT_CITATION, "citation" },   { 'U', EVENT_USAGE, "usage" },
    { 'F', EVENT_FINISH, "finish" },       { 'E', EVENT_ERROR, "error" },
};

/* All sequences of up to five events, against the grammar written as a regular
 * expression. After a refusal nothing is said about what follows. */
TEST(exactly_the_beginnings_of_lawful_answers_are_allowed)
{
    regex_t lawful;
    size_t  sequences = 1;

    assert_int_equal(regcomp(&lawful, "^(E|S[DRTC]*U?[FE]?)?$", REG_EXTENDED | REG_NOSUB), 0);
    for (int n = 0; n <= 5; n++, sequences *= COUNT(all))
        for (size_t k = 0; k < sequences; k++) {
            struct grammar g = { 0 };
            char           so_far[6] = "";
            size_t         left = k;
            bool           want = true;

            for (int i = 0; i < n && want; i++, left /= COUNT(all)) {
                so_far[i] = all[left % COUNT(all)].letter;
                want = regexec(&lawful, so_far, 0, NULL, 0) == 0;
                check_that(grammar_allows(&g, all[left % COUNT(all)].type) == want, "%s", so_far);
            }
        }
    regfree(&lawful);
}

TEST(after_the_last_word_nothing_is_allowed_ever_again)
{
    static const enum event_type lasts[] = { EVENT_FINISH, EVENT_ERROR };

    for (size_t k = 0; k < COUNT(lasts); k++) {
        struct grammar g = { 0 };

        assert_true(grammar_allows(&g, EVENT_START));
        assert_true(grammar_allows(&g, lasts[k]));
        for (size_t i = 0; i < 5 * COUNT(all); i++)
            assert_false(grammar_allows(&g, all[i * 5 % COUNT(all)].type));
    }
}

TEST(every_event_has_its_name)
{
    for (size_t i = 0; i < COUNT(all); i++) {
        check_that(event_name(all[i].type), "%s", all[i].name);
        assert_string_equal(event_name(all[i].type), all[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_beginnings_of_lawful_answers_are_allowed),
        cmocka_unit_test(after_the_last_word_nothing_is_allowed_ever_again),
        cmocka_unit_test(every_event_has_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
