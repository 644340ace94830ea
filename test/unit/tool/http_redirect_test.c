#include "check.h"

#include "tool/http_redirect.h"

TEST(locations_are_read_from_where_they_are)
{
    static const struct {
        const char *from, *location, *to;
    } rows[] = {
        { "https://h/a/b?q=1", "https://other.example/x", "https://other.example/x" },
        { "http://h/a", "HTTPS://H/a", "HTTPS://H/a" },
        { "https://h/a/b?q=1", "//other.example:8443/x?y", "https://other.example:8443/x?y" },
        { "http://h:8080/a", "//h/x", "http://h/x" },
        { "https://h:444/a/b?q=1", "/c", "https://h:444/c" },
        { "https://h/a/b?q=1", "c", "https://h/a/c" },
        { "https://h/a/b/", "c", "https://h/a/b/c" },
        { "https://h/a/b/c", "../d", "https://h/a/d" },
        { "https://h/a/b/c", "..", "https://h/a/" },
        { "https://h/a/b/c", ".", "https://h/a/b/" },
        { "https://h/a/b/c", "./d/", "https://h/a/b/d/" },
        { "https://h/a", "../../../d", "https://h/d" },
        { "https://h/a/b", "/x/./y/../z", "https://h/x/z" },
        { "https://h/a/b", "/..", "https://h/" },
        { "https://h/a/b?q=1", "?r=2", "https://h/a/b?r=2" },
        { "https://h/a/b?q=1", "", "https://h/a/b?q=1" },
        { "https://h/a/b?q=1", "#part", "https://h/a/b?q=1" },
        { "https://h/a/b", "c#part", "https://h/a/c" },
        { "https://h/a/b", "c?u=http://x/../y", "https://h/a/c?u=http://x/../y" },
        { "https://h", "c", "https://h/c" },
        { "https://h?q", "/c", "https://h/c" },
        { "https://h/a", "c:d", NULL },
        { "https://h/a", "./c:d", "https://h/c:d" },
        { "https://h/a", "/c:d", "https://h/c:d" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf  to = BUF(100);
        const char *why;
        bool        good = http_redirect(str_of(rows[i].from), str_of(rows[i].location), &to, &why);

        check_that(good == (rows[i].to != NULL), "%s %s", rows[i].from, rows[i].location);
        if (good)
            check_text(buf_str(&to), rows[i].to);
        assert_true(good == !why);
        buf_release(&to);
    }
}

static const char unreadable[] = "the address it redirects to cannot be read";
static const char scheme[] = "it redirects to what is neither http nor https";
static const char port[] = "it redirects to a port that is not the web's";
static const struct {
    const char *location, *why;
} astray[] = {
    { "file:///etc/passwd", scheme },
    { "gopher://h/_x", scheme },
    { "ftp://h/", scheme },
    { "data:text/plain,x", scheme },
    { "javascript:1", scheme },
    { "ws://h/", scheme },
    { "wss://h/", scheme },
    { "http://h/", "it redirects from https to http" },
    { "https:h/x", unreadable },
    { "https:/h/x", unreadable },
    { "https:///x", unreadable },
    { "https://", unreadable },
    { "///x", unreadable },
    { "https://user@h/", unreadable },
    { "https://user:password@h/", unreadable },
    { "https://h@127.0.0.1/", unreadable },
    { "//h@127.0.0.1/", unreadable },
    { "https://h\\@127.0.0.1/", unreadable },
    { "https://127.0.0.1\\.h/", unreadable },
    { "\\\\127.0.0.1\\x", unreadable },
    { "/\\127.0.0.1", unreadable },
    { "https://h /x", unreadable },
    { "https://h\t/x", unreadable },
    { "https://h/\xc3\xbc", unreadable },
    { "https://b\xc3\xbc"
      "cher.example/",
      unreadable },
    { "https://2130706433/", unreadable },
    { "https://0x7f000001/", unreadable },
    { "https://0177.0.0.1/", unreadable },
    { "https://127.1/", unreadable },
    { "https://127.0.0.1./", unreadable },
    { "https://[::1%25lo]/", unreadable },
    { "https://[::1/", unreadable },
    { "https://%31%32%37.0.0.1/", unreadable },
    { "https://h%00.example/", unreadable },
    { "https://h:x/", unreadable },
    { "https://h:0/", unreadable },
    { "https://h:65536/", unreadable },
    { "https://h:/", unreadable },
    { "https://h:22/", port },
    { "https://h:25/", port },
    { "//h:5432/", port },
    { "https://h:6379/", port },
    { "https://h:11211/", port },
    { "https://a-host-that-is-long.example/and/a/path/that/is/long/too/and/then/some/more/of/it/too",
      "the address it redirects to is too long" },
};

TEST(nobody_is_led_astray)
{
    for (size_t i = 0; i < COUNT(astray); i++) {
        struct buf  to = BUF(80);
        const char *why;

        check_that(!http_redirect(STR("https://h/a"), str_of(astray[i].location), &to, &why), "%s",
                   astray[i].location);
        if (strlen(astray[i].location) < to.limit)
            check_text(str_of(why), astray[i].why);
        buf_release(&to);
    }
}

TEST(methods_change_as_in_browsers)
{
    static const struct {
        int              status;
        enum tool_method from, to;
    } rows[] = {
        { 301, TOOL_POST, TOOL_GET },      { 302, TOOL_POST, TOOL_GET },
        { 303, TOOL_POST, TOOL_GET },      { 307, TOOL_POST, TOOL_POST },
        { 308, TOOL_POST, TOOL_POST },     { 301, TOOL_PUT, TOOL_PUT },
        { 302, TOOL_DELETE, TOOL_DELETE }, { 303, TOOL_PUT, TOOL_GET },
        { 303, TOOL_DELETE, TOOL_GET },    { 303, TOOL_PATCH, TOOL_GET },
        { 302, TOOL_PATCH, TOOL_PATCH },   { 301, TOOL_GET, TOOL_GET },
        { 307, TOOL_DELETE, TOOL_DELETE },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(http_redirect_method(rows[i].status, rows[i].from) == rows[i].to, "row %zu", i);
    for (int status = 200; status < 600; status++)
        assert_true(http_is_redirect(status) == (status == 301 || status == 302 || status == 303 ||
                                                 status == 307 || status == 308));
}

TEST(an_origin_is_scheme_host_and_port)
{
    assert_true(http_is_same_origin(STR("https://h/a"), STR("https://H:443/b?c")));
    assert_true(http_is_same_origin(STR("http://h:80"), STR("http://h/")));
    assert_false(http_is_same_origin(STR("http://h/"), STR("https://h/")));
    assert_false(http_is_same_origin(STR("https://h/"), STR("https://h:444/")));
    assert_false(http_is_same_origin(STR("https://h/"), STR("https://a.h/")));
    assert_false(http_is_same_origin(STR("https://h/"), STR("nothing")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locations_are_read_from_where_they_are),
        cmocka_unit_test(nobody_is_led_astray),
        cmocka_unit_test(methods_change_as_in_browsers),
        cmocka_unit_test(an_origin_is_scheme_host_and_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
