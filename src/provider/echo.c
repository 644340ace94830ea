/* echo.c - answers with the question. For first runs, demonstrations and load tests.
 *
 * A token is a word with the blanks before it, at most TOKEN_MAX bytes, or one
 * character outside ASCII. Paced, token k is due at a fixed moment after the start,
 * so that the pace does not drift; unpaced, one token goes per loop pass, which
 * leaves every other stream its turn.
 */
#include "base/clock.h"
#include "base/deadline.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/note.h"
#include "provider/provider.h"
#include "provider/echo_tokens.h"

struct call {
    struct outlet   out;
    struct str      rest; /* what is still to be said       */
    struct usage    usage;
    uint64_t        max_tokens;
    uint64_t        interval; /* ns between tokens; 0: unpaced  */
    uint64_t        due;      /* of the next token, ns          */
    bool            started;
    struct deadline next;  /* paced                          */
    struct note     again; /* unpaced, and the first word    */
};

static void put(struct call *c, struct event ev)
{
    c->out.put(c->out.ctx, &ev);
}

static void call_gone(struct call *c)
{
    deadline_disarm(&c->next);
    note_tear(&c->again);
    mem_free(c);
}

/* Each token is due one interval after the one before was due. Whoever is more than
 * a second behind (the first token, a pause, a stopped process) starts from now. */
static void schedule(struct call *c)
{
    uint64_t now = clock_now();

    if (!c->interval) {
        note_leave(&c->again);
        return;
    }
    if (c->due + CLOCK_S < now)
        c->due = now;
    c->due += c->interval;
    deadline_arm(&c->next, c->due);
}

static void finish(struct call *c, enum finish how)
{
    struct outlet out = c->out;

    put(c, (struct event){ .type = EVENT_USAGE, .usage = c->usage });
    put(c, (struct event){ .type = EVENT_FINISH, .finish = how });
    call_gone(c);
    out.flush(out.ctx);
}

static void say_token(struct call *c)
{
    struct str token = { c->rest.p, echo_token_length(c->rest) };

    c->rest = str_from(c->rest, token.n);
    c->usage.completion++;
    put(c, (struct event){ .type = EVENT_DELTA, .text = token });
}

static void tick(struct call *c)
{
    if (!c->started)
        put(c, (struct event){ .type = EVENT_START });
    else if (c->rest.n)
        say_token(c);
    c->started = true;
    if (c->rest.n == 0) {
        finish(c, FINISH_STOP);
    } else if (c->usage.completion == c->max_tokens) {
        finish(c, FINISH_LENGTH);
    } else {
        schedule(c);
        c->out.flush(c->out.ctx);             /* may pause us, so it comes last */
    }
}

static void on_deadline(struct deadline *d)
{
    tick(LIST_OWNER(d, struct call, next));
}

static void on_note(struct note *n)
{
    tick(LIST_OWNER(n, struct call, again));
}

static struct call *echo_start(struct provider *p, const struct question *q, struct str model,
                               struct outlet out)
{
    struct call *c = mem_new(sizeof *c);

    (void)model;
    c->out = out;
    c->rest = question_last_user_text(q);
    c->max_tokens = q->max_tokens ? q->max_tokens : UINT64_MAX;
    for (size_t i = 0; i < q->n_messages; i++)
        c->usage.prompt += echo_token_count(q->messages[i].text);
    if (p->settings->tokens_per_second)
        c->interval = CLOCK_S / p->settings->tokens_per_second;
    c->next.run = on_deadline;
    c->again.run = on_note;
    note_leave(&c->again);
    return c;
}

static void echo_pause(struct call *c)
{
    deadline_disarm(&c->next);
    note_tear(&c->again);
}

/* The pace goes on from here: what was not said in time is not made up for. */
static void echo_resume(struct call *c)
{
    c->due = 0;
    schedule(c);
}

const struct provider_ops echo_provider = {
    .start = echo_start,
    .pause = echo_pause,
    .resume = echo_resume,
    .cancel = call_gone,
};
