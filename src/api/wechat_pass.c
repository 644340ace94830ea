#include "api/wechat_pass.h"

#include "api/api.h"
#include "api/wechat_ask.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/mem.h"

/* How long before its end a token is renewed, if it lives that long; and how soon again, if that
 * did not work. */
enum { EARLY_S = 300, AGAIN_S = 10, BODY_MAX_BYTES = 4096 };

static struct {
    char             *token;                  /* NULL: none                     */
    uint64_t          renewal, end;
    struct list       waits;
    struct wechat_ask ask;
    struct deadline   patience;               /* armed: we ask                  */
} pass;

/* ---- asking for one -------------------------------------------------------------------- */

static void keep(struct str token, uint64_t seconds)
{
    uint64_t early = seconds > 2 * EARLY_S ? EARLY_S : seconds / 2;

    mem_free(pass.token);
    pass.token = mem_copy(token.p, token.n);
    pass.end = clock_now() + seconds * CLOCK_S;
    pass.renewal = pass.end - early * CLOCK_S;
}

/* Those who come while the others are told wait for the next. */
static void tell_waits(void)
{
    for (size_t n = pass.waits.n; n && pass.waits.n; n--) {
        struct wechat_wait *w = LIST_OWNER(list_pop(&pass.waits), struct wechat_wait, link);

        w->done(w, wechat_pass());
    }
}

static void on_answer(struct wechat_ask *a, enum wechat_end end, const struct json *answer)
{
    uint64_t   seconds = 0;
    struct str token = end == WECHAT_DONE ? wechat_read_access_token(answer, &seconds) : STR("");

    deadline_disarm(&pass.patience);
    if (token.n)
        keep(token, seconds);
    else if (end == WECHAT_DONE)
        wechat_ask_log(a, WECHAT_ODD, "there is no access token in it");
    tell_waits();
}

static void too_late(struct deadline *d)
{
    (void)d;
    wechat_ask_log(&pass.ask, WECHAT_AWAY, "it did not answer in time");
    wechat_ask_drop(&pass.ask);
    tell_waits();
}

static void ask(void)
{
    const struct wechat_settings *s = &api_settings()->xcx.wechat;
    struct buf                    body = BUF(BODY_MAX_BYTES);

    if (deadline_is_armed(&pass.patience))
        return;
    buf_lit(&body, "{\"grant_type\":\"client_credential\",\"appid\":");
    json_add_str(&body, s->app_id);
    buf_lit(&body, ",\"secret\":");
    json_add_str(&body, s->app_secret);
    buf_lit(&body, "}");
    pass.ask.done = on_answer;
    pass.patience.run = too_late;
    deadline_arm(&pass.patience, clock_now() + s->timeout);
    wechat_ask(&pass.ask, "/cgi-bin/stable_token", STR(""), buf_str(&body));
    buf_release(&body);
}

/* ---- having one ------------------------------------------------------------------------ */

struct str wechat_pass(void)
{
    uint64_t now = clock_now();

    if (!pass.token || now >= pass.end)
        return STR("");
    if (now >= pass.renewal && wechat_can_be_asked()) {
        pass.renewal = now + AGAIN_S * CLOCK_S;
        ask();
    }
    return str_of(pass.token);
}

void wechat_pass_wait(struct wechat_wait *w)
{
    if (!pass.waits.head.next)
        list_init(&pass.waits);
    list_push(&pass.waits, &w->link);
    ask();
}

void wechat_wait_drop(struct wechat_wait *w)
{
    if (link_is_in(&w->link))
        list_take(&pass.waits, &w->link);
}

static void drop_token(void)
{
    mem_free(pass.token);
    pass.token = NULL;
}

void wechat_pass_refused(struct str token)
{
    if (str_eq(token, str_of(pass.token)))
        drop_token();
}

void wechat_pass_forget(void)
{
    deadline_disarm(&pass.patience);
    wechat_ask_drop(&pass.ask);
    drop_token();
    if (pass.waits.head.next)
        tell_waits();
}
