#include "store/turns.h"

#include "base/clock.h"

enum statement {
    CLAIM,
    LOCK_OWNER,
    CLAIM_IN_CHAT,
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

#define COLUMNS                                                                                    \
    "t.id, t.owner, t.idempotency_key, t.state, t.fault, t.model, t.finish, "                      \
    "CASE WHEN t.state <> 'streaming' THEN m.content END, "                                        \
    "CASE WHEN t.state <> 'streaming' THEN m.reasoning END, "                                      \
    "CASE WHEN t.state <> 'streaming' THEN m.tool_calls END, "                                     \
    "t.stop_asked, t.has_journal, t.chat, q.id, t.answer, m.seq, t.prompt_tokens, "                \
    "t.completion_tokens, " MICROS("t.created_at") ", " MICROS("t.ended_at") ", "                  \
    MICROS("q.created_at") ", " MICROS("m.created_at")

/* The question stands right before the answer. */
#define FROM_TURN                                                                                  \
    " FROM runnel.turn t "                                                                         \
    "LEFT JOIN runnel.message m ON m.tenant = t.tenant AND m.id = t.answer "                       \
    "LEFT JOIN runnel.message q ON q.tenant = m.tenant AND q.chat = m.chat AND q.seq = m.seq - 1 "

#define LEASE(n) "now() + " n "::bigint * interval '1 millisecond'"

/* He who claims is not counted: neither is there a turn of his, nor does he wait. */
#define HAS_ROOM                                                                                   \
    "(SELECT ($17::bigint = 0 OR coalesce(sum(o.running), 0) < $17) AND ($18::bigint = 0 OR "      \
    "coalesce(sum(o.running + o.waiting), 0) < $18) FROM "                                         \
    CROWD("$1", "$2", "$3", "$19::bigint") " o WHERE $17 > 0 OR $18 > 0) "

/* Of one turn it is asked whether it has ended and not which state it is in: that would suit
 * the index of the running ones. Everywhere the chat's lock comes before the turn's, so that
 * nobody waits in a ring. The ids of both messages are taken first because the turn names its
 * answer. One text for both claims would be planned anew each time: PostgreSQL finds
 * that without a crowd to look at it is cheaper than a plan for any value. */
#define CLAIM_IN_CHAT_SQL(has_room)                                                                \
    "WITH at AS (SELECT c.tenant, c.id, nextval('runnel.message_id_seq') AS question, "            \
    "nextval('runnel.message_id_seq') AS answer FROM runnel.chat c WHERE " CHAT_IS " "             \
    "FOR NO KEY UPDATE), "                                                                         \
    "taken AS (INSERT INTO runnel.turn (tenant, id, owner, idempotency_key, question_hash, "       \
    "chat, answer, model, holder, lease_until) "                                                   \
    "SELECT at.tenant, $6, $3, $7, $8::bytea, at.id, at.answer, $9, $10, " LEASE("$11") " "        \
    "FROM at " has_room "ON CONFLICT DO NOTHING RETURNING tenant, chat), "                   \
    "c AS (UPDATE runnel.chat c SET next_seq = c.next_seq + 2, last_message = "                    \
    "CASE WHEN $12 = 'tool' THEN c.last_message ELSE left($13, 200) END, "                         \
    "title = CASE WHEN c.title = '' THEN $16 ELSE c.title END, "                                   \
    "last_message_at = clock_timestamp(), updated_at = clock_timestamp() "                         \
    "FROM taken WHERE c.tenant = taken.tenant AND c.id = taken.chat "                              \
    "RETURNING c.tenant, c.id, c.next_seq - 2 AS seq) "                                            \
    "INSERT INTO runnel.message (tenant, id, chat, seq, role, state, content, name, more, turn, "  \
    "created_at) "                                                                                 \
    "SELECT c.tenant, at.question, c.id, c.seq, $12, 'complete'::runnel.message_state, $13, "      \
    "$14, $15::jsonb, $6, clock_timestamp() FROM c, at UNION ALL "                                 \
    "SELECT c.tenant, at.answer, c.id, c.seq + 1, 'assistant', "                                   \
    "'streaming'::runnel.message_state, '', '', '{}'::jsonb, $6, clock_timestamp() FROM c, at"

#define END_SQL                                                                                    \
    "WITH at AS (SELECT FROM runnel.chat c WHERE c.tenant = $1 AND c.id = (SELECT t.chat FROM "     \
    "runnel.turn t WHERE t.tenant = $1 AND t.id = $2) FOR NO KEY UPDATE), "                        \
    "t AS (UPDATE runnel.turn t SET state = $4::runnel.message_state, fault = $5, finish = $6, "   \
    "prompt_tokens = $7, completion_tokens = $8, ended_at = clock_timestamp(), "                   \
    "lease_until = NULL, has_journal = $16::bytea IS NOT NULL OR EXISTS (SELECT FROM "             \
    "runnel.journal j WHERE j.tenant = $1 AND j.turn = $2) "                                       \
    "WHERE t.tenant = $1 AND t.id = $2 AND t.holder = $3 AND t.ended_at IS NULL "               \
    "AND (SELECT count(*) FROM at) >= 0 "                                                          \
    "RETURNING t.tenant, t.id, t.chat, t.answer, t.state), "                                       \
    "j AS (INSERT INTO runnel.journal AS j (tenant, turn, seq, events) "                           \
    "SELECT t.tenant, t.id, $15, $16::bytea FROM t WHERE $16 IS NOT NULL "                         \
    "ON CONFLICT (tenant, turn, seq) DO UPDATE SET events = excluded.events "                      \
    "WHERE length(j.events) < length(excluded.events)), "                                          \
    "m AS (UPDATE runnel.message m SET state = t.state, content = $9, reasoning = $10, "           \
    "tool_calls = $11::jsonb, tokens_used = $12, more = m.more || $13::jsonb "                     \
    "FROM t WHERE m.tenant = t.tenant AND m.id = t.answer) "                                       \
    "UPDATE runnel.chat c SET last_message = CASE WHEN $9 = '' THEN c.last_message "               \
    "ELSE left($9, 200) END, last_message_at = clock_timestamp(), "                                \
    "updated_at = clock_timestamp(), prompt_tokens = c.prompt_tokens + $7, "                       \
    "completion_tokens = c.completion_tokens + $8, provider_session = "                            \
    "CASE WHEN $14 = '' THEN c.provider_session ELSE $14 END "                                     \
    "FROM t WHERE c.tenant = t.tenant AND c.id = t.chat"

const struct pg_statement turn_statements[] = {
    [CLAIM] = { "turn_claim",
                "INSERT INTO runnel.turn (tenant, owner, id, idempotency_key, question_hash, "
                "model, holder, lease_until) VALUES ($1, $2, $3, $4, $5::bytea, $6, $7, " LEASE(
                    "$8") ") ON CONFLICT DO NOTHING" },
    [LOCK_OWNER] = { "turn_lock_owner", CROWD_LOCK },
    [CLAIM_IN_CHAT] = { "turn_claim_in_chat", CLAIM_IN_CHAT_SQL("") },
    [CLAIM_IN_CROWD] = { "turn_claim_in_crowd", CLAIM_IN_CHAT_SQL("WHERE " HAS_ROOM) },
    [FIND_CLAIMED] = { "turn_find_claimed",
                       "SELECT " COLUMNS ", coalesce(t.question_hash = $5::bytea, true), "
                       "t.id = $4 " FROM_TURN "WHERE t.tenant = $1 AND t.owner = $2 AND "
                       "t.id = coalesce((SELECT k.id FROM runnel.turn k WHERE k.tenant = $1 AND "
                       "k.owner = $2 AND k.idempotency_key = $3), $4)" },
    [FIND_CHAT] = { "turn_find_chat", "SELECT 1 FROM runnel.chat c WHERE " CHAT_IS },
    [END] = { "turn_end", END_SQL },
    [FIND_ENDED] = { "turn_find_ended",
                     "SELECT " COLUMNS ", t.holder = $3 AND t.state <> 'streaming', true " FROM_TURN
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

static const struct verb_kind claim_kind = { do_and_find_rows, judge_claim };

enum { LOCK_OWNER_STEP, CLAIM_STEP, FIND_CLAIMED_STEP, FIND_CHAT_STEP };

static void claim_in_crowd_rows(struct verb *v, size_t step, const struct pg_rows *rows)
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

static const struct verb_kind claim_in_crowd_kind = { claim_in_crowd_rows, judge_claim_in_crowd };

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

static void claim_in_crowd(struct store *s, struct turn_call *c, const struct whose *w,
                           const struct turn_taking *t)
{
    struct pg_work *work = begin(s, c, &claim_in_crowd_kind);

    pg_step(work, &turn_statements[LOCK_OWNER]);
    put_whose(work, w);
    pg_bool(work, true);
    put_claim_in_chat(work, CLAIM_IN_CROWD, w, t);
    pg_int(work, (int64_t)t->crowd.running);
    pg_int(work, (int64_t)t->crowd.in_flight);
    put_recent(work, &t->crowd);
    put_find_claimed(work, w, t->key, t->id, t->question_hash);
    pg_step(work, &turn_statements[FIND_CHAT]);
    put_chat(work, w, t->chat);
    verb_send(&c->verb);
}

/* Whoever comes second waits in the first step for the one who came first, and sees in the
 * second what that one kept. */
void turn_claim(struct store *s, struct turn_call *c, const struct whose *w,
                const struct turn_taking *t)
{
    struct pg_work *work;

    if (t->keeps_chat && (t->crowd.running || t->crowd.in_flight)) {
        claim_in_crowd(s, c, w, t);
        return;
    }
    work = begin(s, c, &claim_kind);
    if (t->keeps_chat)
        put_claim_in_chat(work, CLAIM_IN_CHAT, w, t);
    else
        put_plain_claim(work, w, t);
    put_find_claimed(work, w, t->key, t->id, t->question_hash);
    verb_send(&c->verb);
}

static const struct verb_kind find_key_kind = { find_rows, judge_claim };

void turn_find_key(struct store *s, struct turn_call *c, const struct whose *w, struct str key,
                   struct str question_hash)
{
    struct pg_work *work = begin(s, c, &find_key_kind);

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

static const struct verb_kind end_kind = { do_and_find_rows, judge_end };

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

void turn_end(struct store *s, struct turn_call *c, const struct turn_ending *e)
{
    struct pg_work *work = begin(s, c, &end_kind);

    pg_step(work, &turn_statements[END]);
    pg_int(work, e->tenant);
    pg_text(work, e->id);
    pg_text(work, e->holder);
    put_ending(work, e);
    pg_step(work, &turn_statements[FIND_ENDED]);
    pg_int(work, e->tenant);
    pg_text(work, e->id);
    pg_text(work, e->holder);
    put_notify(s, work, NOTIFY, e->id);
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
