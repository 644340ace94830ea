/* turns_test.c - questions, their answers and their journals, in a real PostgreSQL. */
#include "base/clock.h"
#include "chat/event_bytes.h"
#include "database/kept.h"
#include "pg/pg_now.h"

static const struct whose *const strangers[] = { &bob, &eve };

static const struct str hash_a = STR_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
static const struct str hash_b = STR_INIT("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");

static struct turn_taking taking(const char *id, const char *key, const char *chat)
{
    return (struct turn_taking){ .id = str_of(id),
                                 .key = str_of(key),
                                 .model = STR("m"),
                                 .question_hash = hash_a,
                                 .holder = STR("p1"),
                                 .lease = 30 * CLOCK_S,
                                 .keeps_chat = chat != NULL,
                                 .chat = { .uid = str_of(chat) },
                                 .role = KEPT_USER,
                                 .content = STR("why?") };
}

static struct turn_ending ending(const char *id, const char *content)
{
    return (struct turn_ending){ .tenant = 1,
                                 .id = str_of(id),
                                 .holder = STR("p1"),
                                 .end = END_COMPLETE,
                                 .finish = STR("stop"),
                                 .usage = { 10, 20 },
                                 .content = str_of(content),
                                 .tokens_used = 20 };
}

static void take(const char *id, const char *chat)
{
    struct turn_taking t = taking(id, "", chat);
    struct turn_call   c = { 0 };

    AWAIT(c, turn_claim(store, &c, &anna, &t));
    check_end(c, STORE_OK);
    assert_int_equal(c.claim, CLAIM_FRESH);
    verb_drop(&c.verb);
}

static struct buf words(const char *text)
{
    struct buf piece = BUF(10000);

    for (; *text; text++)
        event_bytes_add(&piece, &(struct event){ .type = EVENT_DELTA, .text = { text, 1 } });
    return piece;
}

static size_t add_bytes(const char *holder, int32_t tenant, const char *turn, int64_t seq,
                        struct str events)
{
    struct turn_piece   p = { { tenant, str_of(turn) }, { seq, events } };
    struct running_call c = { 0 };
    size_t              n;

    AWAIT(c, journal_add(store, &c, str_of(holder), &p, 1));
    check_end(c, STORE_OK);
    n = c.n;
    verb_drop(&c.verb);
    return n;
}

static size_t add_piece(const char *holder, int32_t tenant, const char *turn, int64_t seq,
                        const char *text)
{
    struct buf piece = words(text);
    size_t     n = add_bytes(holder, tenant, turn, seq, buf_str(&piece));

    buf_release(&piece);
    return n;
}

static void check_count(const char *want, const char *sql)
{
    char line[300];

    cluster_sql(line, "%s", sql);
    assert_string_equal(line, want);
}

/* ---- claim ---- */

TEST(a_claim_keeps_both_messages)
{
    struct turn_taking  t = taking("c-1", "", "claimed");
    struct turn_call    c = { 0 };
    struct message_call m = { 0 };
    struct chat_call    chat = { 0 };
    struct chat_name    name = { .uid = STR("claimed") };

    open_store(2);
    t.title = STR("first title");
    t.more = STR("{\"x\": 1}");
    t.name = STR("anna");
    chat_of(&anna, "claimed");
    for (int i = 0; i < 2; i++) {
        AWAIT(c, turn_claim(store, &c, &anna, &t));           /* the second is a repetition */
        check_end(c, STORE_OK);
        assert_int_equal(c.claim, CLAIM_FRESH);
        assert_int_equal(c.turn.state, KEPT_STREAMING);
        check_str(c.turn.id, "c-1");
        check_str(c.turn.model, "m");
        assert_true(c.turn.question > 0 && c.turn.answer > c.turn.question);
        assert_int_equal(c.turn.answer_seq, 1);
        assert_true(c.turn.question_at > 0 && c.turn.answer_at >= c.turn.question_at);
    }
    AWAIT(m, message_last(store, &m, &anna, name, ROLES_ALL, MESSAGES_NEWEST, 10));
    assert_int_equal(m.n, 2);
    assert_int_equal(m.messages[0].id, c.turn.question);
    check_str(m.messages[0].content, "why?");
    check_str(m.messages[0].name, "anna");
    check_str(m.messages[0].more, "{\"x\": 1}");
    assert_int_equal(m.messages[0].role, KEPT_USER);
    assert_int_equal(m.messages[0].state, KEPT_COMPLETE);
    assert_int_equal(m.messages[1].id, c.turn.answer);
    assert_int_equal(m.messages[1].role, KEPT_ASSISTANT);
    assert_int_equal(m.messages[1].state, KEPT_STREAMING);
    check_str(m.messages[1].turn, "c-1");
    AWAIT(chat, chat_find(store, &chat, &anna, name));
    check_str(chat.chats[0].title, "first title");
    check_str(chat.chats[0].last_message, "why?");
    assert_int_equal(chat.chats[0].n_messages, 2);
    t = taking("c-2", "", "claimed");
    t.title = STR("second title");
    AWAIT(c, turn_claim(store, &c, &anna, &t));
    assert_int_equal(c.turn.answer_seq, 3);
    AWAIT(chat, chat_find(store, &chat, &anna, name));
    check_str(chat.chats[0].title, "first title");
    AWAIT(c, turn_of_chat(store, &c, &anna, name, 0));
    check_str(c.turn.id, "c-2");
    verb_drop(&c.verb);
    verb_drop(&m.verb);
    verb_drop(&chat.verb);
    close_store();
}

TEST(a_key_is_claimed_once)
{
    static const char *const chats[] = { "keyed", NULL };
    struct turn_call         c = { 0 };

    open_store(2);
    chat_of(&anna, "keyed");
    for (size_t i = 0; i < COUNT(chats); i++) {
        const char *const  ids[] = { i ? "k-1" : "k-2", i ? "k-3" : "k-4" };
        const char        *key = i ? "key" : "chat's key";
        struct turn_taking first = taking(ids[0], key, chats[i]);
        struct turn_taking then = taking(ids[1], key, chats[i]);
        struct turn_ending e = ending(ids[0], "because");

        AWAIT(c, turn_claim(store, &c, &anna, &first));
        assert_int_equal(c.claim, CLAIM_FRESH);
        AWAIT(c, turn_claim(store, &c, &anna, &then));
        check_end(c, STORE_OK);
        assert_int_equal(c.claim, CLAIM_RUNNING);
        check_text(c.turn.id, ids[0]);
        then.question_hash = hash_b;
        AWAIT(c, turn_claim(store, &c, &anna, &then));
        check_end(c, STORE_CONFLICT);
        then.question_hash = hash_a;
        AWAIT(c, turn_end(store, &c, &e));
        check_end(c, STORE_OK);
        AWAIT(c, turn_claim(store, &c, &anna, &then));
        check_end(c, STORE_OK);
        assert_int_equal(c.claim, CLAIM_FINISHED);
        check_text(c.turn.content, chats[i] ? "because" : "");
        then.chat.uid = STR("of another site");
        if (chats[i])
            chat_of(&eve, "of another site");
        AWAIT(c, turn_claim(store, &c, &eve, &then));
        check_end(c, STORE_OK);
        assert_int_equal(c.claim, CLAIM_FRESH);
    }
    check_count("2", "SELECT count(*) FROM runnel.message m JOIN runnel.chat c ON c.id = m.chat "
                     "WHERE c.uid = 'keyed'");
    verb_drop(&c.verb);
    close_store();
}

TEST(nothing_is_claimed_in_a_chat_that_is_not_ones_own)
{
    struct turn_taking t = taking("stranger", "", "private");
    struct turn_call   c = { 0 };

    open_store(2);
    chat_of(&anna, "private");
    for (size_t i = 0; i < COUNT(strangers); i++) {
        AWAIT(c, turn_claim(store, &c, strangers[i], &t));
        check_end(c, STORE_NOT_FOUND);
    }
    AWAIT(c, turn_claim(store, &c, &other, &t));
    check_end(c, STORE_NOT_FOUND);
    check_count("0", "SELECT count(*) FROM runnel.turn WHERE id = 'stranger'");
    t.chat = (struct chat_name){ .id = INT64_MAX };
    AWAIT(c, turn_claim(store, &c, &anna, &t));
    check_end(c, STORE_NOT_FOUND);
    t = taking("stranger", "", "private");
    t.content = (struct str){ "a\0b", 3 };
    AWAIT(c, turn_claim(store, &c, &anna, &t));
    check_end(c, STORE_REFUSED);
    t.content = STR("\xed\xa0\x80");
    AWAIT(c, turn_claim(store, &c, &anna, &t));
    check_end(c, STORE_REFUSED);
    check_count("0", "SELECT count(*) FROM runnel.turn WHERE id = 'stranger'");
    verb_drop(&c.verb);
    close_store();
}

/* Who was first is asked behind the claim. A process that lost its connection has perhaps claimed
 * the turn itself, and must not take "not done" for an answer. */
TEST(nobody_knows_what_came_of_a_claim_whose_second_question_fails)
{
    struct pg_now     *db = pg_now_open(cluster_url(), 5 * CLOCK_S, (char[PG_WHY_MAX]){ 0 });
    struct turn_taking t = taking("whose-1", "whose", NULL);
    struct turn_call   c = { 0 };

    open_store(2);
    AWAIT(c, turn_claim(store, &c, &anna, &t));
    check_end(c, STORE_OK);
    t.id = STR("whose-2");
    assert_true(db && pg_now_do(db, "BEGIN"));
    assert_true(pg_now_do(db, "LOCK TABLE runnel.message IN ACCESS EXCLUSIVE MODE"));
    AWAIT(c, turn_claim(store, &c, &anna, &t));
    check_end(c, STORE_UNKNOWN);
    assert_true(pg_now_do(db, "COMMIT"));
    AWAIT(c, turn_claim(store, &c, &anna, &t));
    check_end(c, STORE_OK);
    assert_int_equal(c.claim, CLAIM_RUNNING);
    check_text(c.turn.id, "whose-1");
    verb_drop(&c.verb);
    pg_now_close(db);
    close_store();
}

/* ---- end ---- */

TEST(an_end_is_kept_once_and_everywhere)
{
    struct turn_ending  e = ending("e-1", "because");
    struct turn_call    c = { 0 };
    struct message_call m = { 0 };
    struct chat_call    chat = { 0 };
    struct chat_name    name = { .uid = STR("ended") };

    open_store(2);
    chat_of(&anna, "ended");
    take("e-1", "ended");
    e.reasoning = STR("hm");
    e.tool_calls = STR("[]");
    e.more = STR("{\"card\": 1}");
    e.provider_session = STR("s-9");
    for (int i = 0; i < 2; i++) {
        AWAIT(c, turn_end(store, &c, &e));
        check_end(c, STORE_OK);
        AWAIT(c, turn_find(store, &c, &anna, e.id));
        assert_int_equal(c.turn.state, KEPT_COMPLETE);
        check_str(c.turn.finish, "stop");
        assert_true(c.turn.ended_at >= c.turn.created_at);
        assert_false(c.turn.has_journal);
    }
    AWAIT(m, message_last(store, &m, &anna, name, ROLES_ALL, MESSAGES_NEWEST, 1));
    assert_int_equal(m.messages[0].state, KEPT_COMPLETE);
    check_str(m.messages[0].content, "because");
    check_str(m.messages[0].reasoning, "hm");
    check_str(m.messages[0].tool_calls, "[]");
    check_str(m.messages[0].more, "{\"card\": 1}");
    assert_int_equal(m.messages[0].tokens_used, 20);
    AWAIT(chat, chat_find(store, &chat, &anna, name));
    check_str(chat.chats[0].last_message, "because");
    check_str(chat.chats[0].provider_session, "s-9");
    assert_int_equal(chat.chats[0].prompt_tokens, 10);        /* not 20: it ended once */
    assert_int_equal(chat.chats[0].completion_tokens, 20);
    verb_drop(&c.verb);
    verb_drop(&m.verb);
    verb_drop(&chat.verb);
    close_store();
}

TEST(every_way_to_end_is_kept_by_its_name)
{
    static const struct {
        enum end        end;
        enum fault      fault;
        enum kept_state state;
        const char     *name;
    } rows[] = {
        { END_COMPLETE, FAULT_NONE, KEPT_COMPLETE, "" },
        { END_STOPPED, FAULT_NONE, KEPT_STOPPED, "" },
        { END_INTERRUPTED, FAULT_CLIENT_GONE, KEPT_INTERRUPTED, "client_gone" },
        { END_ERROR, FAULT_CUT, KEPT_ERROR, "cut" },
    };
    struct turn_call c = { 0 };

    open_store(2);
    chat_of(&anna, "ways");
    for (size_t i = 0; i < COUNT(rows); i++) {
        char               id[20];
        struct turn_ending e;

        snprintf(id, sizeof id, "way-%zu", i);
        take(id, "ways");
        e = ending(id, "");
        e.end = rows[i].end;
        e.fault = rows[i].fault;
        e.tokens_used = -1;
        AWAIT(c, turn_end(store, &c, &e));
        check_end(c, STORE_OK);
        AWAIT(c, turn_find(store, &c, &anna, e.id));
        assert_int_equal(c.turn.state, rows[i].state);
        check_text(c.turn.fault, rows[i].name);
    }
    verb_drop(&c.verb);
    close_store();
}

TEST(only_the_holder_ends_a_turn)
{
    struct turn_ending e = ending("held", "mine");
    struct turn_call   c = { 0 };

    open_store(2);
    take("held", NULL);
    e.holder = STR("p2");
    AWAIT(c, turn_end(store, &c, &e));
    check_end(c, STORE_CONFLICT);
    e.holder = STR("p1");
    e.tenant = 2;
    AWAIT(c, turn_end(store, &c, &e));
    check_end(c, STORE_NOT_FOUND);
    e.tenant = 1;
    e.id = STR("nowhere");
    AWAIT(c, turn_end(store, &c, &e));
    check_end(c, STORE_NOT_FOUND);
    AWAIT(c, turn_find(store, &c, &anna, STR("held")));
    assert_int_equal(c.turn.state, KEPT_STREAMING);
    verb_drop(&c.verb);
    close_store();
}

TEST(strangers_find_read_and_stop_nothing)
{
    struct turn_call c = { 0 };
    struct str       id = STR("hidden");

    open_store(2);
    chat_of(&anna, "hidden");
    take("hidden", "hidden");
    for (size_t i = 0; i < COUNT(strangers); i++) {
        AWAIT(c, turn_find(store, &c, strangers[i], id));
        check_end(c, STORE_NOT_FOUND);
        AWAIT(c, turn_read(store, &c, strangers[i], id, 0, 10));
        check_end(c, STORE_NOT_FOUND);
        assert_int_equal(c.n_pieces, 0);
        AWAIT(c, turn_stop(store, &c, strangers[i], id));
        check_end(c, STORE_NOT_FOUND);
        AWAIT(c, turn_of_chat(store, &c, strangers[i], (struct chat_name){ .uid = id }, 0));
        check_end(c, STORE_NOT_FOUND);
    }
    AWAIT(c, turn_of_chat(store, &c, &other, (struct chat_name){ .uid = id }, 0));
    check_end(c, STORE_NOT_FOUND);
    AWAIT(c, turn_find(store, &c, &anna, id));
    check_end(c, STORE_OK);
    assert_false(c.turn.stop_asked);
    verb_drop(&c.verb);
    close_store();
}

/* ---- leases, stop ---- */

TEST(leases_are_renewed_together_and_tell_who_shall_stop)
{
    static const struct turn_name names[] = { { 1, STR_INIT("l-1") },
                                              { 1, STR_INIT("l-2") },
                                              { 1, STR_INIT("l-3") },
                                              { 2, STR_INIT("l-1") },
                                              { 1, STR_INIT("never") } };
    struct turn_ending            e = ending("l-3", "");
    struct running_call           c = { 0 };
    struct turn_call              t = { 0 };

    open_store(2);
    take("l-1", NULL);
    take("l-2", NULL);
    take("l-3", NULL);
    AWAIT(t, turn_end(store, &t, &e));
    for (int i = 0; i < 2; i++) {
        AWAIT(t, turn_stop(store, &t, &anna, STR("l-2")));
        check_end(t, STORE_OK);
        assert_true(t.turn.stop_asked);
    }
    AWAIT(t, turn_stop(store, &t, &anna, STR("l-3")));
    assert_false(t.turn.stop_asked);          /* it has ended                   */
    assert_int_equal(t.turn.state, KEPT_COMPLETE);
    AWAIT(c, turns_extend(store, &c, STR("p1"), names, COUNT(names), 1000 * CLOCK_S));
    check_end(c, STORE_OK);
    assert_int_equal(c.n, 2);
    for (size_t i = 0; i < c.n; i++) {
        assert_int_equal(c.leases[i].turn.tenant, 1);
        assert_int_equal(c.leases[i].stop_asked, str_eq(c.leases[i].turn.id, STR("l-2")));
    }
    check_count("2", "SELECT count(*) FROM runnel.turn WHERE lease_until > now() + interval "
                     "'900 seconds' AND id LIKE 'l-%'");
    AWAIT(c, turns_extend(store, &c, STR("p2"), names, COUNT(names), 9000 * CLOCK_S));
    assert_int_equal(c.n, 0);
    AWAIT(c, turns_extend(store, &c, STR("p1"), names, 0, CLOCK_S));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
    verb_drop(&t.verb);
    close_store();
}

/* ---- the journal ---- */

static void check_read(struct turn_call *c, const char *want)
{
    struct buf got = BUF(10000);

    for (size_t i = 0; i < c->n_pieces; i++) {
        struct event_bytes b = event_bytes_of(c->pieces[i].events);
        struct event       ev;

        buf_addf(&got, "%lld", (long long)c->pieces[i].seq);
        while (event_bytes_next(&b, &ev))
            buf_add(&got, ev.type == EVENT_DELTA ? ev.text : STR("."));
        assert_false(b.is_bad);
    }
    check_text(buf_str(&got), want);
    buf_release(&got);
}

TEST(a_journal_is_read_from_any_event)
{
    static const struct {
        int64_t     from, limit;
        const char *want;
        bool        is_more;
    } rows[] = {
        { 0, 10, "0abc3de5f", false }, { 2, 10, "0abc3de5f", false }, { 3, 10, "3de5f", false },
        { 4, 10, "3de5f", false },     { 5, 10, "5f", false },        { 99, 10, "5f", false },
        { -1, 2, "0abc3de", true },    { 3, 1, "3de", true },         { 5, 1, "5f", false },
    };
    struct turn_ending e = ending("j-1", "abcdef");
    struct turn_call   c = { 0 };
    struct buf         last = words("fgh");

    open_store(2);
    take("j-1", NULL);
    assert_int_equal(add_piece("p1", 1, "j-1", 0, "abc"), 1);
    assert_int_equal(add_piece("p1", 1, "j-1", 3, "de"), 1);
    assert_int_equal(add_piece("p1", 1, "j-1", 5, "f"), 1);
    assert_int_equal(add_piece("p1", 1, "j-1", 3, "xy"), 0);  /* a repetition   */
    for (size_t i = 0; i < COUNT(rows); i++) {
        AWAIT(c, turn_read(store, &c, &anna, STR("j-1"), rows[i].from, rows[i].limit));
        check_end(c, STORE_OK);
        check_read(&c, rows[i].want);
        check_that(c.is_more == rows[i].is_more, "row %zu", i);
    }
    /* The last piece begins where one stands already, and is longer. */
    e.seq = 5;
    e.events = buf_str(&last);
    AWAIT(c, turn_end(store, &c, &e));
    check_end(c, STORE_OK);
    AWAIT(c, turn_read(store, &c, &anna, STR("j-1"), 0, 10));
    check_read(&c, "0abc3de5fgh");
    assert_true(c.turn.has_journal);
    assert_int_equal(c.turn.state, KEPT_COMPLETE);
    buf_release(&last);
    verb_drop(&c.verb);
    close_store();
}

TEST(pieces_of_others_are_left_out)
{
    open_store(2);
    take("o-1", NULL);
    assert_int_equal(add_piece("p2", 1, "o-1", 0, "a"), 0);
    assert_int_equal(add_piece("p1", 2, "o-1", 0, "a"), 0);
    assert_int_equal(add_piece("p1", 1, "nowhere", 0, "a"), 0);
    assert_int_equal(add_piece("p1", 1, "o-1", 0, "a"), 1);
    close_store();
}

/* Without its journal nobody could tell what it was. */
TEST(a_turn_of_no_chat_is_forgotten_as_a_whole)
{
    struct turn_ending  e = ending("old", "a");
    struct running_call c = { 0 };
    struct turn_call    t = { 0 };
    char                line[300];

    open_store(2);
    take("old", NULL);
    take("running", NULL);
    AWAIT(t, turn_end(store, &t, &e));
    cluster_sql(line, "UPDATE runnel.turn SET ended_at = now() - interval '1 hour' "
                      "WHERE id = 'old'");
    AWAIT(c, journals_clear(store, &c, 0, 7200 * CLOCK_S, 100));
    assert_int_equal(c.n, 0);
    AWAIT(c, journals_clear(store, &c, 0, 1800 * CLOCK_S, 100));
    assert_int_equal(c.n, 1);
    AWAIT(t, turn_find(store, &t, &anna, STR("old")));
    check_end(t, STORE_NOT_FOUND);
    AWAIT(t, turn_find(store, &t, &anna, STR("running")));
    check_end(t, STORE_OK);
    verb_drop(&c.verb);
    verb_drop(&t.verb);
    close_store();
}

TEST(journals_are_cleared_when_their_time_is_over)
{
    struct turn_ending  e = ending("old", "a");
    struct running_call c = { 0 };
    struct turn_call    t = { 0 };
    char                line[300];

    open_store(2);
    take("old", NULL);
    take("running", NULL);
    add_piece("p1", 1, "old", 0, "a");
    add_piece("p1", 1, "running", 0, "a");
    AWAIT(t, turn_end(store, &t, &e));
    cluster_sql(line, "INSERT INTO runnel.chat (tenant, id, dialect, uid) "
                      "VALUES (1, 900, 'xcx', 'u900')");
    cluster_sql(line, "UPDATE runnel.turn SET ended_at = now() - interval '1 hour', chat = 900 "
                      "WHERE id = 'old'");
    AWAIT(c, journals_clear(store, &c, 7200 * CLOCK_S, 86400 * CLOCK_S, 100));
    assert_int_equal(c.n, 0);
    AWAIT(c, journals_clear(store, &c, 1800 * CLOCK_S, 86400 * CLOCK_S, 0));
    assert_int_equal(c.n, 0);
    AWAIT(c, journals_clear(store, &c, 1800 * CLOCK_S, 86400 * CLOCK_S, 100));
    check_end(c, STORE_OK);
    assert_int_equal(c.n, 1);
    AWAIT(t, turn_read(store, &t, &anna, STR("old"), 0, 10));
    assert_int_equal(t.n_pieces, 0);
    assert_false(t.turn.has_journal);
    AWAIT(t, turn_read(store, &t, &anna, STR("running"), 0, 10));
    assert_int_equal(t.n_pieces, 1);
    AWAIT(c, journals_clear(store, &c, 1800 * CLOCK_S, 86400 * CLOCK_S, 100));
    assert_int_equal(c.n, 0);
    verb_drop(&c.verb);
    verb_drop(&t.verb);
    close_store();
}

/* ---- sweeping ---- */

static size_t swept;

static void on_swept(struct sweep *s)
{
    (void)s;
    kept_ended = ++swept == 2;
}

static const struct turn_name *spared;
static size_t                  n_spared;

static void sweep_twice(struct sweep both[2])
{
    kept_ended = false;
    swept = 0;
    for (size_t i = 0; i < 2; i++) {
        both[i].done = on_swept;
        sweep_start(store, &both[i], i ? STR("s2") : STR("s1"), 30 * CLOCK_S, spared, n_spared);
    }
    turn_until(&kept_ended, 10000);
}

static void die(void)
{
    char line[300];

    cluster_sql(line, "UPDATE runnel.turn SET lease_until = now() - interval '1 second' "
                      "WHERE state = 'streaming' AND holder = 'p1'");
}

TEST(what_a_dead_process_left_is_closed_with_what_it_said)
{
    static struct sweep both[2];
    struct turn_ending  e = ending("d-1", "all of it");
    struct turn_call    c = { 0 };
    struct message_call m = { 0 };

    open_store(4);
    chat_of(&anna, "deserted");
    take("d-1", "deserted");
    take("d-2", "deserted");
    take("d-3", NULL);
    add_piece("p1", 1, "d-1", 0, "abc");
    add_piece("p1", 1, "d-1", 3, "de");
    add_piece("p1", 1, "d-1", 9, "zz");       /* behind a gap                   */
    die();
    take("alive", NULL);
    sweep_twice(both);
    assert_int_equal(both[0].end, STORE_OK);
    assert_int_equal(both[1].end, STORE_OK);
    assert_true(both[0].closed + both[1].closed >= 3);
    check_count("1", "SELECT count(*) FROM runnel.turn WHERE state = 'streaming'");
    AWAIT(m, message_last(store, &m, &anna, (struct chat_name){ .uid = STR("deserted") },
                          ROLE_BIT(KEPT_ASSISTANT), MESSAGES_NEWEST, 2));
    check_str(m.messages[0].content, "abcde");
    assert_int_equal(m.messages[0].state, KEPT_INTERRUPTED);
    assert_int_equal(m.messages[0].tokens_used, -1);
    assert_int_equal(m.messages[1].state, KEPT_INTERRUPTED);
    AWAIT(c, turn_read(store, &c, &anna, STR("d-1"), 0, 10));
    assert_int_equal(c.turn.state, KEPT_INTERRUPTED);
    check_str(c.turn.fault, "shutdown");
    check_read(&c, "0abc3de5.9zz");
    /* The dead come back: it is not theirs any more. */
    AWAIT(c, turn_end(store, &c, &e));
    check_end(c, STORE_CONFLICT);
    assert_int_equal(add_piece("p1", 1, "d-1", 6, "x"), 0);
    AWAIT(c, turn_find(store, &c, &anna, STR("alive")));
    assert_int_equal(c.turn.state, KEPT_STREAMING);
    sweep_twice(both);
    assert_int_equal(both[0].closed + both[1].closed, 0);
    sweep_drop(&both[0]);
    sweep_drop(&both[1]);
    verb_drop(&c.verb);
    verb_drop(&m.verb);
    close_store();
}

/* A lease may run out while the process lives: it was asleep, or the database was busy. */
TEST(who_is_known_to_be_alive_is_spared)
{
    static struct sweep           both[2];
    static const struct turn_name names[] = { { 1, STR_INIT("late-1") },
                                              { 2, STR_INIT("late-2") } };
    char                          line[300];

    open_store(4);
    take("late-1", NULL);
    take("late-2", NULL);                     /* spared is one of another tenant */
    cluster_sql(line, "UPDATE runnel.turn SET lease_until = now() - interval '1 second' "
                      "WHERE id IN ('late-1', 'late-2')");
    spared = names;
    n_spared = 2;
    sweep_twice(both);
    n_spared = 0;
    assert_int_equal(both[0].closed + both[1].closed, 1);
    check_count("1", "SELECT count(*) FROM runnel.turn WHERE id = 'late-1' AND "
                     "state = 'streaming' AND holder = 'p1'");
    sweep_twice(both);
    assert_int_equal(both[0].closed + both[1].closed, 1);
    sweep_drop(&both[0]);
    sweep_drop(&both[1]);
    close_store();
}

TEST(two_who_sweep_at_once_close_each_turn_once)
{
    static struct sweep both[2];
    char                id[20];

    open_store(4);
    chat_of(&anna, "swept");
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "swept-%d", i);
        take(id, i % 2 ? "swept" : NULL);
    }
    die();
    for (size_t left = 51; left;) {           /* one was alive above            */
        sweep_twice(both);
        assert_true(both[0].closed + both[1].closed <= left);
        check_that(both[0].closed + both[1].closed, "%zu are left", left);
        left -= both[0].closed + both[1].closed;
    }
    check_count("0", "SELECT count(*) FROM runnel.turn WHERE state = 'streaming'");
    check_count("50", "SELECT count(*) FROM runnel.turn WHERE id LIKE 'swept-%' AND "
                      "state = 'interrupted'");
    sweep_drop(&both[0]);
    sweep_drop(&both[1]);
    close_store();
}

/* Words that came before they were looked at, of a service that was here before this one. */
TEST(what_cannot_be_kept_of_the_dead_is_closed_without_it)
{
    static const struct event said[] = {
        { .type = EVENT_DELTA, .text = { "a\0b", 3 } },
        { .type = EVENT_REASONING, .text = { "\0", 1 } },
        { .type = EVENT_TOOL_CALL,
          .tool = { .id = STR_INIT("c"), .name = STR_INIT("f") },
          .text = { "\0", 1 } },
        { .type = EVENT_START, .text = { "\0", 1 } },
    };
    static struct sweep both[2];
    struct turn_call    c = { 0 };
    char                id[20];

    open_store(4);
    chat_of(&anna, "unkept");
    for (size_t i = 0; i < COUNT(said); i++) {
        struct buf piece = BUF(1000);

        snprintf(id, sizeof id, "unkept-%zu", i);
        take(id, "unkept");
        event_bytes_add(&piece, &said[i]);
        add_bytes("p1", 1, id, 0, buf_str(&piece));
        buf_release(&piece);
    }
    take("kept-1", "unkept");
    add_piece("p1", 1, "kept-1", 0, "abc");
    die();
    sweep_twice(both);
    assert_int_equal(both[0].end, STORE_OK);
    assert_int_equal(both[1].end, STORE_OK);
    assert_int_equal(both[0].closed + both[1].closed, COUNT(said) + 1);
    for (size_t i = 0; i < COUNT(said); i++) {
        snprintf(id, sizeof id, "unkept-%zu", i);
        AWAIT(c, turn_read(store, &c, &anna, str_of(id), 0, 10));
        assert_int_equal(c.turn.state, KEPT_ERROR);
        check_str(c.turn.fault, "not_kept");
        check_str(c.turn.content, "");
        check_str(c.turn.reasoning, "");
        check_str(c.turn.tool_calls, "");
        assert_true(c.turn.ended_at > 0);
        assert_int_equal(c.n_pieces, 2);
        assert_int_equal(c.pieces[1].seq, 1);
    }
    AWAIT(c, turn_find(store, &c, &anna, STR("kept-1")));
    assert_int_equal(c.turn.state, KEPT_INTERRUPTED);
    check_str(c.turn.content, "abc");
    sweep_twice(both);
    assert_int_equal(both[0].closed + both[1].closed, 0);
    sweep_drop(&both[0]);
    sweep_drop(&both[1]);
    verb_drop(&c.verb);
    close_store();
}

/* ---- without a database ---- */

TEST(without_a_database_verbs_end_away)
{
    struct turn_call c = { 0 };

    open_store(2);
    take("before", NULL);
    cluster_do("stop", "immediate");
    turn_for(300);                            /* before, one that is sent may have been done */
    AWAIT(c, turn_find(store, &c, &anna, STR("before")));
    check_end(c, STORE_AWAY);
    cluster_do("start", NULL);
    AWAIT(c, turn_find(store, &c, &anna, STR("before")));
    check_end(c, STORE_OK);
    turn_find(store, &c, &anna, STR("before"));
    verb_drop(&c.verb);                       /* nobody hears of it             */
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_keeps_both_messages),
        cmocka_unit_test(a_key_is_claimed_once),
        cmocka_unit_test(nobody_knows_what_came_of_a_claim_whose_second_question_fails),
        cmocka_unit_test(nothing_is_claimed_in_a_chat_that_is_not_ones_own),
        cmocka_unit_test(an_end_is_kept_once_and_everywhere),
        cmocka_unit_test(every_way_to_end_is_kept_by_its_name),
        cmocka_unit_test(only_the_holder_ends_a_turn),
        cmocka_unit_test(strangers_find_read_and_stop_nothing),
        cmocka_unit_test(leases_are_renewed_together_and_tell_who_shall_stop),
        cmocka_unit_test(a_journal_is_read_from_any_event),
        cmocka_unit_test(pieces_of_others_are_left_out),
        cmocka_unit_test(a_turn_of_no_chat_is_forgotten_as_a_whole),
        cmocka_unit_test(journals_are_cleared_when_their_time_is_over),
        cmocka_unit_test(what_a_dead_process_left_is_closed_with_what_it_said),
        cmocka_unit_test(who_is_known_to_be_alive_is_spared),
        cmocka_unit_test(two_who_sweep_at_once_close_each_turn_once),
        cmocka_unit_test(what_cannot_be_kept_of_the_dead_is_closed_without_it),
        cmocka_unit_test(without_a_database_verbs_end_away),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
