/* wechat_test.c - content is checked by a WeChat that is this program's own server. */
#include "check.h"

#include "api/api.h"
#include "api/wechat.h"
#include "base/clock.h"
#include "net/loop.h"
#include "net/ports.h"

#define TOKEN(name, seconds) "{\"access_token\":\"" name "\",\"expires_in\":" #seconds "}"
#define T1                   TOKEN("t1", 7200)
#define T2                   TOKEN("t2", 7200)
#define ERRCODE(n)           "{\"errcode\":" #n ",\"errmsg\":\"words\"}"
#define SUGGEST(what)                                                                              \
    "{\"errcode\":0,\"result\":{\"suggest\":\"" what "\",\"label\":100},\"trace_id\":\"7\"}"
#define NEVER "never"
#define FAILS "fails"

enum { TIMEOUT_MS = 600, LONGEST = 6 };

/* What the fake is asked and says: each answer once, the last one again and again. */
struct part {
    const char *const *answers;
    size_t             asked;
    struct buf         last;                  /* the query and the body         */
};

static struct {
    struct http_server server;
    struct part        token, check;
    size_t             held;                  /* requests that get no answer    */
    char               base_url[100];
} fake = { .token.last = { .limit = 1 << 20 }, .check.last = { .limit = 1 << 20 } };

static void left(void *user)
{
    (void)user;
    fake.held--;
}

static void say(struct http_exchange *x, struct part *p)
{
    const char *answer = p->answers[p->asked];

    if (p->answers[p->asked + 1])
        p->asked++;
    if (strcmp(answer, NEVER) == 0) {
        fake.held++;
        http_watch(x, left, NULL, NULL);
    } else if (strcmp(answer, FAILS) == 0) {
        api_answer_json(x, 500, STR("{}"));
    } else {
        api_answer_json(x, 200, str_of(answer));
    }
}

static size_t n_tokens, n_checks;

static bool on_head(struct http_exchange *x, const struct http_reader *rq)
{
    (void)x;
    (void)rq;
    return true;
}

static void on_request(struct http_exchange *x, const struct http_reader *rq)
{
    bool         is_token = str_eq(rq->target.path, STR("/cgi-bin/stable_token"));
    struct part *p = is_token ? &fake.token : &fake.check;

    assert_true(is_token || str_eq(rq->target.path, STR("/wxa/msg_sec_check")));
    assert_int_equal(rq->method, HTTP_METHOD_POST);
    *(is_token ? &n_tokens : &n_checks) += 1;
    buf_clear(&p->last);
    buf_addf(&p->last, "%.*s %.*s", STR_ARG(rq->target.query), STR_ARG(http_reader_body(rq)));
    say(x, p);
}

static void write_refusal(const struct http_exchange *x, struct str path, int status,
                          const char *why, struct buf *body)
{
    (void)x;
    (void)path;
    (void)status;
    buf_add(body, str_of(why));
}

static void on_end(const struct http_exchange *x, struct str path)
{
    (void)x;
    (void)path;
}

static const struct http_app app = { on_head, on_request, write_refusal, on_end };

/* ---- settings ------------------------------------------------------------------------ */

static struct settings *plain, *settings;

static struct settings *load(const char *failing)
{
    const char *const overrides[] = { "access.jwt_key=0123456789abcdef0123456789abcdef",
                                      "database.url=postgresql:///x",
                                      "dialects.xcx.wechat.app_id=wx1",
                                      "dialects.xcx.wechat.app_secret=s3",
                                      "dialects.xcx.wechat.timeout=600ms",
                                      "dialects.xcx.content_check=on",
                                      fake.base_url,
                                      failing,
                                      NULL };
    struct buf        mistakes = BUF(10000);
    struct settings  *s = settings_load(NULL, overrides, &mistakes);

    check_str(buf_str(&mistakes), "");
    return s;
}

static void use(struct settings *s)
{
    api_configure(s);
    wechat_configure(s);
}

static int begin(void **state)
{
    struct buf    mistakes = BUF(10000);
    union address at, bound;
    char          text[ADDRESS_TEXT_SIZE];

    (void)state;
    loop_open();
    plain = settings_load(NULL, (const char *const[]){ NULL }, &mistakes);
    address_read_endpoint(STR("127.0.0.1:0"), &at);
    assert_int_equal(
        http_server_open(&fake.server, &app, &plain->http, 65536, port_open(&at, &bound)), 0);
    address_write_endpoint(&bound, text);
    snprintf(fake.base_url, sizeof fake.base_url, "dialects.xcx.wechat.base_url=http://%s", text);
    settings = load(NULL);
    use(settings);
    alarm(60);
    return 0;
}

static void stop_when_empty(struct deadline *d)
{
    if (http_server_is_empty(&fake.server))
        loop_stop();
    else
        deadline_arm(d, clock_now() + CLOCK_MS);
}

static int end(void **state)
{
    struct deadline look = { .run = stop_when_empty };

    (void)state;
    wechat_release();
    http_clients_close();
    http_server_drain(&fake.server);
    deadline_arm(&look, clock_now());
    loop_run();
    loop_close();
    resolve_forget_all();
    http_readers_release();
    streams_release();
    settings_free(settings);
    settings_free(plain);
    buf_release(&fake.token.last);
    buf_release(&fake.check.last);
    return 0;
}

/* ---- asking -------------------------------------------------------------------------- */

static size_t under_way;
static bool   is_turning;

static void done(struct wechat_check *c)
{
    (void)c;
    assert_true(under_way > 0);
    if (--under_way == 0 && is_turning)
        loop_stop();
}

static void turn(void)
{
    is_turning = true;
    loop_run();
    is_turning = false;
}

static void script(const char *const *tokens, const char *const *checks)
{
    fake.token.answers = tokens;
    fake.check.answers = checks;
    fake.token.asked = fake.check.asked = 0;
    n_tokens = n_checks = 0;
}

static void start_check(struct wechat_check *c, const char *text)
{
    *c = (struct wechat_check){ .done = done };
    under_way++;
    wechat_check_content(c, STR("o1"), str_of(text));
}

static enum wechat_verdict check(const char *text)
{
    struct wechat_check c;

    start_check(&c, text);
    assert_int_equal(under_way, 1);           /* never before the call is over  */
    turn();
    wechat_check_drop(&c);
    return c.verdict;
}

static void stop_loop(struct deadline *d)
{
    (void)d;
    loop_stop();
}

static void turn_for(unsigned ms)
{
    struct deadline d = { .run = stop_loop };

    clock_update();
    deadline_arm(&d, clock_now() + ms * CLOCK_MS);
    turn();
}

/* ---- tests --------------------------------------------------------------------------- */

TEST(every_answer_has_its_verdict)
{
    static const struct {
        const char         *tokens[LONGEST], *checks[LONGEST];
        enum wechat_verdict want;
        size_t              n_tokens, n_checks;
    } rows[] = {
        { { T1 }, { SUGGEST("pass") }, WECHAT_PASSES, 1, 1 },
        { { T1 }, { SUGGEST("review") }, WECHAT_PASSES, 1, 1 },
        { { T1 }, { SUGGEST("risky") }, WECHAT_IS_RISKY, 1, 1 },
        { { T1 }, { SUGGEST("maybe") }, WECHAT_COULD_NOT_TELL, 1, 1 },
        { { T1 }, { "{\"errcode\":0,\"errmsg\":\"ok\"}" }, WECHAT_COULD_NOT_TELL, 1, 1 },
        { { T1, T2 }, { ERRCODE(40001), SUGGEST("pass") }, WECHAT_PASSES, 2, 2 },
        { { T1, T2 }, { ERRCODE(42001), SUGGEST("risky") }, WECHAT_IS_RISKY, 2, 2 },
        { { T1, T2 }, { ERRCODE(40001) }, WECHAT_COULD_NOT_TELL, 2, 2 },
        { { T1, ERRCODE(-1) }, { ERRCODE(40001) }, WECHAT_COULD_NOT_TELL, 2, 1 },
        { { T1 }, { ERRCODE(-1), SUGGEST("pass") }, WECHAT_PASSES, 1, 2 },
        { { T1 }, { ERRCODE(-1) }, WECHAT_COULD_NOT_TELL, 1, 2 },
        { { T1, T2 }, { ERRCODE(40001), ERRCODE(-1), SUGGEST("risky") }, WECHAT_IS_RISKY, 2, 3 },
        { { T1 }, { ERRCODE(61010) }, WECHAT_COULD_NOT_TELL, 1, 1 },
        { { T1 }, { ERRCODE(48001) }, WECHAT_COULD_NOT_TELL, 1, 1 },
        { { T1 }, { "<html>" }, WECHAT_COULD_NOT_TELL, 1, 1 },
        { { T1 }, { FAILS }, WECHAT_COULD_NOT_TELL, 1, 1 },
        { { T1 }, { NEVER }, WECHAT_COULD_NOT_TELL, 1, 1 },
        { { NEVER }, { SUGGEST("pass") }, WECHAT_COULD_NOT_TELL, 1, 0 },
        { { FAILS }, { SUGGEST("pass") }, WECHAT_COULD_NOT_TELL, 1, 0 },
        { { ERRCODE(40125) }, { SUGGEST("pass") }, WECHAT_COULD_NOT_TELL, 1, 0 },
        { { "{}" }, { SUGGEST("pass") }, WECHAT_COULD_NOT_TELL, 1, 0 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        enum wechat_verdict v;

        wechat_pass_forget();
        script(rows[i].tokens, rows[i].checks);
        v = check("text");
        check_that(v == rows[i].want && n_tokens == rows[i].n_tokens &&
                       n_checks == rows[i].n_checks,
                   "row %zu: %d, %zu tokens, %zu checks", i, v, n_tokens, n_checks);
    }
    turn_for(50);
    assert_int_equal(fake.held, 0);           /* nothing is left under way      */
}

TEST(it_is_asked_as_it_wants)
{
    wechat_pass_forget();
    script((const char *const[]){ TOKEN("a+b", 7200), NULL },
           (const char *const[]){ SUGGEST("pass"), NULL });
    assert_int_equal(check("\xe4\xbd\xa0 \"\xf0\x9f\x98\x80"), WECHAT_PASSES);
    check_buf(&fake.token.last,
              " {\"grant_type\":\"client_credential\",\"appid\":\"wx1\",\"secret\":\"s3\"}");
    check_buf(&fake.check.last, "access_token=a%2Bb {\"version\":2,\"scene\":2,\"openid\":\"o1\","
                                "\"content\":\"\xe4\xbd\xa0 \\\"\xf0\x9f\x98\x80\"}");
}

TEST(all_share_one_token)
{
    enum { MANY = 100 };
    static struct wechat_check all[MANY];

    wechat_pass_forget();
    script((const char *const[]){ T1, NULL }, (const char *const[]){ SUGGEST("pass"), NULL });
    for (int round = 1; round <= 2; round++) {
        for (size_t i = 0; i < MANY; i++)
            start_check(&all[i], "text");
        turn();
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(all[i].verdict, WECHAT_PASSES);
            wechat_check_drop(&all[i]);
        }
        assert_int_equal(n_tokens, 1);
        assert_int_equal(n_checks, round * MANY);
    }
}

/* One that lives for two seconds is renewed after the first. */
TEST(a_token_is_renewed_before_its_end_and_nobody_waits)
{
    wechat_pass_forget();
    script((const char *const[]){ TOKEN("old", 2), NEVER, NULL },
           (const char *const[]){ SUGGEST("pass"), NULL });
    check("text");
    turn_for(1100);
    assert_int_equal(check("text"), WECHAT_PASSES);         /* though no new one comes */
    assert_true(str_starts(buf_str(&fake.check.last), STR("access_token=old ")));
    assert_int_equal(n_tokens, 2);
    turn_for(TIMEOUT_MS + 50);
    assert_int_equal(fake.held, 0);

    wechat_pass_forget();
    script((const char *const[]){ TOKEN("old", 2), T2, NULL },
           (const char *const[]){ SUGGEST("pass"), NULL });
    check("text");
    turn_for(1100);
    check("text");
    turn_for(50);
    check("text");
    assert_true(str_starts(buf_str(&fake.check.last), STR("access_token=t2 ")));
    assert_int_equal(n_tokens, 2);
}

TEST(nobody_hears_of_what_he_dropped)
{
    static const struct {
        const char *tokens[2], *checks[2];
    } rows[] = {
        { { T1 }, { SUGGEST("pass") } },
        { { NEVER }, { SUGGEST("pass") } },
        { { T1 }, { NEVER } },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        for (unsigned wait = 0; wait <= 50; wait += 50) {
            struct wechat_check *c;

            if (i == 0 && wait)
                continue;                     /* it would be over               */
            c = mem_new(sizeof *c);
            wechat_pass_forget();
            script(rows[i].tokens, rows[i].checks);
            start_check(c, "text");
            if (wait)
                turn_for(wait);
            wechat_check_drop(c);
            wechat_check_drop(c);
            mem_free(c);
            turn_for(TIMEOUT_MS + 50);
            assert_int_equal(under_way, 1);
            assert_int_equal(fake.held, 0);
            under_way = 0;
        }
}

static void check_change(void)
{
    struct wechat_check c;

    start_check(&c, "text");
    use(plain);
    assert_false(wechat_is_set_up());
    if (under_way)
        turn();
    assert_int_equal(c.verdict, WECHAT_COULD_NOT_TELL);
    wechat_check_drop(&c);
    use(settings);
    assert_true(wechat_is_set_up());
}

TEST(settings_may_change_under_way)
{
    wechat_pass_forget();
    script((const char *const[]){ NEVER, NULL }, (const char *const[]){ SUGGEST("pass"), NULL });
    check_change();                           /* while it waits for a token     */
    script((const char *const[]){ T1, NULL },
           (const char *const[]){ SUGGEST("pass"), ERRCODE(-1), NULL });
    assert_int_equal(check("text"), WECHAT_PASSES);
    check_change();                           /* and before it asks once more   */
    assert_int_equal(n_checks, 2);
}

TEST(what_cannot_be_told_passes_if_the_settings_say_so)
{
    struct settings *open = load("dialects.xcx.content_check_failing=open");

    assert_true(wechat_lets_pass(WECHAT_PASSES));
    assert_false(wechat_lets_pass(WECHAT_COULD_NOT_TELL));
    assert_false(wechat_lets_pass(WECHAT_IS_RISKY));
    use(open);
    assert_true(wechat_lets_pass(WECHAT_PASSES));
    assert_true(wechat_lets_pass(WECHAT_COULD_NOT_TELL));
    assert_false(wechat_lets_pass(WECHAT_IS_RISKY));
    use(settings);
    settings_free(open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_has_its_verdict),
        cmocka_unit_test(it_is_asked_as_it_wants),
        cmocka_unit_test(all_share_one_token),
        cmocka_unit_test(a_token_is_renewed_before_its_end_and_nobody_waits),
        cmocka_unit_test(nobody_hears_of_what_he_dropped),
        cmocka_unit_test(settings_may_change_under_way),
        cmocka_unit_test(what_cannot_be_told_passes_if_the_settings_say_so),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
