#include "provider/teller.h"

#include "base/buf.h"

static void put(struct teller *t, struct event ev)
{
    struct event start = { .type = EVENT_START, .text = t->session };

    if (t->ended)
        return;
    if (!t->started && ev.type != EVENT_ERROR) {
        t->started = true;
        t->out.put(t->out.ctx, &start);
    }
    t->ended = ev.type == EVENT_FINISH || ev.type == EVENT_ERROR;
    t->out.put(t->out.ctx, &ev);
}

void teller_session(struct teller *t, struct str id)
{
    t->session = id;
}

void teller_text(struct teller *t, struct str text)
{
    if (text.n)
        put(t, (struct event){ .type = EVENT_DELTA, .text = text });
}

void teller_reasoning(struct teller *t, struct str text)
{
    if (text.n)
        put(t, (struct event){ .type = EVENT_REASONING, .text = text });
}

void teller_tool(struct teller *t, const struct tool_piece *piece, struct str arguments)
{
    put(t, (struct event){ .type = EVENT_TOOL_CALL, .tool = *piece, .text = arguments });
}

void teller_citation(struct teller *t, const struct citation *citation)
{
    put(t, (struct event){ .type = EVENT_CITATION, .citation = *citation });
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

/* Some services answer a wrong key by repeating it. */
static void add_without(struct buf *out, struct str words, struct str secret)
{
    while (words.n) {
        bool here = secret.n && str_starts(words, secret);

        if (here)
            buf_lit(out, "***");
        else
            buf_add_char(out, words.p[0]);
        words = str_from(words, here ? secret.n : 1);
    }
}

void teller_advise(struct teller *t, struct advice advice)
{
    t->advice = advice;
}

void teller_fail(struct teller *t, enum fault fault, struct str words)
{
    struct buf plain = BUF(TELLER_WORDS_MAX);

    if (t->ended)
        return;
    add_without(&plain, words, t->secret);
    put(t, (struct event){
               .type = EVENT_ERROR, .fault = fault, .text = buf_str(&plain), .advice = t->advice });
    buf_release(&plain);
}
