/* Each request is read in one piece, cut in two at every place, and byte by byte; what
 * came of it is written down as text and must be the same every time. */
#include "check.h"

#include "net/http_reader.h"

static const struct http_settings small = {
    .max_header_bytes = 1024,
    .max_headers = 8,
    .max_uri_bytes = 64,
    .max_body_bytes = 1024,
};

static void tell_field(const struct http_reader *r, struct str name, struct buf *out)
{
    for (size_t i = 0; i < http_reader_count(r, name); i++) {
        buf_addf(out, " %.*s=", STR_ARG(name));
        json_add_ascii(out, http_reader_nth(r, name, i));
    }
}

/* A whole request in a line: "POST /x ?q @authority 1.0 close chunked host="h" x="1" [body]". */
static void tell_request(const struct http_reader *r, bool has_body, struct buf *out)
{
    buf_addf(out, "%s %.*s", http_method_name(r->method), STR_ARG(r->target.path));
    if (r->target.query.p)
        buf_addf(out, " ?%.*s", STR_ARG(r->target.query));
    if (r->target.authority.p)
        buf_addf(out, " @%.*s", STR_ARG(r->target.authority));
    buf_addf(out, "%s%s%s", http_reader_is_1_0(r) ? " 1.0" : "",
             http_reader_keeps_alive(r) ? "" : " close",
             http_reader_is_chunked(r) ? " chunked" : "");
    if (http_reader_count(r, STR("content-length")))
        buf_addf(out, " cl=%llu", (unsigned long long)http_reader_content_length(r));
    tell_field(r, STR("host"), out);
    tell_field(r, STR("x"), out);
    buf_lit(out, " [");
    if (has_body)
        buf_add(out, http_reader_body(r));
    buf_lit(out, "]\n");
}

/* As the server does it: a reader from the first byte to the end of the request, and on
 * after HEAD only when there is a body. False: the request was bad. */
static bool feed(struct http_reader **r, const struct http_settings *limits, struct str piece,
                 struct buf *out)
{
    while (piece.n) {
        size_t             eaten = SIZE_MAX;
        enum http_progress progress;

        *r = *r ? *r : http_reader_take(limits);
        progress = http_reader_feed(*r, piece, &eaten);
        assert_true(eaten <= piece.n);
        piece = str_from(piece, eaten);
        if (progress == HTTP_PROGRESS_BAD) {
            assert_true((*r)->status >= 400 && (*r)->why && (*r)->why[0]);
            buf_addf(out, "BAD %d\n", (*r)->status);
            return false;
        }
        assert_int_equal((*r)->status, 0);
        assert_true(eaten > 0);
        if (progress == HTTP_PROGRESS_WHOLE ||
            (progress == HTTP_PROGRESS_HEAD && !http_reader_expects_body(*r))) {
            tell_request(*r, progress == HTTP_PROGRESS_WHOLE, out);
            http_reader_give_back(*r);
            *r = NULL;
        }
    }
    return true;
}

static void read_way(struct str bytes, size_t how, const struct http_settings *limits,
                     struct buf *out)
{
    struct cutter       cut = { .whole = bytes, .how = how };
    struct http_reader *r = NULL;
    struct str          piece;
    bool                good = true;

    buf_clear(out);
    while (cutter_next(&cut, &piece))
        good = good && feed(&r, limits, piece, out);
    if (good && r)
        buf_lit(out, "MORE\n");
    http_reader_give_back(r);
}

/* A table goes on after a row that differs; the test fails in the end. */
static int differences;

static void differs(struct str bytes, size_t how, struct str got, struct str want)
{
    if (++differences > 3)
        return;
    fprintf(stderr, "%.200s... (%zu bytes), cut at %zu:\n  got  %s\n  want %s\n",
            check_shown(bytes), bytes.n, how, check_shown(got), check_shown(want));
}

static int no_differences(void **state)
{
    (void)state;
    differences = 0;
    return 0;
}

static int check_differences(void **state)
{
    (void)state;
    return -differences;
}

/* The same in every way of cutting; `want` empty: the same as in one piece. */
static void check_every_way(struct str bytes, const struct http_settings *limits, struct str want)
{
    struct buf out = BUF(1 << 20), whole = BUF(1 << 20);
    int        before = differences;

    read_way(bytes, 0, limits, &whole);
    if (want.n && !str_eq(buf_str(&whole), want))
        differs(bytes, 0, buf_str(&whole), want);
    for (size_t how = 1; how <= bytes.n && differences == before; how++) {
        read_way(bytes, how, limits, &out);
        if (!str_eq(buf_str(&out), buf_str(&whole)))
            differs(bytes, how, buf_str(&out), buf_str(&whole));
    }
    buf_release(&out);
    buf_release(&whole);
}

static void check_status(struct str bytes, int status)
{
    char want[20];

    snprintf(want, sizeof want, "BAD %d\n", status);
    check_every_way(bytes, &small, str_of(want));
}

/* ---- good requests ------------------------------------------------------------------- */

#define G(line)         line " HTTP/1.1\r\nHost: h\r\n\r\n"
#define F(fields)       "GET / HTTP/1.1\r\nHost: h\r\n" fields "\r\n"
#define P(fields, body) "POST /p HTTP/1.1\r\nHost: h\r\n" fields "\r\n" body
#define C(body)         P("Transfer-Encoding: chunked\r\n", body)

static const struct {
    struct str bytes, want;
} good[] = {
    { STR_INIT(P("Content-Length: 5\r\n", "hello")),
      STR_INIT("POST /p cl=5 host=\"h\" [hello]\n") },
    { STR_INIT(C("5\r\nhello\r\n0\r\n\r\n")), STR_INIT("POST /p chunked host=\"h\" [hello]\n") },
    { STR_INIT(G("GET /")), STR_INIT("GET / host=\"h\" []\n") },
    { STR_INIT(G("HEAD /a/b.c")), STR_INIT("HEAD /a/b.c host=\"h\" []\n") },
    { STR_INIT(G("OPTIONS *")), STR_INIT("OPTIONS * host=\"h\" []\n") },
    { STR_INIT(G("PUT /")), STR_INIT("PUT / host=\"h\" []\n") },
    { STR_INIT(G("PATCH /")), STR_INIT("PATCH / host=\"h\" []\n") },
    { STR_INIT(G("DELETE /")), STR_INIT("DELETE / host=\"h\" []\n") },
    { STR_INIT(G("POST /")), STR_INIT("POST / host=\"h\" []\n") },
    { STR_INIT(G("GET /?")), STR_INIT("GET / ? host=\"h\" []\n") },
    { STR_INIT(G("GET /a%20b?x=1&y=%41?/")), STR_INIT("GET /a%20b ?x=1&y=%41?/ host=\"h\" []\n") },
    { STR_INIT(G("GET //a//")), STR_INIT("GET //a// host=\"h\" []\n") },
    { STR_INIT(G("GET http://other:80/x?q")), STR_INIT("GET /x ?q @other:80 host=\"h\" []\n") },
    { STR_INIT(G("GET HTTPS://other")), STR_INIT("GET / @other host=\"h\" []\n") },
    { STR_INIT(G("GET http://[::1]:8080/")), STR_INIT("GET / @[::1]:8080 host=\"h\" []\n") },
    { STR_INIT(G("GET http://other?a=b")), STR_INIT("GET / ?a=b @other host=\"h\" []\n") },
    { STR_INIT("\r\n\r\n" G("GET /")), STR_INIT("GET / host=\"h\" []\n") },
    { STR_INIT("GET / HTTP/1.0\r\n\r\n"), STR_INIT("GET / 1.0 close []\n") },
    { STR_INIT("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"),
      STR_INIT("GET / 1.0 host=\"h\" []\n") },
    { STR_INIT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
      STR_INIT("GET / 1.0 close []\n") },
    { STR_INIT(F("Connection: close\r\n")), STR_INIT("GET / close host=\"h\" []\n") },
    { STR_INIT(F("Connection: CLOSE\t\r\n")), STR_INIT("GET / close host=\"h\" []\n") },
    { STR_INIT(F("connection: te, Close ,x\r\n")), STR_INIT("GET / close host=\"h\" []\n") },
    { STR_INIT(F("Connection: keep-alive\r\nConnection: close\r\n")),
      STR_INIT("GET / close host=\"h\" []\n") },
    { STR_INIT(F("Connection: closed, not-close\r\n")), STR_INIT("GET / host=\"h\" []\n") },
    { STR_INIT(F("Connection: upgrade\r\nUpgrade: websocket\r\n")),
      STR_INIT("GET / host=\"h\" []\n") },
    { STR_INIT(F("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")),
      STR_INIT("GET / host=\"h\" []\n") },
    { STR_INIT(P("Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n", "hello")),
      STR_INIT("POST /p cl=5 host=\"h\" [hello]\n") },
    { STR_INIT("GET / HTTP/1.1\r\nhOsT:h\r\n\r\n"), STR_INIT("GET / host=\"h\" []\n") },
    { STR_INIT("GET / HTTP/1.1\r\nHost: \t h:80 \t \r\n\r\n"),
      STR_INIT("GET / host=\"h:80\" []\n") },
    { STR_INIT(F("X:\r\nX: \r\nX:   \t\r\nX:a\r\n")),
      STR_INIT("GET / host=\"h\" x=\"\" x=\"\" x=\"\" x=\"a\" []\n") },
    { STR_INIT(F("x: a  b\tc: d,\"e\r\nY: 1\r\nX: \xc3\xa9\xff\r\n")),
      STR_INIT("GET / host=\"h\" x=\"a  b\\tc: d,\\\"e\" x=\"\\u00c3\\u00a9\\u00ff\" []\n") },
    { STR_INIT(F("!#$%&'*+-.^_`|~09azAZ: 1\r\nX: 1\r\n")),
      STR_INIT("GET / host=\"h\" x=\"1\" []\n") },
    { STR_INIT(P("Content-Length: 005\r\n", "\0\r\n\r\n")),
      STR_INIT("POST /p cl=5 host=\"h\" [\0\r\n\r\n]\n") },
    { STR_INIT(P("Content-Length: \t5  \r\n", "hello")),
      STR_INIT("POST /p cl=5 host=\"h\" [hello]\n") },
    { STR_INIT(P("Content-Length: 0\r\n", "")), STR_INIT("POST /p cl=0 host=\"h\" []\n") },
    { STR_INIT("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"),
      STR_INIT("POST / 1.0 close cl=2 [hi]\n") },
    { STR_INIT("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"),
      STR_INIT("GET / cl=2 host=\"h\" [hi]\n") },
    { STR_INIT(P("Expect: 100-continue\r\nContent-Length: 2\r\n", "hi")),
      STR_INIT("POST /p cl=2 host=\"h\" [hi]\n") },
    { STR_INIT(C("0\r\n\r\n")), STR_INIT("POST /p chunked host=\"h\" []\n") },
    { STR_INIT(C("1\r\na\r\n00A\r\n0123456789\r\n2\r\n\r\n\r\n000\r\n\r\n")),
      STR_INIT("POST /p chunked host=\"h\" [a0123456789\r\n]\n") },
    { STR_INIT(C("5;a;b=c;d=\"e f\"\r\nhello\r\n0;last\r\n\r\n")),
      STR_INIT("POST /p chunked host=\"h\" [hello]\n") },
    { STR_INIT(P("transfer-encoding: CHUNKED \r\n", "1\r\nx\r\n0\r\n\r\n")),
      STR_INIT("POST /p chunked host=\"h\" [x]\n") },
    { STR_INIT(C("1\r\nx\r\n0\r\nX: trailer\r\nHost: evil\r\nConnection: close\r\n\r\n")),
      STR_INIT("POST /p chunked host=\"h\" [x]\n") },
};

TEST(good_requests_are_read_however_they_are_cut)
{
    for (size_t i = 0; i < COUNT(good); i++)
        check_every_way(good[i].bytes, &small, good[i].want);
}

TEST(requests_in_a_row_are_each_eaten_to_the_byte)
{
    struct buf in = BUF(1 << 20), want = BUF(1 << 20);

    for (size_t i = 0; i < COUNT(good); i++) {
        const size_t others[] = { 0, (i + 7) % COUNT(good), 1 };

        buf_clear(&in);
        buf_clear(&want);
        buf_add(&in, good[i].bytes);
        buf_add(&want, good[i].want);
        for (size_t k = 0; k < COUNT(others); k++) {
            buf_add(&in, good[others[k]].bytes);
            buf_add(&want, good[others[k]].want);
        }
        check_every_way(buf_str(&in), &small, buf_str(&want));
    }
    buf_release(&in);
    buf_release(&want);
}

TEST(nothing_behind_a_request_is_eaten)
{
    struct buf out = BUF(1000), in = BUF(1000), want = BUF(1000);

    for (size_t i = 0; i < COUNT(good); i++) {
        struct str behind = STR("\x16\x03 noise");

        buf_clear(&in);
        buf_clear(&want);
        buf_add(&in, good[i].bytes);
        buf_add(&in, behind);
        buf_add(&want, good[i].want);
        buf_lit(&want, "BAD 400\n");
        check_every_way(buf_str(&in), &small, buf_str(&want));
    }
    buf_release(&out);
    buf_release(&in);
    buf_release(&want);
}

TEST(a_request_that_is_not_whole_is_waited_for)
{
    struct buf out = BUF(1000);

    for (size_t i = 0; i < COUNT(good); i++)
        for (size_t n = 1; n < good[i].bytes.n; n++) {
            struct str part = { good[i].bytes.p, n };

            read_way(part, 0, &small, &out);
            if (!str_eq(buf_str(&out), STR("MORE\n")))
                differs(part, 0, buf_str(&out), STR("MORE\n"));
        }
    buf_release(&out);
}

/* ---- bad ones -------------------------------------------------------------------------- */

#define H(host) "GET / HTTP/1.1\r\n" host "\r\n"

static const struct {
    struct str bytes;
    int        status;
} bad[] = {
    /* the request line */
    { STR_INIT("GET / HTTP/1.1\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("\n" G("GET /")), 400 },
    { STR_INIT("\r" G("GET /")), 400 },
    { STR_INIT(" " G("GET /")), 400 },
    { STR_INIT(G("GET  /")), 400 },
    { STR_INIT(G("GET / ")), 400 },
    { STR_INIT(G("GET\t/")), 400 },
    { STR_INIT(G("GET /\t")), 400 },
    { STR_INIT(G("GET /a b")), 400 },
    { STR_INIT(G("GET ")), 400 },
    { STR_INIT(G("GET")), 400 },
    { STR_INIT(G(" /")), 400 },
    { STR_INIT(G("/")), 400 },
    { STR_INIT(G("G@T /")), 400 },
    { STR_INIT(G("FO@ /")), 400 },
    { STR_INIT(G("GET: /")), 400 },
    { STR_INIT(G("G\0T /")), 400 },
    { STR_INIT(G("\xc3\xa9 /")), 400 },
    { STR_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n"), 400 },
    { STR_INIT("GET /\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / \r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1.1x\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / http/1.1\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP 1.1\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1.\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/.1\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1.x\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1,1\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1.10\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/11.1\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / ICE/1.0\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / RTSP/1.0\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET /\r HTTP/1.1\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1.1\r\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), 505 },
    { STR_INIT("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), 505 },
    { STR_INIT("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505 },
    { STR_INIT("GET / HTTP/9.9\r\nHost: h\r\n\r\n"), 505 },
    { STR_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505 },
    { STR_INIT(G("FOO /")), 501 },
    { STR_INIT(G("GE /")), 501 },
    { STR_INIT(G("GETT /")), 501 },
    { STR_INIT(G("get /")), 501 },
    { STR_INIT(G("M-SEARCH /")), 501 },
    { STR_INIT(G("X!#$%&'*+-.^_`|~ /")), 501 },
    { STR_INIT(G("TRACE /")), 501 },
    { STR_INIT(G("PROPFIND /")), 501 },
    { STR_INIT(G("CONNECT h:80")), 501 },
    { STR_INIT(G("DESCRIBE /")), 501 },
    { STR_INIT(G("SOURCE /")), 501 },
    { STR_INIT(G("PRI /")), 501 },
    /* the target */
    { STR_INIT(G("GET a")), 400 },
    { STR_INIT(G("GET *")), 400 },
    { STR_INIT(G("OPTIONS *a")), 400 },
    { STR_INIT(G("OPTIONS *?a")), 400 },
    { STR_INIT(G("GET ?a")), 400 },
    { STR_INIT(G("GET /#a")), 400 },
    { STR_INIT(G("GET /a?b#c")), 400 },
    { STR_INIT(G("GET /\x01")), 400 },
    { STR_INIT(G("GET /\x7f")), 400 },
    { STR_INIT(G("GET /\0")), 400 },
    { STR_INIT(G("GET /\xc3\xa9")), 400 },
    { STR_INIT(G("GET /%")), 400 },
    { STR_INIT(G("GET /%4")), 400 },
    { STR_INIT(G("GET /%4g")), 400 },
    { STR_INIT(G("GET /?%zz")), 400 },
    { STR_INIT(G("GET /<>")), 400 },
    { STR_INIT(G("GET /\"")), 400 },
    { STR_INIT(G("GET h:80")), 400 },
    { STR_INIT(G("GET http:///x")), 400 },
    { STR_INIT(G("GET http://")), 400 },
    { STR_INIT(G("GET http:/x")), 400 },
    { STR_INIT(G("GET ftp://h/")), 400 },
    { STR_INIT(G("GET http://u@h/")), 400 },
    { STR_INIT(G("GET http://h:99999/")), 400 },
    /* fields */
    { STR_INIT("GET / HTTP/1.1\r\nHost: h\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1.1\r\nHost: h\r\n\n"), 400 },
    { STR_INIT(F("X: 1\nY: 2\r\n")), 400 },
    { STR_INIT(F("X: a\rb\r\n")), 400 },
    { STR_INIT(F("X: a\r\r\n")), 400 },
    { STR_INIT(F("X: a\r\n b\r\n")), 400 },
    { STR_INIT(F("X: a\r\n\tb\r\n")), 400 },
    { STR_INIT(F("X:\r\n a\r\n")), 400 },
    { STR_INIT("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), 400 },
    { STR_INIT(F("X : 1\r\n")), 400 },
    { STR_INIT(F("X\t: 1\r\n")), 400 },
    { STR_INIT(F("Content-Length : 1\r\n")), 400 },
    { STR_INIT(F("Transfer-Encoding : chunked\r\n")), 400 },
    { STR_INIT(F(": 1\r\n")), 400 },
    { STR_INIT(F("X\r\n")), 400 },
    { STR_INIT(F("X Y: 1\r\n")), 400 },
    { STR_INIT(F("X(: 1\r\n")), 400 },
    { STR_INIT(F("\xc3\xa9: 1\r\n")), 400 },
    { STR_INIT(F("X: a\0b\r\n")), 400 },
    { STR_INIT(F("X: a\x01"
                 "b\r\n")),
      400 },
    { STR_INIT(F("X: a\x1f\r\n")), 400 },
    { STR_INIT(F("X: a\x7f\r\n")), 400 },
    { STR_INIT(F("X\0: a\r\n")), 400 },
    /* Host */
    { STR_INIT(H("")), 400 },
    { STR_INIT(H("X: h\r\n")), 400 },
    { STR_INIT(H("Host: h\r\nHost: h\r\n")), 400 },
    { STR_INIT(H("Host: h\r\nX: 1\r\nhost: i\r\n")), 400 },
    { STR_INIT("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n"), 400 },
    { STR_INIT("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), 400 },
    { STR_INIT(H("Host:\r\n")), 400 },
    { STR_INIT(H("Host: a b\r\n")), 400 },
    { STR_INIT(H("Host: a,b\r\n")), 400 },
    { STR_INIT(H("Host: u@h\r\n")), 400 },
    { STR_INIT(H("Host: h/\r\n")), 400 },
    { STR_INIT(H("Host: h:65536\r\n")), 400 },
    { STR_INIT(H("Host: h:x\r\n")), 400 },
    { STR_INIT(H("Host: :80\r\n")), 400 },
    { STR_INIT(H("Host: [::1\r\n")), 400 },
    { STR_INIT(H("Host: [zz]\r\n")), 400 },
    { STR_INIT(H("Host: ::1\r\n")), 400 },
    { STR_INIT(H("Host: \xc3\xa9\r\n")), 400 },
    /* Content-Length */
    { STR_INIT(P("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: 5, 5\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: 5,\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: +5\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: -5\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: -0\r\n", "")), 400 },
    { STR_INIT(P("Content-Length: 0x5\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: 5 5\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: 5.0\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: five\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length: \"5\"\r\n", "hello")), 400 },
    { STR_INIT(P("Content-Length:\r\n", "")), 400 },
    { STR_INIT(P("Content-Length: \r\n", "")), 400 },
    { STR_INIT(P("Content-Length: 18446744073709551616\r\n", "")), 400 },
    { STR_INIT(P("Content-Length: 99999999999999999999\r\n", "")), 400 },
    /* Transfer-Encoding */
    { STR_INIT(P("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
      400 },
    { STR_INIT(P("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: gzip\r\n", "x")), 400 },
    { STR_INIT(P("Transfer-Encoding: identity\r\n", "x")), 400 },
    { STR_INIT(P("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n")), 400 },
    { STR_INIT(P("Transfer-Encoding:\r\n", "")), 400 },
    { STR_INIT("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400 },
    { STR_INIT(P("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")), 501 },
    { STR_INIT(P("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")), 501 },
    { STR_INIT(P("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n")), 501 },
    /* chunks */
    { STR_INIT(C("\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("g\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("-5\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("+5\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("0x5\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C(" 5\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5 \r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5\rhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5;a\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5\r\nhello\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5\r\nhello0\r\n\r\n")), 400 },
    { STR_INIT(C("5\r\nhello!\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5\r\nhello\r\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("10000000000000000\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5;a\x01\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("5;a\0\r\nhello\r\n0\r\n\r\n")), 400 },
    { STR_INIT(C("0\r\nX : 1\r\n\r\n")), 400 },
    { STR_INIT(C("0\r\nX: 1\n\r\n")), 400 },
    { STR_INIT(C("0\r\n X: 1\r\n\r\n")), 400 },
    { STR_INIT(C("0\r\nX: \x01\r\n\r\n")), 400 },
    { STR_INIT(C("0\r\n\n")), 400 },
    { STR_INIT(C("ffffffffffffffff\r\nhello\r\n0\r\n\r\n")), 413 },
};

TEST(bad_requests_have_the_same_status_however_they_are_cut)
{
    for (size_t i = 0; i < COUNT(bad); i++)
        check_status(bad[i].bytes, bad[i].status);
}

TEST(a_good_request_before_a_bad_one_is_still_read)
{
    struct buf in = BUF(2000), want = BUF(2000);

    for (size_t i = 0; i < COUNT(bad); i++) {
        buf_clear(&in);
        buf_clear(&want);
        buf_add(&in, good[0].bytes);
        buf_add(&in, bad[i].bytes);
        buf_add(&want, good[0].want);
        buf_addf(&want, "BAD %d\n", bad[i].status);
        check_every_way(buf_str(&in), &small, buf_str(&want));
    }
    buf_release(&in);
    buf_release(&want);
}

/* ---- limits ---------------------------------------------------------------------------- */

/* before, n times c, after: its status at every way of cutting; 0: a good request. */
static void check_filled(const char *before, size_t n, char c, const char *after, int status)
{
    struct buf in = BUF(1 << 16), out = BUF(1 << 16);

    buf_add(&in, str_of(before));
    for (size_t i = 0; i < n; i++)
        buf_add_char(&in, c);
    buf_add(&in, str_of(after));
    if (status) {
        check_status(buf_str(&in), status);
    } else {
        read_way(buf_str(&in), 0, &small, &out);
        if (check_has(buf_str(&out), STR("BAD")) || check_has(buf_str(&out), STR("MORE")))
            fail_msg("%s, %zu times %c: %s", before, n, c, check_shown(buf_str(&out)));
        check_every_way(buf_str(&in), &small, STR(""));
    }
    buf_release(&in);
    buf_release(&out);
}

TEST(a_target_may_be_as_long_as_its_limit)
{
    check_filled("GET /", 63, 'a', " HTTP/1.1\r\nHost: h\r\n\r\n", 0);
    check_filled("GET /", 64, 'a', " HTTP/1.1\r\nHost: h\r\n\r\n", 414);
    check_filled("OPTIONS /", 63, 'a', " HTTP/1.1\r\nHost: h\r\n\r\n", 0);
    check_filled("OPTIONS /", 64, 'a', " HTTP/1.1\r\nHost: h\r\n\r\n", 414);
    check_filled("GET http://h/?", 54, 'a', " HTTP/1.1\r\nHost: h\r\n\r\n", 0);
    check_filled("GET http://h/?", 55, 'a', " HTTP/1.1\r\nHost: h\r\n\r\n", 414);
    check_filled("GET /", 200, 'a', " HTTP/1.1\r\nHost: h\r\n\r\n", 414);
    check_filled("GET /", 20000, 'a', "", 414);
}

TEST(there_may_be_as_many_fields_as_their_limit)
{
    check_status(STR(F("A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\nG: 1\r\nX: 1\r\n")), 431);
    check_every_way(STR(F("A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\nX: 1\r\n")), &small,
                    STR("GET / host=\"h\" x=\"1\" []\n"));
}

/* Name, colon, blank, value and line end count: 9 for the Host, 5 for the X. */
TEST(fields_may_be_as_large_as_their_limit_together)
{
    check_filled("GET / HTTP/1.1\r\nHost: h\r\nX: ", 1024 - 9 - 5, 'v', "\r\n\r\n", 0);
    check_filled("GET / HTTP/1.1\r\nHost: h\r\nX: ", 1025 - 9 - 5, 'v', "\r\n\r\n", 431);
    check_filled("GET / HTTP/1.1\r\nHost: h\r\n", 1024 - 9 - 4, 'n', ": \r\n\r\n", 0);
    check_filled("GET / HTTP/1.1\r\nHost: h\r\n", 1025 - 9 - 4, 'n', ": \r\n\r\n", 431);
    check_filled("GET / HTTP/1.1\r\nHost: h\r\nX: ", 20000, 'v', "", 431);
    check_filled("GET / HTTP/1.1\r\nHost: h\r\n", 20000, 'n', "", 431);
}

TEST(blanks_before_a_value_do_not_go_on_for_ever)
{
    check_filled("GET / HTTP/1.1\r\nHost: h\r\nX: ", 5000, ' ', "v\r\n\r\n", 431);
}

TEST(empty_lines_before_a_request_do_not_go_on_for_ever)
{
    struct buf in = BUF(1 << 16);

    for (int lines = 500; lines <= 600; lines += 100) {
        buf_clear(&in);
        for (int i = 0; i < lines; i++)
            buf_lit(&in, "\r\n");
        buf_lit(&in, G("GET /"));
        check_every_way(buf_str(&in), &small,
                        lines == 500 ? STR("GET / host=\"h\" []\n") : STR("BAD 431\n"));
    }
    buf_release(&in);
}

TEST(a_body_may_be_as_large_as_its_limit)
{
    check_filled(P("Content-Length: 1024\r\n", ""), 1024, 'b', "", 0);
    check_filled(P("Content-Length: 1025\r\n", ""), 1025, 'b', "", 413);
    check_filled(C("400\r\n"), 1024, 'b', "\r\n0\r\n\r\n", 0);
    check_filled(C("401\r\n"), 1025, 'b', "\r\n0\r\n\r\n", 413);
    check_filled(C("5\r\nhello\r\n3fb\r\n"), 1019, 'b', "\r\n0\r\n\r\n", 0);
    check_filled(C("5\r\nhello\r\n3fc\r\n"), 1020, 'b', "\r\n0\r\n\r\n", 413);
    check_filled(C("3ff\r\n"), 1023, 'b', "\r\n2\r\nbb\r\n0\r\n\r\n", 413);
}

TEST(a_chunk_that_is_too_large_is_refused_before_it_comes)
{
    check_status(STR(C("401\r\n")), 413);
    check_status(STR(C("1\r\nx\r\n7fffffffffffffff\r\n")), 413);
}

TEST(a_body_of_one_byte_chunks_is_read)
{
    struct buf in = BUF(1 << 16), want = BUF(1 << 16);

    buf_lit(&in, C(""));
    buf_lit(&want, "POST /p chunked host=\"h\" [");
    for (int i = 0; i < 400; i++) {
        buf_lit(&in, "1\r\nx\r\n");
        buf_lit(&want, "x");
    }
    buf_lit(&in, "0\r\n\r\n");
    buf_lit(&want, "]\n");
    check_every_way(buf_str(&in), &small, buf_str(&want));
    buf_release(&in);
    buf_release(&want);
}

TEST(framing_without_text_is_refused)
{
    check_filled(C("5;"), 5000, 'e', "\r\nhello\r\n0\r\n\r\n", 413);
    check_filled(C("5\r\nhello\r\n0;"), 5000, 'e', "\r\n\r\n", 413);
    check_filled(C(""), 5000, '0', "5\r\nhello\r\n0\r\n\r\n", 413);
    check_filled(C("5\r\nhello\r\n0\r\nX: "), 5000, 't', "\r\n\r\n", 413);
    check_filled(C("5\r\nhello\r\n0\r\n"), 5000, 't', ": \r\n\r\n", 413);
    check_filled(C("5;"), 900, 'e', "\r\nhello\r\n0\r\n\r\n", 0);
    check_filled(C("5\r\nhello\r\n0\r\nX: "), 900, 't', "\r\n\r\n", 0);
}

/* Around the limit the verdict may be either, but it must not depend on the cuts. */
TEST(the_verdict_on_framing_does_not_depend_on_the_cuts)
{
    struct buf in = BUF(1 << 16);

    for (size_t n = 1000; n < 1120; n += 3)
        for (int where = 0; where < 3; where++) {
            buf_clear(&in);
            buf_add(&in, where == 0   ? STR(C("5;"))
                         : where == 1 ? STR(C("5\r\nhello\r\n5;"))
                                      : STR(C("5\r\nhello\r\n0;")));
            for (size_t i = 0; i < n; i++)
                buf_add_char(&in, 'e');
            buf_add(&in, where < 2 ? STR("\r\nhello\r\n0\r\n\r\n") : STR("\r\n\r\n"));
            check_every_way(buf_str(&in), &small, STR(""));
        }
    buf_release(&in);
}

/* ---- the reader itself ------------------------------------------------------------------ */

TEST(the_head_is_told_before_the_body_is_looked_at)
{
    struct http_reader *r = http_reader_take(&small);
    size_t              eaten;

    assert_int_equal(http_reader_feed(r, STR("POST /p HTTP/1.1\r\n"), &eaten), HTTP_PROGRESS_MORE);
    assert_int_equal(http_reader_feed(r, STR("Host: h\r\nContent-Length: 5\r\n\r\nhello"), &eaten),
                     HTTP_PROGRESS_HEAD);
    assert_int_equal(eaten, 30);
    assert_true(http_reader_expects_body(r));
    assert_int_equal(http_reader_content_length(r), 5);
    check_str(http_reader_target(r), "/p");
    check_str(http_reader_header(r, STR("CONTENT-length")), "5");
    assert_null(http_reader_header(r, STR("absent")).p);
    assert_null(http_reader_nth(r, STR("host"), 1).p);
    assert_int_equal(http_reader_feed(r, STR("hel"), &eaten), HTTP_PROGRESS_MORE);
    assert_int_equal(http_reader_feed(r, STR("loGET"), &eaten), HTTP_PROGRESS_WHOLE);
    assert_int_equal(eaten, 2);
    check_str(http_reader_body(r), "hello");
    http_reader_give_back(r);
}

TEST(readers_do_not_share_what_they_read)
{
    struct http_reader *a = http_reader_take(&small), *b = http_reader_take(&small);
    size_t              eaten;

    http_reader_feed(a, STR("GET /a HTTP/1.1\r\n"), &eaten);
    http_reader_feed(b, STR("PUT /b HTTP/1.1\r\n"), &eaten);
    assert_int_equal(http_reader_feed(a, STR("Host: a\r\nX: 1\r\n\r\n"), &eaten),
                     HTTP_PROGRESS_HEAD);
    assert_int_equal(http_reader_feed(b, STR("Host: b\r\nX: 22\r\n\r\n"), &eaten),
                     HTTP_PROGRESS_HEAD);
    check_str(a->target.path, "/a");
    check_str(b->target.path, "/b");
    check_str(http_reader_header(a, STR("x")), "1");
    check_str(http_reader_header(b, STR("x")), "22");
    http_reader_give_back(a);
    http_reader_give_back(b);
}

TEST(a_reader_that_served_before_begins_anew)
{
    struct http_settings other = small;
    struct http_reader  *r;
    struct buf           out = BUF(1000);
    size_t               eaten;

    r = http_reader_take(&small);
    http_reader_feed(r, STR("POST /long?query HTTP/1.0\r\n"), &eaten);
    http_reader_feed(r, STR("X: 1\r\nContent-Length: 9\r\n\r\nunfinished"), &eaten);
    http_reader_give_back(r);
    read_way(STR(F("")), 0, &small, &out);
    check_str(buf_str(&out), "GET / host=\"h\" []\n");
    other.max_uri_bytes = 4;
    read_way(STR(G("GET /123")), 0, &other, &out);
    check_str(buf_str(&out), "GET /123 host=\"h\" []\n");
    read_way(STR(G("GET /1234")), 0, &other, &out);
    check_str(buf_str(&out), "BAD 414\n");
    buf_release(&out);
}

TEST(memory_is_given_back)
{
    size_t              before, eaten;
    struct http_reader *a, *b;

    http_readers_release();
    before = mem_live_bytes();
    a = http_reader_take(&small);
    b = http_reader_take(&small);
    http_reader_feed(a, STR("GET / HTTP/1.1\r\nHo"), &eaten);
    http_reader_feed(b, STR("GET / HT"), &eaten);
    http_reader_give_back(a);
    http_reader_give_back(b);
    http_reader_give_back(NULL);
    http_readers_release();
    http_readers_release();
    assert_int_equal(mem_live_bytes(), before);
}

#define T(name) cmocka_unit_test_setup_teardown(name, no_differences, check_differences)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(good_requests_are_read_however_they_are_cut),
        T(requests_in_a_row_are_each_eaten_to_the_byte),
        T(nothing_behind_a_request_is_eaten),
        T(a_request_that_is_not_whole_is_waited_for),
        T(bad_requests_have_the_same_status_however_they_are_cut),
        T(a_good_request_before_a_bad_one_is_still_read),
        T(a_target_may_be_as_long_as_its_limit),
        T(there_may_be_as_many_fields_as_their_limit),
        T(fields_may_be_as_large_as_their_limit_together),
        T(blanks_before_a_value_do_not_go_on_for_ever),
        T(empty_lines_before_a_request_do_not_go_on_for_ever),
        T(a_body_may_be_as_large_as_its_limit),
        T(a_chunk_that_is_too_large_is_refused_before_it_comes),
        T(a_body_of_one_byte_chunks_is_read),
        T(framing_without_text_is_refused),
        T(the_verdict_on_framing_does_not_depend_on_the_cuts),
        T(the_head_is_told_before_the_body_is_looked_at),
        T(readers_do_not_share_what_they_read),
        T(a_reader_that_served_before_begins_anew),
        T(memory_is_given_back),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    http_readers_release();
    return failed;
}
