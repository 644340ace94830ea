/* turn_shorten.c - a conversation that has grown too long for its model: the step shorten.
 *
 *      equip --> shorten --> choose --> place --> answer ...
 *                 ^   the summary is asked for,  |
 *                 +---- as an answer would be ---+
 *
 * Before a question goes out, and again before each round of tools, its tokens are estimated.
 * When there are too many, the model itself is asked for a summary of what is left out
 * (chat/context.h): a call of this turn like any other, which nobody hears but this file. What is
 * kept of the conversation stays as it is; and what a client brought himself goes as he wrote it,
 * unless the model's settings want that shortened, too.
 *
 * Without a summary that nobody could give it goes on all the same: an answer that knows less
 * is worth more than none.
 */
#include "base/json.h"
#include "base/utf8.h"
#include "chat/context.h"
#include "turn/turn_state.h"

enum {
    SUMMARY_TOKENS = 1500,
    SUMMARY_PART = 4,                         /* of a small model's room it takes no more */
    SUMMARY_BYTES = 64 << 10,
    READ_CHARACTERS = 100000,
    OTHERS_TOKENS = 24,                       /* the marks around it            */
    NO_LIMIT_OF_OURS = 1 << 30,
};

static const char task[] =
    "Summarize the conversation below for a colleague who goes on with it and cannot read it. "
    "Keep what the user wants, what was decided, facts, names and numbers, what tools came to, and "
    "what is still open. Be brief. Write in the language of the conversation, the summary alone.";

struct shortening {
    struct context_cut cut;                   /* that the summary is for        */
    struct str         summary;               /* of the first `covered` messages */
    size_t             covered;
    struct question    asks;                  /* lives in the turn's arena      */
    uint64_t           asks_tokens;
    struct buf         text;                  /* of the summary, so far         */
};

bool turn_sums_up(const struct turn *t)
{
    return t->asks != t->question;
}

/* ---- how much there is room for ---------------------------------------------------------------- */

static bool is_looked_at(const struct turn *t)
{
    return t->model->context_tokens && t->question->asked == ASKED_CHAT &&
           (t->model->compacts || turn_is_composed(t));
}

/* An answer gets no more than half, or a small model would have nothing to answer. */
static uint64_t room_of(const struct turn *t)
{
    uint64_t all = t->model->context_tokens, asked = t->question->max_tokens;
    uint64_t answer = asked ? asked : t->catalog->settings->turns.answer_tokens;

    return all - (answer < all / 2 ? answer : all / 2);
}

static uint64_t summary_tokens(const struct turn *t)
{
    uint64_t part = room_of(t) / SUMMARY_PART;

    return part < SUMMARY_TOKENS ? part : SUMMARY_TOKENS;
}

static struct context context_of(const struct turn *t)
{
    const struct shortening *s = t->shortening;
    const struct question   *q = t->question;

    return (struct context){ .messages = q->messages,
                             .n = q->n_messages,
                             .options = q->options,
                             .room = room_of(t),
                             .summary = s ? s->summary : STR(""),
                             .covered = s ? s->covered : 0 };
}

/* ---- the summary ----------------------------------------------------------------------------- */

static struct str to_read(const struct turn *t, const struct context *c,
                          const struct context_cut *cut, struct arena *a)
{
    uint64_t   taken = summary_tokens(t) + context_tokens(str_of(task)) + OTHERS_TOKENS;
    uint64_t   all = t->model->context_tokens;
    struct buf text = BUF(NO_LIMIT_OF_OURS);
    struct str end;

    context_write_left_out(c, cut, &text);
    end = context_tail(buf_str(&text), all > taken ? all - taken : 0, READ_CHARACTERS);
    end = arena_str(a, end);
    buf_release(&text);
    return end;
}

static void ask_for_summary(struct turn *t, const struct context *c)
{
    struct shortening *s = t->shortening;
    struct arena      *a = &t->question->arena;
    struct message    *m = arena_new(a, 2 * sizeof *m);
    struct buf         options = BUF(NO_LIMIT_OF_OURS);

    m[0] = (struct message){ .role = ROLE_SYSTEM, .text = str_of(task) };
    m[1] = (struct message){ .role = ROLE_USER, .text = to_read(t, c, &s->cut, a) };
    buf_addf(&options, ",\"max_tokens\":%llu,\"temperature\":0.3",
             (unsigned long long)summary_tokens(t));
    s->asks = (struct question){ .model = t->question->model,
                                 .messages = m,
                                 .n_messages = 2,
                                 .max_tokens = summary_tokens(t),
                                 .options = arena_str(a, buf_str(&options)) };
    buf_release(&options);
    s->asks_tokens = context_message_tokens(&m[0]) + context_message_tokens(&m[1]);
    s->text = BUF(SUMMARY_BYTES);
    t->asks = &s->asks;
}

void turn_hear_summary(struct turn *t, const struct event *ev)
{
    struct shortening *s = t->shortening;

    if (ev->type == EVENT_START)
        plan_answered(&t->plan);
    if (ev->type == EVENT_DELTA && !s->text.over)
        buf_add(&s->text, ev->text);
    if (ev->type == EVENT_USAGE)
        tally_add_usage(&t->tally, &ev->usage);
    if (ev->type != EVENT_FINISH)
        return;
    if (ev->finish == FINISH_CONTENT_FILTER)
        buf_clear(&s->text);
    turn_resume(t, FAULT_NONE);
}

/* It is paid for like the answer: as it was counted, or as we estimate it. */
static void bill_summary(struct turn *t)
{
    struct shortening *s = t->shortening;
    struct usage       ours = { 0 };

    if (s->text.n)
        ours = (struct usage){ s->asks_tokens, context_tokens(buf_str(&s->text)) };
    bill_unheard_over(&t->bill, &t->tally, ours);
    tally_next_call(&t->tally);
}

void turn_drop_summary(struct turn *t)
{
    if (!t->shortening)
        return;
    if (turn_sums_up(t))
        bill_summary(t);
    buf_release(&t->shortening->text);
}

/* What came of it; nothing, where it failed. */
static void take_summary(struct turn *t)
{
    struct shortening *s = t->shortening;
    struct str         text = str_trim(buf_str(&s->text));

    bill_summary(t);
    if (t->fault == FAULT_NONE && text.n) {
        s->summary = arena_str(&t->question->arena, text);
        s->covered = s->cut.from;
    }
    buf_release(&s->text);
    t->asks = t->question;
}

/* ---- shorten ----------------------------------------------------------------------------------- */

static enum fault shorten_to(struct turn *t, const struct context *c, const struct context_cut *cut)
{
    struct question *q = t->question;

    turn_log_shortened(t, context_size(c), cut);
    q->n_messages = context_apply(c, cut, &q->arena, &q->messages);
    turn_begin_plan(t);
    return FAULT_NONE;
}

static enum fault refuse(struct turn *t, const struct context *c)
{
    struct buf words = BUF(64);

    buf_addf(&words, "token limit exceeded: %llu tokens", (unsigned long long)context_size(c));
    t->words = arena_str(&t->question->arena, buf_str(&words));
    buf_release(&words);
    return FAULT_CONTEXT_TOO_LONG;
}

/* With the summary that is there, or without any. */
static enum fault shorten_now(struct turn *t, const struct context *c)
{
    struct context_cut cut = context_cut_as_covered(c);

    if (cut.tokens > c->room && !context_find_cut(c, context_summary_tokens(c), &cut))
        return refuse(t, c);
    cut.has_summary = cut.has_summary && c->summary.n;
    return shorten_to(t, c, &cut);
}

static enum fault find_cut(struct turn *t, const struct context *c)
{
    struct context_cut *cut = &t->shortening->cut;
    uint64_t            had = context_summary_tokens(c);
    uint64_t            planned = summary_tokens(t) + OTHERS_TOKENS;

    if (context_cut_as_covered(c).tokens <= c->room)
        return shorten_now(t, c);
    if (!context_find_cut(c, had > planned ? had : planned, cut))
        return refuse(t, c);
    if (cut->has_summary) {
        ask_for_summary(t, c);
        turn_begin_plan(t);
        return FAULT_NONE;
    }
    return shorten_to(t, c, cut);
}

static enum fault look(struct turn *t)
{
    struct context c;

    if (!is_looked_at(t))
        return FAULT_NONE;
    c = context_of(t);
    if (context_size(&c) <= c.room)
        return FAULT_NONE;
    if (!t->shortening)
        t->shortening = arena_new(&t->question->arena, sizeof *t->shortening);
    if (!turn_sums_up(t))
        return find_cut(t, &c);
    take_summary(t);
    c = context_of(t);
    return shorten_now(t, &c);
}

static void ask_shorten(struct turn *t)
{
    turn_resume(t, look(t));
}

static enum step got_shorten(struct turn *t, enum fault came)
{
    t->fault = came;
    return came ? STEP_GONE : STEP_CHOOSE;
}

const struct turn_step step_shorten = { "shorten", ask_shorten, got_shorten, NULL };
