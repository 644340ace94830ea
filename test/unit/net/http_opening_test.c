/* Each answer is read in one piece, cut in two at every place, and byte by byte; what came
 * of it is written down as text and must be the same every time. */
#include "check.h"

#include "net/http_opening.h"

enum { TEXT_MAX = 1 << 20, BODY_KEPT = 8 * 1024 };

static const char *const words[] = { [OPENING_MORE] = "MORE",
                                     [OPENING_GOOD] = "GOOD",
                                     [OPENING_REFUSED] = "REFUSED",
                                     [OPENING_GARBAGE] = "GARBAGE" };

/* "GOOD 101 x=1 then [what follows]", "REFUSED 403 [body]", "at the end REFUSED 403 [body]". */
static void tell(const struct http_opening *o, enum http_opening_result result, struct str rest,
                 struct buf *out)
{
    struct str x = http_fields_nth(&o->fields, STR("x"), 0);

    buf_addf(out, "%s", words[result]);
    if (result == OPENING_GARBAGE)
        return;
    buf_addf(out, " %d", o->status);
    if (x.p)
        buf_addf(out, " x=%.*s", STR_ARG(x));
    if (result == OPENING_GOOD)
        buf_addf(out, " then [%.*s]", STR_ARG(rest));
    else
        buf_addf(out, " [%.*s]", STR_ARG(buf_str(&o->body)));
}

static void read_way(struct str bytes, size_t how, int wanted, struct buf *out)
{
    struct cutter            cut = { .whole = bytes, .how = how };
    enum http_opening_result result = OPENING_MORE;
    struct http_opening      o;
    struct str               piece;
    size_t                   eaten = 0, before = 0;

    http_opening_init(&o, wanted);
    while (result == OPENING_MORE && cutter_next(&cut, &piece)) {
        before = cut.at - piece.n;
        eaten = SIZE_MAX;
        result = http_opening_feed(&o, piece, &eaten);
        assert_true(eaten <= piece.n);
        assert_true(result != OPENING_MORE || eaten == piece.n);
    }
    buf_clear(out);
    if (result == OPENING_MORE) {
        buf_lit(out, "at the end ");
        result = http_opening_end(&o);
    }
    assert_true(o.body.n <= BODY_KEPT);
    tell(&o, result, str_from(bytes, before + eaten), out);
    http_opening_release(&o);
    mem_free(cut.piece);
}

static void check_every_way(struct str bytes, int wanted, struct str want)
{
    struct buf out = BUF(TEXT_MAX);
    size_t     memory = mem_live_bytes();

    for (size_t how = 0; how <= bytes.n; how++) {
        read_way(bytes, how, wanted, &out);
        check_that(str_eq(buf_str(&out), want), "%s, cut at %zu:\n  got  %s\n  want %s",
                   check_shown(bytes), how, check_shown(buf_str(&out)), check_shown(want));
        buf_release(&out);
    }
    assert_int_equal(mem_live_bytes(), memory);
}

#define A(line, rest) "HTTP/1.1 " line "\r\n" rest
#define SWITCH        "Upgrade: websocket\r\nConnection: Upgrade\r\nX: 1\r\n\r\n"

static const struct {
    int        wanted;
    struct str bytes, want;
} table[] = {
    /* What was wanted; the rest is somebody else's. */
    { 101, STR_INIT(A("101 Switching Protocols", SWITCH)), STR_INIT("GOOD 101 x=1 then []") },
    { 101, STR_INIT(A("101 Switching Protocols", SWITCH "\x81\x02hi")),
      STR_INIT("GOOD 101 x=1 then [\x81\x02hi]") },
    { 101, STR_INIT(A("101 Y", SWITCH "HTTP/1.1 200 OK\r\n\r\n")),
      STR_INIT("GOOD 101 x=1 then [HTTP/1.1 200 OK\r\n\r\n]") },
    { 101, STR_INIT(A("101 Y", "\r\n")), STR_INIT("GOOD 101 then []") },
    { 101, STR_INIT(A("101 Y", "Content-Length: 5\r\n" SWITCH "hello")),
      STR_INIT("GOOD 101 x=1 then [hello]") },
    { 200, STR_INIT(A("200 Connection established", "\r\n")), STR_INIT("GOOD 200 then []") },
    { 200, STR_INIT("HTTP/1.0 200 Connection established\r\nX: a b \r\n\r\nrest"),
      STR_INIT("GOOD 200 x=a b then [rest]") },
    { 200, STR_INIT(A("200 OK", "Content-Length: 5\r\n\r\nhello")),
      STR_INIT("GOOD 200 then [hello]") },
    { 200, STR_INIT(A("200 OK", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
      STR_INIT("GOOD 200 then [0\r\n\r\n]") },
    { 200, STR_INIT(A("204 No Content", "\r\nrest")), STR_INIT("GOOD 204 then [rest]") },
    { 200, STR_INIT(A("299 Odd", "\r\n")), STR_INIT("GOOD 299 then []") },
    { 200, STR_INIT("HTTP/1.1 200\r\n\r\n"), STR_INIT("GOOD 200 then []") },
    { 200, STR_INIT(A("200 OK", "Connection: close\r\n\r\nrest")),
      STR_INIT("GOOD 200 then [rest]") },

    /* Interim answers are none. */
    { 200, STR_INIT(A("100 Continue", "X: 1\r\n\r\n") A("200 OK", "\r\nrest")),
      STR_INIT("GOOD 200 then [rest]") },
    { 101, STR_INIT(A("103 Early Hints", "Link: a\r\n\r\n") A("102 P", "\r\n") A("101 Y", SWITCH)),
      STR_INIT("GOOD 101 x=1 then []") },
    { 200, STR_INIT(A("100 Continue", "\r\n") A("403 No", "Content-Length: 2\r\n\r\nno")),
      STR_INIT("REFUSED 403 [no]") },
    { 200, STR_INIT(A("100 Continue", "\r\n")), STR_INIT("at the end GARBAGE") },
    { 200,
      STR_INIT(A("102 P", "Content-Length: 5\r\n\r\n") A("403 No", "Content-Length: 0\r\n\r\n")),
      STR_INIT("REFUSED 403 []") },
    { 200, STR_INIT(A("102 P", "Content-Length: 5\r\n\r\nhello") A("200 OK", "\r\n")),
      STR_INIT("GARBAGE") },

    /* Refusals, whose bodies say why. */
    { 101, STR_INIT(A("403 Forbidden", "Content-Length: 9\r\nX: 1\r\n\r\nsignature")),
      STR_INIT("REFUSED 403 x=1 [signature]") },
    { 101, STR_INIT(A("403 Forbidden", "Content-Length: 0\r\n\r\n")), STR_INIT("REFUSED 403 []") },
    { 101, STR_INIT(A("200 OK", "Content-Length: 2\r\n\r\nhi")), STR_INIT("REFUSED 200 [hi]") },
    { 101, STR_INIT(A("426 Upgrade Required", "Content-Length: 1\r\n" SWITCH "n")),
      STR_INIT("REFUSED 426 x=1 [n]") },
    { 101,
      STR_INIT(A("401 No", "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nno\r\n3\r\n wa\r\n"
                           "1\r\ny\r\n0\r\n\r\n")),
      STR_INIT("REFUSED 401 [no way]") },
    { 101, STR_INIT(A("302 Found", "Location: /x\r\nContent-Length: 0\r\n\r\n")),
      STR_INIT("REFUSED 302 []") },
    { 101, STR_INIT(A("304 Not Modified", "\r\n")), STR_INIT("REFUSED 304 []") },
    { 200, STR_INIT(A("101 Switching Protocols", SWITCH "rest")), STR_INIT("REFUSED 101 x=1 []") },
    { 200, STR_INIT(A("407 Proxy Authentication Required", "Content-Length: 3\r\n\r\nwho")),
      STR_INIT("REFUSED 407 [who]") },

    /* Those without a length end with the connection; some end too early. */
    { 101, STR_INIT(A("403 Forbidden", "\r\nsignature")),
      STR_INIT("at the end REFUSED 403 [signature]") },
    { 101, STR_INIT(A("403 Forbidden", "\r\n")), STR_INIT("at the end REFUSED 403 []") },
    { 101, STR_INIT(A("403 Forbidden", "Content-Length: 9\r\n\r\nsign")),
      STR_INIT("at the end REFUSED 403 [sign]") },
    { 101, STR_INIT(A("403 Forbidden", "Transfer-Encoding: chunked\r\n\r\n9\r\nsign")),
      STR_INIT("at the end REFUSED 403 [sign]") },
    { 101, STR_INIT(A("403 Forbidden", "Content-Length: 9\r\n")), STR_INIT("at the end GARBAGE") },
    { 101, STR_INIT("HTTP/1.1 4"), STR_INIT("at the end GARBAGE") },
    { 101, STR_INIT(""), STR_INIT("at the end GARBAGE") },

    /* Not HTTP, or not an HTTP that we speak. */
    { 101, STR_INIT("SSH-2.0-OpenSSH_9.6\r\n"), STR_INIT("GARBAGE") },
    { 101, STR_INIT("\x16\x03\x01\x02\x00\x01\x00\x01"), STR_INIT("GARBAGE") },
    { 101, STR_INIT("HTTP/2.0 101 Y\r\n\r\n"), STR_INIT("GARBAGE") },
    { 101, STR_INIT("HTTP/0.9 101 Y\r\n\r\n"), STR_INIT("GARBAGE") },
    { 101, STR_INIT(A("099 Y", "\r\n")), STR_INIT("GARBAGE") },
    { 101, STR_INIT(A("600 Y", "\r\n")), STR_INIT("GARBAGE") },
    { 101, STR_INIT(A("1010 Y", "\r\n")), STR_INIT("GARBAGE") },
    { 101, STR_INIT(A("101 Y", "no colon\r\n\r\n")), STR_INIT("GARBAGE") },
    { 101, STR_INIT(A("101 Y", "x : 1\r\n\r\n")), STR_INIT("GARBAGE") },
    { 101, STR_INIT(A("101 Y", "x: a\0b\r\n\r\n")), STR_INIT("GARBAGE") },
    { 101, STR_INIT("GET / HTTP/1.1\r\n\r\n"), STR_INIT("GARBAGE") },
    { 101, STR_INIT(A("403 No", "Content-Length: 1\r\nContent-Length: 2\r\n\r\n")),
      STR_INIT("GARBAGE") },
    { 101, STR_INIT(A("403 No", "Transfer-Encoding: chunked\r\n\r\nzz\r\n")), STR_INIT("GARBAGE") },
};

TEST(reads_the_table_however_it_is_cut)
{
    for (size_t i = 0; i < COUNT(table); i++)
        check_every_way(table[i].bytes, table[i].wanted, table[i].want);
}

/* ---- limits ------------------------------------------------------------------------------ */

/* `before`, then n times `part`, then `behind`. */
static struct buf repeated(const char *before, const char *part, size_t n, const char *behind)
{
    struct buf b = BUF(TEXT_MAX);

    buf_addf(&b, "%s", before);
    while (n--)
        buf_addf(&b, "%s", part);
    buf_addf(&b, "%s", behind);
    assert_false(b.over);
    return b;
}

/* In pieces of `size`, so that limits are met in the middle and between. */
static enum http_opening_result read_in(struct http_opening *o, const struct buf *b, size_t size)
{
    enum http_opening_result result = OPENING_MORE;
    size_t                   eaten = 0;

    http_opening_init(o, 101);
    for (size_t at = 0; at < b->n && result == OPENING_MORE; at += size) {
        struct str piece = { b->p + at, b->n - at < size ? b->n - at : size };

        result = http_opening_feed(o, piece, &eaten);
    }
    return result;
}

TEST(keeps_the_beginning_of_a_large_refusal)
{
    static const size_t sizes[] = { 1, 7, 1000, BODY_KEPT, TEXT_MAX };
    struct buf          lengthy =
        repeated("HTTP/1.1 403 No\r\nContent-Length: 100000\r\n\r\n", "0123456789", 10000, "");
    struct buf chunked = repeated("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n",
                                  "a\r\n0123456789\r\n", 5000, "0\r\n\r\n");
    struct buf closing = repeated("HTTP/1.1 403 No\r\n\r\n", "0123456789", 10000, "");
    const struct buf *const all[] = { &lengthy, &chunked, &closing };

    for (size_t i = 0; i < COUNT(all) * COUNT(sizes); i++) {
        struct http_opening      o;
        enum http_opening_result result = read_in(&o, all[i % COUNT(all)], sizes[i / COUNT(all)]);

        assert_int_equal(result, OPENING_REFUSED);
        assert_int_equal(o.body.n, BODY_KEPT);
        assert_true(str_starts(buf_str(&o.body), STR("01234567890123456789")));
        assert_false(o.body.over);
        http_opening_release(&o);
    }
    buf_release(&lengthy);
    buf_release(&chunked);
    buf_release(&closing);
}

static void check_limit(struct buf b, enum http_opening_result want)
{
    static const size_t sizes[] = { 1, 1000, TEXT_MAX };

    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct http_opening o;

        assert_int_equal(read_in(&o, &b, sizes[i]), want);
        assert_true(o.fields.n <= 201 && o.fields.text.n <= 64 * 1024);
        http_opening_release(&o);
    }
    buf_release(&b);
}

TEST(a_head_has_its_limits)
{
    check_limit(repeated("HTTP/1.1 101 Y\r\n", "a: b\r\n", 200, "\r\n"), OPENING_GOOD);
    check_limit(repeated("HTTP/1.1 101 Y\r\n", "a: b\r\n", 201, "\r\n"), OPENING_GARBAGE);
    check_limit(repeated("HTTP/1.1 101 Y\r\na: ", "0123456789", 6000, "\r\n\r\n"), OPENING_GOOD);
    check_limit(repeated("HTTP/1.1 101 Y\r\na: ", "0123456789", 6600, "\r\n\r\n"), OPENING_GARBAGE);
    check_limit(repeated("HTTP/1.1 101 Y\r\n", "0123456789", 6600, ": a\r\n\r\n"), OPENING_GARBAGE);
}

/* Each interim answer begins the limits anew, and leaves nothing behind. */
TEST(interim_answers_do_not_add_up)
{
    check_limit(repeated("", "HTTP/1.1 100 Continue\r\na: b\r\nc: d\r\n\r\n", 5000,
                         "HTTP/1.1 101 Y\r\n\r\n"),
                OPENING_GOOD);
}

/* A second word from a connection that has had its answer changes nothing. */
TEST(an_answer_stays_as_it_was)
{
    struct http_opening o;
    struct buf          b = repeated("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", "", 0, "");
    size_t              eaten;

    assert_int_equal(read_in(&o, &b, TEXT_MAX), OPENING_REFUSED);
    assert_int_not_equal(http_opening_feed(&o, STR("HTTP/1.1 101 Y\r\n\r\n"), &eaten),
                         OPENING_GOOD);
    assert_int_equal(o.status, 403);
    check_buf(&o.body, "no");
    assert_int_equal(http_opening_end(&o), OPENING_REFUSED);
    http_opening_release(&o);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_table_however_it_is_cut),
        cmocka_unit_test(keeps_the_beginning_of_a_large_refusal),
        cmocka_unit_test(a_head_has_its_limits),
        cmocka_unit_test(interim_answers_do_not_add_up),
        cmocka_unit_test(an_answer_stays_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
