#include "api/wechat.h"

#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "wire/http_text.h"

#include <assert.h>
#include <stdio.h>

enum {
    QUERY_MAX_BYTES = 8 * 1024,
    OPENID_MAX_BYTES = 256,
    CHECK_MAX_BYTES = 32 * 1024,
    TOKEN_MAX_BYTES = 4 * 1024,
};

/* ---- settings ------------------------------------------------------------------------ */

static struct str app_id, app_secret, base_url;               /* the settings'  */

void wechat_find_mistakes(const struct settings *s, const char *file, struct buf *mistakes)
{
    struct conf_load load = { .file = file, .mistakes = mistakes };
    const char      *member, *why;
    char             key[80];

    if (wechat_ask_find_mistake(&s->xcx.wechat, &member, &why))
        return;
    snprintf(key, sizeof key, "dialects.xcx.wechat.%s", member);
    conf_mistake(&load, 0, key, "%s", why);
}

/* Those of before are still there. */
static bool is_another(const struct wechat_settings *s)
{
    return !str_eq(s->app_id, app_id) || !str_eq(s->app_secret, app_secret) ||
           !str_eq(s->base_url, base_url);
}

void wechat_configure(const struct settings *s)
{
    const struct wechat_settings *w = &s->xcx.wechat;

    wechat_ask_configure(w);
    if (is_another(w))
        wechat_pass_forget();
    app_id = w->app_id;
    app_secret = w->app_secret;
    base_url = w->base_url;
}

bool wechat_is_set_up(void)
{
    return wechat_can_be_asked();
}

void wechat_release(void)
{
    wechat_pass_forget();
    wechat_ask_release();
}

static uint64_t end_of_patience(void)
{
    return clock_now() + api_settings()->xcx.wechat.timeout;
}

/* ---- log-in -------------------------------------------------------------------------- */

static void stop_login(struct wechat_login *l)
{
    deadline_disarm(&l->patience);
    wechat_ask_drop(&l->ask);
    buf_release(&l->query);
}

static void end_login(struct wechat_login *l, enum wechat_end end)
{
    stop_login(l);
    l->end = end;
    l->done(l);
}

static void ask_login(struct wechat_login *l)
{
    wechat_ask(&l->ask, "/sns/jscode2session", buf_str(&l->query), STR(""));
}

static void on_session(struct wechat_ask *a, enum wechat_end end, const struct json *answer)
{
    struct wechat_login *l = LIST_OWNER(a, struct wechat_login, ask);

    if (end == WECHAT_BUSY && !l->is_repeated && wechat_is_set_up()) {
        l->is_repeated = true;
        ask_login(l);
        return;
    }
    if (end == WECHAT_DONE)
        buf_add(&l->openid, wechat_read_openid(answer));
    if (end == WECHAT_DONE && !l->openid.n) {
        end = WECHAT_ODD;
        wechat_ask_log(a, end, "there is no openid in it");
    }
    end_login(l, end);
}

static void login_is_late(struct deadline *d)
{
    struct wechat_login *l = LIST_OWNER(d, struct wechat_login, patience);

    wechat_ask_log(&l->ask, WECHAT_AWAY, "it did not answer in time");
    end_login(l, WECHAT_AWAY);
}

void wechat_log_in(struct wechat_login *l, struct str code)
{
    const struct wechat_settings *s = &api_settings()->xcx.wechat;

    assert(wechat_is_set_up());
    l->openid = BUF(OPENID_MAX_BYTES);
    l->query = BUF(QUERY_MAX_BYTES);
    buf_lit(&l->query, "appid=");
    http_encode_query(s->app_id, &l->query);
    buf_lit(&l->query, "&secret=");
    http_encode_query(s->app_secret, &l->query);
    buf_lit(&l->query, "&js_code=");
    http_encode_query(code, &l->query);
    buf_lit(&l->query, "&grant_type=authorization_code");
    l->ask.done = on_session;
    l->patience.run = login_is_late;
    deadline_arm(&l->patience, end_of_patience());
    ask_login(l);
}

void wechat_login_drop(struct wechat_login *l)
{
    stop_login(l);
    buf_release(&l->openid);
}

/* ---- content ------------------------------------------------------------------------- */

void wechat_check_drop(struct wechat_check *c)
{
    deadline_disarm(&c->patience);
    wechat_wait_drop(&c->wait);
    wechat_ask_drop(&c->ask);
    buf_release(&c->body);
    buf_release(&c->token);
}

static void end_check(struct wechat_check *c, enum wechat_verdict verdict)
{
    wechat_check_drop(c);
    c->verdict = verdict;
    c->done(c);
}

static void send_check(struct wechat_check *c)
{
    struct buf query = BUF(QUERY_MAX_BYTES);

    buf_lit(&query, "access_token=");
    http_encode_query(buf_str(&c->token), &query);
    wechat_ask(&c->ask, "/wxa/msg_sec_check", buf_str(&query), buf_str(&c->body));
    buf_release(&query);
}

static void take_token(struct wechat_check *c, struct str token)
{
    buf_clear(&c->token);
    buf_add(&c->token, token);
    send_check(c);
}

static void on_token(struct wechat_wait *w, struct str token)
{
    struct wechat_check *c = LIST_OWNER(w, struct wechat_check, wait);

    if (token.n && wechat_is_set_up())
        take_token(c, token);
    else
        end_check(c, WECHAT_COULD_NOT_TELL);
}

static void go_on(struct wechat_check *c)
{
    struct str token = wechat_pass();

    if (token.n)
        take_token(c, token);
    else
        wechat_pass_wait(&c->wait);
}

/* The platform's number for the case, not the text, is for whoever looks into it. */
static void log_judgement(const struct json *answer, enum wechat_verdict verdict)
{
    int64_t label = 0;

    json_int(json_get(json_get(answer, "result"), "label"), &label);
    LOG(LOG_INFO, L_MSG("WeChat objects to a text"),
        L_TEXT("verdict", verdict == WECHAT_IS_RISKY ? "risky" : "review"), L_INT("label", label),
        L_STR("trace", json_str(json_get(answer, "trace_id"))));
}

static void take_verdict(struct wechat_check *c, const struct json *answer)
{
    bool                for_review;
    enum wechat_verdict verdict = wechat_read_verdict(answer, &for_review);

    if (verdict == WECHAT_IS_RISKY || for_review)
        log_judgement(answer, verdict);
    else if (verdict == WECHAT_COULD_NOT_TELL)
        wechat_ask_log(&c->ask, WECHAT_ODD, "it suggests nothing that is known here");
    end_check(c, verdict);
}

static void on_verdict(struct wechat_ask *a, enum wechat_end end, const struct json *answer)
{
    struct wechat_check *c = LIST_OWNER(a, struct wechat_check, ask);
    bool                *was = end == WECHAT_BUSY ? &c->is_repeated : &c->is_renewed;

    if (end == WECHAT_DONE) {
        take_verdict(c, answer);
    } else if ((end == WECHAT_BUSY || end == WECHAT_OLD_TOKEN) && !*was && wechat_is_set_up()) {
        *was = true;
        if (end == WECHAT_OLD_TOKEN)
            wechat_pass_refused(buf_str(&c->token));
        go_on(c);
    } else {
        end_check(c, WECHAT_COULD_NOT_TELL);
    }
}

static void check_is_late(struct deadline *d)
{
    struct wechat_check *c = LIST_OWNER(d, struct wechat_check, patience);

    if (!link_is_in(&c->wait.link))
        wechat_ask_log(&c->ask, WECHAT_AWAY, "it did not answer in time");
    end_check(c, WECHAT_COULD_NOT_TELL);
}

void wechat_check_content(struct wechat_check *c, struct str openid, struct str text)
{
    assert(wechat_is_set_up());
    c->body = BUF(CHECK_MAX_BYTES);
    c->token = BUF(TOKEN_MAX_BYTES);
    wechat_write_check(openid, text, &c->body);
    c->ask.done = on_verdict;
    c->wait.done = on_token;
    c->patience.run = check_is_late;
    deadline_arm(&c->patience, end_of_patience());
    go_on(c);
}

bool wechat_lets_pass(enum wechat_verdict v)
{
    return v == WECHAT_PASSES ||
           (v == WECHAT_COULD_NOT_TELL &&
            api_settings()->xcx.content_check_failing == CONTENT_CHECK_FAILS_OPEN);
}
