/* lookup_test.c - the operator's own queries, good ones and bad ones, in a real PostgreSQL. */
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "database/kept.h"
#include "store/chats.h"
#include "store/lookup.h"

#include <signal.h>

static struct query_settings  page, card, name;
static struct lookup_settings settings;

static const struct lookup_about task_7 = { .site_id = 1,
                                            .tenant = STR_INIT("main"),
                                            .user_id = STR_INIT("anna"),
                                            .context_id = STR_INIT("7"),
                                            .page = STR_INIT("task-detail") };

static void use(struct query_settings *q, struct conf_records *in, const char *of, const char *sql)
{
    *q = (struct query_settings){ .of = str_of(of), .type = STR("customer"), .sql = str_of(sql) };
    settings = (struct lookup_settings){ .page_bytes = 4096, .timeout = 1 * CLOCK_S };
    *in = (struct conf_records){ q, 1 };
    store_use_lookups(store, &settings);
}

static void open_kept(bool prepares)
{
    char                  why[PG_WHY_MAX] = "";
    struct store_settings s = { .pool = { .conninfo = cluster_url(),
                                          .connections = 2,
                                          .max_waiting = 100,
                                          .prepares = prepares,
                                          .connect_timeout = 2 * CLOCK_S } };

    store = store_open(&s, why);
    check_that(store, "%s", why);
}

static char begun_at[300];

static int begin_test(void **state)
{
    (void)state;
    cluster_sql(begun_at, "SELECT clock_timestamp()");
    open_kept(true);
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    close_store();
    return 0;
}

/* ---- a page ---------------------------------------------------------------------------- */

static struct lookup_call asked;

static struct str ask_page_of(const char *sql, const struct lookup_about *about)
{
    use(&page, &settings.pages, "task-detail", sql);
    verb_drop(&asked.verb);
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), about));
    return asked.text;
}

static struct str ask_page(const char *sql)
{
    return ask_page_of(sql, &task_7);
}

static void check_page(const char *sql, const char *want)
{
    struct str text = ask_page(sql);

    check_that(asked.verb.end == STORE_OK, "%s: %s: %.*s", sql, asked.verb.why,
               STR_ARG(asked.verb.words));
    check_text(text, want);
}

TEST(columns_become_lines)
{
    check_page("SELECT 'call Anna' AS title, 3 AS n, true AS done, 12.50 AS price, date "
               "'2026-03-01' AS due, NULL AS none, '' AS empty, '{1,2}'::int[] AS list",
               "title: call Anna\nn: 3\ndone: true\nprice: 12.50\ndue: 2026-03-01\nempty: \n"
               "list: [1,2]");
    check_page("SELECT '\xe6\x9d\x8e\xe9\x9b\xb7' AS \"\xe5\xa7\x93\xe5\x90\x8d\", 1 AS \"a b\"",
               "\xe5\xa7\x93\xe5\x90\x8d: \xe6\x9d\x8e\xe9\x9b\xb7\na b: 1");
    check_page("SELECT E'one\\ntwo\\r\\nthree' AS a, 1 AS b", "a: one two  three\nb: 1");
    check_page("SELECT 1 AS a, 2 AS a", "a: 1\na: 2");
    check_page("SELECT 1, 2", "?column?: 1\n?column?: 2");
    check_page("SELECT 1 AS \"the row\", 2 AS n", "the row: 1\nn: 2");
    check_page("SELECT '{\"a\": [1]}'::jsonb AS j, '\\x00ff'::bytea AS b, 'nan'::float8 AS f",
               "j: {\"a\": [1]}\nb: \\x00ff\nf: NaN");
}

TEST(rows_are_told_apart)
{
    check_page("VALUES (1, 'a'), (2, NULL), (NULL, NULL), (3, 'c')",
               "column1: 1\ncolumn2: a\n\ncolumn1: 2\n\ncolumn1: 3\ncolumn2: c");
    check_page("SELECT n FROM generate_series(3, 1, -1) n ORDER BY n DESC", "n: 3\nn: 2\nn: 1");
}

TEST(a_single_text_stays_as_it_is)
{
    check_page("SELECT E'# Anna\\n\\n- likes tea' -- a comment", "# Anna\n\n- likes tea");
    check_page("SELECT t FROM (VALUES ('b'), (NULL), ('a')) AS x (t)", "b\na");
    check_page("SELECT ''", "");
    check_page("SELECT count(*) AS open FROM generate_series(1, 3)", "open: 3");
}

TEST(nothing_is_no_text)
{
    check_page("SELECT 1 AS a WHERE false", "");
    check_page("SELECT NULL AS a, NULL AS b", "");
    check_page("SELECT", "");
    check_page("SELECT FROM generate_series(1, 5)", "");
}

TEST(every_kind_of_query_can_be_asked)
{
    check_page("WITH a AS (SELECT 1 AS n UNION SELECT 2) SELECT sum(n) AS s FROM a", "s: 3");
    check_page("(SELECT 1 AS n) UNION ALL (SELECT 2)", "n: 1\nn: 2");
    check_page("TABLE runnel.tenant LIMIT 0", "");
    check_page("SELECT $a$ :nobody ; $a$ || ':page' /* ; :nobody */ AS a", " :nobody ; :page");
}

/* ---- what the names stand for ---------------------------------------------------------- */

TEST(names_stand_for_what_it_is_about)
{
    check_page(
        "SELECT :context_id AS c, :user_id AS u, :site_id + 1 AS s, :tenant AS t, :page AS p",
        "c: 7\nu: anna\ns: 2\nt: main\np: task-detail");
    check_page("SELECT 'found' WHERE 7::bigint = :context_id AND '7'::text = :context_id"
               " AND :context_id::int = 7 AND :user_id IN ('bob', 'anna')",
               "found");
    check_page("SELECT 'found' WHERE (:context_id IS NULL OR 7 = :context_id)"
               " AND :filters IS NULL LIMIT:site_id",
               "found");
}

TEST(what_is_empty_is_null)
{
    static const struct lookup_about nothing = { .site_id = 1 };

    check_text(ask_page_of("SELECT (:context_id IS NULL)::text || (:user_id IS NULL)::text ||"
                           " (:tenant IS NULL)::text || (:page IS NULL)::text ||"
                           " (:filters IS NULL)::text",
                           &nothing),
               "truetruetruetruetrue");
}

TEST(filters_are_the_page_context_without_its_id)
{
    static const struct {
        const char *page_context, *want;
    } rows[] = {
        { "{\"contextId\": \"7\", \"state\": \"open\", \"n\": [1]}",
          "all: {\"n\": [1], \"state\": \"open\"}\nstate: open" },
        { "{\"contextId\": \"7\"}", "" },
        { "{}", "" },
        { "{\"state\": \"\xe4\xb8\xad'\\\"\"}",
          "all: {\"state\": \"\xe4\xb8\xad'\\\"\"}\nstate: \xe4\xb8\xad'\"" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct lookup_about about = task_7;

        about.page_context = str_of(rows[i].page_context);
        check_text(ask_page_of("SELECT :filters AS all, :filters ->> 'state' AS state", &about),
                   rows[i].want);
    }
}

TEST(no_value_is_ever_sql)
{
    static const char *const values[] = {
        "'; DROP TABLE runnel.chat; --", "$1",        ":page", "\\'",
        "\xe4\xb8\xad\xf0\x9f\x98\x80",  ") OR (true"
    };

    for (size_t i = 0; i < COUNT(values); i++) {
        struct lookup_about about = task_7;

        about.context_id = str_of(values[i]);
        check_text(ask_page_of("SELECT :context_id", &about), values[i]);
    }
}

TEST(a_value_that_the_database_cannot_have_is_refused)
{
    struct lookup_about about = task_7;

    about.context_id = STR("a\0b");
    ask_page_of("SELECT :context_id", &about);
    check_end(asked, STORE_REFUSED);
    about.context_id = STR("\xff\xfe");
    ask_page_of("SELECT :context_id", &about);
    check_end(asked, STORE_REFUSED);
    about.context_id = STR("7");
    about.page_context = STR("[1]");
    ask_page_of("SELECT :filters -> 0", &about);
    check_that(asked.verb.end == STORE_OK || asked.verb.end == STORE_REFUSED, "%s", "ended");
    about.page_context = STR("{nonsense");
    ask_page_of("SELECT :filters", &about);
    check_end(asked, STORE_REFUSED);
}

/* ---- how much -------------------------------------------------------------------------- */

static void check_cut(const char *sql, size_t page_bytes, const char *want)
{
    use(&page, &settings.pages, "task-detail", sql);
    settings.page_bytes = page_bytes;
    store_use_lookups(store, &settings);
    verb_drop(&asked.verb);
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), &task_7));
    check_end(asked, STORE_OK);
    check_text(asked.text, want);
}

TEST(a_page_is_cut_between_characters)
{
    const char *two = "SELECT '\xe4\xb8\xad\xe6\x96\x87' AS a, 1 AS b";

    check_cut(two, 100, "a: \xe4\xb8\xad\xe6\x96\x87\nb: 1");
    check_cut(two, 13, "a: \xe4\xb8\xad\xe6\x96\x87\nb: ");
    check_cut(two, 9, "a: \xe4\xb8\xad\xe6\x96\x87");
    check_cut(two, 8, "a: \xe4\xb8\xad");
    check_cut(two, 6, "a: \xe4\xb8\xad");
    check_cut(two, 5, "a: ");
    check_cut(two, 1, "a");
    check_cut("VALUES ('\xe4\xb8\xad'), ('\xe4\xb8\xad')", 6, "\xe4\xb8\xad\n");
    check_cut("SELECT repeat('x', 5) AS a, 'y' AS b", 6, "a: xxx");
}

TEST(of_many_rows_the_first_hundred_are_taken)
{
    uint64_t   began = clock_now();
    struct str text = ask_page("SELECT n::text FROM generate_series(1, 10000) n");

    check_end(asked, STORE_OK);
    assert_true(str_starts(text, STR("1\n2\n")));
    assert_true(check_has(text, STR("\n99\n100")));
    assert_false(check_has(text, STR("101")));

    ask_page("SELECT n, pg_sleep(0.001) FROM (SELECT generate_series(1, 100000000) AS n) AS n");
    check_end(asked, STORE_OK);
    check_that(clock_now() - began < 5 * CLOCK_S, "it read on");
}

TEST(of_much_text_the_first_64_kib_are_taken)
{
    use(&card, &settings.cards, "customer",
        "SELECT 'a' AS title, repeat('\xe4\xb8\xad', 10000) AS b, repeat('x', 5000000) AS c,"
        " 'lost' AS d");
    verb_drop(&asked.verb);
    AWAIT(asked, lookup_card(store, &asked, lookup_card_of(store, STR("customer")), &task_7));
    check_end(asked, STORE_OK);
    check_that(asked.text.n > 65000 && asked.text.n < 66000, "%zu bytes", asked.text.n);
    assert_true(utf8_is_valid(asked.text));
    assert_false(check_has(asked.text, STR("lost")));

    settings.page_bytes = 64 << 10;
    ask_page("SELECT repeat('\xe4\xb8\xad', 30000)");
    check_that(asked.text.n == 4095, "%zu bytes", asked.text.n);
    ask_page("SELECT * FROM generate_series(1, 10) a, generate_series(1, 10) b,"
             " LATERAL (SELECT repeat('x', 20000) AS c) AS c");
    check_end(asked, STORE_OK);
}

/* ---- cards ----------------------------------------------------------------------------- */

static void ask_card(const char *sql)
{
    use(&card, &settings.cards, "customer", sql);
    verb_drop(&asked.verb);
    AWAIT(asked, lookup_card(store, &asked, lookup_card_of(store, STR("customer")), &task_7));
}

static void check_card(const char *sql, const char *want)
{
    const char      *why = "";
    struct json_doc *doc;

    ask_card(sql);
    check_end(asked, STORE_OK);
    check_text(asked.text, want);
    doc = json_read(asked.text, &why);
    check_that(doc, "%s", why);
    json_free(doc);
}

TEST(a_card_is_the_first_row)
{
    check_card("SELECT 'Li Lei' AS title, 'a \"friend\"' AS summary, 'gold' AS level, 3 AS visits",
               "{\"type\":\"customer\",\"title\":\"Li Lei\",\"summary\":\"a \\\"friend\\\"\","
               "\"data\":{\"level\":\"gold\",\"visits\":\"3\"}}");
    check_card("SELECT 'z' AS z, 1 AS a, 's' AS summary, 'second' AS m, 't' AS title",
               "{\"type\":\"customer\",\"title\":\"t\",\"summary\":\"s\","
               "\"data\":{\"z\":\"z\",\"a\":\"1\",\"m\":\"second\"}}");
    check_card(
        "SELECT * FROM (VALUES ('first', 1), ('second', 2)) AS x (title, n)",
        "{\"type\":\"customer\",\"title\":\"first\",\"summary\":\"\",\"data\":{\"n\":\"1\"}}");
    check_card("SELECT '\xe6\x9d\x8e' AS title, '\xe4\xb8\xad\n' AS \"\xe5\xa7\x93\xe5\x90\x8d\"",
               "{\"type\":\"customer\",\"title\":\"\xe6\x9d\x8e\",\"summary\":\"\","
               "\"data\":{\"\xe5\xa7\x93\xe5\x90\x8d\":\"\xe4\xb8\xad\\n\"}}");
}

TEST(a_cards_columns_may_be_of_any_type_and_null)
{
    check_card("SELECT 5 AS title, '{\"a\": 1}'::json AS summary, NULL AS none, false AS b,"
               " 1.50::numeric(5, 2) AS n, NULL::int AS i",
               "{\"type\":\"customer\",\"title\":\"5\",\"summary\":\"{\\\"a\\\": 1}\","
               "\"data\":{\"b\":\"false\",\"n\":\"1.50\"}}");
    check_card("SELECT NULL AS title, NULL AS summary",
               "{\"type\":\"customer\",\"title\":\"\",\"summary\":\"\",\"data\":{}}");
    check_card("SELECT 't' AS title, 1 AS a, 2 AS a, 3 AS title, 4 AS b",
               "{\"type\":\"customer\",\"title\":\"t\",\"summary\":\"\","
               "\"data\":{\"a\":\"1\",\"b\":\"4\"}}");
}

TEST(without_a_row_there_is_no_card)
{
    ask_card("SELECT 'a' AS title WHERE false");
    check_end(asked, STORE_NOT_FOUND);
    assert_int_equal(asked.text.n, 0);
}

TEST(without_a_title_there_is_no_card)
{
    ask_card("SELECT 'a' AS name");
    check_end(asked, STORE_REFUSED);
    check_text(str_of(asked.verb.why), "a column is missing that it must have");
    assert_int_equal(asked.text.n, 0);
    ask_card("SELECT * FROM (VALUES (1)) AS x (a), (VALUES (1), (2)) AS y (\"Title\")");
    check_end(asked, STORE_REFUSED);
}

/* ---- names ----------------------------------------------------------------------------- */

static void ask_names(const char *sql, const struct str *ids, size_t n)
{
    use(&name, &settings.names, "customer", sql);
    verb_drop(&asked.verb);
    AWAIT(asked,
          lookup_names(store, &asked, lookup_names_of(store, STR("customer")), &task_7, ids, n));
}

TEST(names_of_many_come_at_once)
{
    static const struct str ids[] = { STR_INIT("2"),    STR_INIT("a\"b\\c,{}"),   STR_INIT(""),
                                      STR_INIT("NULL"), STR_INIT("\xe4\xb8\xad"), STR_INIT("9") };

    ask_names("SELECT i AS id, 'n-' || i AS name FROM unnest(:context_ids) WITH ORDINALITY u (i, o)"
              " WHERE i <> '9' ORDER BY o",
              ids, COUNT(ids));
    check_end(asked, STORE_OK);
    assert_int_equal(asked.n, 5);
    for (size_t i = 0; i < asked.n; i++) {
        check_same(asked.names[i].id, ids[i]);
        assert_true(str_starts(asked.names[i].name, STR("n-")));
        check_same(str_from(asked.names[i].name, 2), ids[i]);
    }
    ask_names("SELECT i AS id, i AS name FROM unnest(:context_ids) i", NULL, 0);
    check_end(asked, STORE_OK);
    assert_int_equal(asked.n, 0);
}

TEST(names_may_be_missing_and_ids_numbers)
{
    static const struct str ids[] = { STR_INIT("1"), STR_INIT("2"), STR_INIT("3"), STR_INIT("4") };

    ask_names(
        "SELECT name, 'x' AS more, id FROM (VALUES (1::bigint, 'one'), (2, NULL), (NULL, 'three'),"
        " (4, '\xe5\x9b\x9b')) AS x (id, name) WHERE id IS NULL OR id = ANY (:context_ids::bigint[])",
        ids, COUNT(ids));
    check_end(asked, STORE_OK);
    assert_int_equal(asked.n, 2);
    check_str(asked.names[0].id, "1");
    check_str(asked.names[0].name, "one");
    check_str(asked.names[1].id, "4");
    check_str(asked.names[1].name, "\xe5\x9b\x9b");
}

TEST(names_need_their_columns)
{
    static const struct str ids[] = { STR_INIT("1") };

    ask_names("SELECT i AS id, i AS title FROM unnest(:context_ids) i", ids, 1);
    check_end(asked, STORE_REFUSED);
    ask_names("SELECT i AS context_id, i AS name FROM unnest(:context_ids) i", ids, 1);
    check_end(asked, STORE_REFUSED);
    assert_int_equal(asked.n, 0);
    ask_names("SELECT i AS id, i AS name FROM unnest(:context_ids::bigint[]) i",
              (struct str[]){ STR_INIT("x") }, 1);
    check_end(asked, STORE_REFUSED);
}

TEST(of_ten_thousand_names_a_hundred_are_taken)
{
    ask_names("SELECT n AS id, 'n' || n AS name FROM generate_series(1, 10000) n", NULL, 0);
    check_end(asked, STORE_OK);
    assert_int_equal(asked.n, LOOKUP_ROWS);
    check_str(asked.names[99].name, "n100");
}

/* ---- what is wrong --------------------------------------------------------------------- */

/* Those of the stores before may still be going. */
static void sessions(const char *what, char line[300])
{
    cluster_sql(line,
                "SELECT %s FROM pg_stat_activity WHERE application_name = 'runnel' AND "
                "backend_start > '%s'",
                what, begun_at);
}

static void name_sessions(char line[300])
{
    sessions("string_agg(pid::text, ',' ORDER BY pid)", line);
}

/* Two of the store's and two for lookups. */
static void await_sessions(void)
{
    char line[300] = "";

    for (int i = 0; i < 100 && strcmp(line, "4") != 0; i++) {
        turn_for(20);
        sessions("count(*)", line);
    }
    assert_string_equal(line, "4");
}

/* The connections that were there before are there after it, and serve. */
static void check_refused(const char *sql, const char *why, const char *words)
{
    char before[300], after[300];

    check_page("SELECT 'still'", "still");
    use(&page, &settings.pages, "task-detail", sql);
    verb_drop(&asked.verb);
    await_sessions();
    name_sessions(before);
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), &task_7));
    check_that(asked.verb.end == STORE_REFUSED, "%s: %s", sql, store_end_name(asked.verb.end));
    check_that(str_eq(str_of(asked.verb.why), str_of(why)), "%s: %.*s", sql,
               STR_ARG(asked.verb.words));
    check_text(asked.verb.words, words);
    assert_int_equal(asked.text.n, 0);
    turn_for(20);
    name_sessions(after);
    assert_string_equal(before, after);
}

#define NOT_UNDERSTOOD "the database does not understand what it is asked"

TEST(what_does_not_fit_the_tables_is_refused)
{
    check_refused("SELECT * FROM nowhere", NOT_UNDERSTOOD, "relation \"nowhere\" does not exist");
    check_refused("SELECT nothing FROM runnel.tenant", NOT_UNDERSTOOD,
                  "column \"nothing\" does not exist");
    check_refused("SELECT FROM WHERE", NOT_UNDERSTOOD, "syntax error at or near \"WHERE\"");
    check_refused("SELECT id FROM runnel.tenant WHERE id = :context_id::text", NOT_UNDERSTOOD,
                  "operator does not exist: integer = text");
    check_refused("SELECT 1 INTO other", NOT_UNDERSTOOD, "SELECT ... INTO is not allowed here");
    check_refused("SELECT now() FOR UPDATE OF nobody", NOT_UNDERSTOOD,
                  "relation \"nobody\" in FOR UPDATE clause not found in FROM clause");
}

TEST(values_are_in_no_words)
{
    struct lookup_about about = task_7;

    check_refused("SELECT 1 / 0", "a value has not the form that it must have", "");
    check_refused("SELECT 'secret'::int", "a value has not the form that it must have", "");
    about.context_id = STR("secret");
    ask_page_of("SELECT 1 WHERE 7 = :context_id", &about);
    check_end(asked, STORE_REFUSED);
    assert_int_equal(asked.verb.words.n, 0);
}

static const char takes_no_writes[] = "the database takes no writes";

TEST(nothing_is_written)
{
    char line[300];

    cluster_sql(line,
                "CREATE SEQUENCE IF NOT EXISTS counter; CREATE TABLE IF NOT EXISTS written (n int);"
                "CREATE OR REPLACE FUNCTION writes() RETURNS int LANGUAGE sql VOLATILE AS"
                " 'INSERT INTO written VALUES (1) RETURNING n';"
                "CREATE OR REPLACE FUNCTION opens() RETURNS int LANGUAGE plpgsql AS"
                " 'BEGIN SET transaction_read_only = off; RETURN writes(); END'");
    check_refused("SELECT writes()", takes_no_writes,
                  "cannot execute INSERT in a read-only transaction");
    check_refused("SELECT nextval('counter')", takes_no_writes,
                  "cannot execute nextval() in a read-only transaction");
    check_refused("SELECT * FROM written FOR UPDATE", takes_no_writes,
                  "cannot execute SELECT FOR UPDATE in a read-only transaction");
    check_refused("SELECT opens()", NOT_UNDERSTOOD,
                  "transaction read-write mode must be set before any query");
    check_refused("SELECT set_config('transaction_read_only', 'off', true), writes()",
                  NOT_UNDERSTOOD, "transaction read-write mode must be set before any query");
    check_refused("WITH w AS (INSERT INTO written VALUES (1) RETURNING n) SELECT * FROM w",
                  NOT_UNDERSTOOD,
                  "WITH clause containing a data-modifying statement must be at the top level");
    cluster_sql(line, "SELECT count(*) FROM written");
    assert_string_equal(line, "0");
}

TEST(each_is_read_only_and_has_a_time)
{
    check_page("SELECT current_setting('transaction_read_only') AS r,"
               " current_setting('statement_timeout') AS t",
               "r: on\nt: 1s");
}

TEST(a_slow_query_is_ended_and_delays_nobody)
{
    struct lookup_call slow[4];
    struct chat_call   c = { 0 };
    struct new_chat    n = { .uid = STR("quick"), .mode = STR("normal") };
    uint64_t           began;

    check_refused("SELECT pg_sleep(30)", "the database took too long",
                  "canceling statement due to statement timeout");
    memset(slow, 0, sizeof slow);
    began = clock_now();
    for (size_t i = 0; i < COUNT(slow); i++) {
        slow[i].verb.done = kept_done;
        lookup_text(store, &slow[i], lookup_page(store, STR("task-detail")), &task_7);
    }
    AWAIT(c, chat_open(store, &c, &anna, &n));
    check_end(c, STORE_OK);
    check_that(clock_now() - began < 500 * CLOCK_MS, "it waited");
    verb_drop(&c.verb);
    turn_for(2700);
    for (size_t i = 0; i < COUNT(slow); i++) {
        enum store_end end = slow[i].verb.end;

        check_that(!slow[i].verb.work && (end == STORE_REFUSED || end == STORE_BUSY), "%zu: %s", i,
                   store_end_name(end));
        verb_drop(&slow[i].verb);
    }
    check_page("SELECT 'still'", "still");
}

/* ---- many, and a database that goes away ----------------------------------------------- */

enum { MANY = 200 };

static struct lookup_call many[MANY];
static size_t             ended;
static bool               all_ended;

static void count_end(struct verb *v)
{
    (void)v;
    all_ended = ++ended == MANY;
}

static void ask_many(void)
{
    ended = 0;
    all_ended = false;
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < MANY; i++) {
        many[i].verb.done = count_end;
        lookup_text(store, &many[i], lookup_page(store, STR("task-detail")), &task_7);
    }
}

static void drop_many(void)
{
    for (size_t i = 0; i < MANY; i++)
        verb_drop(&many[i].verb);
}

TEST(many_share_two_connections)
{
    use(&page, &settings.pages, "task-detail", "SELECT 'good' WHERE pg_sleep(0.001) IS NOT NULL");
    ask_many();
    turn_until(&all_ended, 10000);
    for (size_t i = 0; i < MANY; i++)
        check_text(many[i].text, "good");
    drop_many();
    await_sessions();
}

TEST(broken_connections_are_made_again)
{
    use(&page, &settings.pages, "task-detail", "SELECT 'good' WHERE pg_sleep(0.01) IS NOT NULL");
    start_killing();
    ask_many();
    turn_until(&all_ended, 20000);
    stop_killing();
    for (size_t i = 0; i < MANY; i++)
        check_that(str_eq(many[i].text, STR("good")) || many[i].verb.end != STORE_OK, "%zu: %s", i,
                   store_end_name(many[i].verb.end));
    drop_many();
    turn_for(1200);                           /* it knocks once a second        */
    check_page("SELECT 'again'", "again");
}

TEST(without_a_database_a_lookup_ends)
{
    check_page("SELECT 'there'", "there");
    cluster_do("stop", "immediate");
    use(&page, &settings.pages, "task-detail", "SELECT 'there'");
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), &task_7));
    check_end(asked, STORE_AWAY);
    cluster_do("start", NULL);
    turn_for(1200);
    check_page("SELECT 'back'", "back");
}

static void signal_all(const char *pids, int number)
{
    char *end;

    for (const char *p = pids; *p; p = *end ? end + 1 : end)
        check_that(kill((pid_t)strtol(p, &end, 10), number) == 0, "%s", pids);
}

TEST(a_database_that_says_nothing_ends_a_lookup)
{
    char     pids[300];
    uint64_t began;

    check_page("SELECT 'there'", "there");
    await_sessions();
    name_sessions(pids);
    signal_all(pids, SIGSTOP);
    clock_update();
    began = clock_now();
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), &task_7));
    signal_all(pids, SIGCONT);
    check_end(asked, STORE_UNKNOWN);
    check_that(clock_now() - began < 3 * CLOCK_S, "it took too long");
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), &task_7));
    check_str(asked.text, "there");
}

TEST(too_much_is_not_asked)
{
    struct lookup_about about = task_7;
    struct buf          context = BUF(2 << 20);

    buf_lit(&context, "{\"a\": \"");
    while (context.n < 1 << 20)
        buf_lit(&context, "xxxxxxxxxxxxxxxx");
    buf_lit(&context, "\"}");
    about.page_context = buf_str(&context);
    ask_page_of("SELECT :filters", &about);
    check_end(asked, STORE_REFUSED);
    check_text(str_of(asked.verb.why), "it is too large to be kept");
    buf_release(&context);
    check_page("SELECT 'still'", "still");
}

TEST(what_was_dropped_is_not_heard_of)
{
    use(&page, &settings.pages, "task-detail", "SELECT 'good' WHERE pg_sleep(0.001) IS NOT NULL");
    ask_many();
    turn_for(20);
    drop_many();
    ended = 0;
    turn_for(500);
    assert_int_equal(ended, 0);
    check_page("SELECT 'still'", "still");
}

TEST(other_queries_end_those_under_way)
{
    use(&page, &settings.pages, "task-detail", "SELECT 'good' WHERE pg_sleep(0.5) IS NOT NULL");
    ask_many();
    turn_for(50);
    use(&card, &settings.cards, "customer", "SELECT 1 AS title");
    assert_true(all_ended);
    for (size_t i = 0; i < MANY; i++)
        check_end(many[i], STORE_AWAY);
    drop_many();
    assert_null(lookup_page(store, STR("task-detail")));
    check_page("SELECT 'new'", "new");
}

TEST(a_table_may_come_later)
{
    char line[300];

    check_refused("SELECT a FROM later", NOT_UNDERSTOOD, "relation \"later\" does not exist");
    cluster_sql(line, "CREATE TABLE later AS SELECT 'here' AS a");
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), &task_7));
    check_str(asked.text, "here");
    cluster_sql(line, "DROP TABLE later; CREATE TABLE later AS SELECT 5 AS a");
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), &task_7));
    check_str(asked.text, "a: 5");
}

TEST(nothing_is_prepared_for_a_pooler)
{
    close_store();
    open_kept(false);
    check_page("SELECT 'plain ' || :context_id", "plain 7");
    check_refused("SELECT 1 FROM nowhere", NOT_UNDERSTOOD, "relation \"nowhere\" does not exist");
    ask_page("SELECT count(*) AS n FROM pg_prepared_statements");
    check_str(asked.text, "n: 0");
}

/* ---- which query ----------------------------------------------------------------------- */

TEST(a_page_has_its_own_query_or_that_of_all_others)
{
    struct query_settings  pages[] = { { .of = STR("*"), .sql = STR("SELECT 'any'") },
                                       { .of = STR("task-detail"), .sql = STR("SELECT 'task'") } };
    struct query_settings  names[] = { { .of = STR("customer"), .sql = STR("SELECT 1") } };
    struct lookup_settings l = {
        .pages = { pages, 2 }, .names = { names, 1 }, .page_bytes = 100, .timeout = CLOCK_S
    };

    assert_null(lookup_page(store, STR("task-detail")));
    assert_null(lookup_card_of(store, STR("customer")));
    assert_null(lookup_names_of(store, STR("customer")));
    store_use_lookups(store, &l);
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("task-detail")), &task_7));
    check_str(asked.text, "task");
    AWAIT(asked, lookup_text(store, &asked, lookup_page(store, STR("home")), &task_7));
    check_str(asked.text, "any");
    assert_null(lookup_page(store, STR("")));
    assert_null(lookup_card_of(store, STR("customer")));
    assert_non_null(lookup_names_of(store, STR("customer")));
    assert_null(lookup_names_of(store, STR("task")));
    l.pages.n = 1;
    pages[0] = pages[1];
    store_use_lookups(store, &l);
    assert_null(lookup_page(store, STR("home")));
}

#define row(test) cmocka_unit_test_setup_teardown(test, begin_test, end_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        row(columns_become_lines),
        row(rows_are_told_apart),
        row(a_single_text_stays_as_it_is),
        row(nothing_is_no_text),
        row(every_kind_of_query_can_be_asked),
        row(names_stand_for_what_it_is_about),
        row(what_is_empty_is_null),
        row(filters_are_the_page_context_without_its_id),
        row(no_value_is_ever_sql),
        row(a_value_that_the_database_cannot_have_is_refused),
        row(a_page_is_cut_between_characters),
        row(of_many_rows_the_first_hundred_are_taken),
        row(of_much_text_the_first_64_kib_are_taken),
        row(a_card_is_the_first_row),
        row(a_cards_columns_may_be_of_any_type_and_null),
        row(without_a_row_there_is_no_card),
        row(without_a_title_there_is_no_card),
        row(names_of_many_come_at_once),
        row(names_may_be_missing_and_ids_numbers),
        row(names_need_their_columns),
        row(of_ten_thousand_names_a_hundred_are_taken),
        row(what_does_not_fit_the_tables_is_refused),
        row(values_are_in_no_words),
        row(nothing_is_written),
        row(each_is_read_only_and_has_a_time),
        row(a_slow_query_is_ended_and_delays_nobody),
        row(many_share_two_connections),
        row(broken_connections_are_made_again),
        row(without_a_database_a_lookup_ends),
        row(a_database_that_says_nothing_ends_a_lookup),
        row(too_much_is_not_asked),
        row(what_was_dropped_is_not_heard_of),
        row(other_queries_end_those_under_way),
        row(a_table_may_come_later),
        row(nothing_is_prepared_for_a_pooler),
        row(a_page_has_its_own_query_or_that_of_all_others),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
