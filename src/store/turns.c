#include "store/turns.h"

#include "base/clock.h"
#include "store/turns_sql.h"

enum statement {
    CLAIM,
    LOCK_OWNER,
    CLAIM_IN_CHAT,
    CLAIM_IN_CHATS,
    CLAIM_IN_CROWD,
    FIND_CLAIMED,
    FIND_CHAT,
    END,
    FIND_ENDED,
    FIND,
    FIND_OF_CHAT,
    PIECES,
    STOP,
    NOTIFY,
    NOTIFY_STOP,
    STATEMENTS,
};

const struct pg_statement turn_statements[] = {
    [CLAIM] = { "turn_claim",
                "INSERT INTO runnel.turn (tenant, owner, id, idempotency_key, question_hash, "
                "model, holder, lease_until) VALUES ($1, $2, $3, $4, $5::bytea, $6, $7, " LEASE(
                    "$8") ") ON CONFLICT DO NOTHING RETURNING " MICROS("created_at") },
    [LOCK_OWNER] = { "turn_lock_owner", CROWD_LOCK },
    [CLAIM_IN_CHAT] = { "turn_claim_in_chat", CLAIM_SQL(ONE_QUESTION, "") },
    [CLAIM_IN_CHATS] = { "turn_claim_in_chats", CLAIM_SQL(MANY_QUESTIONS, IN_ORDER_OF_KEYS) },
    [CLAIM_IN_CROWD] = { "turn_claim_in_crowd", CLAIM_SQL(ONE_QUESTION, "WHERE " HAS_ROOM) },
    [FIND_CLAIMED] = { "turn_find_claimed",
                       "SELECT " COLUMNS ", coalesce(t.question_hash = $5::bytea, true), "
                       "t.id = $4 " FROM_TURN "WHERE t.tenant = $1 AND t.owner = $2 AND "
                       "t.id = coalesce((SELECT k.id FROM runnel.turn k WHERE k.tenant = $1 AND "
                       "k.owner = $2 AND k.idempotency_key = $3), $4)" },
    [FIND_CHAT] = { "turn_find_chat", "SELECT 1 FROM runnel.chat c WHERE " CHAT_IS },
    [END] = { "turn_end", END_SQL },
    [FIND_ENDED] = { "turn_find_ended",
                     "SELECT t.holder = $3 AND t.ended_at IS NOT NULL FROM runnel.turn t "
                     "WHERE t.tenant = $1 AND t.id = $2" },
    [FIND] = { "turn_find", "SELECT " COLUMNS ", true, false " FROM_TURN
                            "WHERE t.tenant = $1 AND t.owner = $2 AND t.id = $3" },
    [FIND_OF_CHAT] = { "turn_find_of_chat",
                       "SELECT " COLUMNS ", true, false " FROM_TURN "WHERE t.tenant = $1 AND "
                       "t.chat = (SELECT c.id FROM runnel.chat c WHERE " CHAT_IS ") AND "
                       "($6::bigint = 0 OR t.answer = $6) "
                       "ORDER BY t.created_at DESC LIMIT 1" },
    [PIECES] = { "turn_pieces",
                 "SELECT j.seq, encode(j.events, 'hex') FROM runnel.journal j WHERE j.tenant = $1 "
                 "AND j.turn = (SELECT t.id FROM runnel.turn t WHERE t.tenant = $1 AND "
                 "t.owner = $2 AND t.id = $3) AND j.seq >= coalesce((SELECT max(p.seq) FROM "
                 "runnel.journal p WHERE p.tenant = $1 AND p.turn = $3 AND p.seq <= $4::bigint), "
                 "0) ORDER BY j.seq LIMIT $5" },
    [STOP] = { "turn_stop",
               "UPDATE runnel.turn t SET stop_asked = true WHERE t.tenant = $1 AND t.owner = $2 "
               "AND t.id = $3 AND t.ended_at IS NULL AND NOT t.stop_asked" },
    [NOTIFY] = { "turn_notify", "SELECT pg_notify('runnel_turn', $1)" },
    [NOTIFY_STOP] = { "turn_notify_stop", "SELECT pg_notify('runnel_stop', $1)" },
    [STATEMENTS] = { NULL, NULL },
};

/* By the places of the parameters and of what is returned (turns_sql.h). */
enum { CLAIM_CHAT = 3, CLAIM_TURN = 5, TAKEN_TURN = 5 };

const struct pg_batch_rule turn_claims = {
    .together = &turn_statements[CLAIM_IN_CHATS],
    .apart = CLAIM_CHAT,
    .name = CLAIM_TURN,
    .name_column = TAKEN_TURN,
};

/* ---- rows ------------------------------------------------------------------------------ */

static struct turn_call *call_of(struct verb *v)
{
    return LIST_OWNER(v, struct turn_call, verb);
}

static void read_turn(struct verb *v, const struct pg_rows *rows)
{
    struct turn_call *c = call_of(v);
    struct kept_turn *t = &c->turn;
    struct str        state = { 0 };
    struct str *const texts[] = {
        &t->id,    &t->owner,  &t->key,     &state,        &t->fault,
        &t->model, &t->finish, &t->content, &t->reasoning, &t->tool_calls
    };
    int64_t *const numbers[] = {
        &t->chat,          &t->question,          &t->answer,     &t->answer_seq,
        &t->prompt_tokens, &t->completion_tokens, &t->created_at, &t->ended_at,
        &t->question_at,   &t->answer_at,
    };
    int column = 0;

    c->found = pg_n_rows(rows) > 0;
    if (!c->found)
        return;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = verb_text(v, rows, 0, column++);
    t->state = kept_state_read(state);
    t->stop_asked = pg_get_bool(rows, 0, column++);
    t->has_journal = pg_get_bool(rows, 0, column++);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = pg_get_int(rows, 0, column++);
    c->fits = pg_get_bool(rows, 0, column++);
    c->is_ours = pg_get_bool(rows, 0, column);
}

/* The first step does it, the second one tells what came of it. */
static void do_and_find_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 1)
        read_turn(v, rows);
}

static void find_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        read_turn(v, rows);
}

static void judge_turn(struct verb *v)
{
    if (!call_of(v)->found)
        v->end = STORE_NOT_FOUND;
}

static bool is_not_found(struct verb *v)
{
    return !call_of(v)->found;
}

static struct pg_work *begin(struct store *s, struct turn_call *c, const struct verb_kind *kind)
{
    c->turn = (struct kept_turn){ 0 };
    c->found = c->fits = c->is_ours = c->is_more = c->has_chat = false;
    c->pieces = NULL;
    c->n_pieces = 0;
    return verb_begin(s, &c->verb, kind);
}

static void put_turn(struct pg_work *w, const struct whose *whose, struct str id)
{
    pg_int(w, whose->tenant);
    pg_text(w, whose->owner);
    pg_text(w, id);
}

static void put_bytes_or_null(struct pg_work *w, struct str bytes)
{
    if (bytes.n)
        pg_bytes(w, bytes);
    else
        pg_null(w);
}

static void put_notify(struct store *s, struct pg_work *w, enum statement what, struct str turn)
{
    if (!store_notifies(s))
        return;
    pg_step(w, &turn_statements[what]);
    pg_text(w, turn);
}

/* ---- claim ----------------------------------------------------------------------------- */

static void judge_claim(struct verb *v)
{
    struct turn_call *c = call_of(v);

    judge_turn(v);
    c->claim = c->is_ours                        ? CLAIM_FRESH
               : c->turn.state == KEPT_STREAMING ? CLAIM_RUNNING
                                                 : CLAIM_FINISHED;
    if (v->end == STORE_OK && !c->fits) {
        v->end = STORE_CONFLICT;
        v->why = "another question was asked with this key";
    }
}

enum { FIND_CLAIMED_STEP, FIND_CHAT_STEP };

static void who_has_room_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == FIND_CLAIMED_STEP)
        read_turn(v, rows);
    if (step == FIND_CHAT_STEP)
        call_of(v)->has_chat = pg_n_rows(rows) > 0;
}

static void judge_claim_in_crowd(struct verb *v)
{
    judge_claim(v);
    if (v->end == STORE_NOT_FOUND && call_of(v)->has_chat) {
        v->end = STORE_CROWDED;
        v->why = "too many of his questions are not over";
    }
}

/* The rows of both messages, the question's first; of a turn that keeps none, one that knows
 * only when it was taken. */
static void read_taken(struct verb *v, const struct pg_rows *rows)
{
    struct turn_call *c = call_of(v);
    struct kept_turn *t = &c->turn;

    c->found = c->fits = c->is_ours = pg_n_rows(rows) > 0;
    if (!c->found)
        return;
    t->state = KEPT_STREAMING;
    t->created_at = pg_get_int(rows, 0, 0);
    if (pg_n_rows(rows) < 2)
        return;
    t->chat = pg_get_int(rows, 0, 1);
    t->question = pg_get_int(rows, 0, 2);
    t->question_at = pg_get_int(rows, 0, 4);
    t->answer = pg_get_int(rows, 1, 2);
    t->answer_seq = pg_get_int(rows, 1, 3);
    t->answer_at = pg_get_int(rows, 1, 4);
}

static void claim_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        read_taken(v, rows);
}

static void claim_in_crowd_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 1)                            /* behind the lock                */
        read_taken(v, rows);
}

static const struct verb_kind   claim_kind = { claim_rows, judge_claim };
static const struct verb_kind   claim_in_crowd_kind = { claim_in_crowd_rows, judge_claim };
static const struct verb_second who_has_it = { { find_rows, judge_claim }, is_not_found };
static const struct verb_second who_has_room = { { who_has_room_rows, judge_claim_in_crowd },
                                                 is_not_found };

static void put_lease(struct pg_work *w, uint64_t lease)
{
    pg_int(w, (int64_t)(lease / CLOCK_MS));
}

static void put_plain_claim(struct pg_work *w, const struct whose *whose,
                            const struct turn_taking *t)
{
    pg_step(w, &turn_statements[CLAIM]);
    put_turn(w, whose, t->id);
    put_text_or_null(w, t->key);
    put_bytes_or_null(w, t->question_hash);
    pg_text(w, t->model);
    pg_text(w, t->holder);
    put_lease(w, t->lease);
}

static void put_claim_in_chat(struct pg_work *w, enum statement claim, const struct whose *whose,
                              const struct turn_taking *t)
{
    pg_step(w, &turn_statements[claim]);
    put_chat(w, whose, t->chat);
    pg_text(w, t->id);
    put_text_or_null(w, t->key);
    put_bytes_or_null(w, t->question_hash);
    pg_text(w, t->model);
    pg_text(w, t->holder);
    put_lease(w, t->lease);
    pg_text(w, str_of(kept_role_name(t->role)));
    pg_text(w, t->content);
    pg_text(w, t->name);
    put_json(w, t->more);
    pg_text(w, t->title);
}

static void put_find_claimed(struct pg_work *w, const struct whose *whose, struct str key,
                             struct str id, struct str question_hash)
{
    pg_step(w, &turn_statements[FIND_CLAIMED]);
    pg_int(w, whose->tenant);
    pg_text(w, whose->owner);
    put_text_or_null(w, key);
    pg_text(w, id);
    put_bytes_or_null(w, question_hash);
}

static void put_claim_in_crowd(struct pg_work *w, const struct whose *whose,
                               const struct turn_taking *t)
{
    pg_step(w, &turn_statements[LOCK_OWNER]);
    put_whose(w, whose);
    pg_bool(w, true);
    put_claim_in_chat(w, CLAIM_IN_CROWD, whose, t);
    pg_int(w, (int64_t)t->crowd.running);
    pg_int(w, (int64_t)t->crowd.in_flight);
    put_recent(w, &t->crowd);
}

/* What the claim itself does not bring. */
static void remember_taking(struct turn_call *c, const struct whose *w, const struct turn_taking *t)
{
    struct arena *a = &c->verb.arena;

    c->turn.id = arena_str(a, t->id);
    c->turn.owner = arena_str(a, w->owner);
    c->turn.key = arena_str(a, t->key);
    c->turn.model = arena_str(a, t->model);
}

static void put_who_has_it(struct turn_call *c, const struct whose *w, const struct turn_taking *t,
                           bool has_crowd)
{
    struct pg_work *second = verb_next(&c->verb, has_crowd ? &who_has_room : &who_has_it);

    put_find_claimed(second, w, t->key, t->id, t->question_hash);
    if (!has_crowd)
        return;
    pg_step(second, &turn_statements[FIND_CHAT]);
    put_chat(second, w, t->chat);
}

/* Whoever comes second waits in the claim for the one who came first, takes nothing, and asks
 * after that for what that one kept. */
void turn_claim(struct store *s, struct turn_call *c, const struct whose *w,
                const struct turn_taking *t)
{
    bool            has_crowd = t->keeps_chat && (t->crowd.running || t->crowd.in_flight);
    struct pg_work *claim = begin(s, c, has_crowd ? &claim_in_crowd_kind : &claim_kind);

    remember_taking(c, w, t);
    if (has_crowd)
        put_claim_in_crowd(claim, w, t);
    else if (t->keeps_chat)
        put_claim_in_chat(claim, CLAIM_IN_CHAT, w, t);
    else
        put_plain_claim(claim, w, t);
    put_who_has_it(c, w, t, has_crowd);
    if (t->keeps_chat && !has_crowd && t->chat.id)
        store_claim(s, claim);
    else
        verb_send(&c->verb);
}

void turn_find_key(struct store *s, struct turn_call *c, const struct whose *w, struct str key,
                   struct str question_hash)
{
    struct pg_work *work = begin(s, c, &who_has_it.kind);

    put_find_claimed(work, w, key, STR(""), question_hash);
    verb_send(&c->verb);
}

/* ---- end ------------------------------------------------------------------------------- */

static void judge_end(struct verb *v)
{
    judge_turn(v);
    if (v->end == STORE_OK && !call_of(v)->fits) {
        v->end = STORE_CONFLICT;
        v->why = "another process has closed this turn";
    }
}

static void end_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        call_of(v)->found = call_of(v)->fits = pg_n_rows(rows) > 0;
}

static void who_ended_it_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    (void)step;
    call_of(v)->found = pg_n_rows(rows) > 0;
    call_of(v)->fits = call_of(v)->found && pg_get_bool(rows, 0, 0);
}

static const struct verb_kind   end_kind = { end_rows, judge_end };
static const struct verb_second who_ended_it = { { who_ended_it_rows, judge_end }, is_not_found };

static void put_ending(struct pg_work *w, const struct turn_ending *e)
{
    pg_text(w, str_of(end_name(e->end)));
    pg_text(w, e->fault ? str_of(fault_name(e->fault)) : STR(""));
    pg_text(w, e->finish);
    pg_int(w, (int64_t)e->usage.prompt);
    pg_int(w, (int64_t)e->usage.completion);
    pg_text(w, e->content);
    pg_text(w, e->reasoning);
    put_text_or_null(w, e->tool_calls);
    put_count_or_null(w, e->tokens_used);
    put_json(w, e->more);
    pg_text(w, e->provider_session);
    pg_int(w, e->seq);
    put_bytes_or_null(w, e->events);
}

static void put_held(struct pg_work *w, enum statement what, const struct turn_ending *e)
{
    pg_step(w, &turn_statements[what]);
    pg_int(w, e->tenant);
    pg_text(w, e->id);
    pg_text(w, e->holder);
}

void turn_end(struct store *s, struct turn_call *c, const struct turn_ending *e)
{
    struct pg_work *work = begin(s, c, &end_kind);

    put_held(work, END, e);
    put_ending(work, e);
    put_notify(s, work, NOTIFY, e->id);
    put_held(verb_next(&c->verb, &who_ended_it), FIND_ENDED, e);
    verb_send(&c->verb);
}

/* ---- find, read, stop ------------------------------------------------------------------ */

static const struct verb_kind find_kind = { find_rows, judge_turn };

void turn_find(struct store *s, struct turn_call *c, const struct whose *w, struct str id)
{
    struct pg_work *work = begin(s, c, &find_kind);

    pg_step(work, &turn_statements[FIND]);
    put_turn(work, w, id);
    verb_send(&c->verb);
}

void turn_of_chat(struct store *s, struct turn_call *c, const struct whose *w,
                  struct chat_name chat, int64_t answer)
{
    struct pg_work *work = begin(s, c, &find_kind);

    pg_step(work, &turn_statements[FIND_OF_CHAT]);
    put_chat(work, w, chat);
    pg_int(work, answer);
    verb_send(&c->verb);
}

static void read_pieces(struct verb *v, const struct pg_rows *rows)
{
    struct turn_call *c = call_of(v);

    c->n_pieces = pg_n_rows(rows);
    c->pieces = c->n_pieces ? arena_new(&v->arena, c->n_pieces * sizeof *c->pieces) : NULL;
    for (size_t i = 0; i < c->n_pieces; i++) {
        c->pieces[i].seq = pg_get_int(rows, i, 0);
        c->pieces[i].events = verb_bytes(v, rows, i, 1);
    }
}

static void read_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct turn_call *c = call_of(v);

    if (step == 0) {
        read_turn(v, rows);
        return;
    }
    read_pieces(v, rows);
    c->is_more = c->n_pieces > c->wanted;
    if (c->is_more)
        c->n_pieces = c->wanted;
}

static const struct verb_kind read_kind = { read_rows, judge_turn };

/* The state comes first: of a turn that had ended then, the journal is whole. */
void turn_read(struct store *s, struct turn_call *c, const struct whose *w, struct str id,
               int64_t from_seq, int64_t limit)
{
    struct pg_work *work = begin(s, c, &read_kind);

    c->wanted = limit < 1 ? 1 : limit < PIECES_MAX ? (size_t)limit : PIECES_MAX;
    pg_step(work, &turn_statements[FIND]);
    put_turn(work, w, id);
    pg_step(work, &turn_statements[PIECES]);
    put_turn(work, w, id);
    pg_int(work, from_seq);
    pg_int(work, (int64_t)c->wanted + 1);
    verb_send(&c->verb);
}

static const struct verb_kind stop_kind = { do_and_find_rows, judge_turn };

void turn_stop(struct store *s, struct turn_call *c, const struct whose *w, struct str id)
{
    struct pg_work *work = begin(s, c, &stop_kind);

    pg_step(work, &turn_statements[STOP]);
    put_turn(work, w, id);
    pg_step(work, &turn_statements[FIND]);
    put_turn(work, w, id);
    put_notify(s, work, NOTIFY_STOP, id);
    verb_send(&c->verb);
}
