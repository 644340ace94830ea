#include "unit/provider/written.h"

static const struct provider_settings plain;

#define BEGIN "{\"model\":\"their-model\",\"messages\":["
#define HI    "{\"role\":\"user\",\"content\":\"Hi\"}"
#define END   "],\"stream\":true"

static void check_messages(const char *messages, const char *want)
{
    struct buf in = BUF(100000), out = BUF(100000);

    buf_addf(&in, "\"messages\":[%s]}%c", messages, 0);
    buf_addf(&out, BEGIN "%s" END ",\"options\":{}}%c", want, 0);
    check_body(&ollama_kind, &plain, in.p, out.p);
    buf_release(&in);
    buf_release(&out);
}

static void check_options(const struct provider_settings *s, const char *options, const char *want)
{
    struct buf in = BUF(100000), out = BUF(100000);

    buf_addf(&in, ASK "%s}%c", options, 0);
    buf_addf(&out, BEGIN HI END "%s}%c", want, 0);
    check_body(&ollama_kind, s, in.p, out.p);
    buf_release(&in);
    buf_release(&out);
}

TEST(a_plain_question)
{
    check_messages("{\"role\":\"developer\",\"content\":\"Be\\u0007.\"}," HI,
                   "{\"role\":\"system\",\"content\":\"Be\\u0007.\"}," HI);
    check_path(&ollama_kind, &plain, ASK "}", "/api/chat");
    check_fields(&ollama_kind, &plain, STR(""), "");
    check_fields(&ollama_kind, &plain, STR("k"), "authorization: Bearer k\r\n");
}

TEST(calls_have_objects_and_results_have_names)
{
    check_messages(
        "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":["
        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
        "\"{\\\"a\\\":[1]}\"}},{\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"two\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"o\"},"
        "{\"type\":\"text\",\"text\":\"ne\"}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c3\",\"content\":\"three\"}",
        "{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm\",\"tool_calls\":["
        "{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1]}}},"
        "{\"function\":{\"name\":\"g\",\"arguments\":{}}}]},"
        "{\"role\":\"tool\",\"content\":\"two\",\"tool_name\":\"g\"},"
        "{\"role\":\"tool\",\"content\":\"one\",\"tool_name\":\"f\"},"
        "{\"role\":\"tool\",\"content\":\"three\",\"tool_name\":\"c3\"}");
    check_messages("{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}",
                   "{\"role\":\"tool\",\"content\":\"r\",\"tool_name\":\"f\"}");
}

TEST(pictures_lie_beside_the_text)
{
    check_messages(
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://h/i.png\"}},"
        "{\"type\":\"input_audio\",\"input_audio\":{}},"
        "{\"type\":\"image_url\",\"image_url\":\"data:image/gif;base64,BBBB\"}]}",
        "{\"role\":\"user\",\"content\":\"a\",\"images\":[\"AAAA\",\"BBBB\"]}");
}

TEST(tools_go_as_they_are_unless_none_may_be_called)
{
    check_options(
        &plain, ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",
        ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"options\":{}");
    check_options(&plain, ",\"functions\":[{\"name\":\"f\"},{\"name\":\"g\"}]",
                  ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"
                  "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}],\"options\":{}");
    check_options(&plain,
                  ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
                  "\"tool_choice\":\"none\"",
                  ",\"options\":{}");
    check_options(&plain, ",\"tools\":[]", ",\"options\":{}");
}

TEST(a_format_is_json_or_a_schema)
{
    check_options(&plain, ",\"response_format\":{\"type\":\"json_object\"}",
                  ",\"format\":\"json\",\"options\":{}");
    check_options(&plain,
                  ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
                  "\"schema\":{\"type\":\"object\"}}}",
                  ",\"format\":{\"type\":\"object\"},\"options\":{}");
    check_options(&plain, ",\"response_format\":{\"type\":\"text\"}", ",\"options\":{}");
    check_options(&plain, ",\"response_format\":{\"type\":\"json_schema\"}", ",\"options\":{}");
}

TEST(effort_is_thinking)
{
    check_options(&plain, ",\"reasoning_effort\":\"none\"", ",\"think\":false,\"options\":{}");
    check_options(&plain, ",\"reasoning_effort\":\"high\"", ",\"think\":\"high\",\"options\":{}");
    check_options(&plain, ",\"reasoning_effort\":\"high\",\"think\":true",
                  ",\"think\":true,\"options\":{}");
}

TEST(options_stand_together)
{
    check_options(&plain,
                  ",\"temperature\":0,\"top_p\":0.5,\"top_k\":3,\"max_tokens\":5,\"stop\":\"a\","
                  "\"seed\":1,\"presence_penalty\":-1,\"frequency_penalty\":0.5,\"user\":\"u\","
                  "\"logprobs\":true,\"keep_alive\":\"5m\",\"options\":{\"num_ctx\":9,\"seed\":2}",
                  ",\"options\":{\"temperature\":0,\"top_p\":0.5,\"top_k\":3,\"num_predict\":5,"
                  "\"stop\":[\"a\"],\"seed\":1,\"presence_penalty\":-1,\"frequency_penalty\":0.5,"
                  "\"num_ctx\":9},\"keep_alive\":\"5m\"");
    check_options(&plain, ",\"stop\":[\"a\",\"b\"]", ",\"options\":{\"stop\":[\"a\",\"b\"]}");
}

TEST(the_settings_add_what_is_not_there)
{
    static const struct provider_settings s = {
        .extra = STR_INIT(
            "{\"options\":{\"num_ctx\":8192,\"temperature\":1,\"mirostat\":2},\"keep_alive\":-1,"
            "\"think\":false,\"stream\":false}")
    };

    check_options(&s, ",\"temperature\":0.5,\"options\":{\"num_ctx\":1}",
                  ",\"options\":{\"temperature\":0.5,\"num_ctx\":1,\"mirostat\":2},"
                  "\"keep_alive\":-1,\"think\":false");
    check_options(&s, ",\"keep_alive\":0,\"reasoning_effort\":\"low\"",
                  ",\"think\":\"low\",\"options\":{\"num_ctx\":8192,\"temperature\":1,"
                  "\"mirostat\":2},\"keep_alive\":0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_question),
        cmocka_unit_test(calls_have_objects_and_results_have_names),
        cmocka_unit_test(pictures_lie_beside_the_text),
        cmocka_unit_test(tools_go_as_they_are_unless_none_may_be_called),
        cmocka_unit_test(a_format_is_json_or_a_schema),
        cmocka_unit_test(effort_is_thinking),
        cmocka_unit_test(options_stand_together),
        cmocka_unit_test(the_settings_add_what_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
