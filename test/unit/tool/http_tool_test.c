/* http_tool_test.c - runs against a real service, in a network that leads nowhere else. */
#include "check.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "tool/http_tool.h"
#include "unit/tool/service.h"

static struct {
    struct tool_run *run;
    struct deadline  cancel, patience;
    struct buf       output;
    bool             told, failed, goes_on;
    struct str       operation;               /* of the orders; empty: none     */
} ear = { .output = { .limit = 8 << 20 } };

static struct str              here[] = { STR_INIT("127.0.0.1") };
static const struct conf_texts here_only = { here, 1 };

/* ---- one run ------------------------------------------------------------------------------ */

static void on_told(void *ctx, struct str output, bool failed)
{
    assert_ptr_equal(ctx, &ear);
    assert_false(ear.told);
    assert_non_null(ear.run);                 /* start() has returned           */
    buf_add(&ear.output, output);
    ear.told = true;
    ear.failed = failed;
    ear.run = NULL;
    loop_stop();
}

static void on_goes_on(void *ctx)
{
    ear.goes_on = true;
    on_told(ctx, STR("it goes on"), false);
}

static struct tool *ear_tool;

/* Not before the service has been asked, however slow this machine is. */
static void cancel_now(struct deadline *d)
{
    if (!service.n_asked) {
        deadline_arm(d, clock_now() + 10 * CLOCK_MS);
        return;
    }
    ear_tool->ops->cancel(ear.run);
    ear.run = NULL;
    deadline_arm(&ear.patience, clock_now() + 30 * CLOCK_MS);
}

static void stop_now(struct deadline *d)
{
    (void)d;
    loop_stop();
}

/* After so many ms it is cancelled; 0: it is not. */
static void run_until(struct tool *t, const char *arguments, uint64_t cancel_ms)
{
    struct tool_order order = { .arguments = str_of(arguments), .operation = ear.operation };

    buf_clear(&ear.output);
    ear.told = ear.failed = ear.goes_on = false;
    ear.cancel.run = cancel_now;
    ear.patience.run = stop_now;
    ear_tool = t;
    if (cancel_ms)
        deadline_arm(&ear.cancel, clock_now() + cancel_ms * CLOCK_MS);
    deadline_arm(&ear.patience, clock_now() + 20 * CLOCK_S);
    ear.run = t->ops->start(t, &order, (struct tool_ear){ on_told, &ear, on_goes_on });
    assert_false(ear.told);
    loop_run();
    deadline_disarm(&ear.patience);
    assert_true(ear.told != (cancel_ms > 0));
}

static void run(struct tool *t, const char *arguments)
{
    run_until(t, arguments, 0);
}

/* Free it with tool_drop(). "%u" in the address is the first port. */
static struct tool *tool_at(const char *url, enum tool_method method,
                            const struct tool_settings *more)
{
    struct tool_settings s = more ? *more : (struct tool_settings){ .allow = here_only };
    char                 whole[400];
    const char          *port = strstr(url, "PORT");

    if (port)
        snprintf(whole, sizeof whole, "%.*s%u%s", (int)(port - url), url, service.ports[0],
                 port + 4);
    else
        snprintf(whole, sizeof whole, "%s", url);
    s.name = STR("t");
    s.description = STR("d");
    s.url = str_of(whole);
    s.method = method;
    s.parameters = STR("{\"type\":\"object\",\"properties\":{}}");
    if (!s.max_output_bytes)
        s.max_output_bytes = 4096;
    return http_tool_new(&s);
}

static void check_run(const char *url, enum tool_method method, const char *arguments, bool good,
                      const char *output)
{
    struct tool *t = tool_at(url, method, NULL);

    run(t, arguments);
    check_that(ear.failed == !good, "%s: %.*s", url, STR_ARG(buf_str(&ear.output)));
    check_text(buf_str(&ear.output), output);
    tool_drop(t);
}

static bool was_asked(size_t i, const char *start)
{
    return i < service.n_asked && service_begins(service.asked[i], start);
}

static bool has_asked(size_t i, const char *part)
{
    return i < service.n_asked && strstr(service.asked[i], part);
}

/* ---- requests ------------------------------------------------------------------------------ */

TEST(arguments_become_a_query_or_a_body)
{
    static const struct {
        enum tool_method method;
        const char      *line, *body;
    } rows[] = {
        { TOOL_GET, "GET /echo/a%2Fb?n=1&s=%C3%BC HTTP/1.1\r\n", "" },
        { TOOL_DELETE, "DELETE /echo/a%2Fb?n=1&s=%C3%BC HTTP/1.1\r\n", "" },
        { TOOL_POST, "POST /echo/a%2Fb HTTP/1.1\r\n", "{\"n\":1,\"s\":\"\xc3\xbc\"}" },
        { TOOL_PUT, "PUT /echo/a%2Fb HTTP/1.1\r\n", "{\"n\":1,\"s\":\"\xc3\xbc\"}" },
        { TOOL_PATCH, "PATCH /echo/a%2Fb HTTP/1.1\r\n", "{\"n\":1,\"s\":\"\xc3\xbc\"}" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tool *t = tool_at("http://127.0.0.1:PORT/echo/{x}", rows[i].method, NULL);

        service_forget();
        run(t, "{\"x\":\"a/b\",\"n\":1,\"s\":\"\xc3\xbc\"}");
        assert_false(ear.failed);
        assert_int_equal(service.n_asked, 1);
        assert_true(was_asked(0, rows[i].line));
        check_text(buf_str(&ear.output), service.asked[0]);
        check_text(str_of(strstr(service.asked[0], "\r\n\r\n") + 4), rows[i].body);
        assert_true(!has_asked(0, "content-type: application/json\r\n") == !rows[i].body[0]);
        assert_true(has_asked(0, "accept-encoding: identity\r\n"));
        tool_drop(t);
    }
}

TEST(what_is_wrong_with_the_arguments_goes_nowhere)
{
    service_forget();
    check_run("http://127.0.0.1:PORT/echo/{x}", TOOL_GET, "{}", false,
              "The argument \"x\" is missing.");
    check_run("http://127.0.0.1:PORT/echo/{x}", TOOL_GET, "{\"x\":\"..\"}", false,
              "The argument \"x\" has \".\" or \"..\" between slashes.");
    assert_int_equal(service.n_connections, 0);
}

TEST(fields_of_the_settings_go_with_it)
{
    struct str           headers[] = { STR_INIT("X-Key: secret"), STR_INIT("Accept: text/csv") };
    struct tool_settings s = { .allow = here_only, .headers = { headers, COUNT(headers) } };
    struct tool         *t = tool_at("http://127.0.0.1:PORT/echo", TOOL_GET, &s);

    service_forget();
    run(t, "{}");
    assert_true(has_asked(0, "\r\nX-Key: secret\r\n"));
    assert_true(has_asked(0, "\r\nAccept: text/csv\r\n"));
    assert_false(has_asked(0, "application/json"));
    tool_drop(t);
}

TEST(a_connection_is_kept_for_the_next)
{
    struct tool *t = tool_at("http://127.0.0.1:PORT/echo", TOOL_GET, NULL);

    run(t, "{}");
    service_forget();
    for (size_t i = 0; i < 3; i++)
        run(t, "{}");
    assert_int_equal(service.n_asked, 3);
    assert_int_equal(service.n_connections, 0);
    tool_drop(t);
}

/* ---- answers -------------------------------------------------------------------------------- */

TEST(answers_are_told_in_words)
{
    static const struct {
        const char *url;
        bool        good;
        const char *output;
    } rows[] = {
        { "http://127.0.0.1:PORT/empty", true,
          "The service answered HTTP 204 No Content, without content." },
        { "http://127.0.0.1:PORT/eof", true, "until the end" },
        { "http://127.0.0.1:PORT/broken", true,
          "a\xef\xbf\xbd\xef\xbf\xbd"
          "b" },
        { "http://127.0.0.1:PORT/half", false, "The connection was lost before the answer ended." },
        { "http://127.0.0.1:PORT/shut", false, "The connection was lost before the answer ended." },
        { "http://127.0.0.1:PORT/garbage", false, "What the service answered is not HTTP." },
        { "http://127.0.0.1:PORT/gzip", false, "What the service answered is not HTTP." },
        { "http://127.0.0.1:PORT/binary", false,
          "The answer is of the type image/png, which is not text." },
        { "http://127.0.0.1:PORT/status/404", false,
          "The service answered HTTP 404 Not Found:\n{\"why\":\"words\"}" },
        { "http://127.0.0.1:PORT/status/503", false,
          "The service answered HTTP 503 Service Unavailable:\n{\"why\":\"words\"}" },
        { "http://127.0.0.1:1/", false, "The service could not be reached: connection refused." },
        { "http://unknown.test/", false,
          "The service could not be reached: unknown node or service." },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_run(rows[i].url, TOOL_GET, "{}", rows[i].good, rows[i].output);
}

TEST(of_what_never_ends_the_beginning_is_told)
{
    static const char *const urls[] = { "http://127.0.0.1:PORT/endless",
                                        "http://127.0.0.1:PORT/huge" };

    for (size_t i = 0; i < COUNT(urls); i++) {
        struct tool_settings s = { .allow = here_only, .max_output_bytes = 1000 };
        struct tool         *t = tool_at(urls[i], TOOL_GET, &s);

        service_forget();
        run(t, "{}");
        assert_false(ear.failed);
        assert_in_range(ear.output.n, 1001, 1004);         /* so that one sees it is cut */
        service_is_left();
        assert_true(service.n_sent < 90 << 20);
        tool_drop(t);
    }
}

TEST(of_a_refusal_that_never_ends_too)
{
    struct tool *t = tool_at("http://127.0.0.1:PORT/bad", TOOL_GET, NULL);
    struct str   head = STR("The service answered HTTP 500 Internal Server Error:\n");

    run(t, "{}");
    assert_true(ear.failed);
    assert_int_equal(ear.output.n, head.n + 2048);
    assert_true(str_starts(buf_str(&ear.output), head));
    tool_drop(t);
}

TEST(of_a_refusal_that_stops_in_the_middle_that_much_is_told)
{
    service_forget();
    check_run("http://127.0.0.1:PORT/sulks", TOOL_GET, "{}", false,
              "The service answered HTTP 503 Service Unavailable:\nnot");
    service_is_left();
}

TEST(whoever_is_cancelled_hears_nothing)
{
    static const char *const urls[] = { "http://127.0.0.1:PORT/slow",
                                        "http://127.0.0.1:PORT/never" };

    for (size_t i = 0; i < COUNT(urls); i++) {
        struct tool *t = tool_at(urls[i], TOOL_GET, NULL);

        service_forget();
        run_until(t, "{}", 60);
        assert_int_equal(service.n_asked, 1);
        service_is_left();
        tool_drop(t);
    }
}

static void lead_to(const char *location)
{
    const char *other = strstr(location, "OTHER");

    service_forget();
    if (other)
        snprintf(service.location, sizeof service.location, "%.*s%u%s", (int)(other - location),
                 location, service.ports[1], other + 5);
    else
        snprintf(service.location, sizeof service.location, "%s", location);
}

/* ---- going on ------------------------------------------------------------------------------ */

TEST(with_202_it_goes_on_under_the_name_that_it_was_told)
{
    static const struct {
        const char *url, *operation, *output;
        bool        failed;
    } rows[] = {
        { "http://127.0.0.1:PORT/status/202", "op-1", "it goes on", false },
        { "http://127.0.0.1:PORT/status/202", "", "{\"why\":\"words\"}", false },
        { "http://127.0.0.1:PORT/status/200", "op-1", "{\"why\":\"words\"}", false },
        { "http://127.0.0.1:PORT/status/500", "op-1",
          "The service answered HTTP 500 Internal Server Error:\n{\"why\":\"words\"}", true },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tool *t = tool_at(rows[i].url, TOOL_POST, NULL);

        service_forget();
        ear.operation = str_of(rows[i].operation);
        run(t, "{}");
        check_text(buf_str(&ear.output), rows[i].output);
        assert_int_equal(ear.failed, rows[i].failed);
        assert_int_equal(ear.goes_on, i == 0);
        assert_int_equal(has_asked(0, "\r\nx-operation-id: op-1\r\n"), rows[i].operation[0] != 0);
        tool_drop(t);
    }
    ear.operation = STR("");
}

/* The connection is kept, though nobody reads what stands behind a 202. */
TEST(its_service_is_asked_again_where_it_went_on)
{
    struct tool *t = tool_at("http://127.0.0.1:PORT/status/202", TOOL_GET, NULL);

    ear.operation = STR("op-1");
    run(t, "{}");
    service_forget();
    for (size_t i = 0; i < 3; i++) {
        run(t, "{}");
        assert_true(ear.goes_on);
    }
    assert_int_equal(service.n_asked, 3);
    assert_int_equal(service.n_connections, 0);
    ear.operation = STR("");
    tool_drop(t);
}

/* On a kept one that ends it could not be known whether it was done. */
TEST(what_changes_something_has_a_connection_of_its_own)
{
    static const enum tool_method methods[] = { TOOL_GET, TOOL_POST, TOOL_PUT, TOOL_PATCH,
                                                TOOL_DELETE };

    for (size_t i = 0; i < COUNT(methods); i++) {
        struct tool *t = tool_at("http://127.0.0.1:PORT/status/200", methods[i], NULL);

        run(t, "{}");
        service_forget();
        run(t, "{}");
        assert_int_equal(service.n_asked, 1);
        assert_int_equal(service.n_connections, methods[i] != TOOL_GET);
        tool_drop(t);
    }
}

/* Who does not know the name cannot go on under it. */
TEST(a_name_stays_with_its_origin)
{
    struct tool *t = tool_at("http://127.0.0.1:PORT/go/307", TOOL_POST, NULL);

    ear.operation = STR("op-1");
    lead_to("/status/202");
    run(t, "{}");
    assert_true(ear.goes_on && has_asked(1, "op-1"));
    lead_to("http://127.0.0.1:OTHER/status/202");
    run(t, "{}");
    check_text(buf_str(&ear.output), "{\"why\":\"words\"}");
    assert_true(has_asked(0, "op-1") && !has_asked(1, "op-1"));
    ear.operation = STR("");
    tool_drop(t);
}

/* ---- redirects ----------------------------------------------------------------------------- */

TEST(redirects_are_followed_as_in_browsers)
{
    static const struct {
        const char      *status;
        enum tool_method method;
        const char      *line, *body;
    } rows[] = {
        { "301", TOOL_GET, "GET /echo?x=1 ", "" },
        { "302", TOOL_POST, "GET /echo?x=1 ", "" },
        { "303", TOOL_PUT, "GET /echo?x=1 ", "" },
        { "307", TOOL_POST, "POST /echo?x=1 ", "{\"a\":1}" },
        { "308", TOOL_PATCH, "PATCH /echo?x=1 ", "{\"a\":1}" },
        { "302", TOOL_DELETE, "DELETE /echo?x=1 ", "" },
    };
    char url[100];

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tool *t;

        snprintf(url, sizeof url, "http://127.0.0.1:PORT/go/%s", rows[i].status);
        t = tool_at(url, rows[i].method, NULL);
        lead_to("/echo?x=1#part");
        run(t, "{\"a\":1}");
        assert_false(ear.failed);
        assert_int_equal(service.n_asked, 2);
        assert_true(was_asked(1, rows[i].line));
        check_text(str_of(strstr(service.asked[1], "\r\n\r\n") + 4), rows[i].body);
        assert_true(!has_asked(1, "content-length") == !rows[i].body[0]);
        tool_drop(t);
    }
}

TEST(secrets_stay_with_their_origin)
{
    struct str           headers[] = { STR_INIT("X-Key: secret") };
    struct tool_settings s = { .allow = here_only, .headers = { headers, COUNT(headers) } };
    struct tool         *t = tool_at("http://127.0.0.1:PORT/go/307", TOOL_POST, &s);

    lead_to("/echo");
    run(t, "{}");
    assert_true(has_asked(0, "secret") && has_asked(1, "secret"));
    lead_to("http://127.0.0.1:OTHER/echo");
    run(t, "{\"a\":1}");
    assert_false(ear.failed);
    assert_int_equal(service.n_asked, 2);
    assert_true(has_asked(0, "secret"));
    assert_false(has_asked(1, "secret"));
    assert_true(has_asked(1, "{\"a\":1}"));
    tool_drop(t);
}

TEST(redirects_have_an_end)
{
    lead_to("/go/302");
    check_run("http://127.0.0.1:PORT/go/302", TOOL_GET, "{}", false,
              "The service redirects again and again.");
    assert_int_equal(service.n_asked, 6);
    check_run("http://127.0.0.1:PORT/nowhere", TOOL_GET, "{}", false,
              "The service answered HTTP 302.");
}

TEST(redirects_lead_to_no_neighbour)
{
    static const char *const locations[] = {
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.2/",
        "http://[::1]:8080/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.1/",
        "http://192.168.0.1:8443/",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
        "//[fd00:ec2::254]/",
        "http://private.test/",
    };

    for (size_t i = 0; i < COUNT(locations); i++) {
        lead_to(locations[i]);
        check_run("http://127.0.0.1:PORT/go/302", TOOL_GET, "{}", false,
                  "The service could not be reached: its address is not a public one.");
        assert_int_equal(service.n_asked, 1);
        check_that(!*service.connected || strcmp(service.connected, "127.0.0.1 ") == 0, "%s: %s",
                   locations[i], service.connected);
    }
    lead_to("http://2130706433/");
    check_run("http://127.0.0.1:PORT/go/302", TOOL_GET, "{}", false,
              "The service sends us elsewhere: the address it redirects to cannot be read.");
    lead_to("file:///etc/passwd");
    check_run("http://127.0.0.1:PORT/go/302", TOOL_GET, "{}", false,
              "The service sends us elsewhere: it redirects to what is neither http nor https.");
    lead_to("http://127.0.0.1:22/");
    check_run("http://127.0.0.1:PORT/go/302", TOOL_GET, "{}", false,
              "The service sends us elsewhere: it redirects to a port that is not the web's.");
}

/* ---- names --------------------------------------------------------------------------------- */

TEST(of_a_name_only_public_addresses_are_tried)
{
    static const struct tool_settings nobody = { .max_output_bytes = 4096 };
    struct tool                      *t = tool_at("http://mixed.test:PORT/echo", TOOL_GET, &nobody);

    service_forget();
    run(t, "{}");
    assert_false(ear.failed);
    assert_true(has_asked(0, "\r\nhost: mixed.test:"));
    check_text(str_of(service.connected), "1.2.3.4 ");
    assert_int_equal(service.n_lookups, 1);
    tool_drop(t);

    t = tool_at("http://private.test:PORT/echo", TOOL_GET, &nobody);
    service_forget();
    run(t, "{}");
    assert_true(ear.failed);
    check_buf(&ear.output, "The service could not be reached: its address is not a public one.");
    check_text(str_of(service.connected), "");
    tool_drop(t);

    t = tool_at("http://127.0.0.1:PORT/echo", TOOL_GET, &nobody);
    service_forget();
    run(t, "{}");
    assert_true(ear.failed);
    check_text(str_of(service.connected), "");
    tool_drop(t);
}

/* A name is believed once for each connection; each of its answers is looked at. */
TEST(a_name_that_changes_its_mind_gets_nowhere)
{
    static const struct tool_settings nobody = { .max_output_bytes = 4096 };
    struct tool *t = tool_at("http://rebinds.test:PORT/eof", TOOL_GET, &nobody);

    service_forget();
    run(t, "{}");
    check_buf(&ear.output, "until the end");
    check_text(str_of(service.connected), "1.2.3.4 ");
    assert_int_equal(service.n_lookups, 1);
    resolve_forget(STR("rebinds.test"));
    run(t, "{}");
    assert_int_equal(service.n_lookups, 2);
    assert_true(ear.failed);
    check_buf(&ear.output, "The service could not be reached: its address is not a public one.");
    check_text(str_of(service.connected), "1.2.3.4 ");
    assert_int_equal(service.n_asked, 1);
    tool_drop(t);
}

/* Kept connections are of a way: what one tool may reach does not help another. */
TEST(what_one_may_reach_another_may_not)
{
    static const struct tool_settings nobody = { .max_output_bytes = 4096 };
    struct str                        items[] = { STR_INIT("PRIVATE.test"), STR_INIT("10.1.2.3") };
    struct tool_settings              somebody = { .allow = { items, 1 } };
    struct tool                      *a = tool_at("http://127.0.0.1:PORT/echo", TOOL_GET, NULL);
    struct tool                      *b = tool_at("http://127.0.0.1:PORT/echo", TOOL_GET, &nobody);
    struct tool                      *c = tool_at("http://private.test:1/", TOOL_GET, &somebody);

    run(a, "{}");
    assert_false(ear.failed);
    service_forget();
    run(b, "{}");
    assert_true(ear.failed);
    assert_int_equal(service.n_asked, 0);
    run(c, "{}");
    assert_true(strstr(service.connected, "10.1.2.3 ") && strstr(service.connected, "fd00::1 "));
    tool_drop(a);
    tool_drop(b);
    tool_drop(c);
}

static int begin(void **state)
{
    (void)state;
    mem_begin();
    log_setup(LOG_ERROR, LOG_LOGFMT);
    loop_open();
    service_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    http_clients_close();
    loop_close();
    resolve_forget_all();
    tls_release();
    buf_release(&ear.output);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_become_a_query_or_a_body),
        cmocka_unit_test(what_is_wrong_with_the_arguments_goes_nowhere),
        cmocka_unit_test(fields_of_the_settings_go_with_it),
        cmocka_unit_test(a_connection_is_kept_for_the_next),
        cmocka_unit_test(answers_are_told_in_words),
        cmocka_unit_test(of_what_never_ends_the_beginning_is_told),
        cmocka_unit_test(of_a_refusal_that_never_ends_too),
        cmocka_unit_test(of_a_refusal_that_stops_in_the_middle_that_much_is_told),
        cmocka_unit_test(whoever_is_cancelled_hears_nothing),
        cmocka_unit_test(redirects_are_followed_as_in_browsers),
        cmocka_unit_test(secrets_stay_with_their_origin),
        cmocka_unit_test(with_202_it_goes_on_under_the_name_that_it_was_told),
        cmocka_unit_test(its_service_is_asked_again_where_it_went_on),
        cmocka_unit_test(what_changes_something_has_a_connection_of_its_own),
        cmocka_unit_test(a_name_stays_with_its_origin),
        cmocka_unit_test(redirects_have_an_end),
        cmocka_unit_test(redirects_lead_to_no_neighbour),
        cmocka_unit_test(of_a_name_only_public_addresses_are_tried),
        cmocka_unit_test(a_name_that_changes_its_mind_gets_nowhere),
        cmocka_unit_test(what_one_may_reach_another_may_not),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
