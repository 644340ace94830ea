/* turn_keep.c - what is kept of a turn before it answers: the steps recall, claim and remember.
 *
 * recall: a question with a key of the client's may have been asked before; then this turn
 *         asks nobody, and its reader hears the other one (reading.h).
 * claim:  the question and an empty answer are committed, before anybody is asked. Two who
 *         come with one key at the same time meet here at the latest.
 * remember: what was said in the chat before makes the question anew.
 *
 * What a claim came to must be known: an interrupt waits for it, as for a save (turn_save.c).
 */
#include "base/clock.h"
#include "turn/memory.h"
#include "turn/reading.h"

enum { CROWD_S = 5 };

/* ---- begin and end ------------------------------------------------------------------------ */

static struct str copy(struct turn *t, struct str s)
{
    return arena_str(&t->question->arena, s);
}

static void copy_keeping(struct turn *t, struct turn_keeping *k)
{
    struct str *const texts[] = { &k->whose.dialect, &k->whose.owner, &k->key,  &k->question_hash,
                                  &k->chat.uid,      &k->content,     &k->name, &k->more,
                                  &k->title,         &k->apology };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = copy(t, *texts[i]);
}

void turn_keep(struct turn *t, const struct turn_keeping *keeping)
{
    struct memory *m = t->memory = arena_new(&t->question->arena, sizeof *m);

    m->turn = t;
    m->latest = UINT64_MAX;
    m->keeping = *keeping;
    copy_keeping(t, &m->keeping);
    m->kept = (struct kept){ .whose = m->keeping.whose,
                             .id = t->id,
                             .key = m->keeping.key,
                             .question_hash = m->keeping.question_hash,
                             .chat = m->keeping.chat.id,
                             .tale = t->tale,
                             .turn = t };
    keeper_enter(&m->kept);
}

static void refuse(struct sink *k, enum fault fault)
{
    k->ops->event(k, &(struct event){ .type = EVENT_ERROR, .fault = fault });
    k->ops->flush(k);
    k->ops->close(k);
}

bool turn_joins(const struct turn_keeping *keeping, struct sink *sink)
{
    struct kept *k = keeping->key.n ? keeper_find_key(&keeping->whose, keeping->key) : NULL;

    if (!k)
        return false;
    if (str_eq(k->question_hash, keeping->question_hash))
        tale_join(k->tale, sink, 0);
    else
        refuse(sink, FAULT_KEY_REUSED);
    return true;
}

bool turn_is_kept(const struct turn *t)
{
    return t->memory && t->memory->is_claimed;
}

const struct whose *turn_whose(const struct turn *t)
{
    return t->memory ? &t->memory->keeping.whose : NULL;
}

bool turn_takes_operations(const struct turn *t)
{
    return t->memory && t->memory->keeping.takes_operations;
}

bool turn_is_composed(const struct turn *t)
{
    return t->memory && t->memory->keeping.remembers > 0;
}

void turn_keep_up(struct turn *t)
{
    if (t->memory)
        keeper_look(&t->memory->kept);
}

void turn_hurry(struct turn *t, uint64_t until)
{
    if (t->memory)
        t->memory->latest = until;
}

void turn_forget(struct turn *t)
{
    struct memory *m = t->memory;

    if (!m)
        return;
    keeper_leave(&m->kept);
    verb_drop(&m->call.verb);
    verb_drop(&m->messages.verb);
    deadline_disarm(&m->again);
}

/* ---- another turn tells it ----------------------------------------------------------------- */

/* Nothing was told so far, so that whoever listens hears all of it. */
static enum step hand_over(struct turn *t)
{
    struct memory *m = t->memory;

    bill_hand_back(&t->bill, t->step != STEP_RECALL);
    if (t->interrupt) {
        t->fault = t->interrupt;
        return STEP_GONE;
    }
    reading_take_over(t->tale, &m->keeping.whose, m->call.turn.id);
    t->tale = NULL;
    return STEP_GONE;
}

static enum fault fault_of(enum store_end end)
{
    switch (end) {
    case STORE_OK: return FAULT_NONE;
    case STORE_NOT_FOUND: return FAULT_NO_CHAT;
    case STORE_CONFLICT: return FAULT_KEY_REUSED;
    case STORE_REFUSED: return FAULT_NOT_ACCEPTED;
    case STORE_CROWDED: return FAULT_TOO_MANY_AT_ONCE;
    case STORE_BUSY:
    case STORE_AWAY:
    case STORE_UNKNOWN: break;
    }
    return FAULT_NO_DATABASE;
}

/* ---- recall --------------------------------------------------------------------------------- */

static void on_recalled(struct verb *v)
{
    struct memory *m = LIST_OWNER(v, struct memory, call.verb);

    m->is_told_elsewhere = v->end == STORE_OK;
    turn_resume(m->turn, v->end == STORE_NOT_FOUND ? FAULT_NONE : fault_of(v->end));
}

static void ask_recall(struct turn *t)
{
    struct memory *m = t->memory;

    if (!m || !m->keeping.key.n) {
        turn_resume(t, FAULT_NONE);
        return;
    }
    m->call.verb.done = on_recalled;
    turn_find_key(keeper_store(), &m->call, &m->keeping.whose, m->keeping.key,
                  m->keeping.question_hash);
}

static enum step got_recall(struct turn *t, enum fault came)
{
    t->fault = came;
    if (came)
        return STEP_GONE;
    return t->memory && t->memory->is_told_elsewhere ? hand_over(t) : STEP_AFFORD;
}

static void drop_recall(struct turn *t)
{
    if (t->memory)
        verb_drop(&t->memory->call.verb);
}

/* ---- claim ---------------------------------------------------------------------------------- */

static enum kept_role role_of(const struct turn_keeping *k)
{
    if (k->is_of_tool)
        return KEPT_TOOL;
    return k->is_assistants ? KEPT_ASSISTANT : KEPT_USER;
}

static void send_claim(struct memory *m)
{
    const struct turn_keeping *k = &m->keeping;
    struct turn               *t = m->turn;

    turn_claim(keeper_store(), &m->call, &k->whose,
               &(struct turn_taking){ .id = t->id,
                                      .key = k->key,
                                      .model = t->model->name,
                                      .question_hash = k->question_hash,
                                      .holder = keeper_holder(),
                                      .lease = t->catalog->settings->turns.lease,
                                      .keeps_chat = k->keeps_chat,
                                      .chat = k->chat,
                                      .role = role_of(k),
                                      .content = k->content,
                                      .name = k->name,
                                      .more = k->more,
                                      .title = k->title,
                                      .crowd = k->crowd });
}

static void claim_again(struct deadline *d)
{
    send_claim(LIST_OWNER(d, struct memory, again));
}

bool memory_may_yet_be_done(const struct memory *m, enum store_end end)
{
    return (end == STORE_BUSY || end == STORE_AWAY || end == STORE_UNKNOWN) &&
           clock_now() < m->give_up && clock_now() < m->latest;
}

/* Whether it was done is only known when it is asked again, for as long as the database is away:
 * else the turn would stand there as running, and nobody would answer it. */
static void on_claimed(struct verb *v)
{
    struct memory *m = LIST_OWNER(v, struct memory, call.verb);

    m->is_unsure = m->is_unsure || v->end == STORE_UNKNOWN;
    if (m->is_unsure && memory_may_yet_be_done(m, v->end)) {
        m->again.run = claim_again;
        deadline_arm(&m->again, clock_now() + RETRY_MS * CLOCK_MS);
        return;
    }
    if (v->end == STORE_CROWDED)
        m->turn->advice.after = CROWD_S * CLOCK_S;
    turn_resume(m->turn, fault_of(v->end));
}

static void ask_claim(struct turn *t)
{
    struct memory *m = t->memory;

    if (!m) {
        turn_resume(t, FAULT_NONE);
        return;
    }
    m->give_up = clock_now() + t->catalog->settings->turns.save_wait;
    m->call.verb.done = on_claimed;
    send_claim(m);
}

static void begin_tale(struct turn *t)
{
    struct turn_facts       plain = { .id = t->id, .at = (int64_t)clock_wall_ms() * 1000 };
    struct turn_facts      *facts = t->memory ? &t->memory->facts : &plain;
    const struct kept_turn *k = t->memory ? &t->memory->call.turn : NULL;

    if (k)
        *facts = (struct turn_facts){ t->id,          k->chat,      k->question,  k->answer,
                                      k->question_at, k->answer_at, k->created_at };
    tale_begin(t->tale, facts, 0);
    turn_trace(t, "begin");
}

static enum step got_claim(struct turn *t, enum fault came)
{
    struct memory *m = t->memory;

    t->fault = came;
    if (came == FAULT_TOO_MANY_AT_ONCE)
        bill_hand_back(&t->bill, true);       /* nobody was asked               */
    if (came)
        return STEP_GONE;
    if (m && m->call.claim != CLAIM_FRESH)
        return hand_over(t);
    begin_tale(t);
    if (m) {
        m->is_claimed = true;
        m->kept.chat = m->call.turn.chat;
        keeper_hold(&m->kept);
    }
    return STEP_REMEMBER;
}

/* ---- remember ------------------------------------------------------------------------------- */

static void on_remembered(struct verb *v)
{
    struct memory *m = LIST_OWNER(v, struct memory, messages.verb);

    turn_resume(m->turn, fault_of(v->end));
}

static void ask_remember(struct turn *t)
{
    struct memory *m = t->memory;

    if (!m || m->keeping.remembers == 0) {
        turn_resume(t, FAULT_NONE);
        return;
    }
    m->messages.verb.done = on_remembered;
    message_last(keeper_store(), &m->messages, &m->keeping.whose, m->keeping.chat,
                 m->keeping.takes_operations ? ROLES_SPOKEN | ROLE_BIT(KEPT_TOOL) : ROLES_SPOKEN,
                 m->call.turn.answer_seq, (int64_t)m->keeping.remembers);
}

static enum step got_remember(struct turn *t, enum fault came)
{
    struct memory *m = t->memory;

    t->fault = came;
    if (came)
        return STEP_GONE;
    if (m && m->keeping.remembers)
        m->keeping.compose(t->question, m->keeping.ctx, m->messages.messages, m->messages.n);
    return STEP_EQUIP;
}

static void drop_remember(struct turn *t)
{
    if (t->memory)
        verb_drop(&t->memory->messages.verb);
}

const struct turn_step step_recall = { "recall", ask_recall, got_recall, drop_recall };
const struct turn_step step_claim = { "claim", ask_claim, got_claim, NULL };
const struct turn_step step_remember = { "remember", ask_remember, got_remember, drop_remember };
