/* operations_test.c - what tools do when their turn has ended, in a real PostgreSQL. */
#include "base/clock.h"
#include "database/kept.h"
#include "store/operations.h"
#include "store/pending.h"
#include "store/sessions.h"

#define OUTPUT "found: \xe4\xbd\xa0 \"quoted\" \\ 'x'"

static const struct asker payer = { .tenant = 1, .key = 22, .account = 333, .is_limited = true };

static void take(const struct whose *w, const char *id, const char *chat)
{
    struct turn_call   c = { 0 };
    struct turn_taking t = { .id = str_of(id),
                             .model = STR("m"),
                             .holder = STR("p1"),
                             .lease = 30 * CLOCK_S,
                             .keeps_chat = chat != NULL,
                             .chat = { .uid = str_of(chat) },
                             .role = KEPT_USER,
                             .content = STR("why?") };

    if (chat)
        chat_of(w, chat);
    AWAIT(c, turn_claim(store, &c, w, &t));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
}

static void end(const char *id, const char *calls)
{
    struct turn_call   c = { 0 };
    struct turn_ending e = { .tenant = 1,
                             .id = str_of(id),
                             .holder = STR("p1"),
                             .end = END_COMPLETE,
                             .content = STR("It has begun."),
                             .tool_calls = str_of(calls) };

    AWAIT(c, turn_end(store, &c, &e));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
}

/* Brings its end; the call is the caller's to drop. */
static enum store_end begin_as(struct operation_call *c, const struct whose *w, const char *turn,
                               const char *id, const char *arguments)
{
    struct operation_order o = { .id = str_of(id),
                                 .turn = str_of(turn),
                                 .call = STR("c1"),
                                 .tool = STR("search"),
                                 .arguments = str_of(arguments),
                                 .asker = &payer,
                                 .output_limit = 1000,
                                 .ttl = 600 * CLOCK_S };

    AWAIT(*c, operation_begin(store, c, w, &o));
    return c->verb.end;
}

static void begin(const char *turn, const char *id)
{
    struct operation_call c = { 0 };

    assert_int_equal(begin_as(&c, &anna, turn, id, "{}"), STORE_OK);
    assert_true(c.is_new);
    verb_drop(&c.verb);
}

static enum store_end complete(const char *id, bool success, const char *output)
{
    struct operation_call c = { 0 };
    enum store_end        end;

    AWAIT(c, operation_complete(store, &c, str_of(id), success, str_of(output), STR("the news")));
    end = c.verb.end;
    verb_drop(&c.verb);
    return end;
}

static size_t settle(void)
{
    struct operation_call c = { 0 };
    size_t                n;

    AWAIT(c, operations_settle(store, &c));
    check_end(c, STORE_OK);
    n = c.n;
    verb_drop(&c.verb);
    return n;
}

/* What waits for its turn in whatever chat. */
static size_t take_pending(void)
{
    struct pending_call c = { 0 };
    size_t              n;

    AWAIT(c, pending_take(store, &c, &(struct crowd_limits){ 0 }));
    check_end(c, STORE_OK);
    n = c.n;
    if (n) {
        check_str(c.all[0].content, "the news");
        check_str(c.all[0].model, "m");
        assert_true(c.all[0].is_operations && !c.all[0].is_assistants);
        assert_int_equal(c.all[0].asker.tenant, 1);
        assert_int_equal(c.all[0].asker.key, 22);
        assert_int_equal(c.all[0].asker.account, 333);
        assert_true(c.all[0].asker.is_limited);
    }
    verb_drop(&c.verb);
    return n;
}

static void fresh(void)
{
    char line[300];

    cluster_sql(line, "TRUNCATE runnel.chat, runnel.turn, runnel.message, runnel.journal, "
                      "runnel.pending, runnel.operation CASCADE");
    open_store(3);
}

/* ---- begin and forget -------------------------------------------------------------------- */

TEST(the_same_call_is_begun_once_at_a_time)
{
    static const struct {
        const char *turn, *id, *arguments, *is;
    } rows[] = {
        { "t1", "o1", "{\"a\": 1, \"b\": [2]}", "o1" },
        { "t1", "o1", "{\"a\": 1, \"b\": [2]}", "o1" },    /* a repetition      */
        { "t1", "o2", "{\"b\":[2],\"a\":1}", "o1" },
        { "t1", "o3", "{\"a\": 1, \"b\": [3]}", "o3" },
        { "t2", "o4", "{\"a\": 1, \"b\": [2]}", "o4" },    /* in another chat   */
    };

    fresh();
    take(&anna, "t1", "one");
    take(&anna, "t2", "two");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct operation_call c = { 0 };

        assert_int_equal(begin_as(&c, &anna, rows[i].turn, rows[i].id, rows[i].arguments),
                         STORE_OK);
        check_text(c.operation.id, rows[i].is);
        check_str(c.operation.call, "c1");
        assert_int_equal(c.is_new, strcmp(rows[i].id, rows[i].is) == 0);
        assert_true(c.operation.is_running && !c.operation.has_expired);
        verb_drop(&c.verb);
    }
    check_sql("3", "SELECT count(*) FROM runnel.operation");
    assert_int_equal(complete("o1", true, "x"), STORE_OK);
    {
        struct operation_call c = { 0 };

        assert_int_equal(begin_as(&c, &anna, "t1", "o5", rows[0].arguments), STORE_OK);
        assert_true(c.is_new);
        verb_drop(&c.verb);
    }
    close_store();
}

TEST(one_is_of_a_running_turn_of_ones_own_that_keeps_a_chat)
{
    static const struct {
        const struct whose *whose;
        const char         *turn;
    } rows[] = {
        { &bob, "t1" }, { &eve, "t1" }, { &anna, "none" }, { &anna, "t2" }, { &anna, "t3" }
    };

    fresh();
    take(&anna, "t1", "one");
    take(&anna, "t2", NULL);
    take(&anna, "t3", "three");
    end("t3", "");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct operation_call c = { 0 };

        check_that(begin_as(&c, rows[i].whose, rows[i].turn, "o", "{}") == STORE_NOT_FOUND,
                   "row %zu", i);
        verb_drop(&c.verb);
    }
    check_sql("0", "SELECT count(*) FROM runnel.operation");
    close_store();
}

TEST(only_whose_it_is_forgets_it_and_not_what_was_completed)
{
    static const struct {
        const struct whose *whose;
        enum store_end      end;
    } rows[] = {
        { &bob, STORE_NOT_FOUND },
        { &eve, STORE_NOT_FOUND },
        { &anna, STORE_OK },
        { &anna, STORE_NOT_FOUND },
    };
    struct operation_call c = { 0 };

    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    for (size_t i = 0; i < COUNT(rows); i++) {
        AWAIT(c, operation_forget(store, &c, rows[i].whose, STR("o1")));
        check_that(c.verb.end == rows[i].end, "row %zu", i);
    }
    assert_int_equal(complete("o1", true, "x"), STORE_NOT_FOUND);
    begin("t1", "o2");
    assert_int_equal(complete("o2", true, "x"), STORE_OK);
    AWAIT(c, operation_forget(store, &c, &anna, STR("o2")));
    check_end(c, STORE_NOT_FOUND);
    verb_drop(&c.verb);
    check_sql("1", "SELECT count(*) FROM runnel.operation");
    close_store();
}

/* ---- complete ---------------------------------------------------------------------------- */

/* Ours of two rounds, one whose id the client has given to a tool of his own, too. */
#define CALLS                                                                                      \
    "[{\"id\":\"c1\",\"function\":{\"name\":\"his\"}},"                                            \
    "{\"id\":\"c0\",\"round\":0,\"result\":\"other\"},"                                            \
    "{\"id\":\"c1\",\"round\":0,\"result\":\"{\\\"operation_id\\\":\\\"o1\\\"}\"},"                \
    "{\"id\":\"c1\",\"round\":1,\"result\":\"later\",\"failed\":true}]"

#define RESULTS                                                                                    \
    "SELECT string_agg(coalesce(e->>'result', '-') || coalesce(e->>'failed', ''), '|' ORDER BY n)" \
    " FROM runnel.message m, jsonb_array_elements(m.tool_calls) WITH ORDINALITY AS x (e, n)"

TEST(behind_its_turn_it_takes_the_place_of_its_result)
{
    struct pending_call list = { 0 };

    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    end("t1", CALLS);
    assert_int_equal(complete("o1", true, OUTPUT), STORE_OK);
    check_sql("-|other|" OUTPUT "|latertrue", RESULTS);
    check_sql("his", "SELECT tool_calls->0->'function'->>'name' FROM runnel.message WHERE "
                     "tool_calls IS NOT NULL");
    AWAIT(list, pending_list(store, &list, &anna, (struct chat_name){ .uid = STR("one") }));
    check_end(list, STORE_OK);
    assert_int_equal(list.n, 0);              /* nobody has asked it            */
    verb_drop(&list.verb);
    assert_int_equal(take_pending(), 1);
    assert_int_equal(settle(), 0);
    close_store();
}

TEST(the_second_time_nothing_changes)
{
    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    end("t1", CALLS);
    assert_int_equal(complete("o1", true, OUTPUT), STORE_OK);
    assert_int_equal(complete("o1", false, "another"), STORE_OK);
    check_sql("-|other|" OUTPUT "|latertrue", RESULTS);
    check_sql("1", "SELECT count(*) FROM runnel.pending");
    check_sql("completed", "SELECT state FROM runnel.operation");
    assert_int_equal(complete("none", true, "x"), STORE_NOT_FOUND);
    close_store();
}

TEST(of_two_at_once_one_completes_it)
{
    struct operation_call calls[8] = { 0 };

    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    end("t1", CALLS);
    for (size_t i = 0; i < COUNT(calls); i++) {
        calls[i].verb.done = kept_done;
        operation_complete(store, &calls[i], STR("o1"), true, STR("x"), STR("the news"));
    }
    while (!store_is_idle(store))
        turn_for(5);
    for (size_t i = 0; i < COUNT(calls); i++) {
        check_end(calls[i], STORE_OK);
        verb_drop(&calls[i].verb);
    }
    check_sql("1", "SELECT count(*) FROM runnel.pending");
    close_store();
}

TEST(while_its_turn_runs_it_waits_for_the_answer)
{
    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    assert_int_equal(complete("o1", true, OUTPUT), STORE_OK);
    assert_int_equal(settle(), 0);
    assert_int_equal(take_pending(), 0);      /* its turn runs                  */
    end("t1", CALLS);
    assert_int_equal(take_pending(), 0);      /* it is due                      */
    check_sql("-|other|{\"operation_id\":\"o1\"}|latertrue", RESULTS);
    assert_int_equal(settle(), 1);
    check_sql("-|other|" OUTPUT "|latertrue", RESULTS);
    assert_int_equal(take_pending(), 1);
    assert_int_equal(settle(), 0);
    close_store();
}

TEST(several_of_one_answer_each_take_their_place)
{
    static const char calls[] = "[{\"id\":\"c1\",\"round\":0,\"result\":\"o1\"},"
                                "{\"id\":\"c1\",\"round\":1,\"result\":\"o2\"}]";

    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    assert_int_equal(complete("o1", true, "first"), STORE_OK);
    begin("t1", "o2");
    assert_int_equal(complete("o2", false, "second"), STORE_OK);
    end("t1", calls);
    assert_int_equal(settle(), 2);
    check_sql("first|secondtrue", RESULTS);
    check_sql("2", "SELECT count(*) FROM runnel.pending");
    close_store();
}

/* Its process died between the call and its result; or before the call was kept. */
TEST(what_was_interrupted_is_completed_all_the_same)
{
    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    end("t1", "[{\"id\":\"c1\",\"round\":0}]");
    assert_int_equal(complete("o1", true, OUTPUT), STORE_OK);
    check_sql(OUTPUT, RESULTS);
    take(&anna, "t2", "two");
    begin("t2", "o2");
    end("t2", "");
    assert_int_equal(complete("o2", true, OUTPUT), STORE_OK);
    check_sql("2", "SELECT count(*) FROM runnel.pending");
    check_sql("0", "SELECT count(*) FROM runnel.operation WHERE is_due");
    close_store();
}

TEST(an_answer_that_was_replaced_is_not_gone_on_from)
{
    struct message_call m = { 0 };

    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    end("t1", CALLS);
    AWAIT(m, messages_replace(store, &m, &anna, (struct chat_name){ .uid = STR("one") }, 0));
    check_end(m, STORE_OK);
    verb_drop(&m.verb);
    assert_int_equal(complete("o1", true, OUTPUT), STORE_OK);
    check_sql("0", "SELECT count(*) FROM runnel.pending");
    check_sql("-|other|" OUTPUT "|latertrue", RESULTS);
    close_store();
}

TEST(with_its_chat_it_is_gone)
{
    struct chat_call c = { 0 };

    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    AWAIT(c, chat_delete(store, &c, &anna, (struct chat_name){ .uid = STR("one") }));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
    assert_int_equal(complete("o1", true, OUTPUT), STORE_NOT_FOUND);
    close_store();
}

/* ---- expire and clean -------------------------------------------------------------------- */

#define TIMED_OUT                                                                                  \
    "{\"type\":\"error\",\"message\":\"search timed out after 600s\",\"error\":\"timeout\","       \
    "\"details\":null}"

static void age(const char *column, const char *by)
{
    char line[300];

    cluster_sql(line,
                "UPDATE runnel.operation SET created_at = created_at - interval '%s', "
                "expires_at = expires_at - interval '%s', ended_at = ended_at - interval "
                "'%s' WHERE %s IS NOT NULL",
                by, by, by, column);
}

TEST(what_nobody_completes_expires)
{
    struct operation_call c = { 0 };

    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    end("t1", CALLS);
    age("id", "9 minutes");
    assert_int_equal(settle(), 0);
    age("id", "2 minutes");
    assert_int_equal(complete("o1", true, OUTPUT), STORE_NOT_FOUND);  /* before anybody looks */
    assert_int_equal(settle(), 2);
    check_sql("-|other|" TIMED_OUT "true|latertrue", RESULTS);
    check_sql("0", "SELECT count(*) FROM runnel.pending");
    AWAIT(c, operation_find(store, &c, STR("o1")));
    check_end(c, STORE_OK);
    assert_true(c.operation.has_expired && !c.operation.is_running);
    verb_drop(&c.verb);
    assert_int_equal(complete("o1", true, OUTPUT), STORE_NOT_FOUND);
    check_sql("-|other|" TIMED_OUT "true|latertrue", RESULTS);
    close_store();
}

TEST(what_has_expired_is_in_nobodys_way)
{
    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    age("id", "11 minutes");
    begin("t1", "o2");
    check_sql("expired running", "SELECT string_agg(state, ' ' ORDER BY id) FROM runnel.operation");
    close_store();
}

TEST(what_ended_long_ago_is_forgotten)
{
    fresh();
    take(&anna, "t1", "one");
    begin("t1", "o1");
    end("t1", CALLS);
    assert_int_equal(complete("o1", true, OUTPUT), STORE_OK);
    age("ended_at", "23 hours");
    assert_int_equal(settle(), 0);
    age("ended_at", "2 hours");
    assert_int_equal(settle(), 1);
    check_sql("0", "SELECT count(*) FROM runnel.operation");
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_call_is_begun_once_at_a_time),
        cmocka_unit_test(one_is_of_a_running_turn_of_ones_own_that_keeps_a_chat),
        cmocka_unit_test(only_whose_it_is_forgets_it_and_not_what_was_completed),
        cmocka_unit_test(behind_its_turn_it_takes_the_place_of_its_result),
        cmocka_unit_test(the_second_time_nothing_changes),
        cmocka_unit_test(of_two_at_once_one_completes_it),
        cmocka_unit_test(while_its_turn_runs_it_waits_for_the_answer),
        cmocka_unit_test(several_of_one_answer_each_take_their_place),
        cmocka_unit_test(what_was_interrupted_is_completed_all_the_same),
        cmocka_unit_test(an_answer_that_was_replaced_is_not_gone_on_from),
        cmocka_unit_test(with_its_chat_it_is_gone),
        cmocka_unit_test(what_nobody_completes_expires),
        cmocka_unit_test(what_has_expired_is_in_nobodys_way),
        cmocka_unit_test(what_ended_long_ago_is_forgotten),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
