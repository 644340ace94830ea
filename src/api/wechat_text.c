#include "api/wechat_text.h"

#include "base/utf8.h"

enum {
    KEY_LETTERS = 32,                         /* secrets and tokens have as many or more */
    OPENID_MAX = 128,
    TOKEN_MAX = 2048,
    SECONDS_MAX = 86400,
    SCENE_COMMENT = 2,
};

/* ---- ends ---------------------------------------------------------------------------- */

static const struct {
    int             errcode;
    enum wechat_end end;
} ends[] = {
    { 0, WECHAT_DONE },           { -1, WECHAT_BUSY },
    { 40001, WECHAT_OLD_TOKEN },              /* not valid, or not the latest   */
    { 40014, WECHAT_OLD_TOKEN },              /* not valid                      */
    { 42001, WECHAT_OLD_TOKEN },              /* expired                        */
    { 40029, WECHAT_BAD_CODE },               /* not valid, or expired          */
    { 40163, WECHAT_BAD_CODE },               /* used                           */
    { 41008, WECHAT_BAD_CODE },               /* missing                        */
    { 45011, WECHAT_TOO_OFTEN },  { 40226, WECHAT_BLOCKED },
    { 40013, WECHAT_NOT_SET_UP },             /* the app_id                     */
    { 40125, WECHAT_NOT_SET_UP },             /* the app_secret                 */
    { 40164, WECHAT_NOT_SET_UP },             /* our address is not on its list */
    { 41002, WECHAT_NOT_SET_UP },             /* no app_id                      */
    { 41004, WECHAT_NOT_SET_UP },             /* no app_secret                  */
    { 48001, WECHAT_NOT_SET_UP },             /* no right to ask this           */
};

enum wechat_end wechat_read_end(const struct json *answer)
{
    const struct json *errcode = json_get(answer, "errcode");
    int64_t            code = 0;

    if (json_type(answer) != JSON_OBJECT || (errcode && !json_int(errcode, &code)))
        return WECHAT_ODD;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i].errcode == code)
            return ends[i].end;
    return WECHAT_ODD;
}

static bool is_key_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+' || c == '/' || c == '=';
}

void wechat_add_words(const struct json *answer, struct buf *out)
{
    struct str words = json_str(json_get(answer, "errmsg"));

    while (words.n) {
        size_t n = 0;

        while (n < words.n && is_key_letter(words.p[n]))
            n++;
        if (n >= KEY_LETTERS)
            buf_lit(out, "...");
        else if (n)
            buf_add(out, (struct str){ words.p, n });
        else
            buf_add_char(out, words.p[n++]);
        words = str_from(words, n);
    }
}

/* ---- what is in an answer -------------------------------------------------------------- */

static struct str visible(struct str s, size_t max)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
            return STR("");
    return s.n <= max ? s : STR("");
}

struct str wechat_read_openid(const struct json *answer)
{
    return visible(json_str(json_get(answer, "openid")), OPENID_MAX);
}

struct str wechat_read_access_token(const struct json *answer, uint64_t *seconds)
{
    int64_t lifetime = 0;

    if (!json_int(json_get(answer, "expires_in"), &lifetime) || lifetime <= 0)
        return STR("");
    *seconds = lifetime < SECONDS_MAX ? (uint64_t)lifetime : SECONDS_MAX;
    return visible(json_str(json_get(answer, "access_token")), TOKEN_MAX);
}

/* That the question was understood says nothing: what it suggests does. */
enum wechat_verdict wechat_read_verdict(const struct json *answer, bool *for_review)
{
    struct str suggest = json_str(json_get(json_get(answer, "result"), "suggest"));

    *for_review = str_eq(suggest, STR("review"));
    if (str_eq(suggest, STR("risky")))
        return WECHAT_IS_RISKY;
    return *for_review || str_eq(suggest, STR("pass")) ? WECHAT_PASSES : WECHAT_COULD_NOT_TELL;
}

/* ---- the question ------------------------------------------------------------------------ */

void wechat_write_check(struct str openid, struct str text, struct buf *out)
{
    buf_addf(out, "{\"version\":2,\"scene\":%d,\"openid\":", SCENE_COMMENT);
    json_add_str(out, openid);
    buf_lit(out, ",\"content\":");
    json_add_str(out, utf8_first(text, WECHAT_CONTENT_MAX));
    buf_lit(out, "}");
}
