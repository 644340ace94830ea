#include "store/messages.h"

#include <assert.h>

enum statement { LOCK, APPEND, FIND_ONCE, FIND, COUNT, PAGE, LAST, SEARCH, ANNOTATE, STATEMENTS };

static const char *const role_names[] = { "system", "user", "assistant", "tool", "view" };
static const char *const state_names[] = { "streaming", "complete", "stopped", "interrupted",
                                           "error" };

#define COLUMNS_BUT(name)                                                                          \
    "m.id, m.seq, m.role, m.state, m.content, m.reasoning, " name ", m.tool_call_id, "             \
    "m.tool_calls, m.more, m.turn, coalesce(m.tokens_used, -1), " MICROS("m.created_at")
#define COLUMNS COLUMNS_BUT("m.name")

#define OF_CHAT "m.tenant = c.tenant AND m.chat = c.id"

/* As a value and not as a table, so that the index gives the order. */
#define IN_CHAT "m.tenant = $1 AND m.chat = (SELECT c.id FROM runnel.chat c WHERE " CHAT_IS ")"

/* Of the newest chats only: a search of everything would take as long as a person has lived. */
#define SEARCH_SQL                                                                                 \
    "SELECT " COLUMNS_BUT("coalesce(nullif(c.title, ''), c.uid)") " FROM (SELECT tenant, id, "      \
    "title, uid FROM runnel.chat WHERE tenant = $1 AND dialect = $2 AND owner = $3 "               \
    "ORDER BY last_message_at DESC NULLS LAST, id DESC LIMIT 200) c CROSS JOIN LATERAL "           \
    "(SELECT * FROM runnel.message m WHERE " OF_CHAT " AND m.role IN ('user', 'assistant') "       \
    "AND m.state <> 'streaming' AND position(lower($4) IN lower(m.content)) > 0 "                  \
    "ORDER BY m.seq DESC LIMIT $5::bigint) m ORDER BY m.id DESC LIMIT $5::bigint"

const struct pg_statement message_statements[] = {
    [LOCK] = { "message_lock", "SELECT 1 FROM runnel.chat c WHERE " CHAT_IS " FOR NO KEY UPDATE" },
    [APPEND] = { "message_append",
                 "WITH at AS (UPDATE runnel.chat c SET next_seq = c.next_seq + 1, "
                 "last_message = CASE WHEN $6 IN ('user', 'assistant') THEN left($7, 200) "
                 "ELSE c.last_message END, last_message_at = clock_timestamp(), "
                 "updated_at = clock_timestamp() WHERE " CHAT_IS " AND NOT EXISTS (SELECT "
                 "FROM runnel.message m WHERE " OF_CHAT " AND m.once = $15) "
                 "RETURNING c.tenant, c.id, c.next_seq - 1 AS seq) "
                 "INSERT INTO runnel.message (tenant, chat, seq, role, content, reasoning, name, "
                 "tool_call_id, tool_calls, tokens_used, more, turn, once, created_at) "
                 "SELECT tenant, id, seq, $6, $7, $8, $9, $10, $11::jsonb, $12::bigint, "
                 "$13::jsonb, $14, $15, clock_timestamp() FROM at" },
    [FIND_ONCE] = { "message_find_once",
                    "SELECT " COLUMNS " FROM runnel.message m WHERE " IN_CHAT " AND m.once = $6" },
    [FIND] = { "message_find_chat", "SELECT 1 FROM runnel.chat c WHERE " CHAT_IS },
    [COUNT] = { "message_count",
                "SELECT (SELECT count(*) FROM runnel.message m WHERE " OF_CHAT
                " AND m.role = ANY ($6::text[])) FROM runnel.chat c WHERE " CHAT_IS },
    [PAGE] = { "message_page", "SELECT " COLUMNS " FROM runnel.message m WHERE " IN_CHAT
                               " AND m.role = ANY ($6::text[]) ORDER BY m.seq OFFSET $7 LIMIT $8" },
    [LAST] = { "message_last",
               "SELECT * FROM (SELECT " COLUMNS " FROM runnel.message m WHERE " IN_CHAT
               " AND m.role = ANY ($6::text[]) AND m.seq < $7::bigint "
               "ORDER BY m.seq DESC LIMIT $8) AS last ORDER BY seq" },
    [SEARCH] = { "message_search", SEARCH_SQL },
    [ANNOTATE] = { "message_annotate",
                   "UPDATE runnel.message m SET more = m.more || $7::jsonb WHERE " IN_CHAT
                   " AND m.id = $6 RETURNING " COLUMNS },
    [STATEMENTS] = { NULL, NULL },
};

const char *kept_role_name(enum kept_role role)
{
    return role_names[role];
}

const char *kept_state_name(enum kept_state state)
{
    return state_names[state];
}

/* ---- rows ------------------------------------------------------------------------------ */

static struct message_call *call_of(struct verb *v)
{
    return LIST_OWNER(v, struct message_call, verb);
}

static enum kept_role read_role(struct str name)
{
    enum kept_role role = KEPT_VIEW;

    while (role > 0 && !str_eq(name, str_of(role_names[role])))
        role--;
    return role;
}

enum kept_state kept_state_read(struct str name)
{
    enum kept_state state = KEPT_ERROR;

    while (state > 0 && !str_eq(name, str_of(state_names[state])))
        state--;
    return state;
}

static void read_message(struct verb *v, const struct pg_rows *rows, size_t row,
                         struct kept_message *m)
{
    struct str *const texts[] = { &m->content,    &m->reasoning, &m->name, &m->tool_call_id,
                                  &m->tool_calls, &m->more,      &m->turn };
    int               column = 4;

    m->id = pg_get_int(rows, row, 0);
    m->seq = pg_get_int(rows, row, 1);
    m->role = read_role(pg_get(rows, row, 2));
    m->state = kept_state_read(pg_get(rows, row, 3));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = verb_text(v, rows, row, column++);
    m->tokens_used = pg_get_int(rows, row, column++);
    m->created_at = pg_get_int(rows, row, column);
}

static void read_messages(struct verb *v, const struct pg_rows *rows)
{
    struct message_call *c = call_of(v);

    c->n = pg_n_rows(rows);
    c->messages = c->n ? arena_new(&v->arena, c->n * sizeof *c->messages) : NULL;
    for (size_t i = 0; i < c->n; i++)
        read_message(v, rows, i, &c->messages[i]);
}

static struct pg_work *begin(struct store *s, struct message_call *c, const struct verb_kind *kind)
{
    c->messages = NULL;
    c->n = 0;
    c->total = 0;
    c->is_more = false;
    return verb_begin(s, &c->verb, kind);
}

/* Such a verb finds out first whether the chat is there: an empty one has no messages, too. */
static void judge_chat(struct verb *v)
{
    if (call_of(v)->total < 0)
        v->end = STORE_NOT_FOUND;
}

static void judge_message(struct verb *v)
{
    if (call_of(v)->n == 0)
        v->end = STORE_NOT_FOUND;
}

/* ---- one message ----------------------------------------------------------------------- */

static void append_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 2)
        read_messages(v, rows);
}

static const struct verb_kind append_kind = { append_rows, judge_message };

/* The chat's lock comes first: what stands behind it sees what others wrote before. */
void message_append(struct store *s, struct message_call *c, const struct whose *w,
                    struct chat_name chat, const struct new_message *m)
{
    struct pg_work *work = begin(s, c, &append_kind);

    assert(m->once.n);
    pg_step(work, &message_statements[LOCK]);
    put_chat(work, w, chat);
    pg_step(work, &message_statements[APPEND]);
    put_chat(work, w, chat);
    pg_text(work, str_of(role_names[m->role]));
    pg_text(work, m->content);
    pg_text(work, m->reasoning);
    pg_text(work, m->name);
    pg_text(work, m->tool_call_id);
    put_text_or_null(work, m->tool_calls);
    put_count_or_null(work, m->tokens_used);
    put_json(work, m->more);
    pg_text(work, m->turn);
    pg_text(work, m->once);
    pg_step(work, &message_statements[FIND_ONCE]);
    put_chat(work, w, chat);
    pg_text(work, m->once);
    verb_send(&c->verb);
}

static void one_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    (void)step;
    read_messages(v, rows);
}

static const struct verb_kind one_kind = { one_rows, judge_message };

void message_annotate(struct store *s, struct message_call *c, const struct whose *w,
                      struct chat_name chat, int64_t id, struct str more)
{
    struct pg_work *work = begin(s, c, &one_kind);

    pg_step(work, &message_statements[ANNOTATE]);
    put_chat(work, w, chat);
    pg_int(work, id);
    put_json(work, more);
    verb_send(&c->verb);
}

/* ---- lists ----------------------------------------------------------------------------- */

static void put_roles(struct pg_work *w, unsigned roles)
{
    pg_array(w);
    for (enum kept_role r = 0; r < sizeof role_names / sizeof *role_names; r++)
        if (roles & ROLE_BIT(r))
            pg_item(w, str_of(role_names[r]));
    pg_array_end(w);
}

static void page_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        call_of(v)->total = pg_n_rows(rows) ? pg_get_int(rows, 0, 0) : -1;
    else
        read_messages(v, rows);
}

static const struct verb_kind page_kind = { page_rows, judge_chat };

void message_page(struct store *s, struct message_call *c, const struct whose *w,
                  struct chat_name chat, unsigned roles, int64_t offset, int64_t limit)
{
    struct pg_work *work = begin(s, c, &page_kind);

    pg_step(work, &message_statements[COUNT]);
    put_chat(work, w, chat);
    put_roles(work, roles);
    pg_step(work, &message_statements[PAGE]);
    put_chat(work, w, chat);
    put_roles(work, roles);
    put_limit(work, offset, INT64_MAX);
    put_limit(work, limit, MESSAGES_MAX);
    verb_send(&c->verb);
}

/* One more than is wanted tells whether there are more. */
static void last_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct message_call *c = call_of(v);

    if (step == 0) {
        c->total = pg_n_rows(rows) ? 0 : -1;
        return;
    }
    read_messages(v, rows);
    c->is_more = c->n > c->wanted;
    if (c->is_more) {
        c->messages += c->n - c->wanted;
        c->n = c->wanted;
    }
}

static const struct verb_kind last_kind = { last_rows, judge_chat };

void message_last(struct store *s, struct message_call *c, const struct whose *w,
                  struct chat_name chat, unsigned roles, int64_t before_seq, int64_t limit)
{
    struct pg_work *work = begin(s, c, &last_kind);

    c->wanted = limit < 0 ? 0 : limit < MESSAGES_MAX ? (size_t)limit : MESSAGES_MAX;
    pg_step(work, &message_statements[FIND]);
    put_chat(work, w, chat);
    pg_step(work, &message_statements[LAST]);
    put_chat(work, w, chat);
    put_roles(work, roles);
    pg_int(work, before_seq);
    pg_int(work, (int64_t)c->wanted + 1);
    verb_send(&c->verb);
}

static const struct verb_kind search_kind = { one_rows, NULL };

void message_search(struct store *s, struct message_call *c, const struct whose *w,
                    struct str words, int64_t limit)
{
    struct pg_work *work = begin(s, c, &search_kind);

    pg_step(work, &message_statements[SEARCH]);
    put_whose(work, w);
    pg_text(work, words);
    put_limit(work, limit, MESSAGES_MAX);
    verb_send(&c->verb);
}
