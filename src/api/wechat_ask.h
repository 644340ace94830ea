/* wechat_ask.h - one question to WeChat's server interface and its answer.
 *
 * Whoever asks embeds it, zeroed but for done(), which comes once and later than wechat_ask(),
 * unless wechat_ask_drop() comes before. How long it may take is the asker's to say. What went
 * wrong has been logged, without any secret.
 */
#ifndef API_WECHAT_ASK_H
#define API_WECHAT_ASK_H

#include "api/wechat_text.h"
#include "base/settings.h"
#include "net/http_client.h"

struct wechat_ask {
    /* The answer is NULL unless the end is WECHAT_DONE, and gone afterwards. It may ask again. */
    void (*done)(struct wechat_ask *a, enum wechat_end end, const struct json *answer);

    /* Its own. */
    const char       *path;
    struct http_fetch fetch;
    int               status;
    struct buf        body;
};

/* False: `why` says what is wrong with the setting `key`. */
bool wechat_ask_find_mistake(const struct wechat_settings *s, const char **key, const char **why);

/* From now on; the settings stay the caller's. With mistakes in them nobody can be asked. */
void wechat_ask_configure(const struct wechat_settings *s);
bool wechat_can_be_asked(void);
void wechat_ask_release(void);                /* at the very end                */

/* The path is a constant. A query is written as it is; with an empty body it is a GET. */
void wechat_ask(struct wechat_ask *a, const char *path, struct str query, struct str body);
void wechat_ask_drop(struct wechat_ask *a);   /* harmless when it is over       */

/* For what only the asker knows: that he lost his patience, that something is missing. */
void wechat_ask_log(const struct wechat_ask *a, enum wechat_end end, const char *why);

#endif
