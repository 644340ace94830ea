#include "store/askers.h"

#define LIMITED(key, account)                                                                      \
    "EXISTS (SELECT FROM runnel.allowance w WHERE w.tenant = a.tenant AND (" key " OR w.account "  \
    "= " account " OR (w.api_key IS NULL AND w.account IS NULL)))"

enum { BY_KEY, MAKE_ACCOUNT, INTRODUCE, BY_SUBJECT };

const struct pg_statement asker_statements[] = {
    [BY_KEY] = { "asker_by_key",
                 "SELECT a.tenant, a.id, coalesce(p.id, 0), a.is_disabled,"
                 " coalesce(a.expires_at <= now(), false), coalesce(p.status::text, 'approved'),"
                 " array_to_string(a.models, E'\\n'), coalesce(p.subject, ''),"
                 " coalesce(p.nickname, ''), coalesce(p.role, ''), " LIMITED(
                     "w.api_key = a.id",
                     "a.account") ", t.name FROM runnel.api_key a"
                                  " JOIN runnel.tenant t ON t.id = a.tenant"
                                  " LEFT JOIN runnel.account p ON p.tenant = a.tenant AND p.id = a.account"
                                  " WHERE a.hash = $1::bytea" },
    [MAKE_ACCOUNT] = { "asker_make",
                       "INSERT INTO runnel.account (tenant, subject, status)"
                       " SELECT id, $2, (CASE WHEN $3 THEN 'approved' ELSE 'pending' END)"
                       "::runnel.account_status FROM runnel.tenant WHERE name = $1"
                       " AND NOT EXISTS (SELECT FROM runnel.account x"
                       " WHERE x.tenant = tenant.id AND x.subject = $2)"
                       " ON CONFLICT (tenant, subject) DO NOTHING" },
    [INTRODUCE] = { "asker_introduce",
                    "UPDATE runnel.account SET nickname = coalesce($3, nickname),"
                    " role = coalesce($4, role), updated_at = now() WHERE subject = $2"
                    " AND tenant = (SELECT id FROM runnel.tenant WHERE name = $1)" },
    [BY_SUBJECT] = { "asker_by_subject",
                     "SELECT a.tenant, 0, a.id, false, false, a.status::text, NULL, a.subject,"
                     " a.nickname, a.role, " LIMITED(
                         "false",
                         "a.id") ", t.name FROM runnel.account a JOIN runnel.tenant t ON t.id = a.tenant"
                                 " WHERE t.name = $1 AND a.subject = $2" },
    { NULL, NULL },
};

static enum asker_standing standing(const struct pg_rows *rows)
{
    static const struct {
        struct str          status;
        enum asker_standing standing;
    } words[] = {
        { STR_INIT("approved"), ASKER_WELCOME },
        { STR_INIT("pending"), ASKER_PENDING },
        { STR_INIT("rejected"), ASKER_REJECTED },
    };
    struct str status = pg_get(rows, 0, 5);

    if (pg_get_bool(rows, 0, 3))
        return ASKER_KEY_DISABLED;
    if (pg_get_bool(rows, 0, 4))
        return ASKER_KEY_EXPIRED;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(status, words[i].status))
            return words[i].standing;
    return ASKER_DISABLED;
}

static void take_asker(struct verb *v, size_t step, const struct pg_rows *rows)
{
    struct asker *a = &((struct asker_call *)v)->asker;

    (void)step;
    if (pg_n_rows(rows) == 0)
        return;
    a->tenant = (int32_t)pg_get_int(rows, 0, 0);
    a->key = pg_get_int(rows, 0, 1);
    a->account = pg_get_int(rows, 0, 2);
    a->standing = standing(rows);
    a->has_models = !pg_is_null(rows, 0, 6);
    a->models = verb_text(v, rows, 0, 6);
    a->subject = verb_text(v, rows, 0, 7);
    a->tenant_name = verb_text(v, rows, 0, 11);
    a->nickname = verb_text(v, rows, 0, 8);
    a->role = verb_text(v, rows, 0, 9);
    a->is_limited = pg_get_bool(rows, 0, 10);
}

static void judge_asker(struct verb *v)
{
    if (!((struct asker_call *)v)->asker.tenant)
        v->end = STORE_NOT_FOUND;
}

static const struct verb_kind asker_kind = { .rows = take_asker, .judge = judge_asker };

void asker_by_key(struct store *s, struct asker_call *c, struct str hash)
{
    struct pg_work *w = verb_begin(s, &c->verb, &asker_kind);

    c->asker = (struct asker){ .tenant = 0 };
    pg_step(w, &asker_statements[BY_KEY]);
    pg_bytes(w, hash);
    verb_send(&c->verb);
}

static void step_for(struct pg_work *w, int statement, struct str tenant, struct str subject)
{
    pg_step(w, &asker_statements[statement]);
    pg_text(w, tenant);
    pg_text(w, subject);
}

void asker_by_subject(struct store *s, struct asker_call *c, struct str tenant, struct str subject,
                      bool is_approved)
{
    struct pg_work *w = verb_begin(s, &c->verb, &asker_kind);

    c->asker = (struct asker){ .tenant = 0 };
    step_for(w, MAKE_ACCOUNT, tenant, subject);
    pg_bool(w, is_approved);
    step_for(w, BY_SUBJECT, tenant, subject);
    verb_send(&c->verb);
}

void asker_introduced(struct store *s, struct asker_call *c, struct str tenant, struct str subject,
                      bool is_approved, struct str nickname, struct str role)
{
    struct pg_work *w = verb_begin(s, &c->verb, &asker_kind);

    c->asker = (struct asker){ .tenant = 0 };
    step_for(w, MAKE_ACCOUNT, tenant, subject);
    pg_bool(w, is_approved);
    step_for(w, INTRODUCE, tenant, subject);
    put_text_or_null(w, nickname);
    put_text_or_null(w, role);
    step_for(w, BY_SUBJECT, tenant, subject);
    verb_send(&c->verb);
}
