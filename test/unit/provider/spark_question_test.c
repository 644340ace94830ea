#include "unit/provider/written.h"

#include "provider/spark_question.h"

static const struct provider_settings plain = { .app_id = STR_INIT("appid001") };

#define HI     "{\"role\":\"user\",\"content\":\"Hi\"}"
#define HEADER "{\"header\":{\"app_id\":\"appid001\",\"uid\":\"1\"},"

static void check_at(const struct provider_settings *s, struct str model, const char *members,
                     const char *want)
{
    struct provider  p = { .settings = s };
    struct question *q = written_question(members);
    struct buf       out = BUF(100000);
    const char      *why = NULL;
    struct json_doc *doc;

    spark_write_question(&p, q, model, &out);
    check_text(buf_str(&out), want);
    doc = json_read(buf_str(&out), &why);
    if (!doc)
        fail_msg("%s: %s", members, why);
    json_free(doc);
    buf_release(&out);
    question_free(q);
}

static void check_messages(const char *messages, const char *want)
{
    struct buf in = BUF(100000), out = BUF(100000);

    buf_addf(&in, "\"messages\":[%s]}%c", messages, 0);
    buf_addf(&out,
             HEADER "\"parameter\":{\"chat\":{\"domain\":\"lite\"}},"
                    "\"payload\":{\"message\":{\"text\":[%s]}}}%c",
             want, 0);
    check_at(&plain, STR("lite"), in.p, out.p);
    buf_release(&in);
    buf_release(&out);
}

static void check_chat(const struct provider_settings *s, const char *domain, const char *options,
                       const char *want)
{
    struct buf in = BUF(100000), out = BUF(100000);

    buf_addf(&in, ASK "%s}%c", options, 0);
    buf_addf(&out,
             HEADER "\"parameter\":{\"chat\":{\"domain\":\"%s\"%s}},"
                    "\"payload\":{\"message\":{\"text\":[" HI "]}}}%c",
             domain, want, 0);
    check_at(s, str_of(domain), in.p, out.p);
    buf_release(&in);
    buf_release(&out);
}

TEST(every_domain_has_its_path_and_its_limit)
{
    static const struct {
        const char *domain, *path, *limit;
    } rows[] = {
        { "lite", "/v1.1/chat", "4096" },           { "general", "/v1.1/chat", "4096" },
        { "generalv2", "/v2.1/chat", "8192" },      { "generalv3", "/v3.1/chat", "8192" },
        { "pro-128k", "/chat/pro-128k", "4096" },   { "generalv3.5", "/v3.5/chat", "8192" },
        { "max-32k", "/chat/max-32k", "8192" },     { "4.0Ultra", "/v4.0/chat", "8192" },
        { "spark-x", "/v1/x1", "65535" },           { "x1", "/v1/x1", "65535" },
        { "xqwen2d5s32b", "", "9007199254740991" },
    };
    char want[100];

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_text(spark_path(STR(""), str_of(rows[i].domain)), rows[i].path);
        check_str(spark_path(STR("/v1.1/mine"), str_of(rows[i].domain)), "/v1.1/mine");
        snprintf(want, sizeof want, ",\"max_tokens\":%s", rows[i].limit);
        check_chat(&plain, rows[i].domain, ",\"max_tokens\":9007199254740991", want);
        check_chat(&plain, rows[i].domain, ",\"max_tokens\":1", ",\"max_tokens\":1");
    }
    check_str(spark_path(STR(""), STR("4.0ultra")), "");
}

TEST(the_target_is_the_path_with_its_signature)
{
    struct spark_visit v = { STR("spark-api.xf-yun.com"), STR("/v1.1/chat"),
                             STR("addd2272b6d8b7c8abdd79531420ca3b"),
                             STR("MjlmNzkzNmZkMDQ2OTc0ZDdmNGE2ZTZi"), 1683283419 };
    struct buf         out = BUF(1000);

    spark_write_target(&v, &out);
    check_buf(&out,
              "/v1.1/chat?authorization=YXBpX2tleT0iYWRkZDIyNzJiNmQ4YjdjOGFiZGQ3OTUzMTQyMGNhM2I"
              "iLCBhbGdvcml0aG09ImhtYWMtc2hhMjU2IiwgaGVhZGVycz0iaG9zdCBkYXRlIHJlcXVlc3QtbGluZSIsI"
              "HNpZ25hdHVyZT0iejVnSGR1M3B4VlY0QURNeWs0Njd3T1dEUTlxNkJRelIzbmZNVGpjL0RhUT0i"
              "&date=Fri%2C+05+May+2023+10%3A43%3A39+GMT&host=spark-api.xf-yun.com");
    buf_release(&out);
}

TEST(user_and_assistant_take_turns)
{
    check_messages(HI, HI);
    check_messages(
        "{\"role\":\"user\",\"content\":\"\\\"a\\u0001\"},{\"role\":\"user\",\"content\":\"b\"},"
        "{\"role\":\"assistant\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"\"},"
        "{\"role\":\"assistant\",\"content\":\"d\"}," HI,
        "{\"role\":\"user\",\"content\":\"\\\"a\\u0001\\n\\nb\"},"
        "{\"role\":\"assistant\",\"content\":\"c\\n\\nd\"}," HI);
}

TEST(the_user_has_the_first_and_the_last_word)
{
    check_messages(
        "{\"role\":\"assistant\",\"content\":\"a\"}",
        "{\"role\":\"user\",\"content\":\"Hello.\"},{\"role\":\"assistant\",\"content\":\"a\"},"
        "{\"role\":\"user\",\"content\":\"Go on.\"}");
    check_messages(
        "{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"assistant\",\"content\":\"a\"}," HI,
        "{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"Hello.\"},"
        "{\"role\":\"assistant\",\"content\":\"a\"}," HI);
    check_messages(
        "{\"role\":\"system\",\"content\":\"s\"}",
        "{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"Hello.\"}");
    check_messages("{\"role\":\"user\",\"content\":\"\"}", "");
}

TEST(instructions_come_first_or_are_said_by_the_user)
{
    check_messages(
        "{\"role\":\"developer\",\"content\":\"a\"},{\"role\":\"system\",\"content\":\"b\"}," HI
        ",{\"role\":\"system\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"d\"},"
        "{\"role\":\"system\",\"content\":\"e\"}",
        "{\"role\":\"system\",\"content\":\"a\\n\\nb\"},"
        "{\"role\":\"user\",\"content\":\"Hi\\n\\nc\"},"
        "{\"role\":\"assistant\",\"content\":\"d\"},{\"role\":\"user\",\"content\":\"e\"}");
}

TEST(calls_and_results_are_told)
{
    check_messages(
        HI ",{\"role\":\"assistant\",\"content\":\"Well.\",\"tool_calls\":[{\"id\":\"c\","
           "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]},"
           "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"},"
           "{\"role\":\"tool\",\"tool_call_id\":\"d\",\"content\":\"s\"}",
        HI ",{\"role\":\"assistant\",\"content\":\"Well.\\n[called f with {\\\"a\\\":]\"},"
           "{\"role\":\"user\",\"content\":\"[f returned r]\\n\\n[d returned s]\"}");
}

TEST(a_user_has_at_most_32_characters)
{
    static const struct {
        const char *user, *uid;
    } rows[] = {
        { "", "1" },
        { "o-6zx\\\"5", "o-6zx\\\"5" },
        { "01234567890123456789012345678901", "01234567890123456789012345678901" },
        { "0123456789012345678901234567890123", "b13e565b64f14a7a" },
    };
    char in[200], want[300];

    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(in, sizeof in, ASK ",\"user\":\"%s\"}", rows[i].user);
        snprintf(want, sizeof want,
                 "{\"header\":{\"app_id\":\"appid001\",\"uid\":\"%s\"},"
                 "\"parameter\":{\"chat\":{\"domain\":\"lite\"}},"
                 "\"payload\":{\"message\":{\"text\":[" HI "]}}}",
                 rows[i].uid);
        check_at(&plain, STR("lite"), in, want);
    }
}

TEST(values_keep_to_their_ranges)
{
    check_chat(&plain, "lite", ",\"temperature\":0,\"top_k\":0",
               ",\"temperature\":0.01,\"top_k\":1");
    check_chat(&plain, "lite", ",\"temperature\":2,\"top_k\":50", ",\"temperature\":1,\"top_k\":6");
    check_chat(&plain, "lite", ",\"temperature\":0.5,\"top_k\":4",
               ",\"temperature\":0.5,\"top_k\":4");
    check_chat(&plain, "lite", ",\"top_k\":1.5,\"stop\":\"a\",\"seed\":1,\"top_p\":1,\"n\":1", "");
}

TEST(x1_has_more_to_turn)
{
    static const char more[] = ",\"thinking\":{\"type\":\"auto\"},\"top_p\":0.9,"
                               "\"presence_penalty\":1,\"frequency_penalty\":0.5";

    check_chat(&plain, "x1", more, more);
    check_chat(&plain, "4.0Ultra", more, "");
    check_chat(&plain, "spark-x", ",\"reasoning_effort\":\"none\"",
               ",\"thinking\":{\"type\":\"disabled\"}");
    check_chat(&plain, "spark-x", ",\"reasoning_effort\":\"high\"", "");
}

#define TOOLS                                                                                      \
    ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","       \
    "\"strict\":true,\"parameters\":{\"type\":\"object\",\"properties\":{}}}},{\"type\":"          \
    "\"function\",\"function\":{\"name\":\"g\"}},{\"type\":\"web_search\",\"web_search\":{"        \
    "\"enable\":true}}]"
#define SEARCH ",\"tools\":[{\"type\":\"web_search\",\"web_search\":{\"enable\":true}}]"

TEST(functions_go_where_they_are_known)
{
    check_at(&plain, STR("4.0Ultra"), ASK TOOLS "}",
             HEADER "\"parameter\":{\"chat\":{\"domain\":\"4.0Ultra\"" SEARCH "}},\"payload\":{"
                    "\"message\":{\"text\":[" HI "]},\"functions\":{\"text\":[{\"name\":\"f\","
                    "\"description\":\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{}}},"
                    "{\"name\":\"g\",\"parameters\":{\"type\":\"object\"}}]}}}");
    check_at(&plain, STR("mine"), ASK ",\"functions\":[{\"name\":\"f\"}]}",
             HEADER "\"parameter\":{\"chat\":{\"domain\":\"mine\"}},\"payload\":{"
                    "\"message\":{\"text\":[" HI "]},\"functions\":{\"text\":[{\"name\":\"f\","
                    "\"parameters\":{\"type\":\"object\"}}]}}}");
    check_chat(&plain, "lite", TOOLS, SEARCH);
    check_chat(&plain, "4.0Ultra", TOOLS ",\"tool_choice\":\"none\"", SEARCH);
}

TEST(the_settings_add_to_the_chat)
{
    static const struct provider_settings s = {
        .app_id = STR_INIT("appid001"),
        .extra = STR_INIT("{\"temperature\":0.2,\"auditing\":\"default\",\"patch_id\":[\"r1\"],"
                          "\"domain\":\"no\"}"),
    };

    check_at(&s, STR("mine"), ASK ",\"temperature\":0.5}",
             "{\"header\":{\"app_id\":\"appid001\",\"uid\":\"1\",\"patch_id\":[\"r1\"]},"
             "\"parameter\":{\"chat\":{\"domain\":\"mine\",\"temperature\":0.5,"
             "\"auditing\":\"default\"}},\"payload\":{\"message\":{\"text\":[" HI "]}}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_domain_has_its_path_and_its_limit),
        cmocka_unit_test(the_target_is_the_path_with_its_signature),
        cmocka_unit_test(user_and_assistant_take_turns),
        cmocka_unit_test(the_user_has_the_first_and_the_last_word),
        cmocka_unit_test(instructions_come_first_or_are_said_by_the_user),
        cmocka_unit_test(calls_and_results_are_told),
        cmocka_unit_test(a_user_has_at_most_32_characters),
        cmocka_unit_test(values_keep_to_their_ranges),
        cmocka_unit_test(x1_has_more_to_turn),
        cmocka_unit_test(functions_go_where_they_are_known),
        cmocka_unit_test(the_settings_add_to_the_chat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
