/* turns_sql.h - how a turn is read, claimed and ended: the long pieces of SQL of turns.c. */
#ifndef STORE_TURNS_SQL_H
#define STORE_TURNS_SQL_H

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
 * nobody waits in a ring; for that many claims lock all their chats, in order, and then take
 * their turns by the keys. The ids of both messages are taken first because the turn names its
 * answer. One text for a claim with and without a crowd would be planned anew each time:
 * PostgreSQL finds that without a crowd to look at it is cheaper than a plan for any value. */
#define CLAIM_SQL(questions, has_room)                                                             \
    "WITH at AS (" questions "), "                                                                 \
    "taken AS (INSERT INTO runnel.turn (tenant, id, owner, idempotency_key, question_hash, "       \
    "chat, answer, model, holder, lease_until) "                                                   \
    "SELECT tenant, turn, owner, key, hash, chat, answer, model, holder, " LEASE("lease") " "      \
    "FROM at " has_room "ON CONFLICT DO NOTHING RETURNING tenant, id, chat), "                     \
    "c AS (UPDATE runnel.chat c SET next_seq = c.next_seq + 2, last_message = "                    \
    "CASE WHEN at.role = 'tool' THEN c.last_message ELSE left(at.content, 200) END, "              \
    "title = CASE WHEN c.title = '' THEN at.title ELSE c.title END, "                              \
    "last_message_at = clock_timestamp(), updated_at = clock_timestamp() "                         \
    "FROM taken JOIN at ON at.tenant = taken.tenant AND at.turn = taken.id "                       \
    "WHERE c.tenant = taken.tenant AND c.id = taken.chat "                                         \
    "RETURNING at.*, c.next_seq - 2 AS seq) "                                                      \
    "INSERT INTO runnel.message (tenant, id, chat, seq, role, state, content, name, more, turn, "  \
    "created_at) "                                                                                 \
    "SELECT c.tenant, m.id, c.chat, m.seq, m.role, m.state, m.content, m.name, m.more, c.turn, "   \
    "clock_timestamp() FROM c CROSS JOIN LATERAL (VALUES (c.question, c.seq, c.role, "             \
    "'complete'::runnel.message_state, c.content, c.name, c.more), "                               \
    "(c.answer, c.seq + 1, 'assistant', 'streaming', '', '', '{}')) "                              \
    "AS m (id, seq, role, state, content, name, more) "                                            \
    "RETURNING " MICROS("now()") ", chat, id, seq, " MICROS("created_at") ", turn"

#define TAKE_CHAT                                                                                  \
    "c.tenant, c.id AS chat, nextval('runnel.message_id_seq') AS question, "                       \
    "nextval('runnel.message_id_seq') AS answer"

#define ONE_QUESTION                                                                               \
    "SELECT " TAKE_CHAT ", $6 AS turn, $3 AS owner, $7 AS key, $8::bytea AS hash, $9 AS model, "   \
    "$10 AS holder, $11::bigint AS lease, $12 AS role, $13 AS content, $14 AS name, "              \
    "$15::jsonb AS more, $16 AS title FROM runnel.chat c WHERE " CHAT_IS " FOR NO KEY UPDATE"

/* Each parameter is the array of those. Here a chat has a number. PostgreSQL does not see how long
 * an array is: for two it would think a plan of their own cheaper, and make it each time. Nor
 * can it walk through all chats, as it would while they are few: each is looked for by itself. */
#define UNSEEN(parameter) "(SELECT " parameter ")"
#define MANY_QUESTIONS                                                                             \
    "SELECT " TAKE_CHAT ", q.turn, q.owner, q.key, q.hash, q.model, q.holder, q.lease, q.role, "   \
    "q.content, q.name, q.more, q.title FROM (SELECT * FROM unnest(" UNSEEN("$1::int[]") ", "      \
    UNSEEN("$2::text[]") ", " UNSEEN("$3::text[]") ", " UNSEEN("$4::bigint[]") ", "                \
    UNSEEN("$5::text[]") ", " UNSEEN("$6::text[]") ", " UNSEEN("$7::text[]") ", "                  \
    UNSEEN("$8::bytea[]") ", " UNSEEN("$9::text[]") ", " UNSEEN("$10::text[]") ", "                \
    UNSEEN("$11::bigint[]") ", " UNSEEN("$12::text[]") ", " UNSEEN("$13::text[]") ", "             \
    UNSEEN("$14::text[]") ", " UNSEEN("$15::jsonb[]") ", " UNSEEN("$16::text[]") ") AS q "         \
    "(tenant, dialect, owner, chat, uid, turn, key, hash, model, holder, lease, role, content, "   \
    "name, more, title) ORDER BY tenant, chat) q CROSS JOIN LATERAL (SELECT c.tenant, c.id FROM "  \
    "runnel.chat c WHERE c.tenant = q.tenant AND c.id = q.chat AND "                               \
    "c.dialect IS NOT DISTINCT FROM q.dialect AND c.owner IS NOT DISTINCT FROM q.owner "           \
    "FOR NO KEY UPDATE) c"
#define IN_ORDER_OF_KEYS "ORDER BY tenant, owner, key "

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
    "FROM t WHERE m.tenant = t.tenant AND m.id = t.answer), "                                      \
    "c AS (UPDATE runnel.chat c SET last_message = CASE WHEN $9 = '' THEN c.last_message "               \
    "ELSE left($9, 200) END, last_message_at = clock_timestamp(), "                                \
    "updated_at = clock_timestamp(), prompt_tokens = c.prompt_tokens + $7, "                       \
    "completion_tokens = c.completion_tokens + $8, provider_session = "                            \
    "CASE WHEN $14 = '' THEN c.provider_session ELSE $14 END "                                     \
    "FROM t WHERE c.tenant = t.tenant AND c.id = t.chat) "                                         \
    "SELECT FROM t"

#endif
