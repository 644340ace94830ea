#include "store/operations.h"

#include "base/clock.h"

enum statement {
    EXPIRE,
    BEGIN,
    FIND_BEGUN,
    FORGET,
    FIND,
    LOCK,
    COMPLETE,
    PUT_ONE,
    PUT_ALL,
    CLEAN,
    STATEMENTS,
};

#define COLUMNS                                                                                    \
    "o.id, o.turn, o.call, o.tool, o.output_limit, o.state = 'running' AND o.expires_at > now(), " \
    "o.state = 'expired' OR (o.state = 'running' AND o.expires_at <= now())"

#define HASH(arguments) "sha256(convert_to((" arguments "::jsonb)::text, 'UTF8'))"

/* A tool's name has no letter that JSON would write in another way. */
#define EXPIRE_SQL                                                                                 \
    "UPDATE runnel.operation o SET state = 'expired', is_due = true, ended_at = clock_timestamp(), " \
    "output = '{\"type\":\"error\",\"message\":\"' || o.tool || ' timed out after ' || "            \
    "extract(epoch FROM o.expires_at - o.created_at)::bigint || 's\",\"error\":\"timeout\","       \
    "\"details\":null}' WHERE o.state = 'running' AND o.expires_at < now()"

/* Of those that ended while their turn was running the answer is not kept yet: they stay due. A
 * call is ours if it has a round, and it is this one unless it has another result by now. */
#define PUT_SQL(which)                                                                             \
    "WITH due AS MATERIALIZED (SELECT o.tenant, o.id, o.call, o.output, o.state, t.answer "        \
    "FROM runnel.operation o JOIN runnel.turn t ON t.tenant = o.tenant AND t.id = o.turn "         \
    "WHERE o.is_due AND t.ended_at IS NOT NULL" which " LIMIT 100 FOR UPDATE OF o SKIP LOCKED), "  \
    "put AS (UPDATE runnel.message m SET tool_calls = (SELECT jsonb_agg(coalesce((SELECT "         \
    "(x.e - 'failed') || jsonb_build_object('result', d.output) || CASE WHEN "                     \
    "d.state = 'completed' THEN '{}' ELSE '{\"failed\": true}' END::jsonb FROM due d WHERE "       \
    "d.tenant = m.tenant AND d.answer = m.id AND d.call = x.e->>'id' AND "                         \
    "x.e->'round' IS NOT NULL AND (x.e->'result' IS NULL OR "                                      \
    "position(d.id IN x.e->>'result') > 0) LIMIT 1), x.e) ORDER BY x.n) "                          \
    "FROM jsonb_array_elements(m.tool_calls) WITH ORDINALITY AS x (e, n)) "                        \
    "FROM (SELECT DISTINCT d.tenant, d.answer FROM due d) AS a WHERE m.tenant = a.tenant AND "     \
    "m.id = a.answer AND jsonb_typeof(m.tool_calls) = 'array') "                                   \
    "UPDATE runnel.operation o SET is_due = false FROM due d "                                     \
    "WHERE o.tenant = d.tenant AND o.id = d.id"

const struct pg_statement operation_statements[] = {
    [EXPIRE] = { "operations_expire", EXPIRE_SQL },
    [BEGIN] = { "operation_begin",
                "INSERT INTO runnel.operation (tenant, id, chat, turn, call, tool, arguments, "
                "model, api_key, account, is_limited, output_limit, expires_at) SELECT t.tenant, "
                "$4, t.chat, t.id, $5, $6, " HASH(
                    "$7") ", t.model, $8, $9, $10, $11, "
                          "now() + $12::bigint * interval '1 millisecond' FROM runnel.turn t "
                          "WHERE t.tenant = $1 AND t.owner = $2 AND t.id = $3 AND t.chat IS NOT NULL AND "
                          "t.ended_at IS NULL ON CONFLICT DO NOTHING" },
    [FIND_BEGUN] = { "operation_find_begun",
                     "SELECT " COLUMNS " FROM runnel.operation o WHERE o.tenant = $1 AND "
                     "o.chat = (SELECT t.chat FROM runnel.turn t WHERE t.tenant = $1 AND "
                     "t.owner = $2 AND t.id = $3) AND (o.id = $4 OR (o.state = 'running' AND "
                     "o.tool = $5 AND o.arguments = " HASH(
                         "$6") ")) "
                               "ORDER BY o.id = $4 DESC LIMIT 1" },
    [FORGET] = { "operation_forget",
                 "DELETE FROM runnel.operation o USING runnel.turn t WHERE o.tenant = $1 AND "
                 "o.id = $3 AND o.state = 'running' AND t.tenant = o.tenant AND t.id = o.turn AND "
                 "t.owner = $2" },
    [FIND] = { "operation_find", "SELECT " COLUMNS " FROM runnel.operation o WHERE o.id = $1" },
    /* The chat's lock comes before all others: behind it a turn has ended or is yet to end. */
    [LOCK] = { "operation_lock",
               "SELECT 1 FROM runnel.chat c WHERE (c.tenant, c.id) = (SELECT o.tenant, o.chat "
               "FROM runnel.operation o WHERE o.id = $1) FOR NO KEY UPDATE" },
    [COMPLETE] = { "operation_complete",
                   "WITH done AS (UPDATE runnel.operation o SET state = CASE WHEN $2::boolean "
                   "THEN 'completed' ELSE 'failed' END, output = $3, is_due = true, "
                   "ended_at = clock_timestamp() WHERE o.id = $1 AND o.state = 'running' AND "
                   "o.expires_at > now() RETURNING o.*) "
                   "INSERT INTO runnel.pending (tenant, chat, key, content, is_assistants, "
                   "context, model, api_key, account, is_limited, is_operations) "
                   "SELECT d.tenant, d.chat, gen_random_uuid()::text, $4, false, '', d.model, "
                   "d.api_key, d.account, d.is_limited, true FROM done d "
                   "JOIN runnel.turn t ON t.tenant = d.tenant AND t.id = d.turn "
                   "LEFT JOIN runnel.message m ON m.tenant = t.tenant AND m.id = t.answer "
                   "WHERE m.more->>'replaced' IS DISTINCT FROM 'true'" },
    [PUT_ONE] = { "operation_put", PUT_SQL(" AND o.id = $1") },
    [PUT_ALL] = { "operations_put", PUT_SQL("") },
    [CLEAN] = { "operations_clean",
                "DELETE FROM runnel.operation o WHERE o.ended_at < now() - interval '1 day' AND "
                "NOT o.is_due" },
    [STATEMENTS] = { NULL, NULL },
};

static struct operation_call *call_of(struct verb *v)
{
    return LIST_OWNER(v, struct operation_call, verb);
}

static void read_one(struct verb *v, const struct pg_rows *rows)
{
    struct operation_call *c = call_of(v);
    struct operation      *o = &c->operation;
    struct str *const      texts[] = { &o->id, &o->turn, &o->call, &o->tool };
    int                    column = 0;

    c->found = pg_n_rows(rows) > 0;
    if (!c->found)
        return;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = verb_text(v, rows, 0, column++);
    o->output_limit = (uint64_t)pg_get_int(rows, 0, column++);
    o->is_running = pg_get_bool(rows, 0, column++);
    o->has_expired = pg_get_bool(rows, 0, column);
}

static struct pg_work *begin(struct store *s, struct operation_call *c,
                             const struct verb_kind *kind)
{
    c->operation = (struct operation){ .id = STR("") };
    c->found = c->is_new = false;
    c->n = 0;
    return verb_begin(s, &c->verb, kind);
}

static void judge_found(struct verb *v)
{
    if (!call_of(v)->found)
        v->end = STORE_NOT_FOUND;
}

/* ---- begin, forget, find ----------------------------------------------------------------- */

enum { FIND_BEGUN_STEP = 2, FIND_COMPLETED_STEP = 3 };

static void begin_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == FIND_BEGUN_STEP)
        read_one(v, rows);
}

static void judge_begun(struct verb *v)
{
    struct operation_call *c = call_of(v);

    judge_found(v);
    c->is_new = c->found && str_eq(c->operation.id, c->wanted);
}

static const struct verb_kind begin_kind = { begin_rows, judge_begun };

static void put_turn(struct pg_work *w, const struct whose *whose, struct str turn)
{
    pg_int(w, whose->tenant);
    pg_text(w, whose->owner);
    pg_text(w, turn);
}

static void put_order(struct pg_work *w, const struct operation_order *o)
{
    pg_text(w, o->id);
    pg_text(w, o->call);
    pg_text(w, o->tool);
    pg_text(w, o->arguments);
    pg_int(w, o->asker->key);
    pg_int(w, o->asker->account);
    pg_bool(w, o->asker->is_limited);
    pg_int(w, (int64_t)o->output_limit);
    pg_int(w, (int64_t)(o->ttl / CLOCK_MS));
}

/* What has run out must not stand in its way. */
void operation_begin(struct store *s, struct operation_call *c, const struct whose *w,
                     const struct operation_order *o)
{
    struct pg_work *work = begin(s, c, &begin_kind);

    c->wanted = arena_str(&c->verb.arena, o->id);
    pg_step(work, &operation_statements[EXPIRE]);
    pg_step(work, &operation_statements[BEGIN]);
    put_turn(work, w, o->turn);
    put_order(work, o);
    pg_step(work, &operation_statements[FIND_BEGUN]);
    put_turn(work, w, o->turn);
    pg_text(work, o->id);
    pg_text(work, o->tool);
    pg_text(work, o->arguments);
    verb_send(&c->verb);
}

static void forget_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    (void)step;
    call_of(v)->found = pg_n_touched(rows) > 0;
}

static const struct verb_kind forget_kind = { forget_rows, judge_found };

void operation_forget(struct store *s, struct operation_call *c, const struct whose *w,
                      struct str id)
{
    struct pg_work *work = begin(s, c, &forget_kind);

    pg_step(work, &operation_statements[FORGET]);
    pg_int(work, w->tenant);
    pg_text(work, w->owner);
    pg_text(work, id);
    verb_send(&c->verb);
}

static void find_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    (void)step;
    read_one(v, rows);
}

static const struct verb_kind find_kind = { find_rows, judge_found };

void operation_find(struct store *s, struct operation_call *c, struct str id)
{
    struct pg_work *work = begin(s, c, &find_kind);

    pg_step(work, &operation_statements[FIND]);
    pg_text(work, id);
    verb_send(&c->verb);
}

/* ---- complete, settle -------------------------------------------------------------------- */

static void complete_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == FIND_COMPLETED_STEP)
        read_one(v, rows);
}

static void judge_completed(struct verb *v)
{
    judge_found(v);
    if (call_of(v)->operation.has_expired)
        v->end = STORE_NOT_FOUND;
}

static const struct verb_kind complete_kind = { complete_rows, judge_completed };

void operation_complete(struct store *s, struct operation_call *c, struct str id, bool success,
                        struct str output, struct str news)
{
    struct pg_work *work = begin(s, c, &complete_kind);

    pg_step(work, &operation_statements[LOCK]);
    pg_text(work, id);
    pg_step(work, &operation_statements[COMPLETE]);
    pg_text(work, id);
    pg_bool(work, success);
    pg_text(work, output);
    pg_text(work, news);
    pg_step(work, &operation_statements[PUT_ONE]);
    pg_text(work, id);
    pg_step(work, &operation_statements[FIND]);
    pg_text(work, id);
    verb_send(&c->verb);
}

static void settle_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct operation_call *c = call_of(v);

    if (step == 0)
        c->n = 0;
    c->n += pg_n_touched(rows);
}

static const struct verb_kind settle_kind = { settle_rows, NULL };

void operations_settle(struct store *s, struct operation_call *c)
{
    struct pg_work *work = begin(s, c, &settle_kind);

    pg_step(work, &operation_statements[EXPIRE]);
    pg_step(work, &operation_statements[PUT_ALL]);
    pg_step(work, &operation_statements[CLEAN]);
    verb_send(&c->verb);
}
