#include "check.h"

#include "api/cors.h"

static struct str           origins[3];
static struct http_settings settings = {
    .max_header_bytes = 16384,
    .max_headers = 20,
    .max_uri_bytes = 100,
    .request_id_header = STR_INIT("x-trace"),
    .cors_origins = { origins, 0 },
};

static void allow(struct str first, struct str second)
{
    origins[0] = first;
    origins[1] = second;
    settings.cors_origins.n = (first.n > 0) + (second.n > 0);
}

/* What goes out with the answer, and what a preflight's says besides. */
static void serve(const char *fields, struct buf *always, struct buf *preflight)
{
    struct http_exchange x = { .fields = NULL };
    struct http_reader  *r = http_reader_take(&settings);
    struct buf           head = BUF(1 << 16);
    struct str           rest;
    enum http_progress   progress = HTTP_PROGRESS_MORE;

    buf_addf(&head, "OPTIONS / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
    for (rest = buf_str(&head); progress == HTTP_PROGRESS_MORE && rest.n;) {
        size_t eaten;

        progress = http_reader_feed(r, rest, &eaten);
        rest = str_from(rest, eaten);
    }
    assert_int_equal(progress, HTTP_PROGRESS_HEAD);
    buf_clear(always);
    buf_clear(preflight);
    cors_add_fields(&x, r, &settings);
    buf_add(always, str_of(x.fields));
    cors_write_preflight(r, &settings, preflight);
    mem_free(x.fields);
    http_reader_give_back(r);
    buf_release(&head);
}

#define EXPOSED                                                                                    \
    "access-control-expose-headers: x-trace, retry-after, x-should-retry, "                        \
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "     \
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, x-conversation-id\r\n"
#define METHODS                                                                                    \
    "access-control-allow-methods: GET, POST, PUT, PATCH, DELETE, OPTIONS\r\n"                     \
    "access-control-max-age: 600\r\n"
#define ASKS "Access-Control-Request-Method: POST\r\n"

TEST(only_allowed_pages_are_let_in)
{
    static const struct {
        struct str  first, second;
        const char *fields, *always, *preflight;
    } rows[] = {
        { { NULL, 0 }, { NULL, 0 }, "Origin: https://a.example\r\n" ASKS, "", "" },
        { STR_INIT("https://a.example"), { NULL, 0 }, "", "vary: origin\r\n", "" },
        { STR_INIT("https://a.example"),
          { NULL, 0 },
          "Origin: https://evil\r\n" ASKS,
          "vary: origin\r\n",
          "" },
        { STR_INIT("https://a.example"),
          { NULL, 0 },
          "Origin: https://a.example.evil\r\n" ASKS,
          "vary: origin\r\n",
          "" },
        { STR_INIT("https://a.example"),
          { NULL, 0 },
          "Origin: https://A.example\r\n" ASKS,
          "vary: origin\r\n",
          "" },
        { STR_INIT("https://a.example"),
          { NULL, 0 },
          "Origin: null\r\n" ASKS,
          "vary: origin\r\n",
          "" },
        { STR_INIT("https://a.example"), { NULL, 0 }, "Origin:\r\n" ASKS, "vary: origin\r\n", "" },
        { STR_INIT("https://b.example"), STR_INIT("https://a.example"),
          "Origin: https://a.example\r\n" ASKS,
          "vary: origin\r\naccess-control-allow-origin: https://a.example\r\n" EXPOSED, METHODS },
        { STR_INIT("https://a.example"),
          { NULL, 0 },
          "Origin: https://a.example\r\n",
          "vary: origin\r\naccess-control-allow-origin: https://a.example\r\n" EXPOSED,
          "" },
        { STR_INIT("*"),
          { NULL, 0 },
          "Origin: https://anyone\r\n" ASKS,
          "access-control-allow-origin: *\r\n" EXPOSED,
          METHODS },
        { STR_INIT("*"), { NULL, 0 }, ASKS, "", "" },
    };
    struct buf always = BUF(1 << 16), preflight = BUF(1 << 16);

    for (size_t i = 0; i < COUNT(rows); i++) {
        allow(rows[i].first, rows[i].second);
        serve(rows[i].fields, &always, &preflight);
        check_same(buf_str(&always), str_of(rows[i].always));
        check_same(buf_str(&preflight), str_of(rows[i].preflight));
    }
    buf_release(&always);
    buf_release(&preflight);
}

TEST(headers_a_page_wants_are_granted_when_they_are_plain)
{
    struct buf always = BUF(1 << 16), preflight = BUF(1 << 16), fields = BUF(1 << 16);

    allow(STR("*"), (struct str){ NULL, 0 });
    serve("Origin: https://a\r\n" ASKS "Access-Control-Request-Headers: authorization, x-a\r\n",
          &always, &preflight);
    check_buf(&preflight, METHODS "access-control-allow-headers: authorization, x-a\r\n");
    serve("Origin: https://a\r\n" ASKS "Access-Control-Request-Headers: a\xc3\xa9\r\n", &always,
          &preflight);
    check_buf(&preflight, METHODS);
    serve("Origin: https://a\r\n" ASKS "Access-Control-Request-Headers: a\tb\r\n", &always,
          &preflight);
    check_buf(&preflight, METHODS);
    buf_addf(&fields, "Origin: https://a\r\n" ASKS "Access-Control-Request-Headers: %05000d\r\n",
             1);
    buf_add_char(&fields, '\0');
    serve(fields.p, &always, &preflight);
    check_buf(&preflight, METHODS);
    buf_release(&always);
    buf_release(&preflight);
    buf_release(&fields);
}

/* Whole lines only, however long the settings are. */
TEST(a_very_long_origin_does_not_break_the_header)
{
    struct buf  always = BUF(1 << 16), preflight = BUF(1 << 16), fields = BUF(1 << 16);
    struct str  origin;
    const char *end;

    buf_addf(&fields, "Origin: https://%02000d", 1);
    origin = str_from(buf_str(&fields), 8);
    allow(origin, (struct str){ NULL, 0 });
    buf_lit(&fields, "\r\n");
    buf_add_char(&fields, '\0');
    origins[0].p = fields.p + 8; /* it may have moved              */
    serve(fields.p, &always, &preflight);
    end = always.n >= 2 ? always.p + always.n - 2 : "";
    assert_true(always.n == 0 || memcmp(end, "\r\n", 2) == 0);
    assert_true(!check_has(buf_str(&always), STR("access-control-allow-origin")) ||
                check_has(buf_str(&always), origins[0]));
    buf_release(&always);
    buf_release(&preflight);
    buf_release(&fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_allowed_pages_are_let_in),
        cmocka_unit_test(headers_a_page_wants_are_granted_when_they_are_plain),
        cmocka_unit_test(a_very_long_origin_does_not_break_the_header),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    http_readers_release();
    return failed;
}
