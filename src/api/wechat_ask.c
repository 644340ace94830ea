#include "api/wechat_ask.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "wire/http_text.h"

#include <assert.h>
#include <stdio.h>

enum {
    ANSWER_MAX_BYTES = 64 * 1024,
    REQUEST_MAX_BYTES = 64 * 1024,
    WORDS_MAX_BYTES = 300,
    MAX_OPEN = 32,
    MAX_IDLE = 8,
    MAX_WAITING = 1000,
    IDLE_S = 30,
};

static struct {
    struct http_url base;                     /* its texts are the settings'    */
    struct way      way;
    bool            is_there;
} wechat;

/* ---- settings ------------------------------------------------------------------------ */

static void forget_way(struct way *w)
{
    tls_trust_drop(w->trust);
    tls_memory_drop(w->memory);
    *w = (struct way){ .port = 0 };
}

static bool make_way(const struct wechat_settings *s, struct http_url *base, struct way *w,
                     const char **key, const char **why)
{
    static char words[TLS_WHY_MAX];

    *key = "base_url";
    *why = "this address cannot be read";
    if (!http_read_url(s->base_url, base))
        return false;
    *w = (struct way){ .host = base->host,
                       .port = base->port,
                       .is_secure = base->is_secure,
                       .connect_timeout = s->timeout,
                       .tls_timeout = s->timeout };
    *key = "ca_file";
    *why = words;
    if (w->is_secure && !(w->trust = tls_trust_hold(s->ca_file, words)))
        return false;
    w->memory = w->is_secure ? tls_memory_new() : NULL;
    return true;
}

bool wechat_ask_find_mistake(const struct wechat_settings *s, const char **key, const char **why)
{
    struct http_url base;
    struct way      way = { .port = 0 };
    bool            good = !s->app_id.n || make_way(s, &base, &way, key, why);

    forget_way(&way);
    return good;
}

/* The old way goes last, so that what both trust is not read again. */
void wechat_ask_configure(const struct wechat_settings *s)
{
    struct way  old = wechat.way;
    const char *key, *why;

    wechat.way = (struct way){ .port = 0 };
    wechat.is_there = s->app_id.n && make_way(s, &wechat.base, &wechat.way, &key, &why);
    if (s->app_id.n && !wechat.is_there)
        LOG(LOG_ERROR, L_MSG("WeChat cannot be asked"), L_TEXT("setting", key), L_TEXT("why", why));
    forget_way(&old);
}

bool wechat_can_be_asked(void)
{
    return wechat.is_there;
}

void wechat_ask_release(void)
{
    forget_way(&wechat.way);
    wechat.is_there = false;
}

/* ---- the answer ---------------------------------------------------------------------- */

static const char *end_text(enum wechat_end end)
{
#define WECHAT_TEXT(name, text, level) [name] = text,
    static const char *const texts[] = { WECHAT_ENDS(WECHAT_TEXT) };
#undef WECHAT_TEXT

    return texts[end];
}

static enum log_level end_level(enum wechat_end end)
{
#define WECHAT_LEVEL(name, text, level) [name] = level,
    static const enum log_level levels[] = { WECHAT_ENDS(WECHAT_LEVEL) };
#undef WECHAT_LEVEL

    return levels[end];
}

static void log_end(const struct wechat_ask *a, enum wechat_end end, const struct json *answer,
                    struct str words)
{
    int64_t code = 0;

    if (end == WECHAT_DONE)
        return;
    json_int(json_get(answer, "errcode"), &code);
    LOG(end_level(end), L_MSG("WeChat did not answer well"), L_TEXT("path", a->path),
        L_TEXT("what", end_text(end)), L_INT("status", a->status), L_INT("errcode", code),
        L_STR("why", words));
}

void wechat_ask_log(const struct wechat_ask *a, enum wechat_end end, const char *why)
{
    log_end(a, end, NULL, str_of(why));
}

/* The asker may be gone afterwards. */
static void over(struct wechat_ask *a, enum wechat_end end, const char *why)
{
    buf_release(&a->body);
    wechat_ask_log(a, end, why);
    a->done(a, end, NULL);
}

static void read_answer(struct wechat_ask *a)
{
    const char        *why;
    struct buf         words = BUF(4 * ANSWER_MAX_BYTES);
    struct json_doc   *doc = json_read_patiently(buf_str(&a->body), &why);
    const struct json *answer = json_root(doc);
    enum wechat_end    end;

    if (!doc) {
        over(a, WECHAT_ODD, why);
        return;
    }
    buf_release(&a->body);
    end = wechat_read_end(answer);
    wechat_add_words(answer, &words);
    log_end(a, end, answer, utf8_clip(buf_str(&words), WORDS_MAX_BYTES));
    buf_release(&words);
    a->done(a, end, end == WECHAT_DONE ? answer : NULL);
    json_free(doc);
}

static void on_head(struct http_fetch *f, int status, const struct http_fields *fields)
{
    struct wechat_ask *a = LIST_OWNER(f, struct wechat_ask, fetch);

    (void)fields;
    a->status = status;
}

static void on_body(struct http_fetch *f, struct str bytes)
{
    buf_add(&LIST_OWNER(f, struct wechat_ask, fetch)->body, bytes);
}

/* Of what is too large no more is read. */
static void on_flush(struct http_fetch *f)
{
    struct wechat_ask *a = LIST_OWNER(f, struct wechat_ask, fetch);

    if (!a->body.over)
        return;
    http_fetch_cancel(f);
    over(a, WECHAT_ODD, "the answer is too large");
}

static void on_end(struct http_fetch *f, enum http_fetch_end how, struct str why)
{
    struct wechat_ask *a = LIST_OWNER(f, struct wechat_ask, fetch);
    char               words[REACH_WHY_MAX];

    snprintf(words, sizeof words, "%.*s", STR_ARG(why));
    if (how == HTTP_FETCH_GARBAGE)
        over(a, WECHAT_ODD, "the answer is not HTTP");
    else if (how == HTTP_FETCH_CROWDED)
        over(a, WECHAT_AWAY, "too many questions wait for a connection");
    else if (how == HTTP_FETCH_CUT)
        over(a, WECHAT_AWAY, *words ? words : "the connection was lost");
    else if (how == HTTP_FETCH_NO_CONNECTION)
        over(a, WECHAT_AWAY, words);
    else if (a->status != 200)
        over(a, a->status >= 500 ? WECHAT_AWAY : WECHAT_ODD, "the status is not 200");
    else if (a->body.over)
        over(a, WECHAT_ODD, "the answer is too large");
    else
        read_answer(a);
}

static const struct http_fetch_ops fetch_ops = { on_head, on_body, on_flush, on_end };

/* ---- the question -------------------------------------------------------------------- */

static struct buf write_request(const char *path, struct str query, struct str body)
{
    struct buf out = BUF(REQUEST_MAX_BYTES);

    buf_addf(&out, "%s %.*s%s", body.n ? "POST" : "GET", STR_ARG(wechat.base.path), path);
    if (query.n)
        buf_lit(&out, "?");
    buf_add(&out, query);
    buf_addf(&out,
             " HTTP/1.1\r\nhost: %.*s\r\naccept: application/json\r\n"
             "accept-encoding: identity\r\nuser-agent: runnel\r\n",
             STR_ARG(wechat.base.authority));
    if (body.n)
        buf_addf(&out, "content-type: application/json\r\ncontent-length: %zu\r\n", body.n);
    buf_lit(&out, "\r\n");
    buf_add(&out, body);
    return out;
}

void wechat_ask(struct wechat_ask *a, const char *path, struct str query, struct str body)
{
    static const struct http_client_limits limits = { .max_open = MAX_OPEN,
                                                      .max_idle = MAX_IDLE,
                                                      .max_waiting = MAX_WAITING,
                                                      .idle_timeout = IDLE_S * CLOCK_S };

    assert(wechat.is_there);
    a->path = path;
    a->status = 0;
    a->body = BUF(ANSWER_MAX_BYTES);
    http_fetch_start(&a->fetch, &fetch_ops, &wechat.way, &limits, write_request(path, query, body));
}

void wechat_ask_drop(struct wechat_ask *a)
{
    http_fetch_cancel(&a->fetch);
    buf_release(&a->body);
}
