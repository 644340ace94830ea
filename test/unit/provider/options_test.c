#include "unit/provider/written.h"

#include "provider/options.h"
#include "provider/spark_question.h"

#include <time.h>

static struct question *asked;
static struct options   options;

static void open_with(const char *members, struct str extra)
{
    struct provider_settings s = { .extra = extra };
    struct provider          p = { .settings = &s };

    asked = written_question(members);
    options = options_open(&p, asked);
}

static void close_all(void)
{
    options_close(&options);
    question_free(asked);
}

TEST(the_clients_word_wins)
{
    struct buf out = BUF(1000);

    open_with(ASK ",\"a\":1,\"c\":[3]}", STR("{\"a\":2,\"b\":4,\"c\":null}"));
    json_add_value(&out, options_get(&options, "a"));
    json_add_value(&out, options_get(&options, "b"));
    json_add_value(&out, options_get(&options, "c"));
    check_buf(&out, "14[3]");
    assert_null(options_get(&options, "d"));
    close_all();
    buf_release(&out);
}

TEST(there_may_be_nothing)
{
    open_with(ASK "}", STR(""));
    assert_null(options_get(&options, "a"));
    assert_null(options_tools(&options));
    assert_int_equal(options_max_tokens(&options, asked), 0);
    close_all();
}

TEST(a_limit_is_a_whole_number_above_zero)
{
    static const struct {
        const char *members;
        struct str  extra;
        uint64_t    limit;
    } rows[] = {
        { ASK ",\"max_tokens\":5}", STR_INIT("{\"max_tokens\":9}"), 5 },
        { ASK "}", STR_INIT("{\"max_tokens\":9}"), 9 },
        { ASK "}", STR_INIT("{\"max_tokens\":-9}"), 0 },
        { ASK "}", STR_INIT("{\"max_tokens\":1.5}"), 0 },
        { ASK "}", STR_INIT("{\"max_tokens\":\"9\"}"), 0 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        open_with(rows[i].members, rows[i].extra);
        check_that(options_max_tokens(&options, asked) == rows[i].limit, "row %zu", i);
        close_all();
    }
}

TEST(choices_are_told_apart)
{
    static const struct {
        const char      *said;
        enum tool_choice choice;
        const char      *name;
    } rows[] = {
        { "", TOOLS_UNSAID, "" },
        { ",\"tool_choice\":\"none\"", TOOLS_NONE, "" },
        { ",\"tool_choice\":\"auto\"", TOOLS_AUTO, "" },
        { ",\"tool_choice\":\"required\"", TOOLS_REQUIRED, "" },
        { ",\"tool_choice\":\"whatever\"", TOOLS_OTHER, "" },
        { ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}", TOOLS_NAMED,
          "f" },
        { ",\"tool_choice\":{\"type\":\"function\",\"function\":{}}", TOOLS_OTHER, "" },
        { ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}", TOOLS_OTHER, "" },
        { ",\"function_call\":{\"name\":\"f\"}", TOOLS_NAMED, "f" },
        { ",\"function_call\":\"none\"", TOOLS_NONE, "" },
    };
    char members[300];

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str name = { NULL, 0 };

        snprintf(members, sizeof members, ASK "%s}", rows[i].said);
        open_with(members, STR(""));
        check_that(options_tool_choice(&options, &name) == rows[i].choice, "row %zu", i);
        check_text(name, rows[i].name);
        close_all();
    }
}

TEST(no_name_comes_twice)
{
    const char      *why;
    struct json_doc *one = json_read(STR("{\"a\":1,\"b\":2,\"n\":null}"), &why),
                    *two = json_read(STR("{\"b\":3,\"n\":4,\"c\":5,\"s\":6}"), &why);
    struct buf     out = BUF(1000);
    struct members m = members_open(&out);

    members_add_str(&m, "a", STR("\""));
    members_skip(&m, "s");
    assert_false(members_add_name(&m, "a"));
    members_add(&m, "gone", NULL);
    members_add_rest(&m, json_root(one));
    members_add_rest(&m, json_root(two));
    members_add_u64(&m, "c", 7);
    members_add_u64(&m, "d", UINT64_MAX);
    members_close(&m);
    check_buf(&out, "{\"a\":\"\\\"\",\"b\":2,\"n\":4,\"c\":5,\"d\":18446744073709551615}");
    json_free(one);
    json_free(two);
    buf_release(&out);
}

/* Thirty thousand results of calls that nobody made, behind thirty thousand calls: every
 * kind must be through with it in no time, for all others wait. */
TEST(a_hostile_conversation_costs_no_more_than_its_length)
{
    static const struct provider_settings s = { .app_id = STR_INIT("a") }, model;
    static const struct {
        const struct upstream_kind     *kind;
        const struct provider_settings *settings;
    } rows[] = { { &openai_kind, &s },
                 { &anthropic_kind, &s },
                 { &ollama_kind, &s },
                 { &dashscope_kind, &s },
                 { &dashscope_kind, &model } };
    enum { MANY = 30000 };
    struct provider  p = { .settings = &s };
    struct buf       text = BUF(SIZE_MAX / 2), out = BUF(SIZE_MAX / 2);
    struct question *q;

    buf_lit(&text, "\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[");
    for (int i = 0; i < MANY; i++)
        buf_addf(&text, "%s{\"id\":\"c%d\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}",
                 i ? "," : "", i);
    buf_lit(&text, "]}");
    for (int i = 0; i < MANY; i++)
        buf_addf(&text, ",{\"role\":\"tool\",\"tool_call_id\":\"x%d\",\"content\":\"r\"}", i);
    buf_add(&text, (struct str){ "]}", 3 });
    q = written_question(text.p);
    for (size_t i = 0; i < COUNT(rows); i++) {
        clock_t begin = clock();

        p.settings = rows[i].settings;
        buf_clear(&out);
        rows[i].kind->write_body(&p, q, STR("m"), &out);
        check_that(clock() - begin < 5 * CLOCKS_PER_SEC, "row %zu", i);
        check_that(out.n > MANY && !out.over, "row %zu: %zu bytes", i, out.n);
    }
    buf_clear(&out);
    spark_write_question(&p, q, STR("lite"), &out);
    check_that(out.n > MANY && !out.over, "%zu bytes", out.n);
    question_free(q);
    buf_release(&text);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clients_word_wins),
        cmocka_unit_test(there_may_be_nothing),
        cmocka_unit_test(a_limit_is_a_whole_number_above_zero),
        cmocka_unit_test(choices_are_told_apart),
        cmocka_unit_test(no_name_comes_twice),
        cmocka_unit_test(a_hostile_conversation_costs_no_more_than_its_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
