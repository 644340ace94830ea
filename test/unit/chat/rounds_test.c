#include "check.h"

#include "chat/gathering.h"
#include "chat/rounds.h"

static struct event call_of(uint64_t index, const char *id, const char *arguments, bool is_ours)
{
    return (struct event){
        .type = EVENT_TOOL_CALL,
        .text = str_of(arguments),
        .tool = { .index = index, .id = str_of(id), .name = STR("f"), .is_ours = is_ours }
    };
}

static struct event result_of(uint64_t index, const char *text)
{
    return (struct event){ .type = EVENT_TOOL_RESULT,
                           .text = str_of(text),
                           .tool = { .index = index, .is_ours = true } };
}

static struct event words(const char *text)
{
    return (struct event){ .type = EVENT_DELTA, .text = str_of(text) };
}

static size_t split(const struct event *events, size_t n, struct arena *a, struct message **out)
{
    struct gathering g;
    struct buf       calls = BUF(1 << 20);
    size_t           found;

    gathering_begin(&g);
    for (size_t i = 0; i < n; i++)
        gathering_add(&g, &events[i]);
    gathering_write_calls(&g, &calls);
    found = rounds_split(buf_str(&g.text), buf_str(&calls), a, out);
    buf_release(&calls);
    gathering_release(&g);
    return found;
}

#define SPLIT(events) split(events, COUNT(events), &a, &m)
#define CALL(id, arguments)                                                                        \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"" arguments "\"}}"

static void check(const struct message *m, enum role role, const char *raw)
{
    assert_int_equal(m->role, role);
    check_same(m->raw, str_of(raw));
}

TEST(an_answer_of_words_is_one_message)
{
    struct arena       a = { NULL };
    struct message    *m;
    const struct event events[] = { words("a"), words("b") };

    assert_int_equal(SPLIT(events), 1);
    check(&m[0], ROLE_ASSISTANT, "");
    check_same(m[0].text, STR("ab"));
    arena_release(&a);
}

TEST(an_answer_of_nothing_is_none)
{
    struct arena    a = { NULL };
    struct message *m;

    assert_int_equal(rounds_split(STR(""), STR(""), &a, &m), 0);
    arena_release(&a);
}

TEST(rounds_stand_behind_each_other)
{
    struct arena       a = { NULL };
    struct message    *m;
    const struct event round = { .type = EVENT_ROUND };
    const struct event events[] = { words("one "),
                                    call_of(0, "a", "{", true),
                                    call_of(1, "b", "1", true),
                                    call_of(0, "", "}", true),
                                    result_of(0, "A"),
                                    result_of(1, "\"B\""),
                                    round,
                                    call_of(2, "c", "", true),
                                    result_of(2, "C"),
                                    round,
                                    words("two") };

    assert_int_equal(SPLIT(events), 6);
    check(&m[0], ROLE_ASSISTANT,
          "{\"role\":\"assistant\",\"content\":\"one \",\"tool_calls\":[" CALL("a", "{}") "," CALL(
              "b", "{}") "]}");
    check(&m[1], ROLE_TOOL, "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"A\"}");
    check(&m[2], ROLE_TOOL, "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"\\\"B\\\"\"}");
    check(&m[3], ROLE_ASSISTANT,
          "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" CALL("c", "{}") "]}");
    check(&m[4], ROLE_TOOL, "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"C\"}");
    check(&m[5], ROLE_ASSISTANT, "");
    check_same(m[5].text, STR("two"));
    arena_release(&a);
}

TEST(arguments_are_an_object_whatever_was_said)
{
    static const char *const said[] = { "{\"n\":1", "[1]", "", "no" };
    struct message          *m;

    for (size_t i = 0; i < COUNT(said); i++) {
        struct arena       a = { NULL };
        const struct event events[] = { call_of(0, "a", said[i], true) };

        assert_int_equal(SPLIT(events), 2);
        check(&m[0], ROLE_ASSISTANT,
              "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" CALL("a", "{}") "]}");
        arena_release(&a);
    }
}

TEST(a_call_whose_end_nobody_saw_has_come_to_nothing)
{
    struct arena       a = { NULL };
    struct message    *m;
    const struct event events[] = { call_of(0, "a", "{}", true), call_of(1, "b", "{}", true),
                                    result_of(1, "B") };

    assert_int_equal(SPLIT(events), 3);
    check(&m[1], ROLE_TOOL,
          "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"{\\\"type\\\":\\\"error\\\","
          "\\\"message\\\":\\\"The call was interrupted.\\\"}\"}");
    check(&m[2], ROLE_TOOL, "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"B\"}");
    arena_release(&a);
}

TEST(calls_of_the_client_are_not_told)
{
    struct arena       a = { NULL };
    struct message    *m;
    const struct event events[] = { words("x"), call_of(0, "a", "{}", false),
                                    call_of(0, "b", "{}", true), result_of(0, "B") };

    assert_int_equal(SPLIT(events), 2);
    check(&m[0], ROLE_ASSISTANT,
          "{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[" CALL("b", "{}") "]}");
    arena_release(&a);
}

TEST(what_somebody_wrote_into_the_database_does_no_harm)
{
    static const char *const calls[] = {
        "[{\"round\":0,\"at\":-5}]",
        "[{\"round\":0,\"at\":99999}]",
        "[{\"round\":-1}]",
        "[{\"round\":\"0\"},7,null]",
        "{\"round\":0}",
        "not JSON",
        "[{\"round\":1,\"at\":2},{\"round\":0,\"at\":1},{\"round\":1,\"at\":0}]",
    };

    for (size_t i = 0; i < COUNT(calls); i++) {
        struct arena    a = { NULL };
        struct message *m;
        size_t          n = rounds_split(STR("text"), str_of(calls[i]), &a, &m);

        assert_true(n >= 1 && n <= 7);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_of_words_is_one_message),
        cmocka_unit_test(an_answer_of_nothing_is_none),
        cmocka_unit_test(rounds_stand_behind_each_other),
        cmocka_unit_test(arguments_are_an_object_whatever_was_said),
        cmocka_unit_test(a_call_whose_end_nobody_saw_has_come_to_nothing),
        cmocka_unit_test(calls_of_the_client_are_not_told),
        cmocka_unit_test(what_somebody_wrote_into_the_database_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
