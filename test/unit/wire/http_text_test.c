#include "check.h"

#include "base/clock.h"
#include "wire/http_text.h"

TEST(tokens_are_made_of_tchars)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (int c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool want = alnum || (c && strchr(others, c));
        char text[3] = { 'a', (char)c, 'z' };

        check_that(http_is_tchar((unsigned char)c) == want, "byte %d", c);
        check_that(http_is_token((struct str){ text, 3 }) == want, "byte %d", c);
    }
    assert_false(http_is_token(STR("")));
    assert_false(http_is_token((struct str){ NULL, 0 }));
}

TEST(a_list_has_its_members_in_any_case)
{
    static const struct {
        struct str list, word;
        bool       has;
    } rows[] = {
        { STR_INIT("close"), STR_INIT("close"), true },
        { STR_INIT("keep-alive, \tCLOSE\t ,x"), STR_INIT("close"), true },
        { STR_INIT("closed"), STR_INIT("close"), false },
        { STR_INIT("not close"), STR_INIT("close"), false },
        { STR_INIT("clos"), STR_INIT("close"), false },
        { STR_INIT("a;close"), STR_INIT("close"), false },
        { STR_INIT("a,,b"), STR_INIT(""), true },
        { STR_INIT("a,b"), STR_INIT(""), false },
        { STR_INIT("a,"), STR_INIT(""), true },
        { { NULL, 0 }, STR_INIT("close"), false },
        { { NULL, 0 }, STR_INIT(""), false },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(http_list_has(rows[i].list, rows[i].word) == rows[i].has, "row %zu", i);
}

TEST(hosts_are_told_from_other_texts)
{
    static const struct str good[] = {
        STR_INIT("h"),
        STR_INIT("example.org"),
        STR_INIT("EXAMPLE.org:80"),
        STR_INIT("h:"),
        STR_INIT("h:0"),
        STR_INIT("h:65535"),
        STR_INIT("127.0.0.1"),
        STR_INIT("[::1]"),
        STR_INIT("[::1]:8080"),
        STR_INIT("[::1]:"),
        STR_INIT("xn--p1ai"),
        STR_INIT("a_b-c~d!$&'()*+;="),
        STR_INIT("[2001:db8::ffff:1.2.3.4]"),
    };
    static const struct str bad[] = {
        STR_INIT(""),        { NULL, 0 },          STR_INIT(":80"),       STR_INIT("h:65536"),
        STR_INIT("h:-1"),    STR_INIT("h:80:80"),  STR_INIT("h:8o"),      STR_INIT("h:123456"),
        STR_INIT("u@h"),     STR_INIT("u:p@h"),    STR_INIT("h/"),        STR_INIT("h?x"),
        STR_INIT("h#x"),     STR_INIT("a b"),      STR_INIT("a,b"),       STR_INIT("h\0"),
        STR_INIT("\0h"),     STR_INIT("h\r\n"),    STR_INIT("\x7f"),      STR_INIT("\xc3\xa9"),
        STR_INIT("["),       STR_INIT("[]"),       STR_INIT("[::1"),      STR_INIT("::1"),
        STR_INIT("[::1]80"), STR_INIT("[::1]x:1"), STR_INIT("[zz]"),      STR_INIT("[1.2.3.4]"),
        STR_INIT("[::1]]"),  STR_INIT("[::1]:x"),  STR_INIT("[::1%25a]"), STR_INIT("h\\x"),
    };

    for (size_t i = 0; i < COUNT(good); i++)
        check_that(http_is_host(good[i]), "%s", good[i].p);
    for (size_t i = 0; i < COUNT(bad); i++)
        check_that(!http_is_host(bad[i]), "%s", bad[i].p);
}

TEST(the_media_type_is_without_its_parameters)
{
    check_str(http_media_type(STR("application/json")), "application/json");
    check_str(http_media_type(STR(" text/plain ; charset=utf-8; x")), "text/plain");
    check_str(http_media_type(STR(";")), "");
    check_str(http_media_type((struct str){ NULL, 0 }), "");
}

TEST(targets_are_taken_apart)
{
    static const struct {
        struct str  target;
        const char *parts; /* path query authority           */
    } rows[] = {
        { STR_INIT("/"), "/ <> <>" },
        { STR_INIT("*"), "* <> <>" },
        { STR_INIT("/a/b?c=d?e/f"), "/a/b <c=d?e/f> <>" },
        { STR_INIT("/?"), "/ <> <>" },
        { STR_INIT("//h/x"), "//h/x <> <>" },
        { STR_INIT("/a:b@c"), "/a:b@c <> <>" },
        { STR_INIT("/%41%7e"), "/%41%7e <> <>" },
        { STR_INIT("/http://h/"), "/http://h/ <> <>" },
        { STR_INIT("http://h"), "/ <> <h>" },
        { STR_INIT("http://h/"), "/ <> <h>" },
        { STR_INIT("https://h"), "/ <> <h>" },
        { STR_INIT("HTTPS://h:443/a?b"), "/a <b> <h:443>" },
        { STR_INIT("http://h?b"), "/ <b> <h>" },
        { STR_INIT("http://[::1]:80/x"), "/x <> <[::1]:80>" },
        { STR_INIT("http://h//x"), "//x <> <h>" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http_target t;
        struct buf         got = BUF(200);

        check_that(http_read_target(rows[i].target, &t), "%s", rows[i].target.p);
        buf_addf(&got, "%.*s <%.*s> <%.*s>", STR_ARG(t.path), STR_ARG(t.query),
                 STR_ARG(t.authority));
        check_text(buf_str(&got), rows[i].parts);
        buf_release(&got);
    }
}

/* RFC 3986, 3.2: the authority ends at the next "/", "?" or "#". */
TEST(a_slash_in_the_query_does_not_belong_to_the_authority)
{
    struct http_target t;

    assert_true(http_read_target(STR("http://h?next=/a"), &t));
    check_str(t.authority, "h");
    check_str(t.path, "/");
    check_str(t.query, "next=/a");
}

TEST(malformed_targets_are_refused)
{
    static const struct str rows[] = {
        STR_INIT(""),
        { NULL, 0 },
        STR_INIT("a"),
        STR_INIT("?a"),
        STR_INIT("**"),
        STR_INIT("*?a"),
        STR_INIT("/a b"),
        STR_INIT("/a\tb"),
        STR_INIT("/\0"),
        STR_INIT("/\x7f"),
        STR_INIT("/\xc3\xa9"),
        STR_INIT("/#"),
        STR_INIT("/a?b#c"),
        STR_INIT("http:/h"),
        STR_INIT("http://"),
        STR_INIT("https://"),
        STR_INIT("http:///a"),
        STR_INIT("http://?a"),
        STR_INIT("ftp://h/"),
        STR_INIT("h:80"),
        STR_INIT("http://u@h/"),
        STR_INIT("http://h:x/"),
        STR_INIT("http://h b/"),
        STR_INIT("/%"),
        STR_INIT("/%a"),
        STR_INIT("/%ag"),
        STR_INIT("/?%g0"),
        STR_INIT("http://h/%"),
        STR_INIT("http://h?%"),
        STR_INIT("/<"),
        STR_INIT("/\""),
        STR_INIT("/\\"),
        STR_INIT("/{id}"),
    };
    struct http_target t;

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(!http_read_target(rows[i], &t), "%s", rows[i].p);
}

TEST(percent_escapes_are_decoded)
{
    static const struct {
        struct str text, decoded;
        bool       good;
    } rows[] = {
        { STR_INIT(""), STR_INIT(""), true },
        { STR_INIT("abc"), STR_INIT("abc"), true },
        { STR_INIT("a%2Fb%2fc"), STR_INIT("a/b/c"), true },
        { STR_INIT("%41%7E+"), STR_INIT("A~+"), true },
        { STR_INIT("%e4%BD%A0"), STR_INIT("\xe4\xbd\xa0"), true },
        { STR_INIT("%2541"), STR_INIT("%41"), true },
        { STR_INIT("%01"), STR_INIT("\x01"), true },
        { STR_INIT("%"), STR_INIT(""), false },
        { STR_INIT("%4"), STR_INIT(""), false },
        { STR_INIT("a%4"), STR_INIT(""), false },
        { STR_INIT("%4g"), STR_INIT(""), false },
        { STR_INIT("%g4"), STR_INIT(""), false },
        { STR_INIT("%+4"), STR_INIT(""), false },
        { STR_INIT("%%41"), STR_INIT(""), false },
        { STR_INIT("a%00b"), STR_INIT(""), false },
        { STR_INIT("%ff"), STR_INIT(""), false },
        { STR_INIT("%c3"), STR_INIT(""), false },
        { STR_INIT("%c0%af"), STR_INIT(""), false },
        { STR_INIT("%ed%a0%80"), STR_INIT(""), false },
        { STR_INIT("\xff"), STR_INIT(""), false },
    };
    struct arena a = { NULL };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str out;
        bool       good = http_decode(rows[i].text, &a, &out);

        check_that(good == rows[i].good, "row %zu: %s", i, check_shown(rows[i].text));
        if (good)
            check_same(out, rows[i].decoded);
    }
    arena_release(&a);
}

TEST(a_nul_that_is_not_escaped_is_refused_too)
{
    struct arena a = { NULL };
    struct str   out;
    bool         good = http_decode(STR("a\0b"), &a, &out);

    arena_release(&a);
    assert_false(good);
}

TEST(what_is_not_plain_is_percent_encoded)
{
    struct buf path = BUF(10000), query = BUF(10000);

    for (int c = 0; c < 256; c++) {
        struct str byte = { (char[]){ (char)c }, 1 };
        char       escape[12];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-._~", c));

        snprintf(escape, sizeof escape, "%%%02X", (unsigned)c);
        buf_clear(&path);
        buf_clear(&query);
        http_encode(byte, &path);
        http_encode_query(byte, &query);
        check_text(buf_str(&path), plain ? ((char[]){ (char)c, 0 }) : escape);
        check_text(buf_str(&query), plain ? ((char[]){ (char)c, 0 }) : c == ' ' ? "+" : escape);
    }
    buf_clear(&path);
    http_encode(STR("a b/\xe4\xbd\xa0"), &path);
    check_buf(&path, "a%20b%2F%E4%BD%A0");
    buf_release(&path);
    buf_release(&query);
}

TEST(a_plain_value_is_visible_ascii_and_blanks)
{
    for (int c = 0; c < 256; c++) {
        char text[3] = { 'a', (char)c, 'z' };

        check_that(http_is_plain_value((struct str){ text, 3 }) == (c >= 0x20 && c < 0x7f),
                   "byte %d", c);
    }
    assert_true(http_is_plain_value(STR("")));
}

/* ---- dates ---------------------------------------------------------------------------------- */

TEST(dates_are_read)
{
    static const struct {
        struct str date;
        int64_t    seconds;
    } rows[] = {
        { STR_INIT("Thu, 01 Jan 1970 00:00:00 GMT"), 0 },
        { STR_INIT("Thu, 01 Jan 1970 00:00:01 GMT"), 1 },
        { STR_INIT("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777 },
        { STR_INIT("Tue, 29 Feb 2000 23:59:59 GMT"), 951868799 },
        { STR_INIT("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800 },
        { STR_INIT("Tue, 19 Jan 2038 03:14:08 GMT"), 2147483648 },
        { STR_INIT("Mon, 01 Mar 2100 00:00:00 GMT"), 4107542400 },
        { STR_INIT("Fri, 31 Dec 9999 23:59:59 GMT"), 253402300799 },
    };
    int64_t seconds;

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(http_read_date(rows[i].date, &seconds) && seconds == rows[i].seconds, "%s",
                   check_shown(rows[i].date));
}

/* Every day of five hundred years, each at another second: all months, and leap years by four,
 * by a hundred and by four hundred. */
TEST(what_we_write_as_a_date_we_read)
{
    char    text[30];
    int64_t seconds;

    for (int64_t day = 0; day < 500 * 366; day++) {
        int64_t want = day * 86400 + day * 7919 % 86400;

        clock_http_date_of(want, text);
        check_that(http_read_date(str_of(text), &seconds) && seconds == want, "%s", text);
    }
}

/* Is this byte's place one whose value nobody looks at? */
static bool is_weekday(size_t at)
{
    return at < 3;
}

TEST(a_date_is_in_one_form_only)
{
    static const char good[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    static const char digits[] = "     dd     dddd dd dd dd    ";
    int64_t           seconds;

    for (size_t n = 0; n < sizeof good - 1; n++) {
        char *piece = mem_copy(good, n);

        check_that(!http_read_date((struct str){ piece, n }, &seconds), "%zu bytes", n);
        mem_free(piece);
    }
    assert_false(http_read_date((struct str){ NULL, 0 }, &seconds));
    assert_false(http_read_date(STR("Sun, 06 Nov 1994 08:49:37 GMT "), &seconds));
    for (size_t at = 0; at < sizeof good - 1; at++)
        for (int c = 0; c < 256; c++) {
            char *text = mem_copy(good, sizeof good - 1);
            bool  may =
                is_weekday(at) || c == good[at] || (digits[at] == 'd' && c >= '0' && c <= '9');
            bool is_read;

            text[at] = (char)c;
            is_read = http_read_date((struct str){ text, sizeof good - 1 }, &seconds);
            check_that(may || !is_read, "byte %d at %zu", c, at);
            check_that(!is_weekday(at) || is_read, "byte %d at %zu", c, at);
            mem_free(text);
        }
}

TEST(no_day_hour_or_year_is_out_of_its_bounds)
{
    static const struct str bad[] = {
        STR_INIT("Sun, 00 Nov 1994 08:49:37 GMT"), STR_INIT("Sun, 32 Nov 1994 08:49:37 GMT"),
        STR_INIT("Sun, 06 Nov 1969 08:49:37 GMT"), STR_INIT("Sun, 06 Nov 0000 08:49:37 GMT"),
        STR_INIT("Sun, 06 Nov 1994 24:49:37 GMT"), STR_INIT("Sun, 06 Nov 1994 08:60:37 GMT"),
        STR_INIT("Sun, 06 Nov 1994 08:49:61 GMT"), STR_INIT("Sun, 06 nov 1994 08:49:37 GMT"),
        STR_INIT("Sun, 06 anF 1994 08:49:37 GMT"), STR_INIT("Sun, -6 Nov 1994 08:49:37 GMT"),
        STR_INIT("Sun, +6 Nov 1994 08:49:37 GMT"), STR_INIT("Sun,  6 Nov 1994 08:49:37 GMT"),
        STR_INIT("Sunday, 06-Nov-94 08:49:37 GM"), STR_INIT("Sun Nov  6 08:49:37 1994     "),
        STR_INIT("Sun, 06 Nov 1994 08:49:37 UTC"), STR_INIT("Sun, 06 Nov 1994 08:49:37 +00"),
    };
    int64_t seconds;

    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(bad[i].n, 29);       /* else it would be too easy      */
        check_that(!http_read_date(bad[i], &seconds), "%s", check_shown(bad[i]));
    }
}

TEST(every_status_we_send_has_a_reason)
{
    static const int ours[] = { 200, 204, 400, 404, 405, 408, 411, 413, 414,
                                415, 417, 431, 500, 501, 502, 503, 504, 505 };

    for (size_t i = 0; i < COUNT(ours); i++) {
        const char *reason = http_reason(ours[i]);

        check_that(reason[0] && http_is_plain_value(str_of(reason)), "%d", ours[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(reason, http_reason(ours[k]));
    }
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(299), "");
    assert_string_equal(http_reason(-1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_made_of_tchars),
        cmocka_unit_test(a_list_has_its_members_in_any_case),
        cmocka_unit_test(hosts_are_told_from_other_texts),
        cmocka_unit_test(the_media_type_is_without_its_parameters),
        cmocka_unit_test(targets_are_taken_apart),
        cmocka_unit_test(a_slash_in_the_query_does_not_belong_to_the_authority),
        cmocka_unit_test(malformed_targets_are_refused),
        cmocka_unit_test(percent_escapes_are_decoded),
        cmocka_unit_test(a_nul_that_is_not_escaped_is_refused_too),
        cmocka_unit_test(what_is_not_plain_is_percent_encoded),
        cmocka_unit_test(a_plain_value_is_visible_ascii_and_blanks),
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(what_we_write_as_a_date_we_read),
        cmocka_unit_test(a_date_is_in_one_form_only),
        cmocka_unit_test(no_day_hour_or_year_is_out_of_its_bounds),
        cmocka_unit_test(every_status_we_send_has_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
