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
    "'streaming'::runnel.message_state, '', '', '{}'::jsonb, $6, clock_timestamp() FROM c, at "    \
    "RETURNING " MICROS("now()") ", chat, id, seq, " MICROS("created_at")

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
