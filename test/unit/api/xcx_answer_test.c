#include "check.h"

#include "api/api.h"
#include "api/xcx_answer.h"

static struct settings settings;

static void check_json(const char *json, int ascii, const char *want)
{
    struct buf out = BUF(3 * strlen(json));

    settings.xcx.ascii = ascii;
    api_configure(&settings);
    xcx_add_json(&out, str_of(json));
    assert_false(out.over);
    check_text(buf_str(&out), want);
    buf_release(&out);
}

TEST(text_becomes_ascii_when_the_settings_say_so)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        { "{}", "{}" },
        { "", "" },
        { "{\"a\":\"plain \\n \\u00e9 \x7f\"}", "{\"a\":\"plain \\n \\u00e9 \x7f\"}" },
        { "\"\xc3\xa9\"", "\"\\u00e9\"" },
        { "\"\xc2\x80\xdf\xbf\"", "\"\\u0080\\u07ff\"" },
        { "{\"\xe4\xbd\xa0\":\"\xe5\xa5\xbd!\"}", "{\"\\u4f60\":\"\\u597d!\"}" },
        { "\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"",
          "\"\\u0800\\ud7ff\\ue000\\uffff\"" },
        { "\"\xf0\x9f\x98\x80x\"", "\"\\ud83d\\ude00x\"" },
        { "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", "\"\\ud800\\udc00\\udbff\\udfff\"" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_json(rows[i].json, 1, rows[i].want);
        check_json(rows[i].json, 0, rows[i].json);
    }
}

/* Nobody promises it, but nothing may loop or be read behind the end either. */
TEST(broken_text_becomes_ascii_too)
{
    check_json("\"\xff\xe4\xbd\"", 1, "\"???\"");
}

TEST(a_refusal_has_its_code_and_words)
{
    struct buf out = BUF(8192);

    settings.xcx.ascii = 0;
    api_configure(&settings);
    xcx_write_refusal(&out, 422, "\"x\" \xe4\xbd\xa0");
    check_text(buf_str(&out), "{\"code\":422,\"message\":\"\\\"x\\\" \xe4\xbd\xa0\"}");
    buf_clear(&out);
    settings.xcx.ascii = 1;
    xcx_write_refusal(&out, 422, "\xe4\xbd\xa0");
    check_text(buf_str(&out), "{\"code\":422,\"message\":\"\\u4f60\"}");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_ascii_when_the_settings_say_so),
        cmocka_unit_test(broken_text_becomes_ascii_too),
        cmocka_unit_test(a_refusal_has_its_code_and_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
