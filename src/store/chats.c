#include "store/chats.h"

#include <string.h>

enum statement {
    OPEN,
    FIND,
    LOCK_CONTEXT,
    MAKE_FOR_CONTEXT,
    FIND_FOR_CONTEXT,
    RENAME,
    ENTITLE,
    PIN,
    KEEP_SESSION,
    ASSIGN,
    DELETE,
    COUNT,
    PAGE,                                     /* by each order                  */
    BEHIND = PAGE + CHATS_BY_BIRTH + 1,
};

#define COLUMNS                                                                                    \
    "c.id, c.uid, c.owner, c.mode, c.context_type, c.context_id, c.title, c.last_message, "        \
    "c.provider_session, c.more, c.is_pinned, c.next_seq, c.prompt_tokens, c.completion_tokens, "  \
    MICROS("c.last_message_at") ", " MICROS("c.created_at") ", " MICROS("c.updated_at")

#define OWNED "c.tenant = $1 AND c.dialect = $2 AND c.owner = $3"

/* A chat that $6, $7 and $8 (the rule) allow to be taken up. */
#define FITS                                                                                       \
    OWNED " AND c.context_type = $4 AND c.context_id = $5 AND ($6::bigint < 0 OR "                 \
          "coalesce(c.last_message_at, c.created_at) >= now() - $6 * interval '1 second') "        \
          "AND (NOT $7::boolean OR c.next_seq = 0)"

#define CHANGE(what)                                                                               \
    "UPDATE runnel.chat c SET " what ", updated_at = now() WHERE " CHAT_IS " RETURNING " COLUMNS

#define PAGE_BY(time)                                                                              \
    "SELECT " COLUMNS " FROM runnel.chat c WHERE " OWNED " ORDER BY " time                         \
    ", c.id DESC OFFSET $4 LIMIT $5"

#define TIME_4 "'epoch'::timestamptz + $4::bigint * interval '1 microsecond'"

#define BEHIND_BY(time)                                                                            \
    "SELECT " COLUMNS " FROM runnel.chat c WHERE " OWNED " AND (" time ", c.id) < (" TIME_4        \
    ", $5::bigint) ORDER BY " time " DESC, c.id DESC LIMIT $6"

/* Chats without a message come last: two scans of one index, each as short as the page. */
#define BEHIND_BY_MESSAGE                                                                          \
    "SELECT " COLUMNS " FROM ("                                                                    \
    "(SELECT * FROM runnel.chat c WHERE " OWNED " AND $4::bigint > 0 AND "                         \
    "(c.last_message_at, c.id) < (" TIME_4 ", $5::bigint) "                                        \
    "ORDER BY c.last_message_at DESC NULLS LAST, c.id DESC LIMIT $6) UNION ALL "                   \
    "(SELECT * FROM runnel.chat c WHERE " OWNED " AND c.last_message_at IS NULL AND "              \
    "c.id < CASE WHEN $4::bigint > 0 THEN 9223372036854775807 ELSE $5::bigint END "                \
    "ORDER BY c.last_message_at DESC NULLS LAST, c.id DESC LIMIT $6)) c "                          \
    "ORDER BY c.last_message_at DESC NULLS LAST, c.id DESC LIMIT $6"

const struct pg_statement chat_statements[] = {
    [OPEN] = { "chat_open",
               "INSERT INTO runnel.chat (tenant, dialect, owner, uid, mode, context_type, "
               "context_id, title, more) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb) "
               "ON CONFLICT (tenant, dialect, uid) DO NOTHING" },
    [FIND] = { "chat_find", "SELECT " COLUMNS " FROM runnel.chat c WHERE " CHAT_IS },
    [LOCK_CONTEXT] = { "chat_lock_context",
                       "SELECT pg_advisory_xact_lock(hashtextextended(jsonb_build_array("
                       "$1::int, $2::text, $3::text, $4::text, $5::text)::text, 0))" },
    [MAKE_FOR_CONTEXT] = { "chat_make_for_context",
                           "INSERT INTO runnel.chat (tenant, dialect, owner, context_type, "
                           "context_id, uid, mode, title, more) "
                           "SELECT $1, $2, $3, $4, $5, $8, $9, $10, $11::jsonb "
                           "WHERE NOT EXISTS (SELECT FROM runnel.chat c WHERE " FITS ") "
                           "ON CONFLICT (tenant, dialect, uid) DO NOTHING" },
    [FIND_FOR_CONTEXT] = { "chat_find_for_context",
                           "SELECT " COLUMNS " FROM runnel.chat c WHERE " FITS
                           " ORDER BY c.id DESC LIMIT 1" },
    [RENAME] = { "chat_rename", CHANGE("title = $6") },
    [ENTITLE] = { "chat_entitle", "UPDATE runnel.chat c SET title = CASE WHEN c.title = '' THEN $6 "
                                  "ELSE c.title END WHERE " CHAT_IS " RETURNING " COLUMNS },
    [PIN] = { "chat_pin", CHANGE("is_pinned = $6") },
    [KEEP_SESSION] = { "chat_keep_session", CHANGE("provider_session = $6") },
    [ASSIGN] = { "chat_assign",
                 "UPDATE runnel.chat c SET owner = $6, updated_at = now() "
                 "WHERE c.tenant = $1 AND c.dialect IS NOT DISTINCT FROM $2 AND "
                 "(c.owner = $3 OR c.owner = $6) AND " CHAT_NAMED " RETURNING " COLUMNS },
    [DELETE] = { "chat_delete", "DELETE FROM runnel.chat c WHERE " CHAT_IS },
    [COUNT] = { "chat_count", "SELECT count(*) FROM runnel.chat c WHERE " OWNED },
    [PAGE + CHATS_BY_MESSAGE] = { "chat_page_by_message",
                                  PAGE_BY("c.last_message_at DESC NULLS LAST") },
    [PAGE + CHATS_BY_UPDATE] = { "chat_page_by_update", PAGE_BY("c.updated_at DESC") },
    [PAGE + CHATS_BY_BIRTH] = { "chat_page_by_birth", PAGE_BY("c.created_at DESC") },
    [BEHIND + CHATS_BY_MESSAGE] = { "chat_behind_by_message", BEHIND_BY_MESSAGE },
    [BEHIND + CHATS_BY_UPDATE] = { "chat_behind_by_update", BEHIND_BY("c.updated_at") },
    [BEHIND + CHATS_BY_BIRTH] = { "chat_behind_by_birth", BEHIND_BY("c.created_at") },
    [BEHIND + CHATS_BY_BIRTH + 1] = { NULL, NULL },
};

/* ---- parameters ------------------------------------------------------------------------ */

void put_whose(struct pg_work *w, const struct whose *whose)
{
    pg_int(w, whose->tenant);
    pg_text(w, whose->dialect);
    pg_text(w, whose->owner);
}

void put_chat(struct pg_work *w, const struct whose *whose, struct chat_name name)
{
    put_whose(w, whose);
    if (name.id)
        pg_int(w, name.id);
    else
        pg_null(w);
    pg_text(w, name.uid);
}

/* ---- rows ------------------------------------------------------------------------------ */

static struct chat_call *call_of(struct verb *v)
{
    return LIST_OWNER(v, struct chat_call, verb);
}

static void read_chat(struct verb *v, const struct pg_rows *rows, size_t row, struct kept_chat *c)
{
    struct str *const texts[] = { &c->uid,        &c->owner, &c->mode,         &c->context_type,
                                  &c->context_id, &c->title, &c->last_message, &c->provider_session,
                                  &c->more };
    int64_t *const    numbers[] = { &c->n_messages,      &c->prompt_tokens, &c->completion_tokens,
                                    &c->last_message_at, &c->created_at,    &c->updated_at };
    int               column = 0;

    c->id = pg_get_int(rows, row, column++);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = verb_text(v, rows, row, column++);
    c->is_pinned = pg_get_bool(rows, row, column++);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = pg_get_int(rows, row, column++);
}

static void read_chats(struct verb *v, const struct pg_rows *rows)
{
    struct chat_call *c = call_of(v);

    c->n = pg_n_rows(rows);
    c->chats = c->n ? arena_new(&v->arena, c->n * sizeof *c->chats) : NULL;
    for (size_t i = 0; i < c->n; i++)
        read_chat(v, rows, i, &c->chats[i]);
}

static struct pg_work *begin(struct store *s, struct chat_call *c, const struct verb_kind *kind)
{
    c->chats = NULL;
    c->n = 0;
    c->total = 0;
    c->is_new = false;
    return verb_begin(s, &c->verb, kind);
}

/* ---- one chat -------------------------------------------------------------------------- */

static void one_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    (void)step;
    read_chats(v, rows);
}

static void one_judge(struct verb *v)
{
    if (call_of(v)->n == 0)
        v->end = STORE_NOT_FOUND;
}

static const struct verb_kind one_kind = { one_rows, one_judge };

static struct pg_work *begin_one(struct store *s, struct chat_call *c, enum statement statement,
                                 const struct whose *whose, struct chat_name name)
{
    struct pg_work *w = begin(s, c, &one_kind);

    pg_step(w, &chat_statements[statement]);
    put_chat(w, whose, name);
    return w;
}

void chat_find(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name)
{
    begin_one(s, c, FIND, w, name);
    verb_send(&c->verb);
}

void chat_rename(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name,
                 struct str title)
{
    pg_text(begin_one(s, c, RENAME, w, name), title);
    verb_send(&c->verb);
}

void chat_entitle(struct store *s, struct chat_call *c, const struct whose *w,
                  struct chat_name name, struct str title)
{
    pg_text(begin_one(s, c, ENTITLE, w, name), title);
    verb_send(&c->verb);
}

void chat_pin(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name,
              bool is_pinned)
{
    pg_bool(begin_one(s, c, PIN, w, name), is_pinned);
    verb_send(&c->verb);
}

void chat_keep_session(struct store *s, struct chat_call *c, const struct whose *w,
                       struct chat_name name, struct str provider_session)
{
    pg_text(begin_one(s, c, KEEP_SESSION, w, name), provider_session);
    verb_send(&c->verb);
}

/* Done twice, it is the new owner's already. */
void chat_assign(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name,
                 struct str owner)
{
    pg_text(begin_one(s, c, ASSIGN, w, name), owner);
    verb_send(&c->verb);
}

static void delete_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    (void)step;
    call_of(v)->n = pg_n_touched(rows);
}

static const struct verb_kind delete_kind = { delete_rows, one_judge };

void chat_delete(struct store *s, struct chat_call *c, const struct whose *w, struct chat_name name)
{
    struct pg_work *work = begin(s, c, &delete_kind);

    pg_step(work, &chat_statements[DELETE]);
    put_chat(work, w, name);
    verb_send(&c->verb);
}

/* ---- making one ------------------------------------------------------------------------ */

static void open_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        call_of(v)->is_new = pg_n_touched(rows) > 0;
    else
        read_chats(v, rows);
}

static const struct verb_kind open_kind = { open_rows, one_judge };

void chat_open(struct store *s, struct chat_call *c, const struct whose *w,
               const struct new_chat *n)
{
    struct pg_work *work = begin(s, c, &open_kind);

    pg_step(work, &chat_statements[OPEN]);
    put_whose(work, w);
    pg_text(work, n->uid);
    pg_text(work, n->mode);
    put_text_or_null(work, n->context_type);
    put_text_or_null(work, n->context_id);
    pg_text(work, n->title);
    put_json(work, n->more);
    pg_step(work, &chat_statements[FIND]);
    put_chat(work, w, (struct chat_name){ .uid = n->uid });
    verb_send(&c->verb);
}

enum { LOCK_STEP, MAKE_STEP, FIND_STEP };

static void take_up_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == MAKE_STEP)
        call_of(v)->is_new = pg_n_touched(rows) > 0;
    else if (step == FIND_STEP)
        read_chats(v, rows);
}

static const struct verb_kind take_up_kind = { take_up_rows, one_judge };

static void put_context(struct pg_work *w, const struct whose *whose, const struct new_chat *n)
{
    put_whose(w, whose);
    pg_text(w, n->context_type);
    pg_text(w, n->context_id);
}

static void put_rule(struct pg_work *w, const struct chat_reuse *rule)
{
    pg_int(w, rule->window);
    pg_bool(w, rule->untouched);
}

/* Each step sees what was kept before it began, so the lock has to be one of its own. */
void chat_take_up(struct store *s, struct chat_call *c, const struct whose *w,
                  const struct new_chat *n, const struct chat_reuse *rule)
{
    struct pg_work *work = begin(s, c, &take_up_kind);

    pg_step(work, &chat_statements[LOCK_CONTEXT]);
    put_context(work, w, n);
    pg_step(work, &chat_statements[MAKE_FOR_CONTEXT]);
    put_context(work, w, n);
    put_rule(work, rule);
    pg_text(work, n->uid);
    pg_text(work, n->mode);
    pg_text(work, n->title);
    put_json(work, n->more);
    pg_step(work, &chat_statements[FIND_FOR_CONTEXT]);
    put_context(work, w, n);
    put_rule(work, rule);
    verb_send(&c->verb);
}

/* ---- lists ----------------------------------------------------------------------------- */

static void page_rows(struct verb *v, size_t step, const struct pg_rows *rows)
{
    if (step == 0)
        call_of(v)->total = pg_get_int(rows, 0, 0);
    else
        read_chats(v, rows);
}

static const struct verb_kind page_kind = { page_rows, NULL };

void chat_page(struct store *s, struct chat_call *c, const struct whose *w, enum chat_order order,
               int64_t offset, int64_t limit)
{
    struct pg_work *work = begin(s, c, &page_kind);

    pg_step(work, &chat_statements[COUNT]);
    put_whose(work, w);
    pg_step(work, &chat_statements[PAGE + order]);
    put_whose(work, w);
    put_limit(work, offset, INT64_MAX);
    put_limit(work, limit, CHATS_MAX);
    verb_send(&c->verb);
}

static const struct verb_kind list_kind = { one_rows, NULL };

void chat_list_behind(struct store *s, struct chat_call *c, const struct whose *w,
                      enum chat_order order, struct chat_key key, int64_t limit)
{
    struct pg_work *work = begin(s, c, &list_kind);

    pg_step(work, &chat_statements[BEHIND + order]);
    put_whose(work, w);
    pg_int(work, key.time);
    pg_int(work, key.id);
    put_limit(work, limit, CHATS_MAX);
    verb_send(&c->verb);
}
