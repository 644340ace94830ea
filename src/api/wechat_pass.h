/* wechat_pass.h - the access token that questions about content need.
 *
 * A process has one at a time, for all its questions. It is renewed some minutes before its end
 * while the old one still serves, so that nobody waits but for the first. The interface that gives
 * the same token to everybody who asks is used: other processes would else take it from us.
 */
#ifndef API_WECHAT_PASS_H
#define API_WECHAT_PASS_H

#include "base/list.h"
#include "base/str.h"

struct wechat_wait {
    void (*done)(struct wechat_wait *w, struct str token);  /* empty: there is none to be had */
    struct link link;
};

/* Empty: one must be waited for. */
struct str wechat_pass(void);

/* done() comes later, once, unless wechat_wait_drop() comes before. */
void wechat_pass_wait(struct wechat_wait *w);
void wechat_wait_drop(struct wechat_wait *w); /* harmless when it is over       */

void wechat_pass_refused(struct str token);   /* another one is wanted          */
void wechat_pass_forget(void);                /* with other settings, and at the very end */

#endif
