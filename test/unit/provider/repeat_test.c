/* What is known again must be what a reader would have read. */
#include "check.h"

#include "base/json.h"
#include "provider/repeat.h"

#define EVENT(before, text, behind) \
    "{\"id\":\"" before "\",\"delta\":{\"content\":\"" text "\"},\"finish_reason\":" behind "}"

static const struct str name = STR_INIT("\"content\":");

static struct str content_of(struct str event, struct json_doc **doc)
{
    const char *why;

    *doc = json_read(event, &why);
    return json_str(json_get(json_get(json_root(*doc), "delta"), "content"));
}

static void learn(struct repeat *r, const char *event)
{
    struct json_doc *doc;
    struct str       text = content_of(str_of(event), &doc);

    repeat_learn(r, str_of(event), name, text);
    json_free(doc);
}

TEST(another_text_between_the_same_bytes_is_known)
{
    static const char *const texts[] = {
        EVENT("a", "x", "null"),
        EVENT("a", "much longer than before", "null"),
        EVENT("a", " ", "null"),
        EVENT("a", "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x91\xa9", "null"),
        EVENT("a", "{}[]:,'/", "null"),
    };
    struct repeat r = { 0 };

    learn(&r, EVENT("a", "word", "null"));
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct json_doc *doc;
        struct str       want = content_of(str_of(texts[i]), &doc), got;

        assert_true(repeat_knows(&r, str_of(texts[i]), &got));
        check_same(got, want);
        json_free(doc);
    }
}

TEST(whatever_else_is_another_event_is_not_known)
{
    static const char *const others[] = {
        "",
        "{}",
        EVENT("b", "word", "null"),                      /* another before               */
        EVENT("a", "word", "\"stop\""),                  /* another behind               */
        EVENT("a", "", "null"),                          /* nothing is nothing           */
        EVENT("a", "a\\nb", "null"),                     /* not as it stands             */
        EVENT("a", "a\\\"", "null"),
        EVENT("a", "x\",\"role\":\"y", "null"),          /* more members between         */
        EVENT("a", "x\"},\"error\":{\"a\":\"", "null"),
        EVENT("a", "a\tb", "null"),                      /* no JSON at all               */
        EVENT("a", "\xff", "null"),
        EVENT("a", "\xe4\xbd", "null"),
        EVENT("a", "word", "null") " ",
        " " EVENT("a", "word", "null"),
    };

    for (size_t i = 0; i < COUNT(others); i++) {
        struct repeat r = { 0 };
        struct str    text;

        learn(&r, EVENT("a", "word", "null"));
        check_that(!repeat_knows(&r, str_of(others[i]), &text), "%s", others[i]);
    }
}

TEST(what_cannot_be_told_from_other_text_is_not_learnt)
{
    static const struct {
        const char *event;
        struct str  text;
    } rows[] = {
        { EVENT("a", "a\\nb", "null"), STR_INIT("a\nb") },
        { "{\"content\":\"x\",\"delta\":{\"content\":\"x\"}}", STR_INIT("x") }, /* which?  */
        { "{\"content\":[\"x\"]}", STR_INIT("x") },
        { "{\"context\":\"x\"}", STR_INIT("x") },
        { EVENT("a", "another", "null"), STR_INIT("word") },
        { EVENT("a", "", "null"), STR_INIT("") },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct repeat r = { 0 };
        struct str    text;

        repeat_learn(&r, str_of(rows[i].event), name, rows[i].text);
        check_that(!repeat_knows(&r, str_of(rows[i].event), &text), "%s", rows[i].event);
    }
}

TEST(blanks_before_the_text_are_part_of_what_is_around_it)
{
    struct repeat r = { 0 };
    struct str    text;

    repeat_learn(&r, STR("{\"content\":  \"one\"}"), name, STR("one"));
    assert_true(repeat_knows(&r, STR("{\"content\":  \"two\"}"), &text));
    check_str(text, "two");
    assert_false(repeat_knows(&r, STR("{\"content\": \"two\"}"), &text));
}

TEST(where_no_two_are_alike_nobody_looks_for_long)
{
    struct repeat r = { 0 };
    struct str    text;

    learn(&r, EVENT("a", "word", "null"));
    for (int i = 0; i < 8; i++)
        assert_false(repeat_knows(&r, str_of(EVENT("b", "word", "null")), &text));
    assert_false(repeat_knows(&r, str_of(EVENT("a", "word", "null")), &text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_text_between_the_same_bytes_is_known),
        cmocka_unit_test(whatever_else_is_another_event_is_not_known),
        cmocka_unit_test(what_cannot_be_told_from_other_text_is_not_learnt),
        cmocka_unit_test(blanks_before_the_text_are_part_of_what_is_around_it),
        cmocka_unit_test(where_no_two_are_alike_nobody_looks_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
