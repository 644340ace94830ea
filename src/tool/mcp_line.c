#include "tool/mcp_line.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>

enum {
    OPENING_S = 15,
    OPENING_MAX_BYTES = 256 * 1024,
    BODY_MAX_BYTES = 48 << 20,
    SIDE_S = 5,
    SIDE_MAX_BYTES = 16 * 1024,
    SIDES_MAX = 16,
    FIELDS_MAX_BYTES = 64 * 1024,
};

static void opening_done(struct mcp_talk *t, const struct mcp_answer *a);

void mcp_line_init(struct mcp_line *l, const struct mcp_place *p, struct str name)
{
    *l = (struct mcp_line){ .changed = l->changed,
                            .place = p,
                            .name = name,
                            .discovers = true,
                            .fields = BUF(FIELDS_MAX_BYTES) };
    l->opening.done = opening_done;
    list_init(&l->waiting);
    list_init(&l->sides);
}

/* ---- what is said beside the questions --------------------------------------------------- */

struct side {
    struct link      link;
    struct mcp_line *line;
    struct mcp_talk  talk;
};

static void side_free(struct side *s)
{
    list_take(&s->line->sides, &s->link);
    mcp_talk_drop(&s->talk);
    mem_free(s);
}

static void side_done(struct mcp_talk *t, const struct mcp_answer *a)
{
    (void)a;                                  /* it makes no difference         */
    side_free(LIST_OWNER(t, struct side, talk));
}

static void say_aside(struct mcp_line *l, struct str body)
{
    struct side *s;

    if (l->sides.n >= SIDES_MAX)
        return;
    s = mem_new(sizeof *s);
    s->line = l;
    s->talk.done = side_done;
    list_push(&l->sides, &s->link);
    mcp_talk_start(&s->talk, l->place,
                   &(struct mcp_words){ .flavour = l->flavour,
                                        .fields = buf_str(&l->fields),
                                        .body = body,
                                        .limit = SIDE_MAX_BYTES,
                                        .timeout = SIDE_S * CLOCK_S });
}

static void reply(struct mcp_line *l, const struct mcp_message *question)
{
    struct buf body = BUF(SIDE_MAX_BYTES);

    mcp_write_reply(question->id, question->method, &body);
    if (!body.over)
        say_aside(l, buf_str(&body));
    buf_release(&body);
}

static void hear(struct mcp_line *l, const struct mcp_message *m)
{
    if (m->kind == MCP_QUESTION && l->step == MCP_OPEN && l->flavour == MCP_GREETED)
        reply(l, m);
    else if (m->kind == MCP_NOTICE && l->changed &&
             str_eq(m->method, STR("notifications/tools/list_changed")))
        l->changed(l);
}

static void tell_cancelled(struct mcp_line *l, int64_t id)
{
    struct buf members = BUF(SIDE_MAX_BYTES), body = BUF(SIDE_MAX_BYTES);

    buf_addf(&members, "\"requestId\":%lld,\"reason\":\"nobody waits for it\"", (long long)id);
    mcp_write(MCP_GREETED, 0, "notifications/cancelled", buf_str(&members), &body);
    say_aside(l, buf_str(&body));
    buf_release(&members);
    buf_release(&body);
}

/* ---- asking -------------------------------------------------------------------------------- */

static void ask_done(struct mcp_talk *t, const struct mcp_answer *answer);

static void ask_heard(struct mcp_talk *t, const struct mcp_message *m)
{
    hear(LIST_OWNER(t, struct mcp_ask, talk)->line, m);
}

static void ask(struct mcp_ask *a)
{
    struct mcp_line *l = a->line;
    struct buf       body = BUF(BODY_MAX_BYTES), fields = BUF(2 * FIELDS_MAX_BYTES);

    a->opening = l->openings;
    a->asked = true;
    a->flavour = l->flavour;
    a->in_session = l->has_session;
    a->talk.done = ask_done;
    a->talk.heard = ask_heard;
    mcp_write(l->flavour, ++l->last_id, a->method, a->members, &body);
    buf_add(&fields, buf_str(&l->fields));
    if (l->flavour == MCP_STATELESS) {
        buf_addf(&fields, "mcp-method: %s\r\n", a->method);
        buf_add(&fields, a->fields);
    }
    mcp_talk_start(&a->talk, l->place,
                   &(struct mcp_words){ .flavour = l->flavour,
                                        .id = l->last_id,
                                        .fields = buf_str(&fields),
                                        .body = buf_str(&body),
                                        .limit = a->limit,
                                        .timeout = a->timeout });
    buf_release(&body);
    buf_release(&fields);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void write_down(struct mcp_line *l, struct str session, struct str version)
{
    buf_clear(&l->fields);
    if (session.n)
        buf_addf(&l->fields, "mcp-session-id: %.*s\r\n", STR_ARG(session));
    buf_addf(&l->fields, "mcp-protocol-version: %.*s\r\n", STR_ARG(version));
    l->has_session = session.n > 0;
}

/* One step of the opening; what is to be said in it is in `body`. */
static void step_to(struct mcp_line *l, enum mcp_step step, enum mcp_flavour flavour,
                    struct buf *body)
{
    struct buf fields = BUF(2 * FIELDS_MAX_BYTES);

    l->step = step;
    l->flavour = flavour;
    buf_add(&fields, buf_str(&l->fields));
    if (step == MCP_DISCOVERING)
        buf_lit(&fields, "mcp-method: server/discover\r\n");
    mcp_talk_start(&l->opening, l->place,
                   &(struct mcp_words){ .flavour = flavour,
                                        .id = step == MCP_THANKING ? 0 : l->last_id,
                                        .fields = buf_str(&fields),
                                        .body = buf_str(body),
                                        .limit = OPENING_MAX_BYTES,
                                        .timeout = OPENING_S * CLOCK_S });
    buf_release(&fields);
    buf_release(body);
}

static void discover(struct mcp_line *l)
{
    struct buf body = BUF(SIDE_MAX_BYTES);

    write_down(l, STR(""), STR(MCP_STATELESS_VERSION));
    mcp_write(MCP_STATELESS, ++l->last_id, "server/discover", STR(""), &body);
    step_to(l, MCP_DISCOVERING, MCP_STATELESS, &body);
}

static void greet(struct mcp_line *l)
{
    struct buf body = BUF(SIDE_MAX_BYTES);

    buf_clear(&l->fields);
    l->has_session = false;
    mcp_write_greeting(++l->last_id, &body);
    step_to(l, MCP_GREETING, MCP_GREETED, &body);
}

static void thank(struct mcp_line *l)
{
    struct buf body = BUF(SIDE_MAX_BYTES);

    mcp_write(MCP_GREETED, 0, "notifications/initialized", STR(""), &body);
    step_to(l, MCP_THANKING, MCP_GREETED, &body);
}

static void open_line(struct mcp_line *l)
{
    l->openings++;
    if (l->discovers)
        discover(l);
    else
        greet(l);
}

/* Those that began to wait for this opening; what they do about it may begin another. */
static void tell_waiting(struct mcp_line *l, const struct mcp_answer *a)
{
    uint64_t        opening = l->openings;
    struct link    *k;
    struct mcp_ask *waiting;

    while ((k = list_first(&l->waiting))) {
        waiting = LIST_OWNER(k, struct mcp_ask, link);
        if (waiting->opening > opening)
            return;
        list_take(&l->waiting, k);
        if (l->step == MCP_OPEN && l->openings == opening)
            ask(waiting);
        else
            waiting->done(waiting, a);
    }
}

static void opened(struct mcp_line *l)
{
    l->step = MCP_OPEN;
    l->discovers = false;
    tell_waiting(l, NULL);
}

static void not_opened(struct mcp_line *l, const struct mcp_answer *a)
{
    l->step = MCP_CLOSED;
    l->discovers = true;
    tell_waiting(l, a);
}

/* Of versions that it knows ours is one, or it does not say which. */
static bool is_stateless(const struct json *result)
{
    const struct json *versions = json_get(result, "supportedVersions"), *v;
    struct json_walk   w = json_walk(versions);

    while ((v = json_walk_next(&w)))
        if (str_eq(json_str(v), STR(MCP_STATELESS_VERSION)))
            return true;
    return !versions;
}

/* Whoever cannot be reached, or wants to know who we are, would say so again. */
static bool is_worth_greeting(const struct mcp_answer *a)
{
    return a->end != MCP_AWAY && a->status != 401 && a->status != 403;
}

static void got_discovery(struct mcp_line *l, const struct mcp_answer *a)
{
    if (a->end == MCP_ANSWERED && a->message.kind == MCP_RESULT && is_stateless(a->message.result))
        opened(l);
    else if (is_worth_greeting(a))
        greet(l);
    else
        not_opened(l, a);
}

static void got_greeting(struct mcp_line *l, const struct mcp_answer *a)
{
    struct mcp_answer odd = { .end = MCP_ODD, .why = "it speaks a version that we do not know" };
    struct str        version = json_str(json_get(a->message.result, "protocolVersion"));

    if (a->end != MCP_ANSWERED || a->message.kind != MCP_RESULT) {
        not_opened(l, a);
    } else if (!mcp_knows_version(version)) {
        not_opened(l, &odd);
    } else {
        write_down(l, a->session, version);
        thank(l);
    }
}

static void opening_done(struct mcp_talk *t, const struct mcp_answer *a)
{
    struct mcp_line *l = LIST_OWNER(t, struct mcp_line, opening);

    if (l->step == MCP_DISCOVERING)
        got_discovery(l, a);
    else if (l->step == MCP_GREETING)
        got_greeting(l, a);
    else if (a->status / 100 == 2)
        opened(l);
    else
        not_opened(l, a);
}

/* ---- a question's life --------------------------------------------------------------------- */

static void wait_or_ask(struct mcp_ask *a)
{
    struct mcp_line *l = a->line;

    if (l->step == MCP_CLOSED)
        open_line(l);
    if (l->step == MCP_OPEN) {
        ask(a);
        return;
    }
    a->opening = l->openings;
    list_push(&l->waiting, &a->link);
}

void mcp_ask_start(struct mcp_ask *a, struct mcp_line *l)
{
    a->line = l;
    a->asked = a->again = false;
    wait_or_ask(a);
}

/* It was not carried out, because the server no longer knows what the line rests on. */
static bool is_forgotten(const struct mcp_ask *a, const struct mcp_answer *answer)
{
    bool is_error = answer->end == MCP_ANSWERED && answer->message.kind == MCP_ERROR;

    if (a->flavour == MCP_STATELESS)
        return (is_error && answer->message.code == MCP_WRONG_VERSION) ||
               (answer->end == MCP_REFUSED && (answer->status == 400 || answer->status == 404));
    return a->in_session && ((answer->end == MCP_REFUSED && answer->status == 400) ||
                             (answer->status == 404 && (is_error || answer->end == MCP_REFUSED)));
}

static void ask_done(struct mcp_talk *t, const struct mcp_answer *answer)
{
    struct mcp_ask  *a = LIST_OWNER(t, struct mcp_ask, talk);
    struct mcp_line *l = a->line;

    a->asked = false;
    if (a->again || !is_forgotten(a, answer)) {
        a->done(a, answer);
        return;
    }
    a->again = true;
    if (l->step == MCP_OPEN && l->openings == a->opening) {
        LOG(LOG_INFO, L_MSG("an MCP server has forgotten us"), L_STR("tool", l->name),
            L_INT("status", answer->status));
        l->step = MCP_CLOSED;
        l->discovers = a->flavour == MCP_STATELESS;
    }
    wait_or_ask(a);
}

void mcp_ask_drop(struct mcp_ask *a)
{
    if (link_is_in(&a->link))
        list_take(&a->line->waiting, &a->link);
    if (a->asked && !a->talk.over && a->flavour == MCP_GREETED)
        tell_cancelled(a->line, a->talk.id);
    mcp_talk_drop(&a->talk);
    a->asked = false;
}

void mcp_line_release(struct mcp_line *l)
{
    assert(l->waiting.n == 0);
    mcp_talk_drop(&l->opening);
    while (l->sides.n)
        side_free(LIST_OWNER(list_first(&l->sides), struct side, link));
    buf_release(&l->fields);
}
