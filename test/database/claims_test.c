/* claims_test.c - many questions at once: those of one key, and those that are taken together; and
 * one of which is not known what came of it. */
#include "base/clock.h"
#include "database/kept.h"
#include "pg/pg_now.h"
#include "store/turns.h"

enum { MANY = 200, CHATS = 40, PER_CHAT = MANY / CHATS };

static struct turn_call    many[MANY];
static char                ids[MANY][40], keys[MANY][40];
static struct turn_taking  takings[MANY];
static const struct whose *owners[MANY];
static size_t              ended;

/* Whoever asks does so until he knows what came of it. */
static void claim_again(struct verb *v)
{
    size_t i = (size_t)(LIST_OWNER(v, struct turn_call, verb) - many);

    if (v->end == STORE_UNKNOWN || v->end == STORE_AWAY || v->end == STORE_BUSY)
        turn_claim(store, &many[i], owners[i], &takings[i]);
    else
        kept_ended = ++ended == MANY;
}

static void prepare(size_t i, const struct whose *owner, const char *key)
{
    owners[i] = owner;
    snprintf(ids[i], sizeof ids[i], "%s-%zu", key, i);
    snprintf(keys[i], sizeof keys[i], "%s", key);
    takings[i] = (struct turn_taking){ .id = str_of(ids[i]),
                                       .key = str_of(keys[i]),
                                       .model = STR("m"),
                                       .holder = STR("p1"),
                                       .lease = 30 * CLOCK_S,
                                       .role = KEPT_USER,
                                       .content = str_of(ids[i]),
                                       .title = str_of(ids[i]) };
    many[i].verb.done = claim_again;
}

static void claim_all(unsigned pace)
{
    kept_ended = false;
    ended = 0;
    for (size_t i = 0; i < MANY; i++) {
        turn_claim(store, &many[i], owners[i], &takings[i]);
        if (pace)
            turn_for(pace);
    }
    turn_until(&kept_ended, 20000);
}

static void drop_all(void)
{
    for (size_t i = 0; i < MANY; i++)
        verb_drop(&many[i].verb);
}

static long long number(const char *sql)
{
    char line[300];

    cluster_sql(line, "%s", sql);
    return strtoll(line, NULL, 10);
}

/* ---- one key ---- */

/* `number`: of the chat; 0: by its uid; NULL, it keeps none. */
static void claim_one_key(const char *key, const char *chat, int64_t id, unsigned pace)
{
    size_t fresh = 0;

    for (size_t i = 0; i < MANY; i++) {
        prepare(i, &anna, key);
        takings[i].keeps_chat = chat != NULL;
        takings[i].chat = (struct chat_name){ id, id ? STR("") : str_of(chat) };
    }
    claim_all(pace);
    for (size_t i = 0; i < MANY; i++) {
        check_end(many[i], STORE_OK);
        fresh += many[i].claim == CLAIM_FRESH;
        check_same(many[i].turn.id, many[0].turn.id);
        assert_int_equal(many[i].turn.answer, many[0].turn.answer);
    }
    assert_int_equal(fresh, 1);
    drop_all();
}

TEST(of_two_hundred_who_claim_one_key_one_is_fresh)
{
    int64_t id;

    open_store(8);
    id = chat_of(&anna, "fought over");
    claim_one_key("fight", "fought over", 0, 0);
    claim_one_key("fight by number", "fought over", id, 0);
    claim_one_key("plain fight", NULL, 0, 0);
    assert_int_equal(number("SELECT next_seq FROM runnel.chat WHERE uid = 'fought over'"), 4);
    assert_int_equal(number("SELECT count(*) FROM runnel.message m JOIN runnel.chat c ON "
                            "c.id = m.chat WHERE c.uid = 'fought over'"),
                     4);
    close_store();
}

TEST(of_many_who_claim_one_key_one_is_fresh_even_if_connections_break)
{
    int64_t id;

    open_store(8);
    id = chat_of(&anna, "torn");
    start_killing();
    claim_one_key("torn", "torn", 0, 15);
    claim_one_key("torn by number", "torn", id, 15);
    stop_killing();
    assert_int_equal(number("SELECT next_seq FROM runnel.chat WHERE uid = 'torn'"), 4);
    close_store();
}

/* ---- many chats ---- */

static int64_t chats[CHATS];

static const struct whose *owner_of(size_t chat)
{
    static const struct whose *const owners_of[] = { &anna, &bob, &eve, &other };

    return owners_of[chat % COUNT(owners_of)];
}

static void prepare_throng(const char *key)
{
    for (size_t i = 0; i < CHATS; i++) {
        char uid[40];

        snprintf(uid, sizeof uid, "%s-%zu", key, i);
        chats[i] = chat_of(owner_of(i), uid);
    }
    for (size_t i = 0; i < MANY; i++) {
        prepare(i, owner_of(i % CHATS), key);
        snprintf(keys[i], sizeof keys[i], "%s-%zu", key, i);
        takings[i].key = str_of(keys[i]);
        takings[i].keeps_chat = true;
        takings[i].chat.id = chats[i % CHATS];
    }
}

/* Its question and its answer stand one behind the other, where it was told that they do. */
static void check_taken(size_t i)
{
    const struct kept_turn *t = &many[i].turn;
    char                    line[300];

    check_end(many[i], STORE_OK);
    assert_int_equal(many[i].claim, CLAIM_FRESH);
    assert_int_equal(t->chat, chats[i % CHATS]);
    check_text(t->id, ids[i]);
    assert_true(t->created_at <= t->question_at && t->question_at <= t->answer_at);
    cluster_sql(
        line,
        "SELECT count(*) FROM runnel.turn t JOIN runnel.message a ON a.tenant = t.tenant "
        "AND a.id = t.answer JOIN runnel.message q ON q.tenant = t.tenant AND q.chat = "
        "a.chat AND q.seq = a.seq - 1 WHERE t.tenant = %d AND t.id = '%s' AND t.owner = '%.*s' "
        "AND t.chat = %lld AND t.answer = %lld AND a.seq = %lld AND a.turn = t.id AND "
        "a.role = 'assistant' AND a.state = 'streaming' AND q.id = %lld AND q.content = t.id "
        "AND q.turn = t.id AND q.role = 'user' AND q.state = 'complete' AND "
        "t.idempotency_key = '%s' AND t.lease_until > now() + interval '20 seconds'",
        owners[i]->tenant, ids[i], STR_ARG(owners[i]->owner), (long long)t->chat,
        (long long)t->answer, (long long)t->answer_seq, (long long)t->question, keys[i]);
    assert_string_equal(line, "1");
}

static void check_throng(const char *key)
{
    char line[300];

    for (size_t i = 0; i < MANY; i++)
        check_taken(i);
    cluster_sql(line,
                "SELECT count(*) FROM runnel.chat c WHERE uid LIKE '%s-%%' AND next_seq = %d AND "
                "title = last_message OR title LIKE '%s-%%' AND last_message LIKE '%s-%%' AND "
                "next_seq = %d",
                key, 2 * PER_CHAT, key, key, 2 * PER_CHAT);
    assert_int_equal(strtoll(line, NULL, 10), CHATS);
}

TEST(many_that_are_taken_together_are_each_kept_whole)
{
    open_store(8);
    prepare_throng("throng");
    claim_all(0);
    check_throng("throng");
    drop_all();
    close_store();
}

TEST(many_that_are_taken_together_are_each_kept_once_though_connections_break)
{
    open_store(8);
    prepare_throng("torn throng");
    start_killing();
    claim_all(3);
    stop_killing();
    check_throng("torn throng");
    drop_all();
    close_store();
}

/* Of those that would spoil a whole statement, each hears so itself. */
TEST(one_that_cannot_be_kept_does_not_spoil_the_others)
{
    static char long_key[400];

    memset(long_key, 'k', sizeof long_key - 1);
    open_store(8);
    prepare_throng("spoilt");
    takings[20].key = str_of(long_key);
    takings[60].content = STR("\xed\xa0\x80");
    takings[100].chat.id = INT64_MAX;
    owners[140] = &eve;                       /* it is anna's chat              */
    claim_all(0);
    check_end(many[20], STORE_REFUSED);
    check_end(many[60], STORE_REFUSED);
    check_end(many[100], STORE_NOT_FOUND);
    check_end(many[140], STORE_NOT_FOUND);
    for (size_t i = 0; i < MANY; i++)
        if (i != 20 && i != 60 && i != 100 && i != 140)
            check_taken(i);
    drop_all();
    close_store();
}

/* Of the same key some come in one statement, and some in several. */
TEST(those_of_one_key_are_found_by_all_who_came_together)
{
    size_t fresh = 0;

    open_store(8);
    prepare_throng("shared");
    for (size_t i = 0; i < MANY; i++) {
        snprintf(keys[i], sizeof keys[i], "shared-%zu", i % (CHATS / 2));
        takings[i].key = str_of(keys[i]);
    }
    claim_all(0);
    for (size_t i = 0; i < MANY; i++) {
        check_end(many[i], STORE_OK);
        fresh += many[i].claim == CLAIM_FRESH;
    }
    /* Twenty keys, each by two chats of one person. */
    assert_int_equal(fresh, CHATS / 2);
    assert_int_equal(number("SELECT count(*) FROM runnel.turn WHERE id LIKE 'shared-%'"), fresh);
    assert_int_equal(number("SELECT count(*) FROM runnel.message WHERE turn LIKE 'shared-%'"),
                     2 * fresh);
    drop_all();
    close_store();
}

/* ---- what came of it is not known ---- */

static struct pg_now *session;

static void must(const char *sql)
{
    check_that(pg_now_do(session, sql), "%s: %s", sql, pg_now_why(session));
}

/* Who waits for a lock, other than `not`; told once the loop has turned for long enough. */
static int64_t wait_for_waiter(int64_t not )
{
    for (int i = 0; i < 300; i++) {
        char pid[300];

        cluster_sql(pid,
                    "SELECT coalesce(min(pid), 0) FROM pg_stat_activity WHERE "
                    "wait_event_type = 'Lock' AND pid <> %lld",
                    (long long)not );
        if (strtoll(pid, NULL, 10))
            return strtoll(pid, NULL, 10);
        turn_for(10);
        check_that(!kept_ended, "it has ended as %s", store_end_name(many[0].verb.end));
    }
    fail_msg("nobody waits for the lock");
    return 0;
}

/* The chat is locked, and behind the lock every turn is refused: the database has no room. */
static void begin_refusing(const char *uid)
{
    char    why[PG_WHY_MAX] = "", lock[200];
    int64_t chat = chat_of(&anna, uid);

    session = pg_now_open(cluster_url(), 5 * CLOCK_S, why);
    check_that(session, "%s", why);
    must("CREATE FUNCTION runnel.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE "
         "'no room' USING ERRCODE = '53100'; END$$");
    must("CREATE TRIGGER refuse BEFORE INSERT ON runnel.turn FOR EACH ROW EXECUTE FUNCTION "
         "runnel.refuse()");
    snprintf(lock, sizeof lock, "BEGIN; SELECT FROM runnel.chat WHERE id = %lld FOR UPDATE",
             (long long)chat);
    must(lock);
    prepare(0, &anna, uid);
    takings[0].keeps_chat = true;
    takings[0].chat.id = chat;
    many[0].verb.done = kept_done;
    kept_ended = false;
    turn_claim(store, &many[0], owners[0], &takings[0]);
}

static void refuse_now(enum store_end want)
{
    must("COMMIT");
    turn_until(&kept_ended, 5000);
    must("DROP FUNCTION runnel.refuse() CASCADE");
    pg_now_close(session);
    check_end(many[0], want);
    verb_drop(&many[0].verb);
}

TEST(what_is_refused_at_once_was_not_done)
{
    open_store(2);
    begin_refusing("refused at once");
    wait_for_waiter(0);
    refuse_now(STORE_AWAY);
    close_store();
}

/* Of the first try nobody heard: that the second one is refused says nothing about it. */
TEST(what_is_refused_the_second_time_may_have_been_done)
{
    char    line[300];
    int64_t first;

    open_store(2);
    begin_refusing("refused again");
    first = wait_for_waiter(0);
    cluster_sql(line, "SELECT pg_terminate_backend(%lld)", (long long)first);
    wait_for_waiter(first);
    refuse_now(STORE_UNKNOWN);
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_hundred_who_claim_one_key_one_is_fresh),
        cmocka_unit_test(of_many_who_claim_one_key_one_is_fresh_even_if_connections_break),
        cmocka_unit_test(many_that_are_taken_together_are_each_kept_whole),
        cmocka_unit_test(many_that_are_taken_together_are_each_kept_once_though_connections_break),
        cmocka_unit_test(one_that_cannot_be_kept_does_not_spoil_the_others),
        cmocka_unit_test(those_of_one_key_are_found_by_all_who_came_together),
        cmocka_unit_test(what_is_refused_at_once_was_not_done),
        cmocka_unit_test(what_is_refused_the_second_time_may_have_been_done),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
