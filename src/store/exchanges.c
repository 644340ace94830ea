#include "store/exchanges.h"

enum statement { FIND, COUNT_CHATS };

#define OWNED "c.tenant = $1 AND c.dialect = $2 AND c.owner = $3"

/* The question stands right before its answer. strpos() and not LIKE: what is looked for has no
 * special letters. */
const struct pg_statement exchange_statements[] = {
    [FIND] = { "exchange_find",
               "SELECT a.turn, c.more, q.content, a.content, a.state, " MICROS(
                   "a.created_at") " FROM runnel.chat c "
                                   "JOIN runnel.message a ON a.tenant = c.tenant AND a.chat = c.id "
                                   "JOIN runnel.message q ON q.tenant = a.tenant AND q.chat = a.chat AND "
                                   "q.seq = a.seq - 1 "
                                   "WHERE " OWNED " AND ($4::text IS NULL OR c.uid = $4) "
                                   "AND a.role = 'assistant' "
                                   "AND (strpos(lower(q.content), lower($5)) > 0 OR "
                                   "strpos(lower(a.content), lower($5)) > 0) "
                                   "ORDER BY a.id DESC LIMIT $6" },
    [COUNT_CHATS] = { "exchange_count_chats",
                      "SELECT count(*) FROM runnel.chat c WHERE " OWNED
                      " AND c.last_message_at >= now() - $4::bigint * interval '1 second'" },
    { NULL, NULL },
};

static void find_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct exchange_call *c = LIST_OWNER(v, struct exchange_call, verb);

    (void)step;
    c->n = pg_n_rows(rows);
    c->exchanges = arena_new(&v->arena, (c->n + 1) * sizeof *c->exchanges);
    for (size_t i = 0; i < c->n; i++)
        c->exchanges[i] = (struct kept_exchange){
            .turn = verb_text(v, rows, i, 0),
            .chat_more = verb_text(v, rows, i, 1),
            .question = verb_text(v, rows, i, 2),
            .answer = verb_text(v, rows, i, 3),
            .state = kept_state_read(verb_text(v, rows, i, 4)),
            .created_at = pg_get_int(rows, i, 5),
        };
}

static const struct verb_kind find_kind = { .rows = find_rows };

void exchange_find(struct store *s, struct exchange_call *c, const struct whose *w, struct str uid,
                   struct str text, int64_t limit)
{
    struct pg_work *work = verb_begin(s, &c->verb, &find_kind);

    c->n = 0;
    pg_step(work, &exchange_statements[FIND]);
    put_whose(work, w);
    put_text_or_null(work, uid);
    pg_text(work, text);
    put_limit(work, limit, EXCHANGES_MAX);
    verb_send(&c->verb);
}

static void count_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    (void)step;
    LIST_OWNER(v, struct exchange_call, verb)->active = pg_get_int(rows, 0, 0);
}

static const struct verb_kind count_kind = { .rows = count_rows };

void exchange_count_chats(struct store *s, struct exchange_call *c, const struct whose *w,
                          int64_t seconds)
{
    struct pg_work *work = verb_begin(s, &c->verb, &count_kind);

    c->active = 0;
    pg_step(work, &exchange_statements[COUNT_CHATS]);
    put_whose(work, w);
    pg_int(work, seconds);
    verb_send(&c->verb);
}
