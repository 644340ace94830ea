/* spark.c - asks iFlytek's Spark over its signed WebSocket, one question per connection. */
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "net/ws_client.h"
#include "provider/advice.h"
#include "provider/hearing.h"
#include "provider/spark_question.h"
#include "base/utf8.h"

#include <string.h>

enum { TARGET_MAX_BYTES = 8 * 1024, SKEW_MAX_S = 300 };

struct call {
    struct hearing hearing;
    struct ws     *ws;                        /* NULL: it has ended             */
    struct buf     target;
    struct buf     question;
};

static void drop(struct hearing *h)
{
    struct call *c = LIST_OWNER(h, struct call, hearing);

    if (c->ws)
        ws_cancel(c->ws);
    hearing_release(h);
    buf_release(&c->target);
    buf_release(&c->question);
    mem_free(c);
}

/* ---- the conversation ------------------------------------------------------------------ */

static void on_open(void *user)
{
    struct call *c = user;

    ws_send(c->ws, buf_str(&c->question));
    buf_release(&c->question);
}

static void on_message(void *user, struct str text)
{
    struct hearing *h = &((struct call *)user)->hearing;

    h->kind->whole(h->source, text);
}

static void on_flush(void *user)
{
    hearing_flush(&((struct call *)user)->hearing);
}

/* ---- refusals -------------------------------------------------------------------------- */

/* The gateway says only that the date is not valid; the cause is a clock, mostly ours. */
static void add_skew(struct str date, struct buf *words)
{
    int64_t theirs, skew;

    if (!http_read_date(date, &theirs))
        return;
    skew = clock_wall_ms() / 1000 - theirs;
    if (skew > SKEW_MAX_S || skew < -SKEW_MAX_S)
        buf_addf(words, " (our clock is %lld s %s theirs)", (long long)(skew < 0 ? -skew : skew),
                 skew < 0 ? "behind" : "ahead of");
}

static void tell_refusal(struct call *c)
{
    struct ws_refusal r = ws_refusal(c->ws);
    struct buf        words = BUF(TELLER_WORDS_MAX);
    const char       *why;
    struct json_doc  *doc = json_read_patiently(r.body, &why);
    struct str        said = source_error_words(json_root(doc));

    buf_addf(&words, "HTTP %d instead of a WebSocket", r.status);
    add_skew(r.date, &words);
    buf_lit(&words, ": ");
    buf_add(&words, utf8_clip(said.n ? said : r.body, words.limit - words.n));
    teller_advise(&c->hearing.teller,
                  (struct advice){
                      .not_again = r.status < 500 && r.status != 429,
                      .after = advice_read_retry_after(r.retry_after, clock_wall_ms() / 1000),
                  });
    teller_fail(&c->hearing.teller, source_fault_of_status(r.status), buf_str(&words));
    json_free(doc);
    buf_release(&words);
}

static void on_end(void *user, enum ws_end how, struct str why)
{
    struct call    *c = user;
    struct hearing *h = &c->hearing;

    switch (how) {
    case WS_NO_CONNECTION: teller_fail(&h->teller, FAULT_UNREACHABLE, why); break;
    case WS_REFUSED:       tell_refusal(c); break;
    case WS_GARBAGE:       teller_fail(&h->teller, FAULT_GARBAGE, why); break;
    case WS_CLOSED:
    case WS_CUT:           h->kind->end(h->source, how == WS_CUT); break;
    }
    c->ws = NULL;                             /* it closes by itself            */
    hearing_over(h);
}

static const struct ws_ops ws_ops = { on_open, on_message, on_flush, on_end };

/* ---- the question ---------------------------------------------------------------------- */

/* The signed part of the target, which opens the door for minutes to who reads it. Its end may
 * be escaped, so that the other side need not say it as we did. */
static struct str signature_in(struct str target)
{
    struct str  name = STR("authorization=");
    const char *at = memmem(target.p, target.n, name.p, name.n);
    size_t      n = 0;

    if (!at)
        return STR("");
    target = str_from(target, (size_t)(at - target.p) + name.n);
    while (n < target.n && target.p[n] != '%' && target.p[n] != '&')
        n++;
    return (struct str){ target.p, n };
}

static void hide_secrets(struct call *c, const struct provider *p)
{
    struct str *secrets = c->hearing.teller.secrets;

    secrets[0] = p->settings->api_secret;
    secrets[1] = p->settings->api_key;
    secrets[2] = signature_in(buf_str(&c->target));
}

static void visit(struct call *c, struct provider *p, struct str model)
{
    struct buf fields = BUF(TARGET_MAX_BYTES);

    c->target = BUF(TARGET_MAX_BYTES);
    spark_write_target(&(struct spark_visit){ .host = p->base.authority,
                                              .path = spark_path(p->base.path, model),
                                              .key = p->settings->api_key,
                                              .secret = p->settings->api_secret,
                                              .seconds = clock_wall_ms() / 1000 },
                       &c->target);
    hide_secrets(c, p);
    provider_write_headers(p, &fields);
    c->ws = ws_start(&(struct ws_order){ .ops = &ws_ops,
                                         .user = c,
                                         .way = &p->way,
                                         .authority = p->base.authority,
                                         .target = buf_str(&c->target),
                                         .fields = buf_str(&fields),
                                         .max_message_bytes = SOURCE_EVENT_MAX_BYTES });
    buf_release(&fields);
}

static struct call *spark_start(struct provider *p, const struct question *q, struct str model,
                                struct outlet out)
{
    struct call *c = mem_new(sizeof *c);

    c->hearing.drop = drop;
    hearing_begin(&c->hearing, p, &spark_source, p->settings->api_secret, out);
    c->question = BUF(SIZE_MAX / 2);
    spark_write_question(p, q, model, &c->question);
    visit(c, p, model);
    return c;
}

static void spark_pause(struct call *c)
{
    hearing_pause(&c->hearing);
    if (c->ws)
        ws_pause(c->ws);
}

static void spark_resume(struct call *c)
{
    hearing_resume(&c->hearing);
    if (c->ws)
        ws_resume(c->ws);
}

static void spark_cancel(struct call *c)
{
    drop(&c->hearing);
}

const struct provider_ops spark_provider = {
    .takes = spark_takes,
    .start = spark_start,
    .pause = spark_pause,
    .resume = spark_resume,
    .cancel = spark_cancel,
};
