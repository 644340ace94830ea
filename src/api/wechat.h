/* wechat.h - what WeChat is asked: who logs in, and whether a text may be answered.
 *
 * Whoever asks embeds the question, zeroed but for done(), which comes once and later than the
 * call, unless the drop comes before. What the question brought lives until the drop, which is
 * needed once for every question. Each is over within dialects.xcx.wechat.timeout; what WeChat
 * calls busy is asked once more.
 */
#ifndef API_WECHAT_H
#define API_WECHAT_H

#include "api/wechat_ask.h"
#include "api/wechat_pass.h"
#include "base/deadline.h"

/* For `runnel check`: mistakes in dialects.xcx.wechat that no row can see. */
void wechat_find_mistakes(const struct settings *s, const char *file, struct buf *mistakes);

/* Of new questions, behind api_configure(); the settings stay the caller's. */
void wechat_configure(const struct settings *s);
bool wechat_is_set_up(void);
void wechat_release(void);                    /* at the very end                */

/* Who has this code of wx.login()? The session key that comes with the answer is not kept. */
struct wechat_login {
    void (*done)(struct wechat_login *l);
    enum wechat_end end;
    struct buf      openid;                   /* if it is WECHAT_DONE           */

    /* Its own. */
    struct wechat_ask ask;
    struct deadline   patience;
    struct buf        query;
    bool              is_repeated;
};

void wechat_log_in(struct wechat_login *l, struct str code);
void wechat_login_drop(struct wechat_login *l);

/* May what this user wrote be answered? For dialects.xcx.content_check, which needs an app_id, so
 * that WeChat is set up then. */
struct wechat_check {
    void (*done)(struct wechat_check *c);
    enum wechat_verdict verdict;

    /* Its own. */
    struct wechat_ask  ask;
    struct wechat_wait wait;
    struct deadline    patience;
    struct buf         body, token;
    bool               is_renewed, is_repeated;
};

void wechat_check_content(struct wechat_check *c, struct str openid, struct str text);
void wechat_check_drop(struct wechat_check *c);

/* What cannot be told passes or not as dialects.xcx.content_check_failing says. */
bool wechat_lets_pass(enum wechat_verdict v);

#endif
