/* mcp_talk.c - asked -> (reading -> pausing)* -> told.
 *
 * An answer that is too long for us is not waited for: the connection is closed, and what has
 * come of it is mended, so that the beginning of a tool's output can still be read.
 */
#include "tool/mcp_talk.h"

#include "base/clock.h"
#include "wire/http_text.h"

#include <stdio.h>

enum {
    REQUEST_MAX_BYTES = 64 << 20,
    REFUSAL_MAX_BYTES = 16 * 1024,
    ALL_MAX_BYTES = 16 << 20,                 /* of a stream, beside its answer */
    ID_MAX_BYTES = 2048,
    FIELDS_MAX_BYTES = 64 * 1024,
    RESUMES_MAX = 20,
    PAUSE_MS = 1000,
    PAUSE_MAX_MS = 30 * 1000,
    MAX_OPEN = 200,
    MAX_WAITING = 1000,
};

/* ---- places ------------------------------------------------------------------------------ */

static struct str add_fields(struct arena *texts, const struct conf_texts *fields)
{
    struct buf all = BUF(FIELDS_MAX_BYTES);
    struct str copy;

    for (size_t i = 0; i < fields->n; i++)
        buf_addf(&all, "%.*s\r\n", STR_ARG(fields->items[i]));
    copy = arena_str(texts, buf_str(&all));
    buf_release(&all);
    return copy;
}

/* Unlike a base URL this one is taken to the letter, its query and last slash too. */
static bool read_place(struct mcp_place *p, struct str url, struct http_url *base)
{
    struct str rest = arena_str(&p->texts, url), before = { NULL, 0 };

    str_next(&rest, '?', &before);
    if (!http_read_url(before, base))
        return false;
    p->authority = base->authority;
    p->target.p = base->authority.p + base->authority.n;
    p->target.n = (size_t)(before.p + before.n - p->target.p) + (rest.p ? rest.n + 1 : 0);
    if (!p->target.n || p->target.p[0] != '/') {
        struct buf target = BUF(FIELDS_MAX_BYTES);

        buf_lit(&target, "/");
        buf_add(&target, p->target);
        p->target = arena_str(&p->texts, buf_str(&target));
        buf_release(&target);
    }
    return true;
}

bool mcp_place_init(struct mcp_place *p, const struct tool_settings *s, const char **key,
                    const char **why)
{
    static char     words[TLS_WHY_MAX];
    struct http_url base;

    *p = (struct mcp_place){ .authority = { NULL, 0 } };
    *key = "url";
    *why = "this address cannot be read";
    if (!read_place(p, s->url, &base)) {
        arena_release(&p->texts);
        return false;
    }
    p->way = (struct way){ .host = base.host,
                           .port = base.port,
                           .is_secure = base.is_secure,
                           .connect_timeout = 10 * CLOCK_S,
                           .tls_timeout = 10 * CLOCK_S };
    *key = "ca_file";
    *why = words;
    if (base.is_secure && !(p->way.trust = tls_trust_hold(s->ca_file, words))) {
        arena_release(&p->texts);
        return false;
    }
    p->way.memory = base.is_secure ? tls_memory_new() : NULL;
    p->fields = add_fields(&p->texts, &s->headers);
    return true;
}

void mcp_place_release(struct mcp_place *p)
{
    tls_trust_drop(p->way.trust);
    tls_memory_drop(p->way.memory);
    arena_release(&p->texts);
}

/* ---- its end ------------------------------------------------------------------------------- */

static void release(struct mcp_talk *t)
{
    http_fetch_cancel(&t->fetch);
    deadline_disarm(&t->patience);
    deadline_disarm(&t->resume);
    note_tear(&t->tell);
    buf_release(&t->body);
    buf_release(&t->event);
    buf_release(&t->fields);
    sse_reader_release(&t->sse);
}

static void end(struct mcp_talk *t, enum mcp_end how, const char *why)
{
    if (t->over)
        return;
    t->over = true;
    t->end = how;
    snprintf(t->why, sizeof t->why, "%s", why);
    note_leave(&t->tell);
}

static void tell(struct note *n)
{
    struct mcp_talk  *t = LIST_OWNER(n, struct mcp_talk, tell);
    struct json_doc  *doc = t->doc;
    struct buf        session = t->session;
    char              why[sizeof t->why];
    struct mcp_answer a = { .end = t->end,
                            .status = t->status,
                            .message = t->message,
                            .session = buf_str(&session),
                            .why = why };

    memcpy(why, t->why, sizeof why);
    release(t);
    t->doc = NULL;
    t->session = BUF(0);
    t->done(t, &a);
    buf_release(&session);
    json_free(doc);
}

void mcp_talk_drop(struct mcp_talk *t)
{
    if (!t->place)
        return;
    release(t);
    buf_release(&t->session);
    json_free(t->doc);
    t->doc = NULL;
}

static void lost_patience(struct deadline *d)
{
    end(LIST_OWNER(d, struct mcp_talk, patience), MCP_LOST, "it took too long");
}

/* ---- what comes ------------------------------------------------------------------------------ */

/* True: among them is the answer. */
static bool read_message(struct mcp_talk *t, const struct json *v)
{
    struct mcp_message m = mcp_read(v, t->id);

    if (m.kind == MCP_QUESTION || m.kind == MCP_NOTICE) {
        if (t->heard)
            t->heard(t, &m);
        return false;
    }
    if (m.kind == MCP_NOISE || !t->id)
        return false;
    t->message = m;
    return true;
}

static bool read_messages(struct mcp_talk *t, const struct json *root)
{
    struct json_walk   w = json_walk(root);
    const struct json *v;

    if (json_type(root) != JSON_ARRAY)
        return read_message(t, root);
    while ((v = json_walk_next(&w)))
        if (read_message(t, v))
            return true;
    return false;
}

static void read_text(struct mcp_talk *t, struct str text)
{
    const char      *why;
    struct json_doc *doc = json_read_patiently(text, &why);

    if (read_messages(t, json_root(doc)))
        t->doc = doc;
    else
        json_free(doc);
}

/* Its end, where some write the id, has not come: that it is a result has to do. */
static void read_beginning(struct mcp_talk *t, struct str text)
{
    struct buf       whole = BUF(text.n + 100);
    const char      *why;
    struct json_doc *doc;

    mcp_mend(text, &whole);
    doc = json_read_patiently(buf_str(&whole), &why);
    if (t->id && json_type(json_get(json_root(doc), "result")) == JSON_OBJECT) {
        t->message = (struct mcp_message){ .kind = MCP_RESULT,
                                           .is_cut = true,
                                           .result = json_get(json_root(doc), "result") };
        t->doc = doc;
    } else {
        json_free(doc);
    }
    buf_release(&whole);
}

static void on_record(void *ctx, const struct sse_record *record)
{
    struct mcp_talk *t = ctx;

    if (!t->doc && record->data.n)            /* the first event may be empty   */
        read_text(t, record->data);
}

static void on_field(void *ctx, struct str name, struct str value)
{
    struct mcp_talk *t = ctx;
    uint64_t         ms;

    if (str_eq(name, STR("id")) && value.n <= ID_MAX_BYTES && http_is_plain_value(value)) {
        buf_clear(&t->event);
        buf_add(&t->event, value);
        t->has_new_event = true;
    } else if (str_eq(name, STR("retry")) && str_to_u64(value, &ms)) {
        t->pause = (ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS) * CLOCK_MS;
    }
}

static void on_head(struct http_fetch *f, int status, const struct http_fields *fields)
{
    struct mcp_talk *t = LIST_OWNER(f, struct mcp_talk, fetch);
    struct str       type = http_media_type(http_fields_nth(fields, STR("content-type"), 0));
    struct str       session = http_fields_nth(fields, STR("mcp-session-id"), 0);

    t->status = status;
    t->is_stream = status == 200 && str_eq_nocase(type, STR("text/event-stream"));
    t->body = BUF(status / 100 == 2 ? t->limit : REFUSAL_MAX_BYTES);
    if (session.n && session.n <= ID_MAX_BYTES && http_is_plain_value(session) && !t->session.n)
        buf_add(&t->session, session);
    if (t->is_stream) {
        sse_reader_release(&t->sse);
        sse_reader_init(&t->sse, false, t->limit, on_record, t);
        t->sse.on_field = on_field;
    }
}

static void on_body(struct http_fetch *f, struct str bytes)
{
    struct mcp_talk *t = LIST_OWNER(f, struct mcp_talk, fetch);

    t->bytes += bytes.n;
    if (!t->is_stream)
        buf_add(&t->body, bytes);
    else
        sse_reader_feed(&t->sse, bytes);
}

/* A refusal says in its body whose it is, if it can. */
static void read_body(struct mcp_talk *t)
{
    if (t->body.over)
        read_beginning(t, buf_str(&t->body));
    else
        read_text(t, buf_str(&t->body));
    if (t->doc && (t->status / 100 == 2 || t->message.by_id))
        end(t, MCP_ANSWERED, "");
    else if (t->status / 100 != 2)
        end(t, MCP_REFUSED, "");
    else if (!t->id)
        end(t, MCP_TAKEN, "");
    else
        end(t, MCP_ODD, t->body.over ? "the answer is too long" : "this is no answer to it");
}

static bool is_too_long(const struct mcp_talk *t)
{
    return t->is_stream ? t->sse.line.over || t->sse.data.over : t->body.over;
}

static void read_stream(struct mcp_talk *t)
{
    bool too_long = is_too_long(t);

    if (too_long && !t->doc)
        read_beginning(t, sse_reader_begun(&t->sse));
    if (t->doc)
        end(t, MCP_ANSWERED, "");
    else if (too_long || t->bytes > t->limit + ALL_MAX_BYTES)
        end(t, MCP_ODD, "the answer is too long");
    else if (!t->id)
        end(t, MCP_TAKEN, "");
}

/* Of what is too long no more is read, nor of a stream that has brought the answer. */
static void on_flush(struct http_fetch *f)
{
    struct mcp_talk *t = LIST_OWNER(f, struct mcp_talk, fetch);

    if (t->is_stream)
        read_stream(t);
    else if (is_too_long(t))
        read_body(t);
    if (t->over)
        http_fetch_cancel(f);
}

/* ---- taking it up again ------------------------------------------------------------------------- */

static const struct http_client_limits limits = { .max_open = MAX_OPEN,
                                                  .max_waiting = MAX_WAITING };

static const struct http_fetch_ops fetch_ops;

static struct buf write_request(const struct mcp_talk *t, const char *method, struct str fields,
                                struct str body)
{
    struct buf out = BUF(REQUEST_MAX_BYTES);

    buf_addf(&out, "%s %.*s HTTP/1.1\r\nhost: %.*s\r\n", method, STR_ARG(t->place->target),
             STR_ARG(t->place->authority));
    buf_lit(&out, "accept-encoding: identity\r\nuser-agent: runnel\r\n");
    buf_add(&out, t->place->fields);
    buf_add(&out, fields);
    if (body.n)
        buf_addf(&out,
                 "accept: application/json, text/event-stream\r\n"
                 "content-type: application/json\r\ncontent-length: %zu\r\n",
                 body.n);
    buf_lit(&out, "\r\n");
    buf_add(&out, body);
    return out;
}

static void take_up(struct deadline *d)
{
    struct mcp_talk *t = LIST_OWNER(d, struct mcp_talk, resume);
    struct buf       fields = BUF(FIELDS_MAX_BYTES + ID_MAX_BYTES);

    t->resumed++;
    t->has_new_event = false;
    buf_add(&fields, buf_str(&t->fields));
    buf_addf(&fields, "accept: text/event-stream\r\nlast-event-id: %.*s\r\n",
             STR_ARG(buf_str(&t->event)));
    http_fetch_start(&t->fetch, &fetch_ops, &t->place->way, &limits,
                     write_request(t, "GET", buf_str(&fields), STR("")));
    buf_release(&fields);
}

/* Each time must have brought something new, or it would go on for ever. */
static bool can_be_taken_up(const struct mcp_talk *t)
{
    return t->is_stream && t->greeted && t->id && t->event.n && t->has_new_event &&
           t->resumed < RESUMES_MAX;
}

static void on_broken(struct mcp_talk *t, struct str why)
{
    char words[REACH_WHY_MAX];

    if (!t->over && can_be_taken_up(t)) {
        deadline_arm(&t->resume, clock_now() + t->pause);
        return;
    }
    snprintf(words, sizeof words, "%.*s", STR_ARG(why));
    end(t, MCP_LOST, *words ? words : "the connection was lost");
}

static void on_whole(struct mcp_talk *t)
{
    if (t->resumed && !t->is_stream) {
        end(t, MCP_LOST, "the stream broke, and cannot be taken up again");
        return;
    }
    if (!t->is_stream) {
        read_body(t);
        return;
    }
    if (!t->doc && !is_too_long(t))
        sse_reader_end(&t->sse);
    read_stream(t);
    if (!t->over)
        on_broken(t, STR("the stream ended without an answer"));
}

static void on_end(struct http_fetch *f, enum http_fetch_end how, struct str why)
{
    struct mcp_talk *t = LIST_OWNER(f, struct mcp_talk, fetch);
    char             words[REACH_WHY_MAX];

    snprintf(words, sizeof words, "%.*s", STR_ARG(why));
    if (t->is_stream)                         /* whatever became of it behind its answer */
        read_stream(t);
    switch (how) {
    case HTTP_FETCH_WHOLE:
    case HTTP_FETCH_CLOSED: on_whole(t); break;
    case HTTP_FETCH_CUT: on_broken(t, why); break;
    case HTTP_FETCH_NO_CONNECTION: end(t, t->resumed ? MCP_LOST : MCP_AWAY, words); break;
    case HTTP_FETCH_CROWDED: end(t, MCP_AWAY, "too many wait for a connection"); break;
    case HTTP_FETCH_GARBAGE: end(t, MCP_ODD, "the answer is not HTTP"); break;
    }
}

static const struct http_fetch_ops fetch_ops = { on_head, on_body, on_flush, on_end };

/* ---- the question ----------------------------------------------------------------------------------- */

void mcp_talk_start(struct mcp_talk *t, const struct mcp_place *p, const struct mcp_words *w)
{
    *t = (struct mcp_talk){ .done = t->done,
                            .heard = t->heard,
                            .place = p,
                            .id = w->id,
                            .limit = w->limit,
                            .greeted = w->flavour == MCP_GREETED,
                            .session = BUF(ID_MAX_BYTES),
                            .event = BUF(ID_MAX_BYTES),
                            .fields = BUF(FIELDS_MAX_BYTES),
                            .pause = PAUSE_MS * CLOCK_MS,
                            .patience.run = lost_patience,
                            .resume.run = take_up,
                            .tell.run = tell };
    buf_add(&t->fields, w->fields);
    if (w->timeout)
        deadline_arm(&t->patience, clock_now() + w->timeout);
    http_fetch_start(&t->fetch, &fetch_ops, &p->way, &limits,
                     write_request(t, "POST", w->fields, w->body));
}
