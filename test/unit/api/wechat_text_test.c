#include "check.h"

#include "api/wechat_text.h"
#include "base/utf8.h"

static struct json_doc *doc_of(const char *text)
{
    const char      *why = "";
    struct json_doc *doc = json_read_patiently(str_of(text), &why);

    check_that(doc, "%s: %s", text, why);
    return doc;
}

TEST(every_error_has_its_end)
{
    static const struct {
        const char     *answer;
        enum wechat_end want;
    } rows[] = {
        { "{}", WECHAT_DONE },
        { "{\"errcode\":0,\"errmsg\":\"ok\"}", WECHAT_DONE },
        { "{\"errcode\":null}", WECHAT_DONE },
        { "{\"errcode\":-1}", WECHAT_BUSY },
        { "{\"errcode\":40029}", WECHAT_BAD_CODE },
        { "{\"errcode\":40163}", WECHAT_BAD_CODE },
        { "{\"errcode\":41008}", WECHAT_BAD_CODE },
        { "{\"errcode\":45011}", WECHAT_TOO_OFTEN },
        { "{\"errcode\":40226}", WECHAT_BLOCKED },
        { "{\"errcode\":40001}", WECHAT_OLD_TOKEN },
        { "{\"errcode\":40014}", WECHAT_OLD_TOKEN },
        { "{\"errcode\":42001}", WECHAT_OLD_TOKEN },
        { "{\"errcode\":40013}", WECHAT_NOT_SET_UP },
        { "{\"errcode\":40125}", WECHAT_NOT_SET_UP },
        { "{\"errcode\":40164}", WECHAT_NOT_SET_UP },
        { "{\"errcode\":41002}", WECHAT_NOT_SET_UP },
        { "{\"errcode\":41004}", WECHAT_NOT_SET_UP },
        { "{\"errcode\":48001}", WECHAT_NOT_SET_UP },
        { "{\"errcode\":61010}", WECHAT_ODD },
        { "{\"errcode\":1}", WECHAT_ODD },
        { "{\"errcode\":\"0\"}", WECHAT_ODD },
        { "{\"errcode\":1e300}", WECHAT_ODD },
        { "{\"errcode\":[]}", WECHAT_ODD },
        { "[]", WECHAT_ODD },
        { "\"ok\"", WECHAT_ODD },
        { "null", WECHAT_ODD },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_doc *doc = doc_of(rows[i].answer);

        check_that(wechat_read_end(json_root(doc)) == rows[i].want, "%s", rows[i].answer);
        json_free(doc);
    }
}

#define KEY "0123456789abcdef0123456789ABCDEF"

/* A request's number has 26 letters and must be found again; a secret has 32. */
TEST(what_looks_like_a_key_is_left_out_of_words)
{
    static const struct {
        const char *answer, *want;
    } rows[] = {
        { "{}", "" },
        { "{\"errmsg\":7}", "" },
        { "{\"errmsg\":\"invalid code, rid: 5f7c1b2e-3c9c4e1a-0fb3a1d2\"}",
          "invalid code, rid: 5f7c1b2e-3c9c4e1a-0fb3a1d2" },
        { "{\"errmsg\":\"" KEY "\"}", "..." },
        { "{\"errmsg\":\"secret=" KEY " bad\"}", "... bad" },
        { "{\"errmsg\":\"secret: " KEY "_x-y, bad\"}", "secret: ..., bad" },
        { "{\"errmsg\":\"\xe5\xaf\x86" KEY "\xe9\x92\xa5\"}", "\xe5\xaf\x86...\xe9\x92\xa5" },
    };
    struct buf out = BUF(1000);

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_doc *doc = doc_of(rows[i].answer);

        buf_clear(&out);
        wechat_add_words(json_root(doc), &out);
        check_text(buf_str(&out), rows[i].want);
        json_free(doc);
    }
    buf_release(&out);
}

TEST(who_it_is_must_be_readable)
{
    static const struct {
        const char *answer, *openid;
    } rows[] = {
        { "{\"session_key\":\"k\",\"openid\":\"oAb_1-x\",\"unionid\":\"u\"}", "oAb_1-x" },
        { "{\"session_key\":\"k\"}", "" },
        { "{\"openid\":\"\"}", "" },
        { "{\"openid\":7}", "" },
        { "{\"openid\":{\"openid\":\"x\"}}", "" },
        { "{\"openid\":\"a b\"}", "" },
        { "{\"openid\":\"a\\u0000b\"}", "" },
        { "{\"openid\":\"\xe4\xbd\xa0\"}", "" },
    };
    struct buf       longest = BUF(1000);
    struct json_doc *doc;

    for (size_t i = 0; i < COUNT(rows); i++) {
        doc = doc_of(rows[i].answer);
        check_text(wechat_read_openid(json_root(doc)), rows[i].openid);
        json_free(doc);
    }
    for (int n = 128; n <= 129; n++) {
        buf_clear(&longest);
        buf_addf(&longest, "{\"openid\":\"%0*d\"}%c", n, 1, 0);
        doc = doc_of(longest.p);
        assert_int_equal(wechat_read_openid(json_root(doc)).n, n == 128 ? 128 : 0);
        json_free(doc);
    }
    buf_release(&longest);
}

TEST(an_access_token_has_an_end)
{
    static const struct {
        const char *answer, *token;
        uint64_t    seconds;
    } rows[] = {
        { "{\"access_token\":\"t\",\"expires_in\":7200}", "t", 7200 },
        { "{\"access_token\":\"t\",\"expires_in\":1}", "t", 1 },
        { "{\"access_token\":\"t\",\"expires_in\":9000000000000}", "t", 86400 },
        { "{\"access_token\":\"t\",\"expires_in\":0}", "", 0 },
        { "{\"access_token\":\"t\",\"expires_in\":-5}", "", 0 },
        { "{\"access_token\":\"t\"}", "", 0 },
        { "{\"access_token\":\"t\\r\\nx: y\",\"expires_in\":7200}", "", 7200 },
        { "{\"expires_in\":7200}", "", 7200 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_doc *doc = doc_of(rows[i].answer);
        uint64_t         seconds = 0;

        check_text(wechat_read_access_token(json_root(doc), &seconds), rows[i].token);
        assert_int_equal(seconds, rows[i].seconds);
        json_free(doc);
    }
}

TEST(what_it_suggests_decides)
{
    static const struct {
        const char         *answer;
        enum wechat_verdict want;
        bool                for_review;
    } rows[] = {
        { "{\"result\":{\"suggest\":\"pass\",\"label\":100}}", WECHAT_PASSES, false },
        { "{\"result\":{\"suggest\":\"pass\",\"label\":20001}}", WECHAT_PASSES, false },
        { "{\"result\":{\"suggest\":\"review\",\"label\":20001}}", WECHAT_PASSES, true },
        { "{\"result\":{\"suggest\":\"risky\",\"label\":100}}", WECHAT_IS_RISKY, false },
        { "{\"result\":{\"suggest\":\"PASS\"}}", WECHAT_COULD_NOT_TELL, false },
        { "{\"result\":{\"label\":100}}", WECHAT_COULD_NOT_TELL, false },
        { "{\"result\":\"pass\"}", WECHAT_COULD_NOT_TELL, false },
        { "{\"suggest\":\"pass\"}", WECHAT_COULD_NOT_TELL, false },
        { "{\"detail\":[{\"suggest\":\"pass\"}]}", WECHAT_COULD_NOT_TELL, false },
        { "{}", WECHAT_COULD_NOT_TELL, false },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_doc *doc = doc_of(rows[i].answer);
        bool             for_review = !rows[i].for_review;

        check_that(wechat_read_verdict(json_root(doc), &for_review) == rows[i].want, "%s",
                   rows[i].answer);
        check_that(for_review == rows[i].for_review, "%s", rows[i].answer);
        json_free(doc);
    }
}

static void check_content(const char *piece, size_t times, size_t want)
{
    struct buf         text = BUF(1 << 20), out = BUF(1 << 20);
    struct json_doc   *doc;
    const struct json *body;
    struct str         sent;

    for (size_t i = 0; i < times; i++)
        buf_add(&text, str_of(piece));
    wechat_write_check(STR("o1"), buf_str(&text), &out);
    buf_add_char(&out, '\0');
    doc = doc_of(out.p);
    body = json_root(doc);
    sent = json_str(json_get(body, "content"));
    assert_true(utf8_is_valid(sent));
    check_same(sent, ((struct str){ text.p, want }));
    check_str(json_str(json_get(body, "openid")), "o1");
    json_free(doc);
    buf_release(&text);
    buf_release(&out);
}

TEST(a_text_is_cut_at_2500_characters)
{
    check_content("", 0, 0);
    check_content("a", 2500, 2500);
    check_content("a", 2501, 2500);
    check_content("\xe4\xbd\xa0", 2500, 7500);
    check_content("\xe4\xbd\xa0", 9999, 7500);
    check_content("\xf0\x9f\x98\x80", 2501, 10000);
    check_content("a\xc3\xa9", 2000, 3750);
    check_content("\x01\"", 2000, 2500);
}

/* With escapes everything would pass. */
TEST(a_text_stays_as_it_is)
{
    struct buf out = BUF(1000);

    wechat_write_check(STR("o\"1"), STR("\xe4\xbd\xa0\"\n\xf0\x9f\x98\x80"), &out);
    check_buf(&out, "{\"version\":2,\"scene\":2,\"openid\":\"o\\\"1\",\"content\":"
                    "\"\xe4\xbd\xa0\\\"\\n\xf0\x9f\x98\x80\"}");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_end),
        cmocka_unit_test(what_looks_like_a_key_is_left_out_of_words),
        cmocka_unit_test(who_it_is_must_be_readable),
        cmocka_unit_test(an_access_token_has_an_end),
        cmocka_unit_test(what_it_suggests_decides),
        cmocka_unit_test(a_text_is_cut_at_2500_characters),
        cmocka_unit_test(a_text_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
