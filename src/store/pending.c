#include "store/pending.h"

enum statement {
    LOCK_OWNER,
    LOCK,
    PUT,
    LET_THROUGH,
    WAS_PUT,
    TAKE,
    COUNT,
    DROP,
    GIVE_BACK,
    REFUSE,
    FIND,
    LIST,
    STATEMENTS
};
enum { LIST_MOST = 100 };

#define TURN_OF(chat) "FROM runnel.turn t WHERE t.tenant = " chat ".tenant AND t.chat = " chat ".id"

#define IS_LET_THROUGH CROWD_IS_LET_THROUGH("c")

#define OF_KEY                                                                                     \
    "SELECT FROM runnel.pending p WHERE p.tenant = c.tenant AND p.chat = c.id AND p.key = $6"

#define IS_ASKED                                                                                   \
    "EXISTS (SELECT FROM runnel.turn k WHERE k.tenant = $1 AND k.owner = $3 AND "                  \
    "k.idempotency_key = $6)"

/* What is about to run is counted with what runs. */
#define ROOM(running, in_flight, recent_s)                                                         \
    "w AS (SELECT (" running "::bigint = 0 OR coalesce(sum(o.running + o.taken + o.let_through), " \
    "0) < " running ") AS has_place, (" in_flight "::bigint = 0 OR coalesce(sum(o.running + "      \
    "o.waiting + o.let_through), 0) < " in_flight ") AS has_room FROM "                            \
    CROWD("$1", "$2", "$3", recent_s "::bigint") " o WHERE " running " > 0 OR " in_flight " > 0) "

#define COLUMNS                                                                                    \
    "p.tenant, p.id, p.chat, c.dialect, c.owner, p.key, p.content, p.context, p.model, "           \
    "p.is_assistants, p.is_operations, p.api_key, p.account, p.is_limited, "                       \
    MICROS("p.created_at")

/* What an operation came to stands in its answer before anybody goes on from there. */
#define IS_DUE                                                                                     \
    "EXISTS (SELECT FROM runnel.operation o WHERE o.tenant = c.tenant AND o.chat = c.id AND "      \
    "o.is_due)"

/* A turn that was over before it was asked. Its key may be another question's; and where it has
 * been asked after all, that one stands. */
#define REFUSE_SQL                                                                                 \
    "WITH at AS (SELECT c.tenant, c.id AS chat, c.owner, nextval('runnel.message_id_seq') AS "     \
    "question, nextval('runnel.message_id_seq') AS answer FROM runnel.chat c WHERE c.tenant = $1 " \
    "AND c.id = (SELECT p.chat FROM runnel.pending p WHERE p.tenant = $1 AND p.id = $2) FOR NO "   \
    "KEY UPDATE), "                                                                                \
    "p AS (DELETE FROM runnel.pending p USING at WHERE p.tenant = $1 AND p.id = $2 RETURNING "     \
    "p.*, CASE WHEN p.is_operations THEN 'tool' WHEN p.is_assistants THEN 'assistant' ELSE "       \
    "'user' END AS role), "                                                                        \
    "taken AS (INSERT INTO runnel.turn (tenant, id, owner, idempotency_key, question_hash, chat, " \
    "answer, model, state, fault, ended_at) SELECT p.tenant, $3::text, at.owner, CASE WHEN "       \
    "$5::boolean THEN p.key END, sha256(convert_to(p.content, 'UTF8')), at.chat, at.answer, "      \
    "p.model, 'error', $4::text, clock_timestamp() FROM at, p ON CONFLICT DO NOTHING RETURNING "   \
    "tenant, id, chat), "                                                                          \
    "c AS (UPDATE runnel.chat c SET next_seq = c.next_seq + 2, last_message = CASE WHEN p.role = " \
    "'tool' THEN c.last_message ELSE left(p.content, 200) END, last_message_at = "                 \
    "clock_timestamp(), updated_at = clock_timestamp() FROM p, taken WHERE c.tenant = "            \
    "taken.tenant AND c.id = taken.chat RETURNING c.tenant, c.id, c.next_seq - 2 AS seq) "         \
    "INSERT INTO runnel.message (tenant, id, chat, seq, role, state, content, more, turn, "        \
    "created_at) SELECT c.tenant, m.id, c.id, m.seq, m.role, m.state, m.content, m.more, "         \
    "$3::text, clock_timestamp() FROM c, p, at, jsonb_build_object('fault', $4::text) AS f "       \
    "(more), LATERAL (VALUES (at.question, c.seq, p.role, 'complete'::runnel.message_state, "      \
    "p.content, CASE WHEN p.is_operations THEN '{}' ELSE f.more END), (at.answer, c.seq + 1, "     \
    "'assistant', 'error', '', f.more)) AS m (id, seq, role, state, content, more)"

/* The locks come first: what stands behind them sees what others did before. A question that has
 * to wait because too many run elsewhere waits here; one that is told again is never too many. */
const struct pg_statement pending_statements[] = {
    [LOCK_OWNER] = { "pending_lock_owner", CROWD_LOCK },
    [LOCK] = { "pending_lock", "SELECT 1 FROM runnel.chat c WHERE " CHAT_IS " FOR NO KEY UPDATE" },
    [PUT] = { "pending_put",
              "WITH " ROOM(
                  "$15", "$16",
                  "$17") ", put AS (INSERT INTO runnel.pending (tenant, "
                         "chat, key, content, is_assistants, context, model, api_key, account, is_limited) "
                         "SELECT c.tenant, c.id, $6, $7, $8, $9, $10, $11, $12, $13 FROM w, runnel.chat c "
                         "WHERE " CHAT_IS " AND w.has_room AND NOT " IS_ASKED
                         " AND (" IS_LET_THROUGH " OR EXISTS (SELECT " TURN_OF(
                             "c") " AND t.ended_at IS NULL) OR EXISTS (SELECT FROM "
                                  "runnel.pending p WHERE p.tenant = c.tenant AND p.chat = c.id) OR ($14::boolean AND "
                                  "NOT w.has_place)) ON CONFLICT (tenant, chat, key) DO NOTHING RETURNING tenant, chat) "
                                  "UPDATE runnel.chat c SET updated_at = clock_timestamp() FROM put "
                                  "WHERE c.tenant = put.tenant AND c.id = put.chat" },
    [LET_THROUGH] = { "pending_let_through",
                      "WITH " ROOM(
                          "$8", "$9",
                          "$10") "UPDATE runnel.chat c SET asked_at = "
                                 "clock_timestamp(), updated_at = clock_timestamp() FROM w WHERE " CHAT_IS
                                 " AND $7::boolean AND NOT EXISTS (" OF_KEY ") AND (" IS_ASKED
                                 " OR (w.has_place AND w.has_room))" },
    [WAS_PUT] = { "pending_was_put",
                  "WITH " ROOM("0", "$7",
                               "$8") "SELECT EXISTS (" OF_KEY "), w.has_room, EXISTS (" OF_KEY
                                     " AND p.content <> $9) FROM w, runnel.chat c WHERE " CHAT_IS },
    [TAKE] = { "pending_take",
               "WITH next AS (SELECT p.tenant, p.id FROM runnel.pending p JOIN runnel.chat c ON "
               "c.tenant = p.tenant AND c.id = p.chat WHERE (p.taken_until IS NULL OR "
               "p.taken_until < now()) AND NOT EXISTS (SELECT FROM runnel.pending e WHERE "
               "e.tenant = p.tenant AND e.chat = p.chat AND e.id < p.id) AND NOT EXISTS (SELECT " TURN_OF(
                   "c") " AND t.ended_at IS NULL) AND NOT " IS_DUE " AND " IS_LET_THROUGH
                        " IS NOT TRUE AND ($1::bigint = 0 OR "
                        "(SELECT coalesce(sum(o.running + o.taken + o.let_through), 0) FROM " CROWD(
                            "c.tenant", "c.dialect", "c.owner",
                            "$2::bigint") " o) < $1) "
                                          "ORDER BY p.id LIMIT 1 FOR UPDATE OF p SKIP LOCKED) "
                                          "UPDATE runnel.pending p SET taken_until = now() + interval '30 seconds' "
                                          "FROM next, runnel.chat c WHERE p.tenant = next.tenant AND p.id = next.id AND "
                                          "c.tenant = p.tenant AND c.id = p.chat RETURNING " COLUMNS },
    [COUNT] = { "pending_count", "SELECT count(*) FROM runnel.pending" },
    [DROP] = { "pending_drop", "DELETE FROM runnel.pending p WHERE p.tenant = $1 AND p.id = $2" },
    [GIVE_BACK] = { "pending_give_back",
                    "UPDATE runnel.pending p SET taken_until = now() + $3::bigint * interval "
                    "'1 second' WHERE p.tenant = $1 AND p.id = $2" },
    [REFUSE] = { "pending_refuse", REFUSE_SQL },
    [FIND] = { "pending_chat", "SELECT 1 FROM runnel.chat c WHERE " CHAT_IS },
    [LIST] = { "pending_list",
               "SELECT " COLUMNS " FROM runnel.pending p JOIN runnel.chat c ON c.tenant = "
               "p.tenant AND c.id = p.chat WHERE " CHAT_IS " AND NOT p.is_operations "
               "ORDER BY p.id LIMIT $6" },
    [STATEMENTS] = { NULL, NULL },
};

static struct pending_call *call_of(struct verb *v)
{
    return LIST_OWNER(v, struct pending_call, verb);
}

static void read_one(struct verb *v, const struct pg_rows *rows, size_t row, struct pending *p)
{
    struct str *const texts[] = { &p->whose.dialect, &p->whose.owner, &p->key,
                                  &p->content,       &p->context,     &p->model };
    int               column = 3;

    p->whose.tenant = p->asker.tenant = (int32_t)pg_get_int(rows, row, 0);
    p->id = pg_get_int(rows, row, 1);
    p->chat = pg_get_int(rows, row, 2);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = verb_text(v, rows, row, column++);
    p->is_assistants = pg_get_bool(rows, row, column++);
    p->is_operations = pg_get_bool(rows, row, column++);
    p->asker.key = pg_get_int(rows, row, column++);
    p->asker.account = pg_get_int(rows, row, column++);
    p->asker.is_limited = pg_get_bool(rows, row, column++);
    p->created_at = pg_get_int(rows, row, column);
}

static void read_all(struct verb *v, const struct pg_rows *rows)
{
    struct pending_call *c = call_of(v);

    c->n = pg_n_rows(rows);
    c->all = c->n ? arena_new(&v->arena, c->n * sizeof *c->all) : NULL;
    for (size_t i = 0; i < c->n; i++)
        read_one(v, rows, i, &c->all[i]);
}

static struct pg_work *begin(struct store *s, struct pending_call *c, const struct verb_kind *kind)
{
    c->all = NULL;
    c->n = 0;
    c->waiting = 0;
    c->is_queued = c->is_let_through = c->found = c->has_room = c->is_another = false;
    return verb_begin(s, &c->verb, kind);
}

static void judge_chat(struct verb *v)
{
    if (!call_of(v)->found)
        v->end = STORE_NOT_FOUND;
}

/* ---- put --------------------------------------------------------------------------------- */

enum { LOCK_OWNER_STEP, LOCK_STEP, PUT_STEP, LET_THROUGH_STEP, WAS_PUT_STEP };

static void put_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct pending_call *c = call_of(v);

    if (step == LET_THROUGH_STEP)
        c->is_let_through = pg_n_touched(rows) > 0;
    if (step != WAS_PUT_STEP)
        return;
    c->found = pg_n_rows(rows) > 0;
    c->is_queued = c->found && pg_get_bool(rows, 0, 0);
    c->has_room = c->found && pg_get_bool(rows, 0, 1);
    c->is_another = c->found && pg_get_bool(rows, 0, 2);
}

/* Who only wants to wait, where nothing runs, is no crowd. */
static void judge_put(struct verb *v)
{
    struct pending_call *c = call_of(v);

    judge_chat(v);
    if (v->end == STORE_OK && c->is_another) {
        v->end = STORE_CONFLICT;
        v->why = "another question waits with this key";
    }
    if (v->end == STORE_OK && !c->is_queued && !c->is_let_through &&
        (c->lets_through || !c->has_room)) {
        v->end = STORE_CROWDED;
        v->why = "too many of his questions are not over";
    }
}

static const struct verb_kind put_kind = { put_rows, judge_put };

static void put_question(struct pg_work *work, const struct pending *p)
{
    pg_text(work, p->key);
    pg_text(work, p->content);
    pg_bool(work, p->is_assistants);
    pg_text(work, p->context);
    pg_text(work, p->model);
    pg_int(work, p->asker.key);
    pg_int(work, p->asker.account);
    pg_bool(work, p->asker.is_limited);
}

static void put_crowd(struct pg_work *work, const struct crowd_limits *most)
{
    pg_int(work, (int64_t)most->running);
    pg_int(work, (int64_t)most->in_flight);
    put_recent(work, most);
}

static void put_locks(struct pg_work *work, const struct whose *w, struct chat_name chat,
                      bool counts)
{
    pg_step(work, &pending_statements[LOCK_OWNER]);
    put_whose(work, w);
    pg_bool(work, counts);
    pg_step(work, &pending_statements[LOCK]);
    put_chat(work, w, chat);
}

void pending_put(struct store *s, struct pending_call *c, const struct whose *w,
                 struct chat_name chat, const struct pending *p, bool lets_through,
                 const struct crowd_limits *most)
{
    struct pg_work *work = begin(s, c, &put_kind);

    c->lets_through = lets_through;
    put_locks(work, w, chat, most->running || most->in_flight);
    pg_step(work, &pending_statements[PUT]);
    put_chat(work, w, chat);
    put_question(work, p);
    pg_bool(work, lets_through);
    put_crowd(work, most);
    pg_step(work, &pending_statements[LET_THROUGH]);
    put_chat(work, w, chat);
    pg_text(work, p->key);
    pg_bool(work, lets_through);
    put_crowd(work, most);
    pg_step(work, &pending_statements[WAS_PUT]);
    put_chat(work, w, chat);
    pg_text(work, p->key);
    pg_int(work, (int64_t)most->in_flight);
    put_recent(work, most);
    pg_text(work, p->content);
    verb_send(&c->verb);
}

/* ---- take, drop, refuse, list ----------------------------------------------------------- */

static void take_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        read_all(v, rows);
    else
        call_of(v)->waiting = pg_get_int(rows, 0, 0);
}

static const struct verb_kind take_kind = { take_rows, NULL };

void pending_take(struct store *s, struct pending_call *c, const struct crowd_limits *most)
{
    struct pg_work *work = begin(s, c, &take_kind);

    pg_step(work, &pending_statements[TAKE]);
    pg_int(work, (int64_t)most->running);
    put_recent(work, most);
    pg_step(work, &pending_statements[COUNT]);
    verb_send(&c->verb);
}

static const struct verb_kind one_kind = { NULL, NULL };

static struct pg_work *begin_with_one(struct store *s, struct pending_call *c, enum statement what,
                                      int32_t tenant, int64_t id)
{
    struct pg_work *work = begin(s, c, &one_kind);

    pg_step(work, &pending_statements[what]);
    pg_int(work, tenant);
    pg_int(work, id);
    return work;
}

void pending_drop(struct store *s, struct pending_call *c, int32_t tenant, int64_t id)
{
    begin_with_one(s, c, DROP, tenant, id);
    verb_send(&c->verb);
}

void pending_give_back(struct store *s, struct pending_call *c, int32_t tenant, int64_t id,
                       uint64_t seconds)
{
    struct pg_work *work = begin_with_one(s, c, GIVE_BACK, tenant, id);

    pg_int(work, (int64_t)seconds);
    verb_send(&c->verb);
}

void pending_refuse(struct store *s, struct pending_call *c, int32_t tenant, int64_t id,
                    struct str turn, enum fault fault)
{
    struct pg_work *work = begin_with_one(s, c, REFUSE, tenant, id);

    pg_text(work, turn);
    pg_text(work, str_of(fault_name(fault)));
    pg_bool(work, fault != FAULT_KEY_REUSED);
    verb_send(&c->verb);
}

static void list_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        call_of(v)->found = pg_n_rows(rows) > 0;
    else
        read_all(v, rows);
}

static const struct verb_kind list_kind = { list_rows, judge_chat };

void pending_list(struct store *s, struct pending_call *c, const struct whose *w,
                  struct chat_name chat)
{
    struct pg_work *work = begin(s, c, &list_kind);

    pg_step(work, &pending_statements[FIND]);
    put_chat(work, w, chat);
    pg_step(work, &pending_statements[LIST]);
    put_chat(work, w, chat);
    pg_int(work, LIST_MOST);
    verb_send(&c->verb);
}
