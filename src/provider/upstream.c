#include "provider/upstream.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "net/http_client.h"
#include "provider/advice.h"
#include "provider/hearing.h"
#include "provider/keys.h"
#include "wire/http_text.h"
#include "wire/sse_reader.h"
#include "base/utf8.h"

/* What the largest body that http.max_body_bytes allows can become. */
static const size_t REQUEST_MAX_BYTES = (size_t)8 << 30;

enum { WHOLE_MAX_BYTES = 16 << 20, ERROR_MAX_BYTES = 64 * 1024, ERROR_MAX_MS = 2000 };

struct call {
    struct hearing              hearing;
    const struct upstream_kind *kind;
    int                         status;       /* 0: there is no head yet        */
    bool                        is_stream;
    struct http_fetch           fetch;
    struct provider_key        *key;
    struct deadline             refusal_time; /* for the body of a refusal      */
    struct buf                  body;         /* of an answer that is no stream */
};

static void drop(struct hearing *h)
{
    struct call *c = LIST_OWNER(h, struct call, hearing);

    if (h->teller.ended)
        http_fetch_leave(&c->fetch);
    else
        http_fetch_cancel(&c->fetch);
    hearing_release(h);
    deadline_disarm(&c->refusal_time);
    buf_release(&c->body);
    mem_free(c);
}

static struct teller *teller_of(struct call *c)
{
    return &c->hearing.teller;
}

/* With other keys at hand, what speaks against this one says nothing against asking again. It
 * may be said with any status, even in the middle of a stream. */
static void judge_key(struct teller *t, enum fault fault)
{
    struct call *c = LIST_OWNER(t, struct call, hearing.teller);

    if (keys_judge(c->hearing.provider, c->key, fault, t->advice.after, clock_now()))
        teller_advise(t, (struct advice){ .at_once = true });
}

/* ---- the answer ---------------------------------------------------------------------------- */

static void on_head(struct http_fetch *f, int status, const struct http_fields *fields)
{
    struct call *c = LIST_OWNER(f, struct call, fetch);
    struct str   type = http_media_type(http_fields_nth(fields, STR("content-type"), 0));

    c->status = status;
    teller_advise(teller_of(c), advice_of(status, fields));
    c->is_stream = status == 200 && !str_eq_nocase(type, STR("application/json"));
    c->body = BUF(status == 200 ? WHOLE_MAX_BYTES : ERROR_MAX_BYTES);
    if (status != 200)
        deadline_arm(&c->refusal_time, clock_now() + ERROR_MAX_MS * CLOCK_MS);
}

static void on_body(struct http_fetch *f, struct str bytes)
{
    struct call *c = LIST_OWNER(f, struct call, fetch);

    if (c->is_stream)
        c->kind->source->feed(c->hearing.source, bytes);
    else
        buf_add(&c->body, bytes);
}

/* What the body of a refusal says. */
struct refusal {
    int        status;
    enum fault fault;
    struct buf words;
    bool       was_read;
};

static void read_refusal(struct refusal *r, struct str text)
{
    const char        *why;
    struct json_doc   *doc = r->was_read ? NULL : json_read_patiently(text, &why);
    const struct json *body = json_root(doc);

    if (!doc)
        return;
    r->was_read = true;
    r->fault = source_fault_of_refusal(r->status, body);
    buf_add(&r->words, utf8_clip(source_error_words(body), r->words.limit));
    json_free(doc);
}

static void read_refusal_event(void *ctx, const struct sse_record *record)
{
    read_refusal(ctx, record->data);
}

/* It is JSON, or text, or (DashScope) an event stream with one event. */
static struct refusal refusal_of(int status, struct str body)
{
    struct refusal    r = { .status = status, .words = BUF(TELLER_WORDS_MAX) };
    struct sse_reader reader;

    r.fault = source_fault_of_status(status);
    read_refusal(&r, body);
    if (!r.was_read) {
        sse_reader_init(&reader, true, ERROR_MAX_BYTES, read_refusal_event, &r);
        if (sse_reader_feed(&reader, body) == 0)
            sse_reader_end(&reader);
        sse_reader_release(&reader);
    }
    if (r.words.n == 0)
        buf_add(&r.words, utf8_clip(body, r.words.limit));
    return r;
}

static void tell_refusal(struct call *c)
{
    struct refusal r = refusal_of(c->status, buf_str(&c->body));

    teller_fail(teller_of(c), r.fault, buf_str(&r.words));
    buf_release(&r.words);
}

static void tell_answer(struct call *c)
{
    if (c->status != 200) {
        tell_refusal(c);
        return;
    }
    if (!c->is_stream && c->body.over)
        teller_fail(teller_of(c), FAULT_GARBAGE, STR("the answer is too large"));
    else if (!c->is_stream)
        c->kind->source->whole(c->hearing.source, buf_str(&c->body));
    c->kind->source->end(c->hearing.source, false);
}

/* Of what is too large no more is read. */
static void on_flush(struct http_fetch *f)
{
    struct call *c = LIST_OWNER(f, struct call, fetch);

    if (!c->is_stream && c->body.over)
        tell_answer(c);
    hearing_flush(&c->hearing);
}

/* What the service wants to say is clear, even if it never ends. */
static void refused_long_enough(struct deadline *d)
{
    struct call *c = LIST_OWNER(d, struct call, refusal_time);

    tell_refusal(c);
    hearing_over(&c->hearing);
}

static void tell_cut(struct call *c, struct str why)
{
    if (c->status && c->status != 200) {
        tell_refusal(c);
        return;
    }
    if (c->is_stream)
        c->kind->source->end(c->hearing.source, true);
    teller_fail(teller_of(c), FAULT_CUT, why.n ? why : STR("the connection was lost"));
}

static void on_end(struct http_fetch *f, enum http_fetch_end how, struct str why)
{
    struct call *c = LIST_OWNER(f, struct call, fetch);

    switch (how) {
    case HTTP_FETCH_WHOLE:
    case HTTP_FETCH_CLOSED: tell_answer(c); break;
    case HTTP_FETCH_CUT: tell_cut(c, why); break;
    case HTTP_FETCH_NO_CONNECTION: teller_fail(teller_of(c), FAULT_UNREACHABLE, why); break;
    case HTTP_FETCH_CROWDED:
        teller_fail(teller_of(c), FAULT_PROVIDER_BUSY, STR("too many calls wait for a connection"));
        break;
    case HTTP_FETCH_GARBAGE:
        teller_fail(teller_of(c), FAULT_GARBAGE, STR("the answer is not HTTP"));
        break;
    }
    hearing_over(&c->hearing);
}

static const struct http_fetch_ops fetch_ops = { on_head, on_body, on_flush, on_end };

/* ---- the question ---------------------------------------------------------------------------- */

static struct buf write_request(const struct provider *p, struct str key,
                                const struct upstream_kind *kind, const struct question *q,
                                struct str model)
{
    struct buf out = BUF(REQUEST_MAX_BYTES), body = BUF(REQUEST_MAX_BYTES);

    kind->write_body(p, q, model, &body);
    buf_lit(&out, "POST ");
    buf_add(&out, p->base.path);
    kind->write_path(p, q, model, &out);
    buf_lit(&out, " HTTP/1.1\r\nhost: ");
    buf_add(&out, p->base.authority);
    buf_lit(&out, "\r\ncontent-type: application/json\r\naccept: ");
    buf_add(&out, q->asked == ASKED_CHAT ? STR("text/event-stream") : STR("application/json"));
    buf_lit(&out, "\r\naccept-encoding: identity\r\nuser-agent: runnel\r\n");
    provider_write_headers(p, &out);
    kind->write_fields(p, key, &out);
    buf_lit(&out, "content-length: ");
    buf_add_u64(&out, body.n);
    buf_lit(&out, "\r\n\r\n");
    buf_add(&out, buf_str(&body));
    buf_release(&body);
    return out;
}

struct call *upstream_start(struct provider *p, const struct upstream_kind *kind,
                            const struct question *q, struct str model, struct outlet out)
{
    const struct provider_settings *s = p->settings;
    struct http_client_limits       limits = { .max_open = s->max_connections,
                                               .max_idle = s->max_connections,
                                               .max_waiting = s->max_connections,
                                               .idle_timeout = s->keep_timeout };
    struct call                    *c = mem_new(sizeof *c);

    c->kind = kind;
    c->key = keys_pick(p, clock_now());
    c->hearing.drop = drop;
    c->refusal_time.run = refused_long_enough;
    hearing_begin(&c->hearing, p, kind->source, c->key->text, out);
    c->hearing.teller.judge = judge_key;
    http_fetch_start(&c->fetch, &fetch_ops, &p->way, &limits,
                     write_request(p, c->key->text, kind, q, model));
    return c;
}

void upstream_pause(struct call *c)
{
    hearing_pause(&c->hearing);
    deadline_disarm(&c->refusal_time);
    http_fetch_pause(&c->fetch);
}

void upstream_resume(struct call *c)
{
    hearing_resume(&c->hearing);
    http_fetch_resume(&c->fetch);
}

void upstream_cancel(struct call *c)
{
    drop(&c->hearing);
}
