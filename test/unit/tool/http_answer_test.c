#include "check.h"

#include "base/utf8.h"
#include "tool/http_answer.h"

#define BROKEN "\xef\xbf\xbd"

static void check_written(int status, const char *type, struct str body, bool good,
                          const char *words)
{
    struct http_answer a = { .status = status, .content_type = str_of(type), .body = body };
    struct buf         out = BUF(10000);

    check_that(http_answer_write(&a, &out) == good, "%d %s %.*s", status, type, STR_ARG(body));
    check_text(buf_str(&out), words);
    assert_true(utf8_is_valid(buf_str(&out)));
    buf_release(&out);
}

TEST(text_is_handed_on)
{
    check_written(200, "application/json", STR("{\"a\":1}"), true, "{\"a\":1}");
    check_written(201, "Application/JSON; charset=UTF-8", STR("x"), true, "x");
    check_written(299, "application/problem+json", STR("x"), true, "x");
    check_written(200, "text/plain; charset=\"utf-8\"", STR("\xc3\xbc"), true, "\xc3\xbc");
    check_written(200, "text/html", STR("\xef\xbb\xbfx"), true, "x");
    check_written(200, "image/svg+xml", STR("<svg/>"), true, "<svg/>");
    check_written(200, "", STR("plain"), true, "plain");
    check_written(200, NULL, STR("plain"), true, "plain");
    check_written(200, "text/plain; charset=iso-8859-1", STR("only ASCII"), true, "only ASCII");
}

TEST(what_is_broken_is_marked)
{
    check_written(200, "text/plain",
                  STR("a\xff"
                      "b\xc3"),
                  true, "a" BROKEN "b" BROKEN);
    check_written(200, "text/plain", STR("a\0b"), true, "a" BROKEN "b");
    check_written(200, "text/plain", STR("\xed\xa0\x80"), true, BROKEN BROKEN BROKEN);
    check_written(200, "text/plain", STR("\xc0\xaf"), true, BROKEN BROKEN);
}

TEST(what_is_no_text_is_named)
{
    check_written(200, "image/png", STR("\x89PNG"), false,
                  "The answer is of the type image/png, which is not text.");
    check_written(200, "application/octet-stream", STR("x"), false,
                  "The answer is of the type application/octet-stream, which is not text.");
    check_written(200, "a/\x1b[31mred", STR("x"), false,
                  "The answer is of the type (something odd), which is not text.");
    check_written(200, NULL, STR("\xff\xfe\x00\x01\x02\x03"), false, "The answer is not text.");
    check_written(200, "text/html; charset=gb2312", STR("\xc4\xe3\xba\xc3\xc4\xe3\xba\xc3"), false,
                  "The answer is written in gb2312; only UTF-8 can be read.");
}

TEST(a_status_is_told)
{
    check_written(204, NULL, STR(""), true,
                  "The service answered HTTP 204 No Content, without content.");
    check_written(200, "text/plain", STR(""), true,
                  "The service answered HTTP 200 OK, without content.");
    check_written(200, "text/plain", STR("\xef\xbb\xbf"), true,
                  "The service answered HTTP 200 OK, without content.");
    check_written(404, "application/json", STR("{\"e\":1}"), false,
                  "The service answered HTTP 404 Not Found:\n{\"e\":1}");
    check_written(500, NULL, STR(""), false,
                  "The service answered HTTP 500 Internal Server Error.");
    check_written(599, NULL, STR("x"), false, "The service answered HTTP 599:\nx");
    check_written(302, NULL, STR(""), false, "The service answered HTTP 302.");
    check_written(500, "image/png", STR("x"), false,
                  "The service answered HTTP 500 Internal Server Error:\n"
                  "The answer is of the type image/png, which is not text.");
}

TEST(of_a_refusal_the_beginning_is_told)
{
    static char        body[HTTP_ANSWER_ERROR_MAX + 4];
    struct http_answer a = { .status = 400, .body = { body, sizeof body } };
    struct buf         out = BUF(10000);
    struct str         head = STR("The service answered HTTP 400 Bad Request:\n");

    memset(body, 'x', sizeof body);
    memcpy(body + HTTP_ANSWER_ERROR_MAX - 1, "\xc3\xbc", 2);
    assert_false(http_answer_write(&a, &out));
    assert_int_equal(out.n, head.n + HTTP_ANSWER_ERROR_MAX - 1);
    assert_true(str_starts(buf_str(&out), head));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_handed_on),
        cmocka_unit_test(what_is_broken_is_marked),
        cmocka_unit_test(what_is_no_text_is_named),
        cmocka_unit_test(a_status_is_told),
        cmocka_unit_test(of_a_refusal_the_beginning_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
