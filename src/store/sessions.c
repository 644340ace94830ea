#include "store/sessions.h"

enum statement { RUNNING, REPLACE, STATEMENTS };

/* Few answers are being made at once, and the index of the running ones holds no others. */
const struct pg_statement session_statements[] = {
    [RUNNING] = { "turns_running_of_owner",
                  "SELECT t.chat FROM runnel.turn t WHERE t.state = 'streaming' AND "
                  "t.tenant = $1 AND t.owner = $2 AND t.chat IS NOT NULL" },
    [REPLACE] = { "messages_replace",
                  "UPDATE runnel.message m SET more = m.more || '{\"replaced\": true}'::jsonb "
                  "WHERE m.tenant = $1 AND m.chat = (SELECT c.id FROM runnel.chat c WHERE " CHAT_IS
                  ") AND m.seq >= $6::bigint" },
    [STATEMENTS] = { NULL, NULL },
};

static void running_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct busy_call *c = LIST_OWNER(v, struct busy_call, verb);

    (void)step;
    c->n = pg_n_rows(rows);
    c->chats = c->n ? arena_new(&v->arena, c->n * sizeof *c->chats) : NULL;
    for (size_t i = 0; i < c->n; i++)
        c->chats[i] = pg_get_int(rows, i, 0);
}

static const struct verb_kind running_kind = { running_rows, NULL };

void turns_running(struct store *s, struct busy_call *c, const struct whose *w)
{
    struct pg_work *work = verb_begin(s, &c->verb, &running_kind);

    c->chats = NULL;
    c->n = 0;
    pg_step(work, &session_statements[RUNNING]);
    pg_int(work, w->tenant);
    pg_text(work, w->owner);
    verb_send(&c->verb);
}

static void replace_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    (void)step;
    LIST_OWNER(v, struct message_call, verb)->total = (int64_t)pg_n_touched(rows);
}

static void judge_replaced(struct verb *v)
{
    if (LIST_OWNER(v, struct message_call, verb)->total == 0)
        v->end = STORE_NOT_FOUND;
}

static const struct verb_kind replace_kind = { replace_rows, judge_replaced };

void messages_replace(struct store *s, struct message_call *c, const struct whose *w,
                      struct chat_name chat, int64_t from_seq)
{
    struct pg_work *work = verb_begin(s, &c->verb, &replace_kind);

    c->messages = NULL;
    c->n = 0;
    c->total = 0;
    pg_step(work, &session_statements[REPLACE]);
    put_chat(work, w, chat);
    pg_int(work, from_seq);
    verb_send(&c->verb);
}
