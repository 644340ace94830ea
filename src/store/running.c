#include "store/running.h"

#include "base/clock.h"
#include "base/log.h"
#include "chat/event_bytes.h"
#include "chat/gathering.h"

enum statement { EXTEND, ADD, NOTIFY_ALL, CLEAR, FORGET, TAKE, STATEMENTS };

enum { LAST_WORD_LIMIT = 1024, CALLS_LIMIT = 128 << 20 };

#define TURNS(tenants, ids)                                                                        \
    "unnest(" tenants "::int[], " ids "::text[]) AS n (tenant, id) "

const struct pg_statement running_statements[] = {
    [EXTEND] = { "turns_extend",
                 "UPDATE runnel.turn t SET lease_until = now() + $4::bigint * "
                 "interval '1 millisecond' FROM " TURNS(
                     "$2", "$3") "WHERE t.tenant = n.tenant AND t.id = n.id AND t.holder = $1 "
                                 "AND t.ended_at IS NULL RETURNING t.tenant, t.id, t.stop_asked" },
    /* The lock keeps a turn from being deleted before its pieces are in: one such turn would
     * spoil the pieces of all others. */
    [ADD] = { "journal_add",
              "INSERT INTO runnel.journal (tenant, turn, seq, events) "
              "SELECT p.tenant, p.turn, p.seq, p.events FROM unnest($2::int[], $3::text[], "
              "$4::bigint[], $5::bytea[]) AS p (tenant, turn, seq, events) "
              "JOIN runnel.turn t ON t.tenant = p.tenant AND t.id = p.turn AND t.holder = $1 "
              "FOR KEY SHARE OF t ON CONFLICT DO NOTHING" },
    [NOTIFY_ALL] = { "journal_notify",
                     "SELECT count(pg_notify('runnel_turn', id)) FROM "
                     "(SELECT DISTINCT id FROM unnest($1::text[]) AS n (id)) AS names" },
    [CLEAR] = { "journals_clear",
                "WITH old AS (SELECT tenant, id FROM runnel.turn WHERE has_journal AND "
                "chat IS NOT NULL AND ended_at < now() - $1::bigint * interval '1 millisecond' "
                "ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED), "
                "cleared AS (UPDATE runnel.turn t SET has_journal = false FROM old "
                "WHERE t.tenant = old.tenant AND t.id = old.id RETURNING t.tenant, t.id), "
                "gone AS (DELETE FROM runnel.journal j USING cleared "
                "WHERE j.tenant = cleared.tenant AND j.turn = cleared.id) "
                "SELECT count(*) FROM cleared" },
    [FORGET] = { "turns_forget",
                 "WITH old AS (SELECT tenant, id FROM runnel.turn WHERE chat IS NULL AND "
                 "ended_at < now() - $1::bigint * interval '1 millisecond' "
                 "ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED) "
                 "DELETE FROM runnel.turn t USING old WHERE t.tenant = old.tenant "
                 "AND t.id = old.id" },
    [TAKE] = { "turns_take",
               "WITH old AS (SELECT tenant, id FROM runnel.turn WHERE state = 'streaming' AND "
               "lease_until < now() AND NOT EXISTS (SELECT FROM " TURNS(
                   "$4",
                   "$5") "WHERE n.tenant = "
                         "turn.tenant AND n.id = turn.id) ORDER BY lease_until LIMIT $3 "
                         "FOR UPDATE SKIP LOCKED), "
                         "taken AS (UPDATE runnel.turn t SET holder = $1, lease_until = now() + "
                         "$2::bigint * interval '1 millisecond' FROM old "
                         "WHERE t.tenant = old.tenant AND t.id = old.id RETURNING t.tenant, t.id) "
                         "SELECT taken.tenant, taken.id, j.seq, encode(j.events, 'hex') FROM taken "
                         "LEFT JOIN runnel.journal j ON j.tenant = taken.tenant AND j.turn = taken.id "
                         "ORDER BY taken.tenant, taken.id, j.seq" },
    [STATEMENTS] = { NULL, NULL },
};

static struct running_call *call_of(struct verb *v)
{
    return LIST_OWNER(v, struct running_call, verb);
}

static struct pg_work *begin(struct store *s, struct running_call *c, const struct verb_kind *kind)
{
    c->leases = NULL;
    c->n = 0;
    return verb_begin(s, &c->verb, kind);
}

static void put_ms(struct pg_work *w, uint64_t ns)
{
    pg_int(w, (int64_t)(ns / CLOCK_MS));
}

static void put_names(struct pg_work *w, const struct turn_name *turns, size_t n)
{
    pg_array(w);
    for (size_t i = 0; i < n; i++)
        pg_item_int(w, turns[i].tenant);
    pg_array_end(w);
    pg_array(w);
    for (size_t i = 0; i < n; i++)
        pg_item(w, turns[i].id);
    pg_array_end(w);
}

/* ---- leases ---------------------------------------------------------------------------- */

static void extend_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct running_call *c = call_of(v);

    (void)step;
    c->n = pg_n_rows(rows);
    c->leases = c->n ? arena_new(&v->arena, c->n * sizeof *c->leases) : NULL;
    for (size_t i = 0; i < c->n; i++) {
        c->leases[i].turn.tenant = (int32_t)pg_get_int(rows, i, 0);
        c->leases[i].turn.id = verb_text(v, rows, i, 1);
        c->leases[i].stop_asked = pg_get_bool(rows, i, 2);
    }
}

static const struct verb_kind extend_kind = { extend_rows, NULL };

void turns_extend(struct store *s, struct running_call *c, struct str holder,
                  const struct turn_name *turns, size_t n, uint64_t lease)
{
    struct pg_work *w = begin(s, c, &extend_kind);

    pg_step(w, &running_statements[EXTEND]);
    pg_text(w, holder);
    put_names(w, turns, n);
    put_ms(w, lease);
    verb_send(&c->verb);
}

/* ---- the journal ----------------------------------------------------------------------- */

static void add_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        call_of(v)->n = pg_n_touched(rows);
}

static const struct verb_kind add_kind = { add_rows, NULL };

static void put_turns_of(struct pg_work *w, const struct turn_piece *pieces, size_t n)
{
    pg_array(w);
    for (size_t i = 0; i < n; i++)
        pg_item(w, pieces[i].turn.id);
    pg_array_end(w);
}

static void put_pieces(struct pg_work *w, const struct turn_piece *pieces, size_t n)
{
    pg_array(w);
    for (size_t i = 0; i < n; i++)
        pg_item_int(w, pieces[i].turn.tenant);
    pg_array_end(w);
    put_turns_of(w, pieces, n);
    pg_array(w);
    for (size_t i = 0; i < n; i++)
        pg_item_int(w, pieces[i].piece.seq);
    pg_array_end(w);
    pg_array(w);
    for (size_t i = 0; i < n; i++)
        pg_item_bytes(w, pieces[i].piece.events);
    pg_array_end(w);
}

void journal_add(struct store *s, struct running_call *c, struct str holder,
                 const struct turn_piece *pieces, size_t n)
{
    struct pg_work *w = begin(s, c, &add_kind);

    pg_step(w, &running_statements[ADD]);
    pg_text(w, holder);
    put_pieces(w, pieces, n);
    if (store_notifies(s)) {
        pg_step(w, &running_statements[NOTIFY_ALL]);
        put_turns_of(w, pieces, n);
    }
    verb_send(&c->verb);
}

static void clear_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        call_of(v)->n = (size_t)pg_get_int(rows, 0, 0);
    else
        call_of(v)->n += pg_n_touched(rows);
}

static const struct verb_kind clear_kind = { clear_rows, NULL };

void journals_clear(struct store *s, struct running_call *c, uint64_t age, uint64_t key_age,
                    int64_t limit)
{
    struct pg_work *w = begin(s, c, &clear_kind);

    pg_step(w, &running_statements[CLEAR]);
    put_ms(w, age);
    put_limit(w, limit, INT64_MAX);
    pg_step(w, &running_statements[FORGET]);
    put_ms(w, key_age);
    put_limit(w, limit, INT64_MAX);
    verb_send(&c->verb);
}

/* ---- sweeping -------------------------------------------------------------------------- */

struct swept {
    struct turn_name name;
    struct gathering said;
    int64_t          next_seq;
    bool             is_torn;                 /* what follows cannot be used    */
};

static struct sweep *sweep_of(struct verb *taking)
{
    return LIST_OWNER(taking, struct sweep, taking);
}

static void release_turns(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->n; i++)
        gathering_release(&sweep->turns[i].said);
    sweep->n = 0;
}

/* Behind a piece that is missing the words would make no sense. */
static void add_piece(struct swept *t, int64_t seq, struct str piece)
{
    struct event_bytes b = event_bytes_of(piece);
    struct event       ev;

    t->is_torn = t->is_torn || seq != t->next_seq;
    for (; !t->is_torn && event_bytes_next(&b, &ev); t->next_seq++)
        gathering_add(&t->said, &ev);
    t->is_torn = t->is_torn || b.is_bad;
}

static struct swept *turn_of_row(struct sweep *sweep, const struct pg_rows *rows, size_t row)
{
    struct turn_name name = { (int32_t)pg_get_int(rows, row, 0), pg_get(rows, row, 1) };
    struct swept    *t = sweep->n ? &sweep->turns[sweep->n - 1] : NULL;

    if (t && t->name.tenant == name.tenant && str_eq(t->name.id, name.id))
        return t;
    t = &sweep->turns[sweep->n++];
    t->name.tenant = name.tenant;
    t->name.id = arena_str(&sweep->taking.arena, name.id);
    gathering_begin(&t->said);
    return t;
}

static void take_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct sweep *sweep = sweep_of(v);

    (void)step;
    release_turns(sweep);
    sweep->turns = arena_new(&v->arena, SWEEP_MAX * sizeof *sweep->turns);
    for (size_t i = 0; i < pg_n_rows(rows); i++) {
        struct swept *t = turn_of_row(sweep, rows, i);

        if (!pg_is_null(rows, i, 2))
            add_piece(t, pg_get_int(rows, i, 2), verb_bytes(v, rows, i, 3));
    }
}

static const struct verb_kind take_kind = { take_rows, NULL };

/* The journal gets a last word too, for whoever reads on. */
static void end_turn(struct closing *closing, enum fault fault, const struct turn_ending *said)
{
    struct event        last = { .type = EVENT_ERROR, .fault = fault };
    struct buf          events = BUF(LAST_WORD_LIMIT);
    const struct swept *t = closing->turn;
    struct turn_ending  e = *said;

    event_bytes_add(&events, &last);
    e.tenant = t->name.tenant;
    e.id = t->name.id;
    e.holder = closing->sweep->holder;
    e.end = fault_end(fault);
    e.fault = fault;
    e.tokens_used = -1;
    e.seq = t->next_seq;
    e.events = buf_str(&events);
    turn_end(closing->sweep->taking.store, &closing->call, &e);
    buf_release(&events);
}

/* It would be refused at every sweep, and never end. */
static void close_without_words(struct closing *closing)
{
    LOG(LOG_ERROR, L_MSG("an answer cannot be kept"), L_STR("turn", closing->turn->name.id),
        L_TEXT("why", closing->call.verb.why));
    closing->is_refused = true;
    end_turn(closing, FAULT_NOT_KEPT, &(struct turn_ending){ .tenant = 0 });
}

static void on_closed(struct verb *v)
{
    struct closing *closing = LIST_OWNER(v, struct closing, call.verb);
    struct sweep   *sweep = closing->sweep;

    if (v->end == STORE_REFUSED && !closing->is_refused) {
        close_without_words(closing);
        return;
    }
    sweep->closed += v->end == STORE_OK;
    if (v->end != STORE_OK && v->end != STORE_CONFLICT && v->end != STORE_NOT_FOUND)
        sweep->end = v->end;
    if (--sweep->left == 0)
        sweep->done(sweep);
}

static void close_turn(struct sweep *sweep, struct swept *t, struct closing *closing)
{
    struct buf calls = BUF(CALLS_LIMIT);

    gathering_write_calls(&t->said, &calls);
    closing->sweep = sweep;
    closing->turn = t;
    closing->is_refused = false;
    closing->call.verb.done = on_closed;
    end_turn(closing, FAULT_SHUTDOWN,
             &(struct turn_ending){ .usage = t->said.usage,
                                    .content = buf_str(&t->said.text),
                                    .reasoning = buf_str(&t->said.reasoning),
                                    .tool_calls = buf_str(&calls),
                                    .provider_session = t->said.session });
    buf_release(&calls);
}

static void on_taken(struct verb *v)
{
    struct sweep *sweep = sweep_of(v);

    sweep->end = v->end;
    sweep->left = v->end == STORE_OK ? sweep->n : 0;
    for (size_t i = 0; i < sweep->left; i++)
        close_turn(sweep, &sweep->turns[i], &sweep->closings[i]);
    release_turns(sweep);
    if (sweep->left == 0)
        sweep->done(sweep);
}

void sweep_start(struct store *s, struct sweep *sweep, struct str holder, uint64_t lease,
                 const struct turn_name *spared, size_t n)
{
    struct pg_work *w;

    sweep->closed = sweep->left = 0;
    sweep->taking.done = on_taken;
    w = verb_begin(s, &sweep->taking, &take_kind);
    sweep->holder = arena_str(&sweep->taking.arena, holder);
    pg_step(w, &running_statements[TAKE]);
    pg_text(w, holder);
    put_ms(w, lease);
    pg_int(w, SWEEP_MAX);
    put_names(w, spared, n);
    verb_send(&sweep->taking);
}

void sweep_drop(struct sweep *sweep)
{
    release_turns(sweep);
    verb_drop(&sweep->taking);
    for (size_t i = 0; i < SWEEP_MAX; i++)
        verb_drop(&sweep->closings[i].call.verb);
}
