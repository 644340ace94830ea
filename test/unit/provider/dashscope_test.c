#include "unit/provider/written.h"

static const struct provider_settings plain,
    app = { .app_id = STR_INIT("a/1"), .workspace = STR_INIT("ws-1") };

#define HI     "{\"role\":\"user\",\"content\":\"Hi\"}"
#define TEXTS  "\"parameters\":{\"result_format\":\"message\",\"incremental_output\":true"
#define APP    "\"parameters\":{\"incremental_output\":true"
#define HISTORY                                                                                    \
    "{\"role\":\"developer\",\"content\":\"Be.\"},{\"role\":\"user\",\"content\":\"a\"},"          \
    "{\"role\":\"assistant\",\"content\":\"\"},{\"role\":\"assistant\",\"content\":\"b\"}"

static void check_messages(const char *messages, const char *want)
{
    struct buf in = BUF(100000), out = BUF(100000);

    buf_addf(&in, "\"messages\":[%s]}%c", messages, 0);
    buf_addf(&out, "{\"model\":\"their-model\",\"input\":{\"messages\":[%s]}," TEXTS "}}%c", want,
             0);
    check_body(&dashscope_kind, &plain, in.p, out.p);
    buf_release(&in);
    buf_release(&out);
}

static void check_parameters(const struct provider_settings *s, const char *options,
                             const char *want)
{
    struct buf in = BUF(100000), out = BUF(100000);

    buf_addf(&in, ASK "%s}%c", options, 0);
    buf_addf(&out, "{\"model\":\"their-model\",\"input\":{\"messages\":[" HI "]}," TEXTS "%s}}%c",
             want, 0);
    check_body(&dashscope_kind, s, in.p, out.p);
    buf_release(&in);
    buf_release(&out);
}

/* What the client sends behind its first "{", the input and the parameters behind the first. */
static void check_app(const struct provider_settings *s, const char *members, const char *input,
                      const char *parameters)
{
    struct buf out = BUF(100000);

    buf_addf(&out, "{\"input\":{%s}," APP "%s},\"debug\":{}}%c", input, parameters, 0);
    check_body(&dashscope_kind, s, members, out.p);
    buf_release(&out);
}

TEST(a_model_is_asked)
{
    check_messages(HI, HI);
    check_path(&dashscope_kind, &plain, ASK "}",
               "/api/v1/services/aigc/text-generation/generation");
    check_fields(&dashscope_kind, &plain, STR("sk-1"),
                 "authorization: Bearer sk-1\r\nx-dashscope-sse: enable\r\n");
}

TEST(messages_keep_their_form)
{
    check_messages(
        "{\"role\":\"developer\",\"content\":\"\\\"\\u0002\"},{\"role\":\"user\",\"content\":["
        "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}],\"name\":\"n\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}],\"refusal\":null},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"}",
        "{\"role\":\"system\",\"content\":\"\\\"\\u0002\"},"
        "{\"role\":\"user\",\"content\":\"ab\",\"name\":\"n\"},"
        "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"c\",\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]},"
        "{\"role\":\"tool\",\"content\":\"r\",\"tool_call_id\":\"c\"}");
}

TEST(pictures_are_another_service)
{
    static const char asked[] =
        "{\"role\":\"system\",\"content\":\"Be.\"},{\"role\":\"user\",\"content\":["
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://h/i.png\"}},"
        "{\"type\":\"text\",\"text\":\"?\"},{\"type\":\"input_audio\",\"input_audio\":{}}]}";
    char members[1000];

    check_messages(asked, "{\"role\":\"system\",\"content\":[{\"text\":\"Be.\"}]},"
                          "{\"role\":\"user\",\"content\":[{\"image\":\"https://h/i.png\"},"
                          "{\"text\":\"?\"},{\"type\":\"input_audio\",\"input_audio\":{}}]}");
    snprintf(members, sizeof members, "\"messages\":[%s]}", asked);
    check_path(&dashscope_kind, &plain, members,
               "/api/v1/services/aigc/multimodal-generation/generation");
    check_path(&dashscope_kind, &app, members, "/api/v1/apps/a%2F1/completion");
}

TEST(a_models_options_are_parameters)
{
    check_parameters(
        &plain,
        ",\"temperature\":0.5,\"top_p\":0.8,\"top_k\":9,\"seed\":3,\"max_tokens\":7,\"stop\":[\"a\"],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"auto\","
        "\"parallel_tool_calls\":true,\"presence_penalty\":1,\"repetition_penalty\":1.1,"
        "\"enable_thinking\":true,\"thinking_budget\":50,\"enable_search\":true,"
        "\"search_options\":{\"forced_search\":true},\"response_format\":{\"type\":\"json_object\"},"
        "\"frequency_penalty\":1,\"user\":\"u\",\"logit_bias\":{},\"unheard_of\":1",
        ",\"temperature\":0.5,\"top_p\":0.8,\"top_k\":9,\"seed\":3,\"max_tokens\":7,"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"stop\":[\"a\"],"
        "\"tool_choice\":\"auto\",\"parallel_tool_calls\":true,\"presence_penalty\":1,"
        "\"enable_search\":true,\"search_options\":{\"forced_search\":true},"
        "\"enable_thinking\":true,\"repetition_penalty\":1.1,\"thinking_budget\":50,"
        "\"response_format\":{\"type\":\"json_object\"}");
    check_parameters(&plain, ",\"functions\":[{\"name\":\"f\"}]",
                     ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]");
}

TEST(the_ends_of_the_ranges_are_kept_away_from)
{
    check_parameters(&plain, ",\"temperature\":2,\"top_p\":1",
                     ",\"temperature\":1.99,\"top_p\":0.99");
    check_parameters(&plain, ",\"temperature\":-1,\"top_p\":0",
                     ",\"temperature\":0,\"top_p\":0.01");
    check_parameters(&plain, ",\"temperature\":1e300,\"top_p\":1e-300",
                     ",\"temperature\":1.99,\"top_p\":0.01");
    check_parameters(&plain, ",\"temperature\":0,\"top_p\":0.99",
                     ",\"temperature\":0,\"top_p\":0.99");
}

TEST(the_settings_add_parameters)
{
    static const struct provider_settings s = {
        .extra = STR_INIT("{\"temperature\":1,\"enable_search\":true,\"result_format\":\"text\","
                          "\"incremental_output\":false,\"vl_high_resolution_images\":true}")
    };

    check_parameters(
        &s, ",\"temperature\":0.5",
        ",\"temperature\":0.5,\"enable_search\":true,\"vl_high_resolution_images\":true");
}

TEST(an_application_is_asked)
{
    check_app(&app, ASK "}", "\"prompt\":\"Hi\"", "");
    check_path(&dashscope_kind, &app, ASK "}", "/api/v1/apps/a%2F1/completion");
    check_fields(&dashscope_kind, &app, STR("sk-1"),
                 "authorization: Bearer sk-1\r\nx-dashscope-sse: enable\r\n"
                 "x-dashscope-workspace: ws-1\r\n");
}

TEST(an_application_hears_what_came_before)
{
    check_app(&app, "\"messages\":[" HISTORY "," HI "]}",
              "\"prompt\":\"Hi\",\"messages\":[{\"role\":\"system\",\"content\":\"Be.\"},"
              "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]",
              "");
    check_app(&app, "\"messages\":[" HISTORY "]}",
              "\"messages\":[{\"role\":\"system\",\"content\":\"Be.\"},"
              "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]",
              "");
    check_app(&app,
              "\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
              "{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
              "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"}]}",
              "\"messages\":[{\"role\":\"assistant\",\"content\":\"[called f with {}]\"},"
              "{\"role\":\"user\",\"content\":\"[f returned r]\"}]",
              "");
}

TEST(a_session_knows_what_came_before)
{
    check_app(&app, "\"messages\":[" HISTORY "," HI "],\"session_id\":\"s\\\"1\"}",
              "\"prompt\":\"Hi\",\"session_id\":\"s\\\"1\"", "");
    check_app(&app, "\"messages\":[" HISTORY "],\"session_id\":\"s1\"}",
              "\"prompt\":\"a\",\"session_id\":\"s1\"", "");
}

TEST(an_applications_options_go_where_they_belong)
{
    check_app(
        &app,
        ASK ",\"memory_id\":\"m\",\"file_list\":[\"f\"],\"doc_reference_type\":\"simple\","
            "\"doc_tag_codes\":[\"t\"],\"biz_params\":{\"User_ID\":\"1\"},\"has_thoughts\":true,"
            "\"enable_thinking\":false,\"flow_stream_mode\":\"message_format\",\"temperature\":2,"
            "\"top_p\":1,\"top_k\":2,\"seed\":1,\"enable_web_search\":true,"
            "\"enable_system_time\":true,\"dialog_round\":3,\"model_id\":\"q\","
            "\"rag_options\":{\"pipeline_ids\":[\"p\"]},\"max_tokens\":5,\"stop\":\"x\","
            "\"tools\":[{}]}",
        "\"prompt\":\"Hi\",\"memory_id\":\"m\",\"file_list\":[\"f\"],\"doc_tag_codes\":[\"t\"],"
        "\"biz_params\":{\"User_ID\":\"1\"},\"doc_reference_type\":\"simple\"",
        ",\"temperature\":1.99,\"top_p\":0.99,\"top_k\":2,\"seed\":1,\"has_thoughts\":true,"
        "\"enable_thinking\":false,\"flow_stream_mode\":\"message_format\","
        "\"enable_web_search\":true,\"enable_system_time\":true,\"dialog_round\":3,"
        "\"model_id\":\"q\",\"rag_options\":{\"pipeline_ids\":[\"p\"]}");
    check_app(
        &app,
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"?\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://h/1\"}},{\"type\":\"image_url\","
        "\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}},"
        "{\"type\":\"image_url\",\"image_url\":\"http://h/2\"}]}],\"image_list\":[\"no\"]}",
        "\"prompt\":\"?\",\"image_list\":[\"https://h/1\",\"http://h/2\"]", "");
}

TEST(the_settings_add_to_an_application)
{
    static const struct provider_settings s = {
        .app_id = STR_INIT("a"),
        .extra = STR_INIT("{\"has_thoughts\":true,\"biz_params\":{\"a\":1},\"session_id\":\"s\","
                          "\"seed\":9,\"incremental_output\":false}"),
    };

    check_app(&s, "\"messages\":[" HISTORY "," HI "],\"seed\":1,\"biz_params\":{\"b\":2}}",
              "\"prompt\":\"Hi\",\"session_id\":\"s\",\"biz_params\":{\"b\":2}",
              ",\"seed\":1,\"has_thoughts\":true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_asked),
        cmocka_unit_test(messages_keep_their_form),
        cmocka_unit_test(pictures_are_another_service),
        cmocka_unit_test(a_models_options_are_parameters),
        cmocka_unit_test(the_ends_of_the_ranges_are_kept_away_from),
        cmocka_unit_test(the_settings_add_parameters),
        cmocka_unit_test(an_application_is_asked),
        cmocka_unit_test(an_application_hears_what_came_before),
        cmocka_unit_test(a_session_knows_what_came_before),
        cmocka_unit_test(an_applications_options_go_where_they_belong),
        cmocka_unit_test(the_settings_add_to_an_application),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
