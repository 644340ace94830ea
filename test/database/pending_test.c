/* pending_test.c - questions that wait, in a real PostgreSQL. */
#include "base/clock.h"
#include "database/kept.h"
#include "store/pending.h"

static const struct crowd_limits no_crowd;
static const struct chat_name    one = { .uid = STR_INIT("one") };

static void fresh(void)
{
    char line[300];

    cluster_sql(line, "TRUNCATE runnel.chat, runnel.turn, runnel.message, runnel.journal, "
                      "runnel.pending, runnel.operation CASCADE");
    open_store(3);
    chat_of(&anna, "one");
}

/* Something runs in that chat, or has run. */
static void keep_turn(const char *id, const char *key, const char *state)
{
    char line[300];

    cluster_sql(
        line,
        "INSERT INTO runnel.turn (tenant, id, owner, idempotency_key, chat, state, ended_at) "
        "SELECT 1, '%s', 'anna', '%s', id, '%s', CASE WHEN '%s' <> 'streaming' THEN now() "
        "END FROM runnel.chat",
        id, key, state, state);
}

static void end_turns(void)
{
    char line[300];

    cluster_sql(line, "UPDATE runnel.turn SET state = 'complete', ended_at = now()");
}

static enum store_end put(const char *key, const char *content)
{
    struct pending_call c = { 0 };
    struct pending      p = { .key = str_of(key), .content = str_of(content), .model = STR("m") };
    enum store_end      end;

    AWAIT(c, pending_put(store, &c, &anna, one, &p, true, &no_crowd));
    end = c.verb.end;
    if (end == STORE_OK)
        assert_true(c.is_queued);
    verb_drop(&c.verb);
    return end;
}

/* 0: there is none. */
static int64_t take(void)
{
    struct pending_call c = { 0 };
    int64_t             id;

    AWAIT(c, pending_take(store, &c, &no_crowd));
    check_end(c, STORE_OK);
    id = c.n ? c.all[0].id : 0;
    verb_drop(&c.verb);
    return id;
}

static void refuse(int64_t id, const char *turn, enum fault fault)
{
    struct pending_call c = { 0 };

    AWAIT(c, pending_refuse(store, &c, 1, id, str_of(turn), fault));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
}

#define SAID                                                                                       \
    "SELECT string_agg(seq || ' ' || role || ' ' || state || ' ' || content || ' ' || "            \
    "coalesce(more->>'fault', '-') || ' ' || turn, ', ' ORDER BY seq) FROM runnel.message"
#define REFUSED                                                                                    \
    "SELECT string_agg(t.id || ' ' || t.state || ' ' || t.fault || ' ' || coalesce("               \
    "t.idempotency_key, '-') || ' ' || (t.answer = m.id) || ' ' || (t.ended_at IS NOT NULL), ', ' "\
    "ORDER BY t.id) FROM runnel.turn t JOIN runnel.message m ON m.turn = t.id AND "                \
    "m.role = 'assistant' AND m.state = 'error'"

TEST(of_one_name_one_question_waits)
{
    fresh();
    keep_turn("t", "k", "streaming");
    assert_int_equal(put("a", "why?"), STORE_OK);
    assert_int_equal(put("a", "why?"), STORE_OK);
    assert_int_equal(put("a", "when?"), STORE_CONFLICT);
    assert_int_equal(put("b", "when?"), STORE_OK);
    check_sql("a why?, b when?",
              "SELECT string_agg(key || ' ' || content, ', ' ORDER BY id) FROM runnel.pending");
    close_store();
}

TEST(what_is_given_back_is_taken_again_when_its_time_has_come)
{
    static const uint64_t waits[] = { 1, 60 };

    for (size_t i = 0; i < COUNT(waits); i++) {
        struct pending_call c = { 0 };
        char                seconds[40];

        fresh();
        keep_turn("t", "k", "streaming");
        assert_int_equal(put("a", "why?"), STORE_OK);
        end_turns();
        AWAIT(c, pending_give_back(store, &c, 1, take(), waits[i]));
        check_end(c, STORE_OK);
        verb_drop(&c.verb);
        snprintf(seconds, sizeof seconds, "%d", (int)waits[i]);
        check_sql(seconds, "SELECT round(extract(epoch FROM taken_until - now()) + 0.4) FROM "
                           "runnel.pending");
        assert_int_equal(take(), 0);
        close_store();
    }
}

TEST(what_is_refused_is_kept_with_an_answer_that_failed_and_the_next_one_is_taken)
{
    int64_t first, next;

    fresh();
    keep_turn("t", "k", "streaming");
    assert_int_equal(put("a", "why?"), STORE_OK);
    assert_int_equal(put("b", "when?"), STORE_OK);
    end_turns();
    first = take();
    assert_int_equal(take(), 0);
    for (int i = 0; i < 2; i++)               /* a repetition changes nothing   */
        refuse(first, "r", FAULT_USED_UP);
    check_sql("0 user complete why? insufficient_quota r, "
              "1 assistant error  insufficient_quota r",
              SAID);
    check_sql("r error insufficient_quota a true true", REFUSED);
    check_sql("2 why?", "SELECT next_seq || ' ' || last_message FROM runnel.chat");
    check_sql("t", "SELECT question_hash = sha256('why?') FROM runnel.turn WHERE id = 'r'");
    next = take();
    assert_true(next > first);
    refuse(next, "r2", FAULT_RATE_LIMITED);
    check_sql("0", "SELECT count(*) FROM runnel.pending");
    check_sql("4", "SELECT next_seq FROM runnel.chat");
    close_store();
}

TEST(whose_name_is_another_questions_is_kept_without_it)
{
    int64_t id;

    fresh();
    keep_turn("t", "k", "streaming");
    assert_int_equal(put("a", "why?"), STORE_OK);
    end_turns();
    keep_turn("theirs", "a", "complete");
    id = take();
    refuse(id, "r", FAULT_KEY_REUSED);
    check_sql("r error key_reused - true true", REFUSED);
    close_store();
}

TEST(what_was_asked_after_all_is_not_refused)
{
    int64_t id;

    fresh();
    keep_turn("t", "k", "streaming");
    assert_int_equal(put("a", "why?"), STORE_OK);
    end_turns();
    id = take();
    keep_turn("slow", "a", "streaming");
    refuse(id, "r", FAULT_USED_UP);
    check_sql("0", "SELECT count(*) FROM runnel.message");
    check_sql("0", "SELECT count(*) FROM runnel.pending");
    check_sql("0", "SELECT next_seq FROM runnel.chat");
    close_store();
}

TEST(what_an_operation_came_to_may_yet_be_told)
{
    char line[300];

    fresh();
    keep_turn("t", "k", "streaming");
    assert_int_equal(put("a", "the news"), STORE_OK);
    end_turns();
    cluster_sql(line, "UPDATE runnel.pending SET is_operations = true");
    refuse(take(), "r", FAULT_USED_UP);
    check_sql("0 tool complete the news - r, 1 assistant error  insufficient_quota r", SAID);
    check_sql("", "SELECT last_message FROM runnel.chat");
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_one_name_one_question_waits),
        cmocka_unit_test(what_is_given_back_is_taken_again_when_its_time_has_come),
        cmocka_unit_test(
            what_is_refused_is_kept_with_an_answer_that_failed_and_the_next_one_is_taken),
        cmocka_unit_test(whose_name_is_another_questions_is_kept_without_it),
        cmocka_unit_test(what_was_asked_after_all_is_not_refused),
        cmocka_unit_test(what_an_operation_came_to_may_yet_be_told),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
