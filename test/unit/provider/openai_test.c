#include "unit/provider/written.h"

static const struct provider_settings plain, azure = { .api_version = STR_INIT("2024-10-21&a/b") };

#define HEAD                                                                                       \
    "{\"model\":\"their-model\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"            \
    "\"stream\":true,\"stream_options\":{\"include_usage\":true}"

TEST(a_plain_question)
{
    check_path(&openai_kind, &plain, ASK "}", "/chat/completions");
    check_fields(&openai_kind, &plain, STR("sk-1"), "authorization: Bearer sk-1\r\n");
    check_fields(&openai_kind, &plain, STR(""), "");
    check_body(&openai_kind, &plain, ASK "}", HEAD "}");
    check_body(&openai_kind, &plain, ASK ",\"stream\":false,\"n\":1}", HEAD "}");
}

TEST(options_go_through_as_they_came)
{
    check_body(
        &openai_kind, &plain,
        ASK ",\"temperature\":0.25,\"stop\":[\"a\\n\",\"\\u00e9\"],\"unheard_of\":{\"x\":[]},"
            "\"max_tokens\":7,\"seed\":null}",
        HEAD ",\"temperature\":0.25,\"stop\":[\"a\\n\",\"\xc3\xa9\"],\"unheard_of\":{\"x\":[]},"
             "\"max_tokens\":7}");
}

TEST(messages_go_through_as_they_came)
{
    check_body(
        &openai_kind, &plain,
        "\"messages\":[{\"role\":\"developer\",\"content\":\"\\\"\\u0001\\\"\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}]}",
        "{\"model\":\"their-model\",\"messages\":["
        "{\"role\":\"developer\",\"content\":\"\\\"\\u0001\\\"\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}],"
        "\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}

TEST(the_settings_add_what_the_client_did_not_say)
{
    static const struct provider_settings s = {
        .extra = STR_INIT(
            "{\"temperature\":1,\"provider\":{\"order\":[\"a\"]},\"model\":\"no\",\"messages\":[],"
            "\"stream\":false,\"stream_options\":{},\"user\":null}")
    };

    check_body(&openai_kind, &s, ASK "}",
               HEAD ",\"temperature\":1,\"provider\":{\"order\":[\"a\"]}}");
    check_body(&openai_kind, &s, ASK ",\"temperature\":0,\"user\":\"u\"}",
               HEAD ",\"temperature\":0,\"user\":\"u\",\"provider\":{\"order\":[\"a\"]}}");
}

TEST(azure_has_its_own_version_and_key)
{
    check_path(&openai_kind, &azure, ASK "}", "/chat/completions?api-version=2024-10-21%26a%2Fb");
    check_fields(&openai_kind, &azure, STR("k"), "api-key: k\r\n");
    check_fields(&openai_kind, &azure, STR(""), "");
    check_body(&openai_kind, &azure, ASK "}", HEAD "}");
}

TEST(embeddings_are_no_chat)
{
    static const struct provider_settings s = { .extra = STR_INIT("{\"user\":\"x\",\"d\":2}") };
    struct question                      *q = question_new();
    struct provider                       p = { .settings = &s };
    struct buf                            out = BUF(1000);

    q->asked = ASKED_EMBEDDINGS;
    q->options = STR(",\"input\":[\"a\",\"b\"],\"user\":\"u\"");
    openai_kind.write_body(&p, q, STR("e\"1"), &out);
    check_buf(&out, "{\"model\":\"e\\\"1\",\"input\":[\"a\",\"b\"],\"user\":\"u\",\"d\":2}");
    buf_clear(&out);
    openai_kind.write_path(&p, q, STR("e"), &out);
    check_buf(&out, "/embeddings");
    buf_clear(&out);
    p.settings = &azure;
    openai_kind.write_path(&p, q, STR("e"), &out);
    check_buf(&out, "/embeddings?api-version=2024-10-21%26a%2Fb");
    buf_release(&out);
    question_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_question),
        cmocka_unit_test(options_go_through_as_they_came),
        cmocka_unit_test(messages_go_through_as_they_came),
        cmocka_unit_test(the_settings_add_what_the_client_did_not_say),
        cmocka_unit_test(azure_has_its_own_version_and_key),
        cmocka_unit_test(embeddings_are_no_chat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
