#include "flow/world.h"

#include "chat/event_bytes.h"
#include "flow/fake_store.h"
#include "store/budget.h"

#include <string.h>

enum { PENDING_MAX = 16 };

struct fake_verbs fake;

static struct pending {
    struct verb   *verb;
    enum store_end end;
} pending[PENDING_MAX];
static size_t      n_pending;
static struct note note;

void fake_answer(void)
{
    while (n_pending) {
        struct pending p = pending[0];

        memmove(pending, pending + 1, --n_pending * sizeof *pending);
        p.verb->end = p.end;
        p.verb->work = NULL;
        p.verb->done(p.verb);
    }
}

static void answer_now(struct note *n)
{
    (void)n;
    fake_answer();
}

void fake_begin(void)
{
    note_tear(&note);
    n_pending = 0;
    fake = (struct fake_verbs){ .turn.id = STR("another") };
    note.run = answer_now;
}

bool fake_is_asked(void)
{
    return n_pending > 0;
}

/* Nobody may ask with a verb that is under way. */
static void ask_fake(struct verb *v, enum store_end end)
{
    static char work;

    assert_non_null(v->done);
    assert_null(v->work);
    assert_true(n_pending < PENDING_MAX);
    v->work = (struct pg_work *)&work;
    pending[n_pending++] = (struct pending){ v, end };
    if (!fake.is_slow)
        note_leave(&note);
}

void fake_drop(struct verb *v)
{
    size_t kept = 0;

    for (size_t i = 0; i < n_pending; i++)
        if (pending[i].verb != v)
            pending[kept++] = pending[i];
    n_pending = kept;
    v->work = NULL;
}

/* ---- turns ----------------------------------------------------------------------------- */

void turn_find_key(struct store *s, struct turn_call *c, const struct whose *w, struct str key,
                   struct str question_hash)
{
    (void)s, (void)w, (void)key, (void)question_hash;
    fake.recalls++;
    c->turn = fake.turn;
    ask_fake(&c->verb, fake.recall);
}

void turn_claim(struct store *s, struct turn_call *c, const struct whose *w,
                const struct turn_taking *t)
{
    (void)s, (void)w;
    fake.claims_asked++;
    c->turn = fake.claims == CLAIM_FRESH ? (struct kept_turn){ .id = t->id,
                                                               .chat = 7,
                                                               .question = 70,
                                                               .answer = 71,
                                                               .answer_seq = 1 }
                                         : fake.turn;
    c->claim = fake.claims;
    ask_fake(&c->verb, fake.claim);
}

void turn_end(struct store *s, struct turn_call *c, const struct turn_ending *e)
{
    (void)s;
    fake.saves++;
    snprintf(fake.saved, sizeof fake.saved, "%.*s", STR_ARG(e->content));
    snprintf(fake.state, sizeof fake.state, "%s", end_name(e->end));
    snprintf(fake.fault, sizeof fake.fault, "%s", fault_name(e->fault));
    if (fake.saves_that_fail > 0 && fake.saves_that_fail--)
        ask_fake(&c->verb, fake.save);
    else
        ask_fake(&c->verb, fake.saves_that_fail ? fake.save : STORE_OK);
}

void turn_read(struct store *s, struct turn_call *c, const struct whose *w, struct str id,
               int64_t from_seq, int64_t limit)
{
    (void)s, (void)w, (void)id, (void)limit, (void)from_seq;
    fake.reads++;
    c->turn = fake.turn;
    c->is_more = false;
    c->pieces = &fake.piece;
    c->n_pieces = fake.piece.events.n > 0;
    ask_fake(&c->verb, fake.read);
}

void message_last(struct store *s, struct message_call *c, const struct whose *w,
                  struct chat_name chat, unsigned roles, int64_t before_seq, int64_t limit)
{
    (void)s, (void)w, (void)chat, (void)roles, (void)before_seq, (void)limit;
    fake.remembers++;
    c->n = 0;
    ask_fake(&c->verb, fake.remember);
}

void message_append(struct store *s, struct message_call *c, const struct whose *w,
                    struct chat_name chat, const struct new_message *m)
{
    (void)s, (void)w;
    assert_int_equal(m->role, KEPT_VIEW);
    assert_int_equal(chat.id, 7);
    fake.views++;
    snprintf(fake.view, sizeof fake.view, "%.*s %.*s", STR_ARG(m->once), STR_ARG(m->content));
    ask_fake(&c->verb, fake.append);
}

/* ---- what the keeper does ----------------------------------------------------------------- */

void turns_extend(struct store *s, struct running_call *c, struct str holder,
                  const struct turn_name *turns, size_t n, uint64_t lease)
{
    static struct turn_lease leases[PENDING_MAX];
    static char              ids[PENDING_MAX][40];

    (void)s, (void)holder, (void)lease;
    assert_true(n <= PENDING_MAX);
    fake.extends++;
    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "%.*s", STR_ARG(turns[i].id));
        leases[i] = (struct turn_lease){ { turns[i].tenant, str_of(ids[i]) }, fake.stop_asked };
    }
    c->leases = leases;
    c->n = fake.is_lost ? 0 : n;
    ask_fake(&c->verb, fake.extend);
}

static void hear_piece(struct str piece)
{
    struct event_bytes b = event_bytes_of(piece);
    struct event       ev;
    size_t             n = strlen(fake.journal);

    assert_false(b.is_bad);
    while (event_bytes_next(&b, &ev))
        if (ev.type == EVENT_DELTA)
            n += (size_t)snprintf(fake.journal + n, sizeof fake.journal - n, "%.*s",
                                  STR_ARG(ev.text));
    assert_false(b.is_bad);
}

void journal_add(struct store *s, struct running_call *c, struct str holder,
                 const struct turn_piece *pieces, size_t n)
{
    (void)s, (void)holder;
    fake.adds++;
    fake.pieces = (int)n;
    for (size_t i = 0; i < n && fake.add == STORE_OK; i++)
        hear_piece(pieces[i].piece.events);
    ask_fake(&c->verb, fake.add);
}

void journals_clear(struct store *s, struct running_call *c, uint64_t age, uint64_t key_age,
                    int64_t limit)
{
    (void)s, (void)age, (void)key_age, (void)limit;
    c->n = 0;
    ask_fake(&c->verb, STORE_OK);
}

void sweep_start(struct store *s, struct sweep *sweep, struct str holder, uint64_t lease,
                 const struct turn_name *spared, size_t n)
{
    (void)s, (void)sweep, (void)holder, (void)lease, (void)spared, (void)n;
}

void sweep_drop(struct sweep *sweep)
{
    (void)sweep;
}

void store_listen(struct store *s, const struct store_news *news)
{
    (void)s, (void)news;
}

bool store_hears(const struct store *s)
{
    (void)s;
    return false;
}
