/* security_test.c - what is anna's, nobody else ever sees or touches, by whichever verb of the
 * store; and no text and no number makes a verb do what it is not for.
 */
#include "base/clock.h"
#include "database/verbs.h"
#include "pg/pg_now.h"

#define SECRET "only anna may read this"

static struct pg_now *db;                     /* looks on, without the store    */
static struct probe   annas;                  /* as she would ask               */

static int64_t number(const char *sql)
{
    const struct pg_rows *rows = pg_now_ask(db, sql, PG_NO_PARAMS);

    check_that(rows && pg_n_rows(rows) == 1, "%s: %s", sql, pg_now_why(db));
    return pg_get_int(rows, 0, 0);
}

/* What there is of hers, wherever: a chat with a message, a turn that runs and its journal, an
 * account, a key that is limited, and what is reserved and spent of it. */
static const char *const made[] = {
    "TRUNCATE runnel.account, runnel.api_key, runnel.allowance, runnel.spending,"
    " runnel.reservation, runnel.pace, runnel.billed, runnel.usage, runnel.chat,"
    " runnel.message, runnel.turn, runnel.journal, runnel.tool CASCADE",
    "INSERT INTO runnel.chat (tenant, dialect, owner, uid, title, context_type, context_id,"
    " last_message, next_seq) VALUES (1, 'xcx', 'anna', 'annas-chat', '" SECRET "', 'task',"
    " '7', '" SECRET "', 2)",
    "INSERT INTO runnel.message (tenant, chat, seq, role, content, once)"
    " SELECT 1, id, 0, 'user', '" SECRET "', 'annas-word' FROM runnel.chat",
    "INSERT INTO runnel.message (tenant, chat, seq, role, state, turn)"
    " SELECT 1, id, 1, 'assistant', 'streaming', 'annas-turn' FROM runnel.chat",
    "INSERT INTO runnel.turn (tenant, id, owner, idempotency_key, chat, answer, holder, model,"
    " lease_until) SELECT 1, 'annas-turn', 'anna', 'annas-key', chat, id, 'p1', 'm',"
    " now() + interval '1 hour' FROM runnel.message WHERE seq = 1",
    "INSERT INTO runnel.journal VALUES (1, 'annas-turn', 0, '" SECRET "')",
    "INSERT INTO runnel.account (tenant, subject, status, nickname) VALUES"
    " (1, 'anna', 'approved', '" SECRET "')",
    "INSERT INTO runnel.api_key (tenant, name, hash, hint, account) SELECT 1, 'k',"
    " sha256('annas-secret'), 'rk', id FROM runnel.account",
    "INSERT INTO runnel.allowance (tenant, api_key, requests_per_minute, tokens_per_day)"
    " SELECT 1, id, 1000, 1000000 FROM runnel.api_key",
    "INSERT INTO runnel.reservation (tenant, allowance, turn, day, tokens, money, expires_at)"
    " SELECT 1, id, 'annas-turn', now()::date, 5, 5, now() + interval '1 hour'"
    " FROM runnel.allowance",
    "INSERT INTO runnel.spending SELECT 1, id, now()::date, 7, 7 FROM runnel.allowance",
    "INSERT INTO runnel.pending (tenant, chat, key, content, is_assistants, context, model,"
    " api_key, account, is_limited) SELECT 1, id, 'annas-waiting', '" SECRET "', false, '" SECRET
    "', 'm', 0, 0, false FROM runnel.chat",
    "INSERT INTO runnel.operation (tenant, id, chat, turn, call, tool, arguments, model, api_key,"
    " account, is_limited, output_limit, expires_at) SELECT 1, 'annas-secret', id, 'annas-turn',"
    " '" SECRET "', 't', sha256(''), 'm', 0, 0, false, 100, now() + interval '1 hour'"
    " FROM runnel.chat",
    "INSERT INTO runnel.tool (tenant, name, url, description, headers) VALUES (1, 'tool',"
    " 'https://example.com/', '" SECRET "', '{X-Key: " SECRET "}')",
    "INSERT INTO runnel.billed VALUES (1, 'annas-last-turn')",
    "INSERT INTO runnel.usage (tenant, day, api_key, model) SELECT 1, now()::date, id, 'm'"
    " FROM runnel.api_key",
};

static void make_annas_things(void)
{
    for (size_t i = 0; i < COUNT(made); i++)
        check_that(pg_now_do(db, made[i]), "%s: %s", made[i], pg_now_why(db));
    annas = (struct probe){
        .whose = anna,
        .chat = { .id = number("SELECT id FROM runnel.chat") },
        .uid = STR("annas-chat"),
        .title = STR("t"),
        .context_type = STR("task"),
        .context_id = STR("7"),
        .turn = STR("annas-turn"),
        .key = STR("annas-key"),
        .model = STR("m"),
        .holder = STR("p1"),
        .content = STR("may"),
        .name = STR("n"),
        .more = STR("{\"a\": 1}"),
        .tool_calls = STR("[]"),
        .once = STR("once"),
        .session = STR("s"),
        .owner = STR("eve"),
        .piece = STR("piece"),
        .tenant = STR("default"),
        .subject = STR("anna"),
        .secret = STR("annas-secret"),
        .message = number("SELECT id FROM runnel.message WHERE seq = 0"),
        .limit = 100,
        .seq = 1,
        .time = INT64_C(4000000000000000),
        .account = number("SELECT id FROM runnel.account"),
        .api_key = number("SELECT id FROM runnel.api_key"),
        .age = CLOCK_S,
        .tokens = 1,
    };
}

/* Of all that is anna's, in all its columns. */
static uint64_t annas_things(void)
{
    static const char *const tables[] = {
        "chat t WHERE tenant = 1 AND dialect = 'xcx' AND owner = 'anna'",
        "message t WHERE tenant = 1 AND chat = (SELECT id FROM runnel.chat WHERE tenant = 1 AND"
        " uid = 'annas-chat' AND dialect = 'xcx')",
        "turn t WHERE tenant = 1 AND (owner = 'anna' OR id = 'annas-turn')",
        "journal t WHERE tenant = 1 AND turn = 'annas-turn'",
        "pending t WHERE tenant = 1",
        "operation t WHERE tenant = 1",
        "account t WHERE tenant = 1 AND subject = 'anna'",
        "api_key t WHERE tenant = 1",
        "allowance t WHERE tenant = 1",
        "reservation t WHERE tenant = 1",
        "spending t WHERE tenant = 1",
        "pace t WHERE tenant = 1",
        "tool t WHERE tenant = 1",
        "usage t WHERE tenant = 1 AND (api_key, account) <> (999, 999)",
    };
    uint64_t sum = 0;

    for (size_t i = 0; i < COUNT(tables); i++) {
        char sql[400];

        snprintf(sql, sizeof sql,
                 "SELECT coalesce(sum(hashtextextended(t::text, 0)), 0)::numeric %% 1000000007"
                 " FROM runnel.%s",
                 tables[i]);
        sum = sum * 31 + (uint64_t)number(sql);
    }
    return sum;
}

/* What an earlier test left behind; a TRUNCATE would stand in its way, and it in that one's. */
static bool are_others_busy(void)
{
    return number("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                  " AND pid <> pg_backend_pid() AND state <> 'idle'") > 0;
}

static void begin(void)
{
    char why[PG_WHY_MAX] = "";

    db = pg_now_open(cluster_url(), 5 * CLOCK_S, why);
    check_that(db, "%s", why);
    open_store(2);
    do
        turn_for(20);
    while (!store_is_idle(store) || are_others_busy());     /* it tidies up first */
    make_annas_things();
}

static void end(void)
{
    pg_now_close(db);
    close_store();
}

/* ---- the table is whole ------------------------------------------------------------------ */

static bool has_row(struct str name)
{
    for (size_t i = 0; i < n_verb_rows; i++)
        if (str_eq(name, str_of(verb_rows[i].name)))
            return true;
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || c == '_';
}

/* Every function that takes a store first is a verb, but for those of the store's own files. */
static size_t count_verbs(const char *header)
{
    static const char *const takes_store = "(struct store *s";
    char                     text[20000] = "";
    FILE                    *f = fopen(header, "r");
    size_t                   n = 0;

    check_that(f && fread(text, 1, sizeof text - 1, f) > 0, "%s", header);
    fclose(f);
    for (const char *at = text; (at = strstr(at, takes_store)); at++) {
        const char *from = at;
        struct str  name;

        if (strncmp(at + strlen(takes_store), ", struct pg_work", 16) == 0)
            continue;
        while (is_letter(from[-1]))
            from--;
        name = (struct str){ from, (size_t)(at - from) };
        check_that(has_row(name), "%.*s of %s is in no row of verbs.c", STR_ARG(name), header);
        n++;
    }
    return n;
}

/* Not of lookup.h, where the operator's own queries are asked, nor of operator.h. */
TEST(no_verb_of_the_headers_is_missing)
{
    static const char *const headers[] = { "src/store/chats.h",   "src/store/messages.h",
                                           "src/store/turns.h",   "src/store/running.h",
                                           "src/store/askers.h",  "src/store/budget.h",
                                           "src/store/pending.h", "src/store/sessions.h",
                                           "src/store/usage.h",   "src/store/operations.h",
                                           "src/store/tools.h" };
    size_t                   n = 0;

    for (size_t i = 0; i < COUNT(headers); i++)
        n += count_verbs(headers[i]);
    assert_int_equal(n, n_verb_rows);
}

/* ---- whose it is ------------------------------------------------------------------------- */

/* Without this a verb that never does anything would pass all that follows. */
TEST(the_owner_is_served_by_every_verb)
{
    begin();
    for (size_t i = 0; i < n_verb_rows; i++) {
        const struct verb_row *row = &verb_rows[i];
        struct outcome         o;
        uint64_t               before;

        make_annas_things();
        before = annas_things();
        o = verb_try(row, &annas);
        check_that(o.end == STORE_OK, "%s: %s", row->name, store_end_name(o.end));
        check_that(row->manner == VERB_KEEPS_HOUSE || !row->tells || o.n > 0, "%s", row->name);
        check_that((annas_things() != before) == row->changes, "%s", row->name);
        buf_release(&o.seen);
    }
    end();
}

static const struct stranger {
    const char  *who;
    struct whose whose;
    const char  *tenant;
    bool         is_at_other_door;
} strangers[] = {
    { "bob of her site", { 1, STR_INIT("xcx"), STR_INIT("bob") }, "default", false },
    { "nobody of her site", { 1, STR_INIT("xcx"), STR_INIT("") }, "default", false },
    { "anna in capitals", { 1, STR_INIT("xcx"), STR_INIT("ANNA") }, "default", false },
    { "anna with a blank", { 1, STR_INIT("xcx"), STR_INIT("anna ") }, "default", false },
    { "anna by another door", { 1, STR_INIT("session"), STR_INIT("anna") }, "default", true },
    { "anna by no door", { 1, STR_INIT(""), STR_INIT("anna") }, "default", true },
    { "anna of another site", { 2, STR_INIT("xcx"), STR_INIT("anna") }, "another site", false },
    { "nobody of another site", { 2, STR_INIT("xcx"), STR_INIT("") }, "another site", false },
    { "anna of no site", { 77, STR_INIT("xcx"), STR_INIT("anna") }, "nowhere", false },
    { "anna of no site at all", { 0, STR_INIT("xcx"), STR_INIT("anna") }, "", false },
};

/* What she has and he knows: every name and every number, but not her secret; and his requests
 * are another process's, unless it is another site's. */
static struct probe asked_by(const struct stranger *s)
{
    struct probe p = annas;

    p.whose = s->whose;
    p.tenant = str_of(s->tenant);
    p.secret = STR("another secret");
    if (s->whose.tenant == anna.tenant) {
        p.holder = STR("p2");
        p.subject = s->whose.owner.n ? s->whose.owner : STR("nobody");
        p.account = p.api_key = 999;
        if (s->is_at_other_door)              /* of turns she is the same at each */
            p.turn = p.key = STR("another-turn");
    }
    return p;
}

static bool is_fine(enum verb_manner manner, const struct outcome *o)
{
    switch (manner) {
    case VERB_FINDS_NOTHING: return o->end == STORE_NOT_FOUND && o->n == 0;
    case VERB_LISTS_NOTHING:
    case VERB_IS_THE_SITES: return o->end == STORE_OK && o->n == 0 && o->total == 0;
    case VERB_IS_ANOTHERS: return o->end == STORE_NOT_FOUND || o->end == STORE_CONFLICT;
    case VERB_MAKES_OWN: return o->end == STORE_NOT_FOUND || o->end == STORE_OK;
    case VERB_KEEPS_HOUSE: return o->end == STORE_OK && o->n == 0;
    }
    return false;
}

static void try_as(const struct verb_row *row, const struct stranger *s, struct chat_name name)
{
    struct probe   p = asked_by(s);
    struct outcome o;

    p.chat = name;
    if (row->run == verb_of("budget_settle")->run && p.whose.tenant == anna.tenant)
        p.turn = STR("another-turn");         /* that one is named by the service */
    o = verb_try(row, &p);
    check_that(is_fine(row->manner, &o), "%s by %s: %s, %zu things", row->name, s->who,
               store_end_name(o.end), o.n);
    check_that(!check_has(buf_str(&o.seen), STR(SECRET)), "%s by %s", row->name, s->who);
    buf_release(&o.seen);
}

TEST(nobody_else_sees_or_touches_it)
{
    begin();
    for (size_t i = 0; i < n_verb_rows; i++) {
        uint64_t before;

        make_annas_things();
        before = annas_things();
        for (size_t k = 0; k < COUNT(strangers); k++) {
            if (strangers[k].is_at_other_door && !verb_rows[i].has_doors)
                continue;                     /* the same person asks           */
            if (verb_rows[i].manner == VERB_IS_THE_SITES && strangers[k].whose.tenant == 1)
                continue;                     /* it is his as well              */
            try_as(&verb_rows[i], &strangers[k], annas.chat);
            try_as(&verb_rows[i], &strangers[k], (struct chat_name){ .uid = annas.uid });
            check_that(annas_things() == before, "%s by %s", verb_rows[i].name, strangers[k].who);
        }
    }
    end();
}

/* Whoever says the same key asks his own question. */
TEST(a_key_for_once_only_is_ones_own)
{
    struct outcome o;
    struct probe   p;

    begin();
    for (size_t k = 0; k < COUNT(strangers); k++) {
        if (strangers[k].is_at_other_door || !strangers[k].whose.tenant ||
            strangers[k].whose.tenant == 77)
            continue;
        p = asked_by(&strangers[k]);
        p.chat = (struct chat_name){ 0 };
        p.turn = str_of(strangers[k].who);
        o = verb_try(verb_of("turn_claim"), &p);
        check_that(o.end == STORE_OK && o.n == 1, "%s", strangers[k].who);
        check_that(check_has(buf_str(&o.seen), p.turn), "%s", strangers[k].who);
        buf_release(&o.seen);
    }
    end();
}

/* ---- what they say ------------------------------------------------------------------------ */

#define FIELD(name) { #name, offsetof(struct probe, name) }

static const struct field {
    const char *name;
    size_t      at;
} texts[] = {
    FIELD(whose.dialect), FIELD(whose.owner), FIELD(chat.uid),   FIELD(uid),     FIELD(title),
    FIELD(context_type),  FIELD(context_id),  FIELD(turn),       FIELD(key),     FIELD(model),
    FIELD(holder),        FIELD(content),     FIELD(name),       FIELD(more),    FIELD(once),
    FIELD(session),       FIELD(owner),       FIELD(tool_calls), FIELD(subject), FIELD(tenant),
    FIELD(secret),
};

static const struct field numbers[] = {
    FIELD(chat.id), FIELD(message), FIELD(answer),  FIELD(offset),  FIELD(limit),
    FIELD(seq),     FIELD(time),    FIELD(account), FIELD(api_key),
};

static enum store_end try_text(const struct verb_row *row, struct field f, struct str text)
{
    struct probe   p = annas;
    struct outcome o;

    *(struct str *)((char *)&p + f.at) = text;
    o = verb_try(row, &p);
    buf_release(&o.seen);
    return o.end;
}

static bool takes(const struct verb_row *row, struct field f)
{
    return !row->tells || try_text(row, f, STR("\xff")) == STORE_REFUSED;
}

/* No such text is ever kept, nor cut, nor found: it is refused wherever it reaches the database,
 * and the database goes on. */
TEST(texts_that_are_none_are_refused_wherever_they_stand)
{
    static const struct str rows[] = { { "a\0b", 3 },
                                       { "\0", 1 },
                                       STR_INIT("\xff"),
                                       STR_INIT("a\xc3"),
                                       STR_INIT("\xed\xa0\x80"),
                                       STR_INIT("\xf4\x90\x80\x80"),
                                       STR_INIT("\xc0\xaf") };

    begin();
    for (size_t i = 0; i < n_verb_rows; i++) {
        const struct verb_row *row = &verb_rows[i];
        unsigned               n = 0;

        for (size_t k = 0; row->tells && k < COUNT(texts); k++) {
            uint64_t before = annas_things();

            if (!takes(row, texts[k]))
                continue;
            for (size_t t = 0; t < COUNT(rows); t++)
                check_that(try_text(row, texts[k], rows[t]) == STORE_REFUSED, "%s: %s, text %zu",
                           row->name, texts[k].name, t);
            check_that(annas_things() == before, "%s: %s", row->name, texts[k].name);
            n++;
        }
        check_that(n == row->texts, "%s takes %u texts", row->name, n);
        make_annas_things();
    }
    end();
}

static bool is_answer(enum store_end e)
{
    return e == STORE_OK || e == STORE_NOT_FOUND || e == STORE_REFUSED || e == STORE_CONFLICT;
}

TEST(sql_in_a_text_is_a_text)
{
    static const struct str rows[] = {
        STR_INIT("'; DROP TABLE runnel.chat CASCADE; --"),
        STR_INIT("' OR '1'='1"),
        STR_INIT("anna' --"),
        STR_INIT("\\'; SELECT pg_sleep(60); --"),
        STR_INIT("$1"),
        STR_INIT("%s%n"),
        STR_INIT("{\"a\":\"'}; DELETE FROM runnel.turn; --\"}"),
        STR_INIT("[\"{\\\"'\"]"),
        STR_INIT("{a,\"b\",NULL}"),
        STR_INIT("\xef\xbc\x87 OR 1=1"),      /* FULLWIDTH APOSTROPHE            */
    };
    int64_t n_tables;

    begin();
    n_tables = number("SELECT count(*) FROM pg_tables WHERE schemaname = 'runnel'");
    for (size_t i = 0; i < n_verb_rows; i++) {
        for (size_t k = 0; k < COUNT(texts); k++)
            for (size_t t = 0; t < COUNT(rows) && takes(&verb_rows[i], texts[k]); t++) {
                enum store_end e = try_text(&verb_rows[i], texts[k], rows[t]);

                check_that(is_answer(e), "%s: %s is %.*s: %s", verb_rows[i].name, texts[k].name,
                           STR_ARG(rows[t]), store_end_name(e));
            }
        assert_int_equal(number("SELECT count(*) FROM pg_tables WHERE schemaname = 'runnel'"),
                         n_tables);
        make_annas_things();
    }
    end();
}

TEST(numbers_at_the_ends_of_their_range_are_answered)
{
    static const int64_t rows[] = { INT64_MAX, INT64_MIN, -1, INT64_C(1) << 53, INT32_MAX };
    static const int32_t tenants[] = { INT32_MAX, INT32_MIN, -1, 0 };

    begin();
    for (size_t i = 0; i < n_verb_rows; i++) {
        for (size_t k = 0; k < COUNT(numbers) * COUNT(rows) + COUNT(tenants); k++) {
            struct probe   p = annas;
            size_t         n = k / COUNT(rows);
            struct outcome o;

            if (n < COUNT(numbers))
                *(int64_t *)((char *)&p + numbers[n].at) = rows[k % COUNT(rows)];
            else
                p.whose.tenant = tenants[k - COUNT(numbers) * COUNT(rows)];
            o = verb_try(&verb_rows[i], &p);
            check_that(is_answer(o.end), "%s: number %zu: %s", verb_rows[i].name, k,
                       store_end_name(o.end));
            buf_release(&o.seen);
        }
        make_annas_things();
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_verb_of_the_headers_is_missing),
        cmocka_unit_test(the_owner_is_served_by_every_verb),
        cmocka_unit_test(nobody_else_sees_or_touches_it),
        cmocka_unit_test(a_key_for_once_only_is_ones_own),
        cmocka_unit_test(texts_that_are_none_are_refused_wherever_they_stand),
        cmocka_unit_test(sql_in_a_text_is_a_text),
        cmocka_unit_test(numbers_at_the_ends_of_their_range_are_answered),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
