#include "provider/teller.h"

#include "base/buf.h"
#include "base/half.h"
#include "base/utf8.h"

enum {
    SECRET_MIN = 8,                           /* a shorter key is a word, like "none" */
    SECRET_PART_MIN = 4,
};

static void say_start(struct teller *t)
{
    struct arena room = { NULL };
    struct event ev = { .type = EVENT_START, .text = utf8_without_nul(t->session, &room) };

    t->started = true;
    t->out.put(t->out.ctx, &ev);
    arena_release(&room);
}

static void say(struct teller *t, const struct event *ev)
{
    if (!t->started && ev->type != EVENT_ERROR)
        say_start(t);
    t->out.put(t->out.ctx, ev);
}

/* Nothing that could be its other half comes any more. */
static void give_up_half(struct teller *t)
{
    struct event ev = { .type = t->half_type, .text = HALF_LOST, .tool.index = t->half_tool };

    t->half = 0;
    say(t, &ev);
}

static bool goes_on_with_half(const struct teller *t, const struct event *ev)
{
    return ev->type == t->half_type && ev->tool.index == t->half_tool;
}

static void put(struct teller *t, struct event ev)
{
    if (t->ended)
        return;
    if (t->half && !goes_on_with_half(t, &ev))
        give_up_half(t);
    t->ended = ev.type == EVENT_FINISH || ev.type == EVENT_ERROR;
    say(t, &ev);
}

static void put_joined(struct teller *t, struct event ev)
{
    struct buf joined = BUF(ev.text.n + HALF_BYTES);
    bool       had_text = ev.text.n > 0;

    if (t->half && !goes_on_with_half(t, &ev))
        give_up_half(t);
    half_join(&t->half, ev.text, &joined);
    t->half_type = ev.type;
    t->half_tool = ev.tool.index;
    ev.text = buf_str(&joined);
    if (ev.text.n || ev.tool.name.n || !had_text)
        say(t, &ev);
    buf_release(&joined);
}

static void put_text(struct teller *t, struct event ev)
{
    struct arena room = { NULL };

    ev.text = utf8_without_nul(ev.text, &room);
    if (t->ended || (!t->half && !half_is_in(ev.text)))
        put(t, ev);
    else
        put_joined(t, ev);
    arena_release(&room);
}

void teller_session(struct teller *t, struct str id)
{
    t->session = id;
}

void teller_text(struct teller *t, struct str text)
{
    if (text.n)
        put_text(t, (struct event){ .type = EVENT_DELTA, .text = text });
}

void teller_reasoning(struct teller *t, struct str text)
{
    if (text.n)
        put_text(t, (struct event){ .type = EVENT_REASONING, .text = text });
}

void teller_tool(struct teller *t, const struct tool_piece *piece, struct str arguments)
{
    struct arena room = { NULL };
    struct event ev = { .type = EVENT_TOOL_CALL, .tool = *piece, .text = arguments };

    ev.tool.id = utf8_without_nul(piece->id, &room);
    ev.tool.name = utf8_without_nul(piece->name, &room);
    put_text(t, ev);
    arena_release(&room);
}

/* Titles and excerpts are cut to a length by services that count UTF-16 units. */
void teller_citation(struct teller *t, const struct citation *c)
{
    struct arena room = { NULL };
    struct buf   title = BUF(c->title.n), text = BUF(c->text.n);
    struct event ev = { .type = EVENT_CITATION };

    ev.citation.id = utf8_without_nul(c->id, &room);
    ev.citation.title = utf8_without_nul(half_mend(c->title, &title), &room);
    ev.citation.url = utf8_without_nul(c->url, &room);
    ev.citation.text = utf8_without_nul(half_mend(c->text, &text), &room);
    put(t, ev);
    arena_release(&room);
    buf_release(&title);
    buf_release(&text);
}

void teller_usage(struct teller *t, const struct usage *usage)
{
    t->usage = *usage;
    t->has_usage = true;
}

void teller_finish(struct teller *t, enum finish how)
{
    if (t->has_usage)
        put(t, (struct event){ .type = EVENT_USAGE, .usage = t->usage });
    put(t, (struct event){ .type = EVENT_FINISH, .finish = how });
}

/* How much of the words' beginning is `secret`, or what a cut has left of it. */
static size_t secret_at(struct str words, struct str secret)
{
    if (secret.n < SECRET_MIN)
        return 0;
    if (str_starts(words, secret))
        return secret.n;
    return words.n >= SECRET_PART_MIN && str_starts(secret, words) ? words.n : 0;
}

static size_t any_secret_at(const struct teller *t, struct str words)
{
    size_t n = 0;

    for (size_t i = 0; i < TELLER_SECRETS && !n; i++)
        n = secret_at(words, t->secrets[i]);
    return n;
}

/* Some services answer a wrong key by repeating it. */
static void add_without_secrets(const struct teller *t, struct str words, struct buf *out)
{
    while (words.n && !out->over) {
        size_t hidden = any_secret_at(t, words), n = hidden ? hidden : utf8_length(words);

        n = n ? n : 1;
        buf_add(out, hidden ? STR("***") : (struct str){ words.p, n });
        words = str_from(words, n);
    }
}

void teller_advise(struct teller *t, struct advice advice)
{
    t->advice = advice;
}

void teller_fail(struct teller *t, enum fault fault, struct str words)
{
    struct buf   plain = BUF(TELLER_WORDS_MAX);
    struct arena room = { NULL };

    if (t->ended)
        return;
    if (t->judge)
        t->judge(t, fault);
    add_without_secrets(t, utf8_without_nul(words, &room), &plain);
    put(t, (struct event){
               .type = EVENT_ERROR, .fault = fault, .text = buf_str(&plain), .advice = t->advice });
    arena_release(&room);
    buf_release(&plain);
}
