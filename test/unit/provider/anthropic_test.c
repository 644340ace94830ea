#include "unit/provider/written.h"

static const struct provider_settings plain;

#define BEGIN     "{\"model\":\"their-model\",\"max_tokens\":4096,"
#define ASKED     BEGIN "\"messages\":[{\"role\":\"user\",\"content\":[" TEXT("Hi") "]}],\"stream\":true"
#define TEXT(t)   "{\"type\":\"text\",\"text\":\"" t "\"}"
#define SAYS(r, t) "{\"role\":\"" r "\",\"content\":\"" t "\"}"

static void check_written(const char *members, const char *want)
{
    check_body(&anthropic_kind, &plain, members, want);
}

/* The client's messages, and what becomes of them. */
static void check_messages(const char *messages, const char *want)
{
    struct buf in = BUF(100000), out = BUF(100000);

    buf_addf(&in, "\"messages\":[%s]}%c", messages, 0);
    buf_addf(&out, BEGIN "%s,\"stream\":true}%c", want, 0);
    check_written(in.p, out.p);
    buf_release(&in);
    buf_release(&out);
}

/* Beside the question, and what becomes of it. */
static void check_options(const char *options, const char *want)
{
    struct buf in = BUF(100000), out = BUF(100000);

    buf_addf(&in, ASK "%s}%c", options, 0);
    buf_addf(&out, ASKED "%s}%c", want, 0);
    check_written(in.p, out.p);
    buf_release(&in);
    buf_release(&out);
}

TEST(a_plain_question)
{
    check_written(ASK "}", ASKED "}");
    check_path(&anthropic_kind, &plain, ASK "}", "/v1/messages");
    check_fields(&anthropic_kind, &plain, STR("sk-ant"),
                 "x-api-key: sk-ant\r\nanthropic-version: 2023-06-01\r\n");
}

TEST(instructions_stand_beside_the_messages)
{
    check_messages(SAYS("system", "Be \\\"brief\\\"\\u0001.") "," SAYS("user", "a") "," SAYS(
                       "developer", "And kind.") "," SAYS("system", "") "," SAYS("user", "b"),
                   "\"system\":\"Be \\\"brief\\\"\\u0001.\\n\\nAnd kind.\",\"messages\":["
                   "{\"role\":\"user\",\"content\":[" TEXT("a") "," TEXT("b") "]}]");
}

TEST(user_and_assistant_take_turns)
{
    check_messages(SAYS("user", "a") "," SAYS("user", "b") "," SAYS("assistant", "c") "," SAYS(
                       "assistant", "d") "," SAYS("user", "e"),
                   "\"messages\":[{\"role\":\"user\",\"content\":[" TEXT("a") "," TEXT(
                       "b") "]},"
                            "{\"role\":\"assistant\",\"content\":[" TEXT("c") "," TEXT(
                                "d") "]},"
                                     "{\"role\":\"user\",\"content\":[" TEXT("e") "]}]");
}

TEST(what_is_empty_is_left_out)
{
    check_messages(SAYS("user", "a") "," SAYS("assistant", " \\n") "," SAYS("user", "b"),
                   "\"messages\":[{\"role\":\"user\",\"content\":[" TEXT("a") "," TEXT("b") "]}]");
    check_messages(SAYS("user", ""), "\"messages\":[]");
}

TEST(calls_and_results_are_blocks)
{
    check_messages(
        SAYS(
            "user",
            "w?") ","
                  "{\"role\":\"assistant\",\"content\":\"\\n\\n\",\"tool_calls\":["
                  "{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                  "\"arguments\":\"{\\\"city\\\": \\\"\\u5317\\u4eac\\\"}\"}},"
                  "{\"id\":\"fn.g:1\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},"
                  "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"22\"},"
                  "{\"role\":\"tool\",\"tool_call_id\":\"fn.g:1\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},"
                  "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://h/i.png\"}}]}," SAYS(
                      "user", "so?"),
        "\"messages\":[{\"role\":\"user\",\"content\":[" TEXT(
            "w?") "]},"
                  "{\"role\":\"assistant\",\"content\":["
                  "{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"f\",\"input\":{\"city\":"
                  "\"\xe5\x8c\x97\xe4\xba\xac\"}},"
                  "{\"type\":\"tool_use\",\"id\":\"fn_g_1\",\"name\":\"g\",\"input\":{}}]},"
                  "{\"role\":\"user\",\"content\":["
                  "{\"type\":\"tool_result\",\"tool_use_id\":\"call_1\",\"content\":\"22\"},"
                  "{\"type\":\"tool_result\",\"tool_use_id\":\"fn_g_1\",\"content\":[" TEXT(
                      "x") ","
                           "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://h/i.png\"}}]}," TEXT(
                               "so?") "]}]");
}

TEST(broken_calls_are_mended_or_passed_on)
{
    check_messages(
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
        "{\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}},"
        "{\"id\":\"\\u00e9\\\"\",\"function\":{\"name\":\"\\\"\",\"arguments\":\"[]\"}},17]},"
        "{\"role\":\"tool\",\"content\":\"\"}",
        "\"messages\":[{\"role\":\"assistant\",\"content\":["
        "{\"type\":\"tool_use\",\"id\":\"_\",\"name\":\"f\",\"input\":{}},"
        "{\"type\":\"tool_use\",\"id\":\"___\",\"name\":\"\\\"\",\"input\":{}},"
        "{\"type\":\"tool_use\",\"id\":\"_\",\"name\":\"\",\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"_\","
        "\"content\":\"\"}]}]");
}

TEST(old_functions_are_calls_of_their_name)
{
    check_messages(
        "{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\","
        "\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}",
        "\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
        "\"id\":\"f\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
        "{\"type\":\"tool_result\",\"tool_use_id\":\"f\",\"content\":\"r\"}]}]");
}

TEST(parts_are_texts_images_and_whatever_else)
{
    check_messages(
        "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
        "\"data:image/png;base64,iVBORw0=\",\"detail\":\"low\"}},{\"type\":\"text\",\"text\":\"\"},"
        "{\"type\":\"image_url\",\"image_url\":\"data:text\"},{\"type\":\"text\",\"text\":\"t\"},"
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"x\"}}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}",
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":"
        "\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBORw0=\"}},"
        "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"data:text\"}}," TEXT(
            "t") ","
                 "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"x\"}}]},"
                 "{\"role\":\"assistant\",\"content\":[" TEXT("no") "]}]");
}

#define F(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"
#define T(name) "{\"name\":\"" name "\",\"input_schema\":{\"type\":\"object\"}}"

TEST(tools_have_a_schema)
{
    check_options(
        ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
        "\"strict\":true,\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{}}}}}," F(
            "g") ",{\"type\":\"web_search_1\",\"name\":\"web_search\"}]",
        ",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":"
        "\"object\",\"properties\":{\"a\":{}}}}," T(
            "g") ","
                 "{\"type\":\"web_search_1\",\"name\":\"web_search\"}]");
    check_options(",\"functions\":[{\"name\":\"f\",\"parameters\":{\"properties\":{}}}],"
                  "\"function_call\":{\"name\":\"f\"}",
                  ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\","
                  "\"properties\":{}}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}");
    check_options(",\"tools\":[],\"tool_choice\":\"auto\"", "");
    check_options(",\"tool_choice\":\"auto\",\"parallel_tool_calls\":false", "");
}

TEST(the_choice_of_a_tool_has_other_words)
{
    static const struct {
        const char *asked, *written;
    } rows[] = {
        { "", "" },
        { ",\"tool_choice\":\"auto\"", ",\"tool_choice\":{\"type\":\"auto\"}" },
        { ",\"tool_choice\":\"required\"", ",\"tool_choice\":{\"type\":\"any\"}" },
        { ",\"tool_choice\":\"none\"", ",\"tool_choice\":{\"type\":\"none\"}" },
        { ",\"tool_choice\":" F("f"), ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}" },
        { ",\"tool_choice\":{\"type\":\"any\"}", ",\"tool_choice\":{\"type\":\"any\"}" },
        { ",\"parallel_tool_calls\":true", "" },
        { ",\"parallel_tool_calls\":false",
          ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}" },
        { ",\"parallel_tool_calls\":false,\"tool_choice\":" F("f"),
          ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}" },
        { ",\"parallel_tool_calls\":false,\"tool_choice\":\"none\"",
          ",\"tool_choice\":{\"type\":\"none\"}" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf in = BUF(1000), out = BUF(1000);

        buf_addf(&in, ",\"tools\":[" F("f") "]%s%c", rows[i].asked, 0);
        buf_addf(&out, ",\"tools\":[" T("f") "]%s%c", rows[i].written, 0);
        check_options(in.p, out.p);
        buf_release(&in);
        buf_release(&out);
    }
}

TEST(options_are_mapped_or_left_out)
{
    check_options(
        ",\"temperature\":1.5,\"top_p\":0.5,\"top_k\":7,\"stop\":\"a\\n\",\"user\":\"u\\\"1\","
        "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}",
        ",\"temperature\":1,\"top_p\":0.5,\"top_k\":7,\"stop_sequences\":[\"a\\n\"],"
        "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},"
        "\"metadata\":{\"user_id\":\"u\\\"1\"}");
    check_options(",\"temperature\":-1,\"stop\":[\"a\",\"b\"]",
                  ",\"temperature\":0,\"stop_sequences\":[\"a\",\"b\"]");
    check_options(",\"temperature\":0.7", ",\"temperature\":0.7");
    check_options(
        ",\"reasoning_effort\":\"high\",\"seed\":1,\"logprobs\":true,\"frequency_penalty\":1,"
        "\"presence_penalty\":1,\"response_format\":{\"type\":\"text\"},\"logit_bias\":{},"
        "\"metadata\":{\"a\":\"b\"},\"user\":\"\",\"unheard_of\":1",
        "");
}

TEST(the_limit_is_the_clients_or_the_settings_or_ours)
{
    static const struct provider_settings s = { .extra = STR_INIT("{\"max_tokens\":9000}") };
    static const char                     rest[] =
        "\"messages\":[{\"role\":\"user\",\"content\":[" TEXT("Hi") "]}],\"stream\":true}";
    char want[300];

    snprintf(want, sizeof want, "{\"model\":\"their-model\",\"max_tokens\":17,%s", rest);
    check_body(&anthropic_kind, &s, ASK ",\"max_tokens\":17}", want);
    check_body(&anthropic_kind, &plain, ASK ",\"max_completion_tokens\":17}", want);
    snprintf(want, sizeof want, "{\"model\":\"their-model\",\"max_tokens\":9000,%s", rest);
    check_body(&anthropic_kind, &s, ASK "}", want);
}

TEST(the_settings_add_what_is_not_there)
{
    static const struct provider_settings s = {
        .extra = STR_INIT(
            "{\"temperature\":0.5,\"thinking\":{\"type\":\"disabled\"},\"stop_sequences\":[\"x\"],"
            "\"system\":\"S\",\"stream\":false,\"model\":\"no\",\"messages\":1,\"nothing\":null}")
    };

    check_body(&anthropic_kind, &s, ASK ",\"temperature\":1,\"stop\":\"a\"}",
               ASKED ",\"temperature\":1,\"stop_sequences\":[\"a\"],"
                     "\"thinking\":{\"type\":\"disabled\"},\"system\":\"S\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_question),
        cmocka_unit_test(instructions_stand_beside_the_messages),
        cmocka_unit_test(user_and_assistant_take_turns),
        cmocka_unit_test(what_is_empty_is_left_out),
        cmocka_unit_test(calls_and_results_are_blocks),
        cmocka_unit_test(broken_calls_are_mended_or_passed_on),
        cmocka_unit_test(old_functions_are_calls_of_their_name),
        cmocka_unit_test(parts_are_texts_images_and_whatever_else),
        cmocka_unit_test(tools_have_a_schema),
        cmocka_unit_test(the_choice_of_a_tool_has_other_words),
        cmocka_unit_test(options_are_mapped_or_left_out),
        cmocka_unit_test(the_limit_is_the_clients_or_the_settings_or_ours),
        cmocka_unit_test(the_settings_add_what_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
