#include "flow/world.h"

#include "chat/event_bytes.h"
#include "flow/fake_store.h"
#include "store/budget.h"
#include "store/operations.h"

#include <string.h>

enum { PENDING_MAX = 16, HELD_MAX = 2000, PIECES_MAX_KEPT = 100, LETTERS_MAX = 400 };

struct fake_verbs fake;

static struct pending {
    struct verb   *verb;
    enum store_end end;
    bool           is_slow;
} pending[PENDING_MAX];
static size_t       n_pending;
static struct verb *used[PENDING_MAX]; /* and not dropped yet            */
static size_t       n_used;
static struct note  note;

/* The journal of the first turn that was claimed. */
static struct piece {
    int64_t seq;
    bool    is_last;
    char    letters[LETTERS_MAX];
} pieces[PIECES_MAX_KEPT];
static size_t n_pieces;
static char   first[40];

static void answer(size_t nth)
{
    struct pending p = pending[nth];

    assert_true(n_pending > nth);
    memmove(pending + nth, pending + nth + 1, (--n_pending - nth) * sizeof *pending);
    p.verb->end = p.end;
    p.verb->work = NULL;
    p.verb->done(p.verb);
}

void fake_answer_next(void)
{
    answer(0);
}

void fake_answer(void)
{
    while (n_pending)
        answer(0);
}

static bool answer_a_quick_one(void)
{
    for (size_t i = 0; i < n_pending; i++)
        if (!pending[i].is_slow) {
            answer(i);
            return true;
        }
    return false;
}

static void answer_now(struct note *n)
{
    (void)n;
    while (answer_a_quick_one())
        ;
}

void fake_begin(void)
{
    note_tear(&note);
    n_pending = n_pieces = n_used = 0;
    first[0] = '\0';
    fake = (struct fake_verbs){ .turn.id = STR("another") };
    note.run = answer_now;
}

bool fake_is_asked(void)
{
    return n_pending > 0;
}

static void remember_use(struct verb *v)
{
    for (size_t i = 0; i < n_used; i++)
        if (used[i] == v)
            return;
    assert_true(n_used < PENDING_MAX);
    used[n_used++] = v;
}

/* Nobody may ask with a verb that is under way. */
static void ask_fake(struct verb *v, char kind, enum store_end end)
{
    static char work;
    bool        is_slow = fake.is_slow || (fake.slow && strchr(fake.slow, kind));

    assert_non_null(v->done);
    assert_null(v->work);
    assert_true(n_pending < PENDING_MAX);
    v->work = (struct pg_work *)&work;
    remember_use(v);
    pending[n_pending++] = (struct pending){ v, end, is_slow };
    if (!is_slow)
        note_leave(&note);
}

void fake_drop(struct verb *v)
{
    size_t kept = 0;

    for (size_t i = 0; i < n_pending; i++)
        if (pending[i].verb != v)
            pending[kept++] = pending[i];
    n_pending = kept;
    for (size_t i = 0; i < n_used; i++)
        if (used[i] == v)
            used[i--] = used[--n_used];
    v->work = NULL;
}

/* ---- the journal ----------------------------------------------------------------------- */

static struct piece read_piece(const struct journal_piece *from)
{
    struct event_bytes b = event_bytes_of(from->events);
    struct piece       p = { .seq = from->seq };
    struct event       ev;
    size_t             n = 0;

    for (; event_bytes_next(&b, &ev); n++) {
        assert_true(n + 1 < LETTERS_MAX);
        p.letters[n] = event_name(ev.type)[0];
    }
    assert_false(b.is_bad);
    assert_int_not_equal(n, 0);
    return p;
}

/* As a reader finds it: no event is missing, and none has two numbers. */
static void write_journal(void)
{
    int64_t next = 0;

    memset(fake.journal, 0, sizeof fake.journal);
    for (size_t i = 0; i < n_pieces; i++) {
        const struct piece *p = &pieces[i];

        assert_true(p->seq <= next);
        for (int64_t at = p->seq; p->letters[at - p->seq]; at++) {
            if (at < next)
                assert_int_equal(fake.journal[at], p->letters[at - p->seq]);
            else
                fake.journal[next++] = p->letters[at - p->seq];
        }
    }
}

/* One that is there stays as it is, but for a last one that is longer. */
static void keep_piece(const struct journal_piece *from, bool is_last)
{
    struct piece p = read_piece(from);
    size_t       i = 0;

    while (i < n_pieces && pieces[i].seq != p.seq)
        i++;
    p.is_last = is_last;
    if (i < n_pieces && !is_last && !pieces[i].is_last)
        assert_string_equal(pieces[i].letters, p.letters);    /* sent again as it was */
    assert_true(i < PIECES_MAX_KEPT);
    if (i == n_pieces)
        pieces[n_pieces++] = p;
    else if (strlen(p.letters) > strlen(pieces[i].letters))
        pieces[i] = p;
    write_journal();
}

void journal_add(struct store *s, struct running_call *c, struct str holder,
                 const struct turn_piece *added, size_t n)
{
    assert_ptr_equal(s, &fake);
    assert_true(str_eq(holder, keeper_holder()));
    assert_true(n > 0 && n <= 500);
    fake.adds++;
    fake.pieces += n;
    for (size_t i = 0; i < n; i++) {
        fake.first_pieces += added[i].piece.seq == 0;
        read_piece(&added[i].piece);
        if (str_eq(added[i].turn.id, str_of(first)) && (fake.add == STORE_OK || fake.adds_unheard))
            keep_piece(&added[i].piece, false);
    }
    ask_fake(&c->verb, 'a', fake.add);
}

/* ---- turns ----------------------------------------------------------------------------- */

static void check_whose(const struct whose *w)
{
    assert_int_equal(w->tenant, keeping.whose.tenant);
    assert_true(str_eq(w->dialect, keeping.whose.dialect));
    assert_true(str_eq(w->owner, keeping.whose.owner));
}

void turn_find_key(struct store *s, struct turn_call *c, const struct whose *w, struct str key,
                   struct str question_hash)
{
    assert_ptr_equal(s, &fake);
    check_whose(w);
    assert_true(key.n && str_eq(key, keeping.key));
    assert_true(str_eq(question_hash, keeping.question_hash));
    fake.recalls++;
    c->turn = fake.turn;
    ask_fake(&c->verb, 'r', fake.recall);
}

static void check_taking(const struct turn_taking *t)
{
    assert_int_equal(t->id.n, 24);
    assert_true(t->holder.n == 20 && str_eq(t->holder, keeper_holder()));
    assert_int_equal(t->lease, catalog->settings->turns.lease);
    assert_true(str_eq(t->model, STR("model")));
    assert_int_equal(t->keeps_chat, keeping.keeps_chat);
    assert_int_equal(t->chat.id, keeping.chat.id);
    assert_true(str_eq(t->chat.uid, keeping.chat.uid));
    assert_int_equal(t->role, keeping.is_of_tool ? KEPT_TOOL : KEPT_USER);
    assert_true(str_eq(t->key, keeping.key));
    assert_true(str_eq(t->question_hash, keeping.question_hash));
    assert_true(str_eq(t->content, keeping.content));
    assert_true(str_eq(t->name, keeping.name));
    assert_true(str_eq(t->more, keeping.more));
    assert_true(str_eq(t->title, keeping.title));
    assert_int_equal(t->crowd.running, keeping.crowd.running);
    assert_int_equal(t->crowd.in_flight, keeping.crowd.in_flight);
    assert_int_equal(t->crowd.recent, keeping.crowd.recent);
}

void turn_claim(struct store *s, struct turn_call *c, const struct whose *w,
                const struct turn_taking *t)
{
    assert_ptr_equal(s, &fake);
    check_whose(w);
    check_taking(t);
    if (!first[0])
        snprintf(first, sizeof first, "%.*s", STR_ARG(t->id));
    fake.claims_asked++;
    c->turn = fake.claims == CLAIM_FRESH ? (struct kept_turn){ .id = t->id,
                                                               .chat = 7,
                                                               .question = 70,
                                                               .answer = 71,
                                                               .answer_seq = 9,
                                                               .created_at = 5,
                                                               .question_at = 6,
                                                               .answer_at = 8 }
                                         : fake.turn;
    c->claim = fake.claims;
    ask_fake(&c->verb, 'c', fake.claim);
}

static void note_ending(const struct turn_ending *e)
{
    snprintf(fake.saved, sizeof fake.saved, "%.*s", STR_ARG(e->content));
    snprintf(fake.reasoned, sizeof fake.reasoned, "%.*s", STR_ARG(e->reasoning));
    snprintf(fake.calls, sizeof fake.calls, "%.*s", STR_ARG(e->tool_calls));
    snprintf(fake.state, sizeof fake.state, "%s", end_name(e->end));
    snprintf(fake.fault, sizeof fake.fault, "%s", fault_name(e->fault));
    snprintf(fake.finish, sizeof fake.finish, "%.*s", STR_ARG(e->finish));
    snprintf(fake.session, sizeof fake.session, "%.*s", STR_ARG(e->provider_session));
    snprintf(fake.more, sizeof fake.more, "%.*s", STR_ARG(e->more));
    fake.usage = e->usage;
    fake.tokens_used = e->tokens_used;
}

void turn_end(struct store *s, struct turn_call *c, const struct turn_ending *e)
{
    bool fails = fake.saves_that_fail > 0;

    assert_ptr_equal(s, &fake);
    assert_int_equal(e->tenant, keeping.whose.tenant);
    assert_int_equal(e->id.n, 24);
    assert_true(str_eq(e->holder, keeper_holder()));
    fake.saves++;
    fake.saves_that_fail -= fails;
    note_ending(e);
    if (!fails && str_eq(e->id, str_of(first)))
        keep_piece(&(struct journal_piece){ e->seq, e->events }, true);
    ask_fake(&c->verb, 's', fails ? fake.save : STORE_OK);
}

void turn_read(struct store *s, struct turn_call *c, const struct whose *w, struct str id,
               int64_t from_seq, int64_t limit)
{
    size_t from = 0;

    assert_ptr_equal(s, &fake);
    check_whose(w);
    assert_true(str_eq(id, fake.turn.id));
    fake.reads++;
    fake.read_from = from_seq;
    while (from + 1 < fake.n_there && fake.there[from + 1].seq <= from_seq)
        from++;
    limit = fake.at_once ? fake.at_once : limit;
    c->turn = fake.turn;
    c->pieces = fake.there + from;
    c->n_pieces = fake.n_there - from;
    c->is_more = c->n_pieces > (size_t)limit;
    if (c->is_more)
        c->n_pieces = (size_t)limit;
    ask_fake(&c->verb, 't', fake.read);
}

void message_last(struct store *s, struct message_call *c, const struct whose *w,
                  struct chat_name chat, unsigned roles, int64_t before_seq, int64_t limit)
{
    static struct kept_message messages[3];

    assert_ptr_equal(s, &fake);
    check_whose(w);
    assert_int_equal(chat.id, keeping.chat.id);
    assert_int_equal(roles,
                     keeping.takes_operations ? ROLES_SPOKEN | ROLE_BIT(KEPT_TOOL) : ROLES_SPOKEN);
    assert_int_equal(before_seq, 9);          /* the question is the last of them */
    assert_int_equal(limit, keeping.remembers);
    fake.remembers++;
    c->messages = messages;
    c->n = sizeof messages / sizeof *messages;
    ask_fake(&c->verb, 'm', fake.remember);
}

const char *kept_role_name(enum kept_role role)
{
    return role == KEPT_USER ? "user" : "assistant";
}

void message_append(struct store *s, struct message_call *c, const struct whose *w,
                    struct chat_name chat, const struct new_message *m)
{
    assert_ptr_equal(s, &fake);
    check_whose(w);
    assert_int_equal(m->role, KEPT_VIEW);
    assert_int_equal(chat.id, 7);
    assert_int_equal(m->tokens_used, -1);
    assert_true(str_eq(m->turn, str_of(first)));
    assert_true(fake.saves > 0);
    fake.views++;
    snprintf(fake.view, sizeof fake.view, "%.*s %.*s", STR_ARG(m->once), STR_ARG(m->content));
    ask_fake(&c->verb, 'v', fake.append);
}

/* ---- operations ---------------------------------------------------------------------------- */

void operation_begin(struct store *s, struct operation_call *c, const struct whose *w,
                     const struct operation_order *o)
{
    assert_ptr_equal(s, &fake);
    check_whose(w);
    assert_int_equal(o->id.n, 36);
    assert_true(str_eq(o->turn, str_of(first)));
    assert_true(str_eq(o->call, STR("c0")) && str_eq(o->tool, STR("a")));
    assert_true(str_eq(o->arguments, STR("{}")));
    assert_int_equal(o->asker->key, 22);
    assert_int_equal(o->asker->account, 333);
    assert_int_equal(o->output_limit, 10000);
    assert_int_equal(o->ttl, 7 * CLOCK_S);
    snprintf(fake.operation, sizeof fake.operation, "%.*s", STR_ARG(o->id));
    fake.operations++;
    c->operation.call = STR("c9");
    c->is_new = !fake.is_in_progress;
    ask_fake(&c->verb, 'o', fake.operate);
}

void operation_forget(struct store *s, struct operation_call *c, const struct whose *w,
                      struct str id)
{
    assert_ptr_equal(s, &fake);
    check_whose(w);
    assert_true(str_eq(id, str_of(fake.operation)));
    fake.forgotten++;
    ask_fake(&c->verb, 'f', fake.forget);
}

/* ---- what the keeper does ----------------------------------------------------------------- */

static bool is_to_stop(const char *id)
{
    return fake.stop_asked && (!fake.stop_id || strcmp(id, fake.stop_id) == 0);
}

void turns_extend(struct store *s, struct running_call *c, struct str holder,
                  const struct turn_name *turns, size_t n, uint64_t lease)
{
    static struct turn_lease leases[HELD_MAX];
    static char              ids[HELD_MAX][40];

    assert_ptr_equal(s, &fake);
    assert_true(str_eq(holder, keeper_holder()));
    assert_int_equal(lease, catalog->settings->turns.lease);
    assert_true(n > 0 && n <= HELD_MAX);
    fake.extends++;
    fake.extended = n;
    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "%.*s", STR_ARG(turns[i].id));
        leases[i] = (struct turn_lease){ { turns[i].tenant, str_of(ids[i]) }, is_to_stop(ids[i]) };
    }
    c->leases = leases;
    c->n = fake.is_lost ? 0 : n;
    ask_fake(&c->verb, 'e', fake.extend);
}

void journals_clear(struct store *s, struct running_call *c, uint64_t age, uint64_t key_age,
                    int64_t limit)
{
    assert_ptr_equal(s, &fake);
    assert_int_equal(limit, 1000);
    fake.clears++;
    fake.cleared_age = age;
    fake.cleared_key_age = key_age;
    c->n = fake.n_cleared;
    ask_fake(&c->verb, 'j', STORE_OK);
}

void sweep_start(struct store *s, struct sweep *sweep, struct str holder, uint64_t lease,
                 const struct turn_name *spared, size_t n)
{
    assert_ptr_equal(s, &fake);
    assert_true(str_eq(holder, keeper_holder()));
    assert_int_equal(lease, catalog->settings->turns.lease);
    assert_null(fake.sweep);
    assert_non_null(sweep->done);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(spared[i].tenant, 1);
    fake.sweeps++;
    fake.spared = n;
    fake.sweep = sweep;
}

void fake_swept(enum store_end end, size_t closed)
{
    struct sweep *sweep = fake.sweep;

    assert_non_null(sweep);
    fake.sweep = NULL;
    sweep->end = end;
    sweep->closed = closed;
    sweep->done(sweep);
}

void sweep_drop(struct sweep *sweep)
{
    assert_true(!fake.sweep || fake.sweep == sweep);
    fake.sweep = NULL;
}

void store_listen(struct store *s, const struct store_news *news)
{
    assert_ptr_equal(s, &fake);
    fake.news = news;
}

bool store_hears(const struct store *s)
{
    assert_ptr_equal(s, &fake);
    return fake.hears;
}

/* ---- a world of which all is kept ---------------------------------------------------------- */

void kept_world(const char *script)
{
    world_begin(script, NULL);
    world_keeps();
}

void keyed_world(const char *script)
{
    kept_world(script);
    keeping.key = STR("key");
    keeping.question_hash = STR("hash");
    fake.recall = STORE_NOT_FOUND;
}

void kept_end(void)
{
    pass_until_over(2000);
    settle();
    assert_null(keeper_store());
    assert_null(fake.news);
    assert_null(fake.sweep);
    assert_int_equal(n_used, 0);
    assert_int_equal(readings_alive(), 0);
}

void kept_as(const char *state, const char *fault, const char *text)
{
    assert_string_equal(fake.state, state);
    assert_string_equal(fake.fault, fault);
    assert_string_equal(fake.saved, text);
}

/* ---- turns that are made by hand ---------------------------------------------------------- */

struct kept fake_kept[FAKE_KEPT];

static void on_deserted(struct tale *t)
{
    (void)t;
}

void fake_hold(size_t i)
{
    static const struct teller_ops teller = { .deserted = on_deserted };
    static char                    ids[FAKE_KEPT][8];
    struct kept                   *k = &fake_kept[i];

    snprintf(ids[i], sizeof ids[i], "t%zu", i);
    *k = (struct kept){ .whose = keeping.whose, .id = str_of(ids[i]), .chat = 7 };
    k->key = k->id;
    k->tale = tale_new(&teller, NULL, 1 << 20);
    keeper_enter(k);
    keeper_hold(k);
}

void fake_say(size_t i)
{
    tale_tell(fake_kept[i].tale, &(struct event){ .type = EVENT_DELTA, .text = STR("word") });
    keeper_look(&fake_kept[i]);
}

void fake_let_go(size_t i)
{
    keeper_leave(&fake_kept[i]);
    tale_free(fake_kept[i].tale);
}

void kept_by_hand_end(void)
{
    tape.closed = 1;                          /* nobody was asked               */
    kept_end();
}
