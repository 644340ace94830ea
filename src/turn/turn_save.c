/* turn_save.c - what is kept of a turn when it has answered: the step save.
 *
 * The whole answer is committed, before its last word is said, and then what people are shown of
 * it, if that is something of its own. What came of it must be known: an interrupt waits.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "chat/event_bytes.h"
#include "chat/gathering.h"
#include "turn/memory.h"

enum { TEXT_LIMIT = 1 << 30 };

static void gather(const struct memory *m, struct gathering *g)
{
    struct event_bytes b = event_bytes_of(buf_str(&m->turn->tale->words));
    struct event       ev;

    gathering_begin(g);
    while (!m->is_refused && event_bytes_next(&b, &ev))
        gathering_add(g, &ev);
}

/* What the journal has not got yet, and the last word, which nobody has heard so far. */
static void write_last_piece(const struct turn *t, const struct kept *k, struct buf *out)
{
    struct event last = { .type = t->fault ? EVENT_ERROR : EVENT_FINISH,
                          .fault = t->fault,
                          .finish = t->finish };

    if (k->kept > 0)
        event_bytes_begin(out);
    buf_add(out, str_from(buf_str(&t->tale->words), k->kept));
    event_bytes_add(out, &last);
}

static int64_t tokens_used(const struct turn *t, const struct gathering *g)
{
    if (t->fault)
        return -1;
    return t->memory->keeping.counts_characters ? (int64_t)utf8_count(buf_str(&g->text))
                                                : (int64_t)t->tally.usage.completion;
}

static void send_save(struct memory *m)
{
    struct turn     *t = m->turn;
    struct buf       piece = BUF(TEXT_LIMIT), calls = BUF(TEXT_LIMIT);
    struct gathering g;

    gather(m, &g);
    write_last_piece(t, &m->kept, &piece);
    gathering_write_calls(&g, &calls);
    turn_end(keeper_store(), &m->call,
             &(struct turn_ending){ .tenant = m->keeping.whose.tenant,
                                    .id = t->id,
                                    .holder = keeper_holder(),
                                    .end = fault_end(t->fault),
                                    .fault = t->fault,
                                    .finish = t->fault ? STR("") : finish_name(t->finish),
                                    .usage = t->tally.usage,
                                    .content = buf_str(&g.text),
                                    .reasoning = buf_str(&g.reasoning),
                                    .tool_calls = buf_str(&calls),
                                    .more = m->keeping.answer_more,
                                    .tokens_used = tokens_used(t, &g),
                                    .provider_session = m->keeping.goes_on ? g.session : STR(""),
                                    .seq = m->kept.kept_to,
                                    .events = buf_str(&piece) });
    buf_release(&calls);
    buf_release(&piece);
    gathering_release(&g);
}

static void save_again(struct deadline *d)
{
    send_save(LIST_OWNER(d, struct memory, again));
}

/* Without it the answer is kept all the same: readers make one of that. */
static void on_view(struct verb *v)
{
    struct memory *m = LIST_OWNER(v, struct memory, messages.verb);

    turn_resume(m->turn, FAULT_NONE);
}

static void send_view(struct memory *m)
{
    struct turn     *t = m->turn;
    struct buf       view = BUF(TEXT_LIMIT), once = BUF(256);
    struct gathering g;

    gather(m, &g);
    m->keeping.write_view(buf_str(&g.text), t->fault, &view);
    buf_add(&once, t->id);
    buf_lit(&once, "view");
    m->messages.verb.done = on_view;
    message_append(keeper_store(), &m->messages, &m->keeping.whose,
                   (struct chat_name){ .id = m->kept.chat },
                   &(struct new_message){ .role = KEPT_VIEW,
                                          .content = buf_str(&view),
                                          .turn = t->id,
                                          .once = buf_str(&once),
                                          .tokens_used = -1 });
    buf_release(&once);
    buf_release(&view);
    gathering_release(&g);
}

/* What was refused would be refused again, and the turn would never end. */
static void on_saved(struct verb *v)
{
    struct memory *m = LIST_OWNER(v, struct memory, call.verb);

    if (v->end == STORE_REFUSED && !m->is_refused) {
        LOG(LOG_ERROR, L_MSG("an answer cannot be kept"), L_STR("turn", m->turn->id),
            L_TEXT("why", v->why));
        m->is_refused = true;
        m->turn->fault = FAULT_NOT_KEPT;
        send_save(m);
    } else if (memory_may_yet_be_done(m, v->end)) {
        m->again.run = save_again;
        deadline_arm(&m->again, clock_now() + RETRY_MS * CLOCK_MS);
    } else if (v->end == STORE_OK && m->keeping.write_view && !m->is_refused) {
        send_view(m);
    } else {
        turn_resume(m->turn, v->end == STORE_OK ? FAULT_NONE : FAULT_NOT_KEPT);
    }
}

static void apologize(struct turn *t)
{
    struct str   words = t->memory->keeping.apology;
    struct event gap = { .type = EVENT_DELTA, .text = STR("\n\n") };
    struct event sorry = { .type = EVENT_DELTA, .text = words };

    if (!words.n || fault_end(t->fault) != END_ERROR)
        return;
    if (t->tally.text_bytes)
        tale_tell(t->tale, &gap);
    tale_tell(t->tale, &sorry);
}

static void ask_save(struct turn *t)
{
    struct memory *m = t->memory;

    apologize(t);
    m->kept.is_ending = true;
    m->give_up = clock_now() + t->catalog->settings->turns.save_wait;
    m->call.verb.done = on_saved;
    send_save(m);
}

static enum step got_save(struct turn *t, enum fault came)
{
    if (came)
        t->fault = came;
    return STEP_GONE;
}

const struct turn_step step_save = { "save", ask_save, got_save, NULL };
