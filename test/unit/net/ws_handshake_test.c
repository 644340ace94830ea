/* Requests for a WebSocket, each as a client would write it; a row changes what the good one says. */
#include "check.h"

#include "base/mem.h"
#include "net/ws_handshake.h"

static const struct http_settings limits = {
    .max_header_bytes = 4096,
    .max_headers = 30,
    .max_uri_bytes = 256,
    .max_body_bytes = 1024,
};

static struct str        known[] = { STR_INIT("https://app.example"), STR_INIT("http://b:81") };
static struct str        anybody[] = { STR_INIT("*") };
static struct conf_texts pages = { known, 2 }, all = { anybody, 1 }, none;

#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ASKS "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define GET "GET /ws HTTP/1.1\r\n"
#define HOST "Host: h.example\r\n"
#define ORIGIN(o) GET HOST ASKS VERSION KEY "Origin: " o "\r\n"

static const struct {
    const char        *head;
    const char        *fields;                /* that the refusal must have     */
    struct conf_texts *origins;
    int                status;
} rows[] = {
    { GET HOST ASKS VERSION KEY, "", &none, 0 },
    { GET HOST KEY VERSION "connection: keep-alive, x ,uPgrade\r\nUPGRADE: a, WebSocket\r\n", "",
      &none, 0 },
    { GET HOST ASKS VERSION KEY "Content-Length: 0\r\n", "", &none, 0 },
    { "HEAD /ws HTTP/1.1\r\n" HOST ASKS VERSION KEY, "upgrade: websocket\r\n", &none, 426 },
    { "POST /ws HTTP/1.1\r\n" HOST ASKS VERSION KEY "Content-Length: 0\r\n",
      "upgrade: websocket\r\n", &none, 426 },
    { "GET /ws HTTP/1.0\r\n" HOST ASKS VERSION KEY, "upgrade: websocket\r\n", &none, 426 },
    { GET HOST VERSION KEY, "upgrade: websocket\r\n", &none, 426 },
    { GET HOST VERSION KEY "Upgrade: websocket\r\n", "upgrade: websocket\r\n", &none, 426 },
    { GET HOST VERSION KEY "Connection: upgrade\r\n", "upgrade: websocket\r\n", &none, 426 },
    { GET HOST VERSION KEY "Connection: upgrades\r\nUpgrade: websocket\r\n", "", &none, 426 },
    { GET HOST VERSION KEY "Connection: upgrade\r\nUpgrade: websockets\r\n", "", &none, 426 },
    { GET HOST ASKS KEY, "sec-websocket-version: 13\r\n", &none, 426 },
    { GET HOST ASKS KEY "Sec-WebSocket-Version: 12\r\n", "sec-websocket-version: 13\r\n", &none,
      426 },
    { GET HOST ASKS KEY VERSION VERSION, "sec-websocket-version: 13\r\n", &none, 426 },
    { GET HOST ASKS VERSION, "", &none, 400 },
    { GET HOST ASKS VERSION KEY KEY, "", &none, 400 },
    { GET HOST ASKS VERSION "Sec-WebSocket-Key: \r\n", "", &none, 400 },
    { GET HOST ASKS VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n", "", &none, 400 },
    { GET HOST ASKS VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA\r\n", "", &none, 400 },
    { GET HOST ASKS VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==\r\n", "", &none, 400 },
    { GET HOST ASKS VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", "", &none, 0 },
    { GET HOST ASKS VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n", "", &none, 400 },
    { GET HOST ASKS VERSION KEY "Content-Length: 1\r\n", "", &none, 400 },
    { GET HOST ASKS VERSION KEY "Transfer-Encoding: chunked\r\n", "", &none, 400 },
    { ORIGIN("https://h.example"), "", &none, 0 },
    { ORIGIN("http://H.Example"), "", &none, 0 },
    { ORIGIN("https://h.example:444"), "", &none, 403 },
    { ORIGIN("https://h.example.evil"), "", &none, 403 },
    { ORIGIN("https://evil/h.example"), "", &none, 403 },
    { ORIGIN("h.example"), "", &none, 403 },
    { ORIGIN("null"), "", &none, 403 },
    { ORIGIN(""), "", &none, 403 },
    { ORIGIN("https://h.example\r\nOrigin: https://h.example"), "", &none, 403 },
    { ORIGIN("https://app.example"), "", &pages, 0 },
    { ORIGIN("http://b:81"), "", &pages, 0 },
    { ORIGIN("http://b"), "", &pages, 403 },
    { ORIGIN("https://h.example"), "", &pages, 0 },
    { ORIGIN("https://evil"), "", &all, 0 },
};

static struct http_reader *read_head(const char *head)
{
    struct http_reader *r = http_reader_take(&limits);
    enum http_progress  progress = HTTP_PROGRESS_MORE;
    struct buf          text = BUF(4096);
    struct str          rest;
    size_t              eaten;

    buf_addf(&text, "%s\r\n", head);
    rest = buf_str(&text);
    while (progress == HTTP_PROGRESS_MORE && rest.n) {
        progress = http_reader_feed(r, rest, &eaten);
        rest = str_from(rest, eaten);
    }
    assert_int_equal(progress, HTTP_PROGRESS_HEAD);
    buf_release(&text);
    return r;
}

static void objects_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_reader *r = read_head(rows[i].head);
        struct ws_objection o = ws_object(r, rows[i].origins);

        if (o.status != rows[i].status)
            fail_msg("%d and not %d: %s", o.status, rows[i].status, rows[i].head);
        assert_true(!o.status || (o.why[0] && strstr(o.fields, rows[i].fields)));
        http_reader_give_back(r);
    }
    http_readers_release();
}

static void answers_keys(void **state)
{
    char accept[WS_ACCEPT_SIZE];

    (void)state;
    ws_accept_of(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);    /* the one of RFC 6455 */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ws_accept_of(STR("x3JJHMbDL1EzLkh9GBhXDw=="), accept);
    assert_string_equal(accept, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

static void finds_subprotocols(void **state)
{
    struct http_reader *r = read_head(GET HOST "Sec-WebSocket-Protocol: a, b\r\n"
                                               "Sec-WebSocket-Protocol: c\r\n");

    (void)state;
    assert_true(ws_offers(r, STR("b")) && ws_offers(r, STR("c")));
    assert_false(ws_offers(r, STR("a, b")) || ws_offers(r, STR("d")));
    http_reader_give_back(r);
    http_readers_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_as_the_table_says),
        cmocka_unit_test(answers_keys),
        cmocka_unit_test(finds_subprotocols),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
