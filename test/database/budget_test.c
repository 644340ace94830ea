/* budget_test.c - who asks, and what he may use, with a real database. */
#include "store/budget.h"
#include "database/kept.h"

enum { CENTS = 25, TRIES = 200 };

static struct asker with_key;                 /* its key's id is in the database */

static void sql(const char *text)
{
    char line[300];

    cluster_sql(line, "%s", text);
}

static int64_t number(const char *text)
{
    char line[300];

    cluster_sql(line, "%s", text);
    return strtoll(line, NULL, 10);
}

/* A key with one allowance, of these columns. */
static void begin(const char *columns, const char *values)
{
    char line[300];

    sql("TRUNCATE runnel.api_key, runnel.allowance, runnel.spending, runnel.reservation,"
        " runnel.pace, runnel.billed, runnel.usage CASCADE");
    sql("INSERT INTO runnel.api_key (tenant, name, hash, hint) VALUES (1, 'k', sha256('secret'), 'rk')");
    cluster_sql(line,
                "INSERT INTO runnel.allowance (tenant, api_key, %s) SELECT 1, id, %s FROM"
                " runnel.api_key",
                columns, values);
    with_key = (struct asker){ .tenant = 1,
                               .key = number("SELECT id FROM runnel.api_key"),
                               .is_limited = true };
    open_store(4);
}

static enum budget_limit reserve(const char *turn, uint64_t tokens, uint64_t money)
{
    struct budget_call c = { .limit = BUDGET_FREE };
    struct budget_ask  ask = {
         .asker = &with_key, .turn = str_of(turn), .tokens = tokens, .money = money, .seconds = 600
    };

    AWAIT(c, budget_reserve(store, &c, &ask));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
    return c.limit;
}

static void settle(const char *turn, uint64_t prompt, uint64_t completion, uint64_t money)
{
    struct budget_bill bill = { .tenant = 1,
                                .key = with_key.key,
                                .turn = str_of(turn),
                                .model = STR("m"),
                                .usage = { prompt, completion },
                                .money = money };

    budget_settle(store, &bill);
    turn_for(50);
}

/* ---- who asks -------------------------------------------------------------------------- */

static enum asker_standing standing_of_key(const char *hash_sql, enum store_end want)
{
    struct asker_call c = { .asker = { .tenant = 0 } };
    char              hex[300], bytes[32];

    cluster_sql(hex, "SELECT encode(%s, 'hex')", hash_sql);
    for (int i = 0; i < 32; i++) {
        char two[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

        bytes[i] = (char)strtol(two, NULL, 16);
    }
    AWAIT(c, asker_by_key(store, &c, (struct str){ bytes, 32 }));
    check_end(c, want);
    if (want == STORE_OK)
        assert_int_equal(c.asker.key, with_key.key);
    verb_drop(&c.verb);
    return c.asker.standing;
}

TEST(a_key_is_known_by_its_hash)
{
    begin("streams", "1");
    assert_int_equal(standing_of_key("sha256('secret')", STORE_OK), ASKER_WELCOME);
    standing_of_key("sha256('Secret')", STORE_NOT_FOUND);
    sql("UPDATE runnel.api_key SET expires_at = now() - interval '1 second'");
    assert_int_equal(standing_of_key("sha256('secret')", STORE_OK), ASKER_KEY_EXPIRED);
    sql("UPDATE runnel.api_key SET is_disabled = true");
    assert_int_equal(standing_of_key("sha256('secret')", STORE_OK), ASKER_KEY_DISABLED);
    close_store();
}

static void check_subject(const char *tenant, const char *subject, bool is_approved,
                          enum store_end end, enum asker_standing standing)
{
    struct asker_call c = { .asker = { .tenant = 0 } };

    AWAIT(c, asker_by_subject(store, &c, str_of(tenant), str_of(subject), is_approved));
    check_end(c, end);
    if (end == STORE_OK)
        assert_int_equal(c.asker.standing, standing);
    verb_drop(&c.verb);
}

TEST(a_subject_gets_an_account_and_keeps_it)
{
    begin("streams", "1");
    sql("DELETE FROM runnel.account WHERE subject LIKE 'new%'");
    check_subject("default", "new 'one\"; --", false, STORE_OK, ASKER_PENDING);
    check_subject("default", "new 'one\"; --", true, STORE_OK, ASKER_PENDING);
    check_subject("default", "new two", true, STORE_OK, ASKER_WELCOME);
    sql("UPDATE runnel.account SET status = 'rejected' WHERE subject = 'new two'");
    check_subject("default", "new two", true, STORE_OK, ASKER_REJECTED);
    sql("UPDATE runnel.account SET status = 'disabled' WHERE subject = 'new two'");
    check_subject("default", "new two", true, STORE_OK, ASKER_DISABLED);
    check_subject("nowhere", "new two", true, STORE_NOT_FOUND, ASKER_WELCOME);
    assert_int_equal(number("SELECT count(*) FROM runnel.account WHERE subject LIKE 'new%'"), 2);
    close_store();
}

static void check_introduced(const char *subject, const char *nickname, const char *role,
                             const char *want)
{
    struct asker_call c = { .asker = { .tenant = 0 } };
    char              both[100];

    AWAIT(c, asker_introduced(store, &c, STR("default"), str_of(subject), true, str_of(nickname),
                              str_of(role)));
    check_end(c, STORE_OK);
    assert_int_equal(c.asker.standing, ASKER_WELCOME);
    snprintf(both, sizeof both, "%.*s/%.*s", STR_ARG(c.asker.nickname), STR_ARG(c.asker.role));
    check_text(str_of(both), want);
    verb_drop(&c.verb);
}

TEST(who_introduces_himself_is_called_so_from_then_on)
{
    struct asker_call c = { .asker = { .tenant = 0 } };

    begin("streams", "1");
    sql("DELETE FROM runnel.account WHERE subject LIKE 'new%'");
    check_introduced("new one", "Ann 'x\"", "coach", "Ann 'x\"/coach");
    check_introduced("new two", "", "", "/");
    check_introduced("new one", "", "", "Ann 'x\"/coach");
    check_introduced("new one", "", "boss", "Ann 'x\"/boss");
    check_introduced("new two", "Zoe", "", "Zoe/");
    check_introduced("new one", "", "", "Ann 'x\"/boss");
    AWAIT(c, asker_introduced(store, &c, STR("nowhere"), STR("new one"), true, STR("a"), STR("b")));
    check_end(c, STORE_NOT_FOUND);
    verb_drop(&c.verb);
    assert_int_equal(number("SELECT count(*) FROM runnel.account WHERE subject LIKE 'new%'"), 2);
    close_store();
}

/* ---- what he may use --------------------------------------------------------------------- */

TEST(each_limit_stands_in_the_way_and_no_other)
{
    static const struct {
        const char       *column;
        enum budget_limit limit;
    } rows[] = {
        { "requests_per_minute", BUDGET_REQUESTS },
        { "tokens_per_minute", BUDGET_TOKENS },
        { "streams", BUDGET_STREAMS },
        { "tokens_per_day", BUDGET_DAY_TOKENS },
        { "money_per_day", BUDGET_DAY_MONEY },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        begin(rows[i].column, "3");
        for (int n = 0; n < 3; n++) {
            char turn[16];

            snprintf(turn, sizeof turn, "t%d", n);
            assert_int_equal(reserve(turn, 1, 1), BUDGET_FREE);
        }
        check_that(reserve("t3", 1, 1) == rows[i].limit, "%s", rows[i].column);
        assert_int_equal(reserve("t1", 1, 1), BUDGET_FREE);          /* it has its place  */
        assert_int_equal(number("SELECT count(*) FROM runnel.reservation"), 3);
        close_store();
    }
}

TEST(what_was_not_used_is_given_back)
{
    begin("tokens_per_day, money_per_day", "100, 100");
    assert_int_equal(reserve("a", 100, 100), BUDGET_FREE);
    assert_int_equal(reserve("b", 1, 0), BUDGET_DAY_TOKENS);
    settle("a", 6, 4, 10);
    settle("a", 6, 4, 10);
    assert_int_equal(reserve("b", 90, 90), BUDGET_FREE);
    assert_int_equal(reserve("c", 1, 0), BUDGET_DAY_TOKENS);
    settle("b", 100, 100, 500);               /* more than it had: it is counted */
    assert_int_equal(number("SELECT tokens FROM runnel.spending"), 210);
    assert_int_equal(number("SELECT money FROM runnel.spending"), 510);
    assert_int_equal(number("SELECT requests FROM runnel.usage"), 2);
    assert_int_equal(number("SELECT prompt_tokens FROM runnel.usage"), 106);
    close_store();
}

TEST(a_reservation_that_nobody_settles_expires)
{
    begin("tokens_per_day", "10");
    assert_int_equal(reserve("a", 10, 0), BUDGET_FREE);
    assert_int_equal(reserve("b", 1, 0), BUDGET_DAY_TOKENS);
    sql("UPDATE runnel.reservation SET expires_at = now() - interval '1 second'");
    assert_int_equal(reserve("b", 10, 0), BUDGET_FREE);
    settle("a", 3, 3, 0);                     /* late, but it was used          */
    assert_int_equal(number("SELECT tokens FROM runnel.spending"), 6);
    close_store();
}

/* As one does that a connection held back on which it was given up long ago. */
TEST(a_reservation_that_comes_behind_the_bill_holds_nothing)
{
    begin("tokens_per_day", "10");
    assert_int_equal(reserve("a", 4, 0), BUDGET_FREE);
    settle("a", 1, 1, 0);
    assert_int_equal(reserve("a", 4, 0), BUDGET_FREE);
    assert_int_equal(number("SELECT count(*) FROM runnel.reservation"), 0);
    assert_int_equal(number("SELECT requests FROM runnel.pace"), 1);
    close_store();
}

TEST(a_turn_that_was_refused_gives_back_and_is_no_usage)
{
    begin("streams", "1");
    assert_int_equal(reserve("a", 1, 1), BUDGET_FREE);
    budget_settle(store, &(struct budget_bill){ .tenant = 1,
                                                .key = with_key.key,
                                                .turn = STR("a"),
                                                .model = STR("m"),
                                                .was_refused = true });
    turn_for(50);
    assert_int_equal(reserve("b", 1, 1), BUDGET_FREE);
    assert_int_equal(number("SELECT count(*) FROM runnel.usage"), 0);
    close_store();
}

/* The key's own, its account's and its tenant's: each stands in the way of its own. */
TEST(every_allowance_that_speaks_of_the_asker_counts)
{
    static const char *const narrow[] = {
        "UPDATE runnel.allowance SET streams = 1 WHERE api_key IS NOT NULL",
        "UPDATE runnel.allowance SET streams = 1 WHERE account IS NOT NULL",
        "UPDATE runnel.allowance SET streams = 1 WHERE api_key IS NULL AND account IS NULL",
    };

    for (size_t i = 0; i < COUNT(narrow); i++) {
        begin("streams", "9");
        sql("DELETE FROM runnel.account WHERE subject = 'limited'");
        sql("INSERT INTO runnel.account (tenant, subject) VALUES (1, 'limited')");
        sql("INSERT INTO runnel.allowance (tenant, account, streams)"
            " SELECT 1, id, 9 FROM runnel.account WHERE subject = 'limited'");
        sql("INSERT INTO runnel.allowance (tenant, streams) VALUES (1, 9), (2, 1)");
        sql(narrow[i]);
        with_key.account = number("SELECT id FROM runnel.account WHERE subject = 'limited'");
        assert_int_equal(reserve("a", 1, 1), BUDGET_FREE);
        check_that(reserve("b", 1, 1) == BUDGET_STREAMS, "%s", narrow[i]);
        assert_int_equal(number("SELECT count(*) FROM runnel.reservation"), 3);
        close_store();
    }
}

/* ---- one more round -------------------------------------------------------------------- */

static struct budget_call go_on(const char *turn, uint64_t used, uint64_t next, uint64_t money)
{
    struct budget_call  c = { .limit = BUDGET_FREE };
    struct budget_round round = { .asker = &with_key,
                                  .turn = str_of(turn),
                                  .used = used,
                                  .next = next,
                                  .money = money,
                                  .seconds = 600 };

    AWAIT(c, budget_go_on(store, &c, &round));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
    return c;
}

TEST(a_round_takes_the_place_of_what_was_reserved)
{
    begin("tokens_per_day, money_per_day", "100, 1000");
    assert_int_equal(reserve("a", 60, 600), BUDGET_FREE);
    assert_int_equal(go_on("a", 20, 60, 800).limit, BUDGET_FREE);
    assert_int_equal(number("SELECT tokens FROM runnel.reservation"), 80);
    assert_int_equal(number("SELECT money FROM runnel.reservation"), 800);
    assert_int_equal(reserve("b", 21, 0), BUDGET_DAY_TOKENS);
    assert_int_equal(go_on("a", 20, 60, 800).limit, BUDGET_FREE);        /* told again        */
    assert_int_equal(go_on("a", 40, 60, 1000).limit, BUDGET_FREE);       /* to the last one   */
    assert_int_equal(go_on("a", 60, 41, 1000).limit, BUDGET_DAY_TOKENS);
    assert_int_equal(go_on("a", 60, 40, 1001).limit, BUDGET_DAY_MONEY);
    assert_int_equal(number("SELECT tokens FROM runnel.reservation"), 100);
    settle("a", 50, 12, 620);
    assert_int_equal(number("SELECT tokens FROM runnel.spending"), 62);
    assert_int_equal(number("SELECT money FROM runnel.spending"), 620);
    assert_int_equal(number("SELECT count(*) FROM runnel.reservation"), 0);
    close_store();
}

TEST(what_others_have_is_not_a_round_s)
{
    struct budget_call c;

    begin("tokens_per_day", "100");
    assert_int_equal(reserve("a", 30, 0), BUDGET_FREE);
    assert_int_equal(reserve("b", 30, 0), BUDGET_FREE);
    sql("INSERT INTO runnel.spending SELECT 1, id, (now() AT TIME ZONE 'UTC')::date, 20, 0"
        " FROM runnel.allowance");
    assert_int_equal(go_on("a", 30, 20, 0).limit, BUDGET_FREE);
    c = go_on("a", 30, 21, 0);
    assert_int_equal(c.limit, BUDGET_DAY_TOKENS);
    assert_in_range(c.wait, 1, 86400);
    sql("UPDATE runnel.reservation SET expires_at = now() - interval '1 second' WHERE turn = 'b'");
    assert_int_equal(go_on("a", 30, 50, 0).limit, BUDGET_FREE);
    close_store();
}

/* A turn is one request and one stream, however many rounds it has. */
TEST(a_round_is_neither_a_request_nor_a_stream)
{
    begin("requests_per_minute, streams", "1, 1");
    assert_int_equal(reserve("a", 1, 0), BUDGET_FREE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(go_on("a", 1, 1000, 1000).limit, BUDGET_FREE);
    assert_int_equal(number("SELECT sum(requests) FROM runnel.pace"), 1);
    close_store();
}

TEST(a_minute_s_tokens_count_in_every_round)
{
    struct budget_call c;

    begin("tokens_per_minute", "100");
    assert_int_equal(reserve("a", 50, 0), BUDGET_FREE);
    assert_int_equal(go_on("a", 10, 50, 0).limit, BUDGET_FREE);
    assert_int_equal(number("SELECT sum(tokens) FROM runnel.pace"), 60);
    c = go_on("a", 60, 50, 0);
    assert_int_equal(c.limit, BUDGET_TOKENS);
    assert_in_range(c.wait, 1, 60);
    settle("a", 20, 10, 0);
    assert_int_equal(number("SELECT sum(tokens) FROM runnel.pace"), 30);
    close_store();
}

/* What was used minutes ago is in nobody's way, and is taken back where it was reserved. */
TEST(a_round_belongs_to_its_own_minute)
{
    begin("tokens_per_minute", "100");
    assert_int_equal(reserve("a", 90, 0), BUDGET_FREE);
    sql("UPDATE runnel.pace SET minute = minute - interval '5 minutes'");
    sql("UPDATE runnel.reservation SET minute = minute - interval '5 minutes'");
    assert_int_equal(go_on("a", 70, 100, 0).limit, BUDGET_FREE);
    assert_int_equal(number("SELECT tokens FROM runnel.pace ORDER BY minute LIMIT 1"), 70);
    assert_int_equal(number("SELECT tokens FROM runnel.pace ORDER BY minute DESC LIMIT 1"), 100);
    settle("a", 70, 30, 0);
    assert_int_equal(number("SELECT tokens FROM runnel.pace ORDER BY minute LIMIT 1"), 70);
    assert_int_equal(number("SELECT tokens FROM runnel.pace ORDER BY minute DESC LIMIT 1"), 30);
    close_store();
}

TEST(where_nothing_is_reserved_a_round_reserves_nothing)
{
    begin("tokens_per_day", "10");
    assert_int_equal(go_on("a", 100, 100, 100).limit, BUDGET_FREE);
    assert_int_equal(reserve("a", 5, 0), BUDGET_FREE);
    settle("a", 1, 1, 0);
    assert_int_equal(go_on("a", 100, 100, 100).limit, BUDGET_FREE);
    assert_int_equal(number("SELECT count(*) FROM runnel.reservation"), 0);
    assert_int_equal(number("SELECT sum(tokens) FROM runnel.pace"), 2);
    close_store();
}

/* Of three allowances one has no room: then nothing is reserved under any. */
TEST(a_round_is_let_in_by_all_or_by_none)
{
    begin("tokens_per_day", "1000");
    sql("INSERT INTO runnel.allowance (tenant, tokens_per_day) VALUES (1, 50), (2, 1)");
    assert_int_equal(reserve("a", 20, 0), BUDGET_FREE);
    assert_int_equal(go_on("a", 20, 31, 0).limit, BUDGET_DAY_TOKENS);
    assert_int_equal(number("SELECT sum(tokens) FROM runnel.reservation"), 40);
    assert_int_equal(go_on("a", 20, 30, 0).limit, BUDGET_FREE);
    assert_int_equal(number("SELECT sum(tokens) FROM runnel.reservation"), 100);
    close_store();
}

TEST(what_no_limit_looks_at_any_more_is_forgotten)
{
    begin("streams", "9");
    assert_int_equal(reserve("new", 1, 1), BUDGET_FREE);
    close_store();
    sql("INSERT INTO runnel.pace SELECT 1, id, now() - interval '11 minutes', 1, 1"
        " FROM runnel.allowance");
    sql("INSERT INTO runnel.reservation SELECT 1, id, 'old', now()::date - 3, 1, 1,"
        " now() - interval '49 hours' FROM runnel.allowance");
    sql("INSERT INTO runnel.billed VALUES (1, 'old', now() - interval '49 hours'),"
        " (1, 'new', now() - interval '47 hours')");
    open_store(4);
    turn_for(500);
    assert_int_equal(number("SELECT count(*) FROM runnel.pace"), 1);
    assert_int_equal(number("SELECT count(*) FROM runnel.reservation"), 1);
    assert_int_equal(number("SELECT count(*) FROM runnel.billed"), 1);
    close_store();
}

static struct budget_call calls[TRIES];
static size_t             n_over;
static bool               all_over;

static void one_over(struct verb *v)
{
    check_that(v->end == STORE_OK, "%s", v->why);
    all_over = ++n_over == TRIES;
}

TEST(the_last_cent_is_taken_once)
{
    char   names[TRIES][16];
    size_t free_ones = 0;

    begin("money_per_day", "25");
    n_over = all_over = 0;
    memset(calls, 0, sizeof calls);
    for (int i = 0; i < TRIES; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        calls[i].verb.done = one_over;
        budget_reserve(
            store, &calls[i],
            &(struct budget_ask){
                .asker = &with_key, .turn = str_of(names[i]), .money = 1, .seconds = 600 });
    }
    turn_until(&all_over, 20000);
    for (int i = 0; i < TRIES; i++) {
        free_ones += calls[i].limit == BUDGET_FREE;
        verb_drop(&calls[i].verb);
    }
    assert_int_equal(free_ones, CENTS);
    assert_int_equal(number("SELECT sum(money) FROM runnel.reservation"), CENTS);
    close_store();
}

TEST(nothing_is_counted_twice_though_connections_break)
{
    begin("tokens_per_day", "1000000");
    for (int i = 0; i < 60; i++) {
        char turn[16];

        snprintf(turn, sizeof turn, "t%d", i);
        settle(turn, 1, 1, 1);
        if (i % 3 == 0)
            sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'runnel'");
    }
    turn_for(1000);
    assert_int_equal(number("SELECT requests FROM runnel.usage"), 60);
    assert_int_equal(number("SELECT completion_tokens FROM runnel.usage"), 60);
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_known_by_its_hash),
        cmocka_unit_test(a_subject_gets_an_account_and_keeps_it),
        cmocka_unit_test(who_introduces_himself_is_called_so_from_then_on),
        cmocka_unit_test(each_limit_stands_in_the_way_and_no_other),
        cmocka_unit_test(what_was_not_used_is_given_back),
        cmocka_unit_test(a_reservation_that_nobody_settles_expires),
        cmocka_unit_test(a_reservation_that_comes_behind_the_bill_holds_nothing),
        cmocka_unit_test(a_turn_that_was_refused_gives_back_and_is_no_usage),
        cmocka_unit_test(every_allowance_that_speaks_of_the_asker_counts),
        cmocka_unit_test(a_round_takes_the_place_of_what_was_reserved),
        cmocka_unit_test(what_others_have_is_not_a_round_s),
        cmocka_unit_test(a_round_is_neither_a_request_nor_a_stream),
        cmocka_unit_test(a_minute_s_tokens_count_in_every_round),
        cmocka_unit_test(a_round_belongs_to_its_own_minute),
        cmocka_unit_test(where_nothing_is_reserved_a_round_reserves_nothing),
        cmocka_unit_test(a_round_is_let_in_by_all_or_by_none),
        cmocka_unit_test(what_no_limit_looks_at_any_more_is_forgotten),
        cmocka_unit_test(the_last_cent_is_taken_once),
        cmocka_unit_test(nothing_is_counted_twice_though_connections_break),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
