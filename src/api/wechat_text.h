/* wechat_text.h - what WeChat's server interface is told and what it answers. No I/O.
 *
 * Every answer is 200 with an object; `errcode`, if it is there and not 0, says what went wrong.
 */
#ifndef API_WECHAT_TEXT_H
#define API_WECHAT_TEXT_H

#include "base/json.h"

enum { WECHAT_CONTENT_MAX = 2500 };           /* characters                     */

/* How a question ended, and how often that is logged: what users do wrong is no warning. */
#define WECHAT_ENDS(X)                                                                             \
    X(WECHAT_DONE, "done", LOG_DEBUG)                                                              \
    X(WECHAT_BAD_CODE, "the code is old, used or none", LOG_INFO)                                  \
    X(WECHAT_TOO_OFTEN, "asked too often", LOG_INFO)                                               \
    X(WECHAT_BLOCKED, "it holds the user for a risk", LOG_INFO)                                    \
    X(WECHAT_OLD_TOKEN, "the access token is good no more", LOG_INFO)                              \
    X(WECHAT_BUSY, "it is busy", LOG_WARN)                                                         \
    X(WECHAT_AWAY, "it cannot be reached", LOG_WARN)                                               \
    X(WECHAT_NOT_SET_UP, "it does not take our app_id, app_secret or address", LOG_ERROR)          \
    X(WECHAT_ODD, "the answer is not understood", LOG_WARN)

#define WECHAT_END(name, text, level) name,
enum wechat_end { WECHAT_ENDS(WECHAT_END) };
#undef WECHAT_END

enum wechat_end wechat_read_end(const struct json *answer);

/* What it says for people; what looks like a key is left out, so that it may be logged. */
void wechat_add_words(const struct json *answer, struct buf *out);

/* Empty: there is none, or nothing that could be one. */
struct str wechat_read_openid(const struct json *answer);
struct str wechat_read_access_token(const struct json *answer, uint64_t *seconds);

enum wechat_verdict {
    WECHAT_PASSES,
    WECHAT_IS_RISKY,
    WECHAT_COULD_NOT_TELL,
};

/* Of an answer that ended well; `for_review` is what people should look at, and passes. */
enum wechat_verdict wechat_read_verdict(const struct json *answer, bool *for_review);

/* The text is cut to what it takes; it must stay as it is, for escapes hide it from the check. */
void wechat_write_check(struct str openid, struct str text, struct buf *out);

#endif
