/* xcx_auth.c - /api/xcx/auth: how the mini-program's users get the tokens that they ask with.
 *
 *     code of wx.login() ---> openid ---> account ---> tokens       login
 *     refresh token --------------------> account ---> tokens       refresh
 *     openid ---------------------------> account ---> tokens       dev-login
 *
 * Whatever the account's status is, there are tokens: the guard refuses those of an account that
 * is not approved, and from the moment that it is, it does not.
 */
#include "api/api.h"
#include "api/guard.h"
#include "api/wechat.h"
#include "api/xcx_answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { CODE_MAX = 256, SUBJECT_MAX = 200, NAME_MAX_BYTES = 200, ANSWER_MAX = 4 * JWT_MAX_BYTES };

static const char refresh_is_over[] =
    "this refreshToken is good no more: call wx.login and log in again";

/* One who is on his way in. */
struct entry {
    struct http_exchange *x;
    struct wechat_login   login;
    struct asker_call     call;
    struct arena          arena;              /* owns its texts                 */
    struct str            tenant, subject;
    struct str            refresh;            /* the token that came; empty: a log-in */
};

static const struct wechat_settings *wechat(void)
{
    return &api_settings()->xcx.wechat;
}

/* ---- coming and going ---------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
    wechat_login_drop(&e->login);
    verb_drop(&e->call.verb);
    arena_release(&e->arena);
    mem_free(e);
}

static void client_gone(void *user)
{
    entry_free(user);
}

static struct entry *entry_new(struct http_exchange *x)
{
    struct entry *e = mem_new(sizeof *e);

    e->x = x;
    e->tenant = arena_str(&e->arena, wechat()->tenant);
    http_watch(x, client_gone, NULL, e);
    return e;
}

static void turn_away(struct entry *e, int status, const char *message)
{
    struct http_exchange *x = e->x;

    entry_free(e);
    xcx_refuse(x, status, message);
}

/* ---- the answer ---------------------------------------------------------------------- */

static struct str status_of(enum asker_standing standing)
{
    switch (standing) {
    case ASKER_WELCOME: return STR("approved");
    case ASKER_PENDING: return STR("pending");
    case ASKER_REJECTED: return STR("rejected");
    default: return STR("disabled");
    }
}

/* A refresh token is good until its own end: behind that, wx.login() asks nobody anything. */
static bool add_refresh_token(const struct entry *e, struct buf *out)
{
    struct buf token = BUF(JWT_MAX_BYTES);
    uint64_t   lifetime = wechat()->refresh_lifetime;
    bool       good = true;

    if (e->refresh.n)
        buf_add(&token, e->refresh);
    else if (lifetime)
        good = guard_make_token(JWT_REFRESH, e->tenant, e->subject, lifetime, &token);
    if (token.n)
        json_add_str(out, buf_str(&token));
    else
        buf_lit(out, "null");
    buf_release(&token);
    return good;
}

static bool write_answer(const struct entry *e, struct buf *out)
{
    struct buf token = BUF(JWT_MAX_BYTES);
    uint64_t   lifetime = wechat()->token_lifetime;
    bool       good = guard_make_token(STR(""), e->tenant, e->subject, lifetime, &token);

    buf_lit(out, "{\"token\":");
    json_add_str(out, buf_str(&token));
    buf_lit(out, ",\"refreshToken\":");
    good = add_refresh_token(e, out) && good;
    buf_addf(out, ",\"expiresIn\":%llu,\"status\":", (unsigned long long)(lifetime / CLOCK_S));
    json_add_str(out, status_of(e->call.asker.standing));
    buf_lit(out, "}");
    buf_release(&token);
    return good;
}

static void let_in(struct entry *e)
{
    struct http_exchange *x = e->x;
    struct buf            body = BUF(ANSWER_MAX);

    if (write_answer(e, &body)) {
        entry_free(e);
        xcx_answer(x, buf_str(&body));
    } else {
        turn_away(e, 503, "no token can be signed at the moment");
    }
    buf_release(&body);
}

/* ---- the account --------------------------------------------------------------------- */

static void on_account(struct verb *v)
{
    struct entry *e = LIST_OWNER(v, struct entry, call.verb);

    switch (v->end) {
    case STORE_OK: let_in(e); break;
    case STORE_NOT_FOUND:
        if (e->refresh.n) {
            turn_away(e, 401, refresh_is_over);
            break;
        }
        LOG(LOG_ERROR, L_MSG("a log-in finds no such tenant"), L_STR("tenant", e->tenant));
        turn_away(e, 500, "log-in is not set up as it should be");
        break;
    case STORE_REFUSED: turn_away(e, 422, "these names cannot be kept"); break;
    default: turn_away(e, 503, "accounts cannot be looked up at the moment"); break;
    }
}

static bool are_approved(void)
{
    if (wechat()->new_accounts == WECHAT_NEW_AS_ACCESS)
        return api_settings()->access.new_accounts == ACCESS_APPROVED;
    return wechat()->new_accounts == WECHAT_NEW_APPROVED;
}

static void find_account(struct entry *e)
{
    e->call.verb.done = on_account;
    asker_by_subject(api_store(), &e->call, e->tenant, e->subject, are_approved());
}

/* ---- requests ------------------------------------------------------------------------ */

/* The members of the body; an empty document was refused. */
static struct json_doc *read_body(struct http_exchange *x, const struct http_reader *rq)
{
    const char      *why;
    struct json_doc *doc = json_read(http_reader_body(rq), &why);

    if (doc && json_type(json_root(doc)) == JSON_OBJECT)
        return doc;
    json_free(doc);
    xcx_refuse(x, 422, "the body must be a JSON object");
    return NULL;
}

static bool can_log_in(struct http_exchange *x, bool is_set_up)
{
    if (is_set_up && api_store())
        return true;
    xcx_refuse(x, 501, "log-in is not set up here");
    return false;
}

/* ---- login --------------------------------------------------------------------------- */

static void refuse_session(struct entry *e, enum wechat_end end)
{
    struct http_exchange *x = e->x;

    switch (end) {
    case WECHAT_BAD_CODE:
        turn_away(e, 401, "this code is good no more: call wx.login again");
        break;
    case WECHAT_TOO_OFTEN:
        entry_free(e);
        xcx_refuse_for(x, 429, "too many log-ins: wait a minute", 60);
        break;
    case WECHAT_BLOCKED: turn_away(e, 403, "WeChat holds this user for a risk"); break;
    case WECHAT_BUSY:
    case WECHAT_AWAY: turn_away(e, 503, "WeChat does not answer at the moment"); break;
    case WECHAT_OLD_TOKEN:
    case WECHAT_NOT_SET_UP: turn_away(e, 500, "log-in is not set up as it should be"); break;
    default: turn_away(e, 502, "WeChat's answer is not understood"); break;
    }
}

static void on_session(struct wechat_login *l)
{
    struct entry *e = LIST_OWNER(l, struct entry, login);

    if (l->end != WECHAT_DONE) {
        refuse_session(e, l->end);
    } else {
        e->subject = arena_str(&e->arena, buf_str(&l->openid));
        find_account(e);
    }
}

void xcx_serve_login(struct http_exchange *x, const struct http_reader *rq)
{
    struct json_doc *doc;
    struct str       code;
    struct entry    *e;

    if (!can_log_in(x, wechat_is_set_up()) || !(doc = read_body(x, rq)))
        return;
    code = json_str(json_get(json_root(doc), "code"));
    if (!code.n || code.n > CODE_MAX) {
        xcx_refuse(x, 422, "code must be what wx.login gave");
    } else {
        e = entry_new(x);
        e->login.done = on_session;
        wechat_log_in(&e->login, code);
    }
    json_free(doc);
}

/* ---- refresh ------------------------------------------------------------------------- */

static void refresh(struct http_exchange *x, struct str token)
{
    struct jwt       jwt;
    enum jwt_verdict v = guard_read_token(token, JWT_REFRESH, &jwt);
    struct entry    *e;

    if (v != JWT_GOOD || !wechat()->refresh_lifetime) {
        LOG(LOG_DEBUG, L_MSG("a refresh is refused"), L_TEXT("why", jwt_verdict_text(v)));
        xcx_refuse(x, 401, refresh_is_over);
    } else {
        e = entry_new(x);
        e->refresh = arena_str(&e->arena, token);
        e->subject = arena_str(&e->arena, jwt.subject);
        if (jwt.tenant.n)
            e->tenant = arena_str(&e->arena, jwt.tenant);
        find_account(e);
    }
    jwt_release(&jwt);
}

void xcx_serve_refresh(struct http_exchange *x, const struct http_reader *rq)
{
    struct json_doc *doc;
    struct str       token;

    if (!can_log_in(x, wechat_is_set_up() || api_settings()->xcx.dev_login) ||
        !(doc = read_body(x, rq)))
        return;
    token = json_str(json_get(json_root(doc), "refreshToken"));
    if (token.n)
        refresh(x, token);
    else
        xcx_refuse(x, 422, "refreshToken must be what a log-in gave");
    json_free(doc);
}

/* ---- dev-login ----------------------------------------------------------------------- */

/* Behind a proxy that is trusted, `client` is who asked it. */
static bool is_from_here(const struct http_exchange *x)
{
    union address a;

    return address_read_host(str_of(x->client), &a) &&
           (address_in_block(&a, STR("127.0.0.0/8")) || address_in_block(&a, STR("::1")));
}

static bool is_name(struct str s, size_t max)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return s.n <= max;
}

static void introduce(struct http_exchange *x, struct str openid, struct str nickname,
                      struct str role)
{
    struct entry *e;

    if (!openid.n || !is_name(openid, SUBJECT_MAX) || !is_name(nickname, NAME_MAX_BYTES) ||
        !is_name(role, NAME_MAX_BYTES)) {
        xcx_refuse(x, 422, "openid, and nickname and role if they are there, must be names");
        return;
    }
    e = entry_new(x);
    e->subject = arena_str(&e->arena, openid);
    e->call.verb.done = on_account;
    asker_introduced(api_store(), &e->call, e->tenant, e->subject, are_approved(), nickname, role);
}

void xcx_serve_dev_login(struct http_exchange *x, const struct http_reader *rq)
{
    struct json_doc   *doc;
    const struct json *body;

    if (!api_settings()->xcx.dev_login || !is_from_here(x)) {
        xcx_refuse(x, 404, "there is nothing at this path");
        return;
    }
    if (!can_log_in(x, true) || !(doc = read_body(x, rq)))
        return;
    body = json_root(doc);
    introduce(x, json_str(json_get(body, "openid")), json_str(json_get(body, "nickname")),
              json_str(json_get(body, "role")));
    json_free(doc);
}
