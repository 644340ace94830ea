#include "check.h"

#include "chat/context.h"

#define RAW_PICTURE                                                                                \
    "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"                  \
    "\"data:image/png;base64,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}]}"

/* ---- estimates -------------------------------------------------------------------------- */

TEST(four_letters_or_one_character_of_another_script_are_a_token)
{
    static const struct {
        const char *text;
        uint64_t    tokens;
    } rows[] = {
        { "", 0 },
        { "a", 1 },
        { "abcd", 1 },
        { "abcde", 2 },
        { "\u4f60\u597d", 2 },
        { "\u4f60\u597d, Anna", 4 },
        { "\u00e9t\u00e9", 3 },
        { "\U0001f600", 1 },
        { "The weather in Hangzhou is fine.", 8 },
        { "\u676d\u5dde\u7684\u5929\u6c14\u5f88\u597d\u3002", 8 },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(context_tokens(str_of(rows[i].text)) == rows[i].tokens, "%s", rows[i].text);
}

TEST(a_message_is_what_goes_out_and_a_little_more)
{
    struct message plain = { ROLE_USER, STR("12345678"), STR("") };
    struct message raw = { ROLE_USER, STR("1234"), STR("{\"content\":\"12\"}") };

    assert_int_equal(context_message_tokens(&plain), 2 + 4);
    assert_int_equal(context_message_tokens(&raw), 4 + 4);
}

TEST(a_picture_is_not_as_long_as_its_bytes)
{
    struct message   m = { ROLE_USER, STR(""), STR(RAW_PICTURE) };
    struct buf       long_one = BUF(1 << 20);
    const struct str whole = STR(RAW_PICTURE);
    const size_t     end = str_find(str_from(whole, whole.n - 5), '"') + whole.n - 5;
    const uint64_t   small = context_message_tokens(&m);

    assert_in_range(small, 1000, 1040);
    buf_add(&long_one, (struct str){ whole.p, end });
    for (int i = 0; i < 100000; i++)
        buf_add_char(&long_one, 'B');
    buf_add(&long_one, str_from(whole, end));
    m.raw = buf_str(&long_one);
    assert_int_equal(context_message_tokens(&m), small);
    m.raw.n -= 5;                             /* broken off within it           */
    assert_in_range(context_message_tokens(&m), 1000, 1040);
    buf_release(&long_one);
}

TEST(a_tail_is_whole_characters_of_both_limits)
{
    static const struct {
        const char *text;
        uint64_t    tokens;
        size_t      characters;
        const char *tail;
    } rows[] = {
        { "", 5, 5, "" },
        { "abc", 5, 5, "abc" },
        { "abcdef", 5, 2, "ef" },
        { "abcdef", 1, 9, "cdef" },
        { "abcdef", 0, 9, "" },
        { "abcdef", 9, 0, "" },
        { "a\u4f60\u597d", 1, 9, "\u597d" },
        { "\u4f60\u597da", 9, 2, "\u597da" },
        { "\u4f60\u597d", 2, 2, "\u4f60\u597d" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_same(context_tail(str_of(rows[i].text), rows[i].tokens, rows[i].characters),
                   str_of(rows[i].tail));
}

/* ---- conversations ---------------------------------------------------------------------- */

enum { MOST = 64, EACH = 24 };                /* tokens of a message            */

static struct message messages[MOST];
static struct context all;

/* A letter a message: s system, d developer, u user, a assistant, c a call, r its result. */
static void hold(const char *letters, uint64_t room)
{
    static char texts[MOST][4 * (EACH - 4) + 1];

    all = (struct context){ .messages = messages, .n = strlen(letters), .room = room };
    for (size_t i = 0; i < all.n; i++) {
        static const char *const roles = "sduacr";
        static const enum role   are[] = { ROLE_SYSTEM,    ROLE_DEVELOPER, ROLE_USER,
                                           ROLE_ASSISTANT, ROLE_ASSISTANT, ROLE_TOOL };

        memset(texts[i], '0', sizeof texts[i]);
        snprintf(texts[i], 8, "%c%u.", letters[i], (unsigned)i % MOST);
        messages[i] = (struct message){ are[strchr(roles, letters[i]) - roles],
                                        { texts[i], 4 * (EACH - 4) },
                                        STR("") };
    }
}

/* What is left, a letter and its number each; S is the summary. */
static const char *left(const struct context_cut *cut)
{
    static char     text[8 * MOST];
    struct arena    a = { NULL };
    struct message *out;
    size_t          n = context_apply(&all, cut, &a, &out), at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        bool is_summary = out[i].text.p[0] == '[';

        at += (size_t)snprintf(text + at, sizeof text - at, "%.*s ",
                               is_summary ? 1 : (int)str_find(out[i].text, '.'),
                               is_summary ? "S" : out[i].text.p);
    }
    arena_release(&a);
    return text;
}

static size_t said(const struct context_cut *cut)
{
    struct arena    a = { NULL };
    struct message *out;
    size_t          n = context_apply(&all, cut, &a, &out);

    arena_release(&a);
    return n;
}

TEST(every_rung_in_its_turn)
{
    static const size_t rungs[] = { 15, 12, 10, 8, 5, 3, 2, 1 };
    struct context_cut  cut;

    hold("suauauauauauauauauauauauauauau", 0);
    all.summary = STR("in short");
    assert_int_equal(context_size(&all), 30 * EACH);
    for (size_t i = 0; i < COUNT(rungs); i++) {
        size_t   next = i + 1 < COUNT(rungs) ? rungs[i + 1] : 0;
        uint64_t size = (1 + rungs[i]) * EACH + 50;

        all.room = size;
        assert_true(context_find_cut(&all, 50, &cut));
        assert_int_equal(cut.from, 30 - rungs[i]);
        assert_int_equal(cut.tokens, size);
        assert_true(cut.has_summary && !cut.drops_system);
        assert_int_equal(said(&cut), 1 + rungs[i] + 1);
        all.room--;                           /* not a token less               */
        assert_true(context_find_cut(&all, 50, &cut));
        assert_int_equal(cut.from, 30 - (next ? next : 1));
        assert_int_equal(cut.has_summary, next > 0);
    }
}

TEST(the_last_rungs)
{
    struct context_cut cut;

    hold("sduauau", 3 * EACH);
    all.summary = STR("in short");
    assert_true(context_find_cut(&all, 50, &cut));
    assert_string_equal(left(&cut), "s0 d1 u6 ");
    assert_true(!cut.has_summary && !cut.drops_system);
    all.room = 3 * EACH - 1;
    assert_true(context_find_cut(&all, 50, &cut));
    assert_string_equal(left(&cut), "u6 ");
    assert_true(cut.drops_system);
    all.room = EACH;
    assert_true(context_find_cut(&all, 50, &cut));
    all.room = EACH - 1;
    assert_false(context_find_cut(&all, 50, &cut));
    assert_int_equal(cut.tokens, EACH);
}

TEST(calls_and_results_stand_or_go_together)
{
    struct context_cut cut;

    hold("sucrrauau", 4 * EACH + 50);
    all.summary = STR("in short");
    assert_true(context_find_cut(&all, 50, &cut));
    assert_string_equal(left(&cut), "s0 S u6 a7 u8 ");
    all.room = 8 * EACH + 20;
    assert_true(context_find_cut(&all, 20, &cut));        /* a result would be the fifth */
    assert_string_equal(left(&cut), "s0 S c2 r3 r4 a5 u6 a7 u8 ");
}

TEST(rules_in_between_are_not_counted)
{
    struct context_cut cut;

    hold("uauasau", 4 * EACH + 50);
    all.summary = STR("in short");
    assert_true(context_find_cut(&all, 50, &cut));
    assert_string_equal(left(&cut), "S a3 s4 a5 u6 ");
}

TEST(where_nothing_is_left_out_no_summary_takes_room)
{
    struct context_cut cut;

    hold("suau", 4 * EACH);
    all.summary = STR("in short");
    assert_true(context_find_cut(&all, 50, &cut));
    assert_string_equal(left(&cut), "s0 u1 a2 u3 ");
}

/* Else the model would call the same again, or answer nobody. */
TEST(the_question_and_what_its_calls_came_to_always_stay)
{
    struct context_cut cut;

    hold("suaucrrcrr", 0);
    all.summary = STR("in short");
    assert_false(context_find_cut(&all, 50, &cut));
    assert_string_equal(left(&cut), "u3 c7 r8 r9 ");
    all.room = 5 * EACH + 50;
    assert_true(context_find_cut(&all, 50, &cut));
    assert_string_equal(left(&cut), "s0 S u3 c7 r8 r9 ");
}

TEST(tools_on_offer_count)
{
    hold("su", 0);
    all.options = STR(",\"tools\":[0,0]");
    assert_int_equal(context_size(&all), 2 * EACH + 4);
}

TEST(nothing_that_a_summary_covers_comes_back)
{
    struct context_cut cut;

    hold("suauauauaucr", 1000 * EACH);
    all.summary = STR("in short");
    all.covered = 7;
    cut = context_cut_as_covered(&all);
    assert_string_equal(left(&cut), "s0 S u7 a8 u9 c10 r11 ");
    assert_int_equal(cut.tokens, 6 * EACH + context_summary_tokens(&all));
    assert_int_equal(context_summary_tokens(&all), 20);
    assert_true(context_find_cut(&all, 50, &cut));
    assert_int_equal(cut.from, 7);
}

TEST(without_a_summary_nothing_stands_there)
{
    struct context_cut cut;

    hold("suau", 4 * EACH - 1);
    assert_int_equal(context_summary_tokens(&all), 0);
    assert_int_equal(context_cut_as_covered(&all).tokens, 4 * EACH);
    assert_true(context_find_cut(&all, 0, &cut));
    assert_string_equal(left(&cut), "s0 a2 u3 ");
}

TEST(a_summary_says_what_it_is)
{
    struct arena       a = { NULL };
    struct context_cut cut = { .from = 2, .has_summary = true };
    struct message    *out;

    hold("uau", 0);
    all.summary = STR("in short");
    assert_int_equal(context_apply(&all, &cut, &a, &out), 2);
    assert_int_equal(out[0].role, ROLE_ASSISTANT);
    check_str(out[0].text, "[Previous conversation summary \u2014 for context only]: in short");
    assert_int_equal(out[0].raw.n, 0);
    arena_release(&a);
}

TEST(what_is_left_out_is_told_in_its_order)
{
    static const struct message some[] = {
        { ROLE_SYSTEM, STR_INIT("rules"), STR_INIT("") },
        { ROLE_USER, STR_INIT("old"), STR_INIT("") },
        { ROLE_USER, STR_INIT("shown"), STR_INIT("{\"picture\":1}") },
        { ROLE_ASSISTANT, STR_INIT("words"), STR_INIT("{\"calls\":1}") },
        { ROLE_TOOL, STR_INIT("found"), STR_INIT("{\"tool\":1}") },
        { ROLE_ASSISTANT, STR_INIT("answer"), STR_INIT("") },
        { ROLE_USER, STR_INIT("new"), STR_INIT("") },
    };
    struct context_cut cut = { .from = 6 };
    struct buf         out = BUF(4096);

    all = (struct context){
        .messages = some, .n = COUNT(some), .summary = STR("so far"), .covered = 2
    };
    context_write_left_out(&all, &cut, &out);
    check_str(buf_str(&out), "What was before, in short: so far\n\nuser: shown\n\n"
                             "assistant: {\"calls\":1}\n\ntool: found\n\nassistant: answer\n\n");
    buf_clear(&out);
    all.summary = STR("");
    all.covered = 0;
    cut.from = 2;
    context_write_left_out(&all, &cut, &out);
    check_str(buf_str(&out), "user: old\n\n");
    buf_release(&out);
}

TEST(nothing_is_no_trouble)
{
    struct context_cut cut;

    hold("", 0);
    assert_true(context_find_cut(&all, 50, &cut));
    assert_int_equal(said(&cut), 0);
    hold("sss", 3 * EACH);
    assert_true(context_find_cut(&all, 50, &cut));
    assert_int_equal(said(&cut), 3);
    hold("rrr", 0);
    assert_false(context_find_cut(&all, 50, &cut));
    assert_int_equal(said(&cut), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_letters_or_one_character_of_another_script_are_a_token),
        cmocka_unit_test(a_message_is_what_goes_out_and_a_little_more),
        cmocka_unit_test(a_picture_is_not_as_long_as_its_bytes),
        cmocka_unit_test(a_tail_is_whole_characters_of_both_limits),
        cmocka_unit_test(every_rung_in_its_turn),
        cmocka_unit_test(the_last_rungs),
        cmocka_unit_test(calls_and_results_stand_or_go_together),
        cmocka_unit_test(rules_in_between_are_not_counted),
        cmocka_unit_test(where_nothing_is_left_out_no_summary_takes_room),
        cmocka_unit_test(the_question_and_what_its_calls_came_to_always_stay),
        cmocka_unit_test(tools_on_offer_count),
        cmocka_unit_test(nothing_that_a_summary_covers_comes_back),
        cmocka_unit_test(without_a_summary_nothing_stands_there),
        cmocka_unit_test(a_summary_says_what_it_is),
        cmocka_unit_test(what_is_left_out_is_told_in_its_order),
        cmocka_unit_test(nothing_is_no_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
