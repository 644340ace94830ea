/* http_tool.c - one run:
 *
 *     start: address and body -> ask -> head, body -> decide -> told
 *                                ^                      |
 *                                +------ redirect ------+
 *
 * What comes of the network leaves a note, and the note decides: so the ear hears from the top
 * of the stack, and never before start() has returned.
 */
#include "tool/http_tool.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/note.h"
#include "net/http_client.h"
#include "tool/http_answer.h"
#include "tool/http_order.h"
#include "tool/http_redirect.h"
#include "wire/http_text.h"

enum {
    ACCEPTED = 202,
    URL_MAX_BYTES = 8 * 1024,
    BODY_MAX_BYTES = 8 << 20,
    WORDS_MAX_BYTES = 16 * 1024,
    REDIRECTS_MAX = 5,
    REACH_S = 10,
    REFUSAL_MS = 2000,
    MAX_OPEN = 64,
    MAX_IDLE = 8,
    MAX_WAITING = 1000,
    IDLE_S = 30,
    CHARACTER_MAX = 4,
};

/* What such a tool keeps: a copy of its settings. */
struct service {
    struct arena      arena;
    struct http_order order;
    struct conf_texts headers, allow;
    struct tls_trust *trust;                  /* NULL: there are no certificates */
};

struct tool_run {
    struct tool      *tool;
    struct tool_ear   ear;
    struct note       note;
    struct http_fetch fetch;
    struct buf        url, body;
    enum tool_method  method;
    unsigned          redirects;
    bool              is_elsewhere;           /* and so without our secrets     */
    int               status;                 /* 0: there is no head yet        */
    struct deadline   refusal_time;           /* for the body of what is no success */
    struct buf        location, content_type, answer;
    struct str        operation;              /* the order's                    */
    struct buf        words;                  /* what went wrong; empty: nothing */
};

static const char *const method_names[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

static struct service *service_of(const struct tool_run *r)
{
    return r->tool->own;
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void run_free(struct tool_run *r)
{
    deadline_disarm(&r->refusal_time);
    buf_release(&r->url);
    buf_release(&r->body);
    buf_release(&r->location);
    buf_release(&r->content_type);
    buf_release(&r->answer);
    buf_release(&r->words);
    mem_free(r);
}

/* What is more than the tool may have is cut by whoever hears it. */
static void tell(struct tool_run *r, struct buf words, bool failed)
{
    struct tool_ear ear = r->ear;

    run_free(r);
    ear.told(ear.ctx, buf_str(&words), failed);
    buf_release(&words);
}

static void tell_failure(struct tool_run *r)
{
    struct buf words = r->words;

    r->words = BUF(0);
    tell(r, words, true);
}

/* Where nobody was told under which name, nobody can go on. */
static bool goes_on(const struct tool_run *r)
{
    return r->status == ACCEPTED && r->operation.n && !r->is_elsewhere;
}

static void tell_that_it_goes_on(struct tool_run *r)
{
    struct tool_ear ear = r->ear;

    run_free(r);
    ear.goes_on(ear.ctx);
}

static void tell_answer(struct tool_run *r)
{
    struct buf         words = BUF(SIZE_MAX / 2);
    struct http_answer answer = { .status = r->status,
                                  .content_type = buf_str(&r->content_type),
                                  .body = buf_str(&r->answer) };
    bool               good = http_answer_write(&answer, &words);

    tell(r, words, !good);
}

/* The first word about it stays. */
static void fail(struct tool_run *r, const char *what, struct str why)
{
    if (!r->words.n)
        buf_addf(&r->words, "%s%s%.*s.", what, why.n ? ": " : "", STR_ARG(why));
    note_leave(&r->note);
}

/* ---- the answer -------------------------------------------------------------------------------- */

static bool has_more_to_say(const struct tool_run *r)
{
    return !r->location.n && !goes_on(r) && r->answer.n < r->answer.limit &&
           (!http_answer_is_good(r->status) || http_answer_is_text(buf_str(&r->content_type)));
}

static void on_head(struct http_fetch *f, int status, const struct http_fields *fields)
{
    struct tool_run *r = LIST_OWNER(f, struct tool_run, fetch);
    size_t           most = r->tool->output_limit;

    if (!http_answer_is_good(status))
        most = HTTP_ANSWER_ERROR_MAX;
    r->status = status;
    r->answer = BUF(most + CHARACTER_MAX);    /* so that one sees that there was more */
    buf_add(&r->content_type, http_fields_nth(fields, STR("content-type"), 0));
    if (!http_answer_is_good(status))
        deadline_arm(&r->refusal_time, clock_now() + REFUSAL_MS * CLOCK_MS);
    if (http_is_redirect(status))
        buf_add(&r->location, http_fields_nth(fields, STR("location"), 0));
}

static void on_body(struct http_fetch *f, struct str bytes)
{
    struct tool_run *r = LIST_OWNER(f, struct tool_run, fetch);
    size_t           room = r->answer.limit - r->answer.n;

    buf_add(&r->answer, (struct str){ bytes.p, bytes.n < room ? bytes.n : room });
}

static void on_flush(struct http_fetch *f)
{
    struct tool_run *r = LIST_OWNER(f, struct tool_run, fetch);

    if (!r->status || has_more_to_say(r))
        return;
    if (r->location.n || goes_on(r))
        http_fetch_leave(f);                  /* its body is short              */
    else
        http_fetch_cancel(f);
    note_leave(&r->note);
}

/* What the service wants to say is clear, even if it never ends. */
static void refused_long_enough(struct deadline *d)
{
    struct tool_run *r = LIST_OWNER(d, struct tool_run, refusal_time);

    http_fetch_cancel(&r->fetch);
    note_leave(&r->note);
}

static void on_end(struct http_fetch *f, enum http_fetch_end how, struct str why)
{
    struct tool_run *r = LIST_OWNER(f, struct tool_run, fetch);

    switch (how) {
    case HTTP_FETCH_WHOLE:
    case HTTP_FETCH_CLOSED: note_leave(&r->note); return;
    case HTTP_FETCH_NO_CONNECTION: fail(r, "The service could not be reached", why); return;
    case HTTP_FETCH_CROWDED: fail(r, "Too many others wait for the service", STR("")); return;
    case HTTP_FETCH_CUT: fail(r, "The connection was lost before the answer ended", why); return;
    case HTTP_FETCH_GARBAGE: fail(r, "What the service answered is not HTTP", STR("")); return;
    }
}

static const struct http_fetch_ops fetch_ops = { on_head, on_body, on_flush, on_end };

/* ---- the question ------------------------------------------------------------------------------- */

static bool has_field(const struct service *s, const char *name)
{
    for (size_t i = 0; i < s->headers.n; i++) {
        struct str field = s->headers.items[i];

        if (str_eq_nocase((struct str){ field.p, str_find(field, ':') }, str_of(name)))
            return true;
    }
    return false;
}

/* A field that the settings have is theirs. */
static void write_field(const struct tool_run *r, const char *name, const char *value,
                        struct buf *out)
{
    if (r->is_elsewhere || !has_field(service_of(r), name))
        buf_addf(out, "%s: %s\r\n", name, value);
}

static struct buf write_request(const struct tool_run *r, const struct http_url *u,
                                struct str query)
{
    const struct service *s = service_of(r);
    struct buf            out = BUF(URL_MAX_BYTES + BODY_MAX_BYTES + (1 << 20));

    buf_addf(&out, "%s %.*s%s%.*s HTTP/1.1\r\nhost: %.*s\r\naccept-encoding: identity\r\n",
             method_names[r->method], STR_ARG(u->path), query.n ? "?" : "", STR_ARG(query),
             STR_ARG(u->authority));
    write_field(r, "accept", "application/json, text/*;q=0.9", &out);
    write_field(r, "user-agent", "runnel", &out);
    for (size_t i = 0; i < s->headers.n && !r->is_elsewhere; i++)
        buf_addf(&out, "%.*s\r\n", STR_ARG(s->headers.items[i]));
    if (r->operation.n && !r->is_elsewhere)
        buf_addf(&out, "x-operation-id: %.*s\r\n", STR_ARG(r->operation));
    if (http_order_has_body(r->method)) {
        write_field(r, "content-type", "application/json", &out);
        buf_addf(&out, "content-length: %zu\r\n", r->body.n);
    }
    buf_lit(&out, "\r\n");
    if (http_order_has_body(r->method))
        buf_add(&out, buf_str(&r->body));
    return out;
}

static void ask(struct tool_run *r)
{
    static const struct http_client_limits limits = { .max_open = MAX_OPEN,
                                                      .max_idle = MAX_IDLE,
                                                      .max_waiting = MAX_WAITING,
                                                      .idle_timeout = IDLE_S * CLOCK_S };
    const struct service                  *s = service_of(r);
    struct http_url                        u;
    struct str                             query, host;
    struct way                             way;

    if (!http_read_web_url(buf_str(&r->url), &u, &query) ||
        !host_of_authority(u.authority, &host)) {
        fail(r, "The address that the arguments make cannot be read", STR(""));
        return;
    }
    way = (struct way){ .host = host,
                        .port = u.port,
                        .is_secure = u.is_secure,
                        .trust = u.is_secure ? s->trust : NULL,
                        .only_public = !host_is_among(host, &s->allow),
                        .connect_timeout = REACH_S * CLOCK_S,
                        .tls_timeout = REACH_S * CLOCK_S };
    r->fetch.is_once = r->method != TOOL_GET; /* all others may change something */
    http_fetch_start(&r->fetch, &fetch_ops, &way, &limits, write_request(r, &u, query));
}

static void follow(struct tool_run *r)
{
    struct buf  to = BUF(URL_MAX_BYTES);
    const char *why;

    if (++r->redirects > REDIRECTS_MAX) {
        fail(r, "The service redirects again and again", STR(""));
        return;
    }
    if (!http_redirect(buf_str(&r->url), buf_str(&r->location), &to, &why)) {
        fail(r, "The service sends us elsewhere", str_of(why));
        buf_release(&to);
        return;
    }
    r->is_elsewhere = r->is_elsewhere || !http_is_same_origin(buf_str(&r->url), buf_str(&to));
    r->method = http_redirect_method(r->status, r->method);
    buf_release(&r->url);
    r->url = to;
    r->status = 0;
    buf_clear(&r->location);
    buf_clear(&r->content_type);
    buf_release(&r->answer);
    ask(r);
}

static void on_note(struct note *n)
{
    struct tool_run *r = LIST_OWNER(n, struct tool_run, note);

    deadline_disarm(&r->refusal_time);
    if (r->words.n)
        tell_failure(r);
    else if (r->location.n)
        follow(r);
    else if (goes_on(r))
        tell_that_it_goes_on(r);
    else
        tell_answer(r);
}

static struct tool_run *start(struct tool *t, const struct tool_order *o, struct tool_ear ear)
{
    const struct service *s = t->own;
    struct tool_run      *r = mem_new(sizeof *r);

    r->tool = t;
    r->ear = ear;
    r->note.run = on_note;
    r->refusal_time.run = refused_long_enough;
    r->method = s->order.method;
    r->operation = o->operation;
    r->url = BUF(URL_MAX_BYTES);
    r->body = BUF(BODY_MAX_BYTES);
    r->location = BUF(URL_MAX_BYTES);
    r->content_type = BUF(URL_MAX_BYTES);
    r->words = BUF(WORDS_MAX_BYTES);
    if (http_order_write(&s->order, o->arguments, &r->url, &r->body, &r->words))
        ask(r);
    else
        note_leave(&r->note);
    return r;
}

static void cancel(struct tool_run *r)
{
    http_fetch_cancel(&r->fetch);
    note_tear(&r->note);
    run_free(r);
}

/* ---- the tool ------------------------------------------------------------------------------------ */

static void release(struct tool *t)
{
    struct service *s = t->own;

    tls_trust_drop(s->trust);
    arena_release(&s->arena);
    mem_free(s);
}

static const struct tool_ops ops = { start, cancel, release };

static struct conf_texts copy_texts(struct arena *a, const struct conf_texts *from)
{
    struct conf_texts to = { arena_new(a, (from->n + 1) * sizeof *to.items), from->n };

    for (size_t i = 0; i < from->n; i++)
        to.items[i] = arena_str(a, from->items[i]);
    return to;
}

/* One that has no certificates fails when it needs them, also behind a redirect. */
struct tool *http_tool_new(const struct tool_settings *s)
{
    struct service *own = mem_new(sizeof *own);
    char            ignored[TLS_WHY_MAX];

    own->order = (struct http_order){ .url = arena_str(&own->arena, s->url),
                                      .method = (enum tool_method)s->method,
                                      .parameters = arena_str(&own->arena, s->parameters) };
    own->headers = copy_texts(&own->arena, &s->headers);
    own->allow = copy_texts(&own->arena, &s->allow);
    own->trust = tls_trust_hold(s->ca_file, ignored);
    return tool_new(&(struct tool){ .ops = &ops,
                                    .name = s->name,
                                    .description = s->description,
                                    .parameters = s->parameters,
                                    .timeout = s->timeout,
                                    .output_limit = s->max_output_bytes,
                                    .runs_alone = s->alone,
                                    .operation_ttl = s->background ? s->operation_ttl : 0,
                                    .own = own });
}
