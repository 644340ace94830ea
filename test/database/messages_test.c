/* messages_test.c - what was said in a chat, in a real PostgreSQL. */
#include "base/clock.h"
#include "database/kept.h"

static const struct whose *const strangers[] = { &bob, &eve, &other };

static struct new_message said(enum kept_role role, const char *content, const char *once)
{
    return (struct new_message){
        .role = role, .content = str_of(content), .once = str_of(once), .tokens_used = -1
    };
}

static void append(const struct whose *w, int64_t chat, const struct new_message *m)
{
    struct message_call c = { 0 };

    AWAIT(c, message_append(store, &c, w, (struct chat_name){ .id = chat }, m));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
}

TEST(a_message_is_kept_as_it_is_and_its_chat_knows_of_it)
{
    struct new_message  m = { .role = KEPT_ASSISTANT,
                              .content = STR("'; DROP TABLE runnel.message; --\xf0\x9f\x98\x80"),
                              .reasoning = STR("hm"),
                              .name = STR("n\"\\"),
                              .tool_call_id = STR("call_1"),
                              .tool_calls = STR("[{\"id\": \"call_1\"}]"),
                              .more = STR("{\"card\": {\"a\": \"b\"}}"),
                              .turn = STR("t-1"),
                              .once = STR("t-1/0"),
                              .tokens_used = 17 };
    struct message_call c = { 0 };
    struct chat_call    chat = { 0 };
    struct chat_name    name = { 0 };

    open_store(2);
    name.id = chat_of(&anna, "spoken");
    AWAIT(c, message_append(store, &c, &anna, name, &m));
    check_end(c, STORE_OK);
    AWAIT(c, message_last(store, &c, &anna, name, ROLES_ALL, MESSAGES_NEWEST, 5));
    check_end(c, STORE_OK);
    assert_int_equal(c.n, 1);
    assert_false(c.is_more);
    assert_true(c.messages[0].id > 0);
    assert_int_equal(c.messages[0].seq, 0);
    assert_int_equal(c.messages[0].role, KEPT_ASSISTANT);
    assert_int_equal(c.messages[0].state, KEPT_COMPLETE);
    check_same(c.messages[0].content, m.content);
    check_same(c.messages[0].reasoning, m.reasoning);
    check_same(c.messages[0].name, m.name);
    check_same(c.messages[0].tool_call_id, m.tool_call_id);
    check_same(c.messages[0].tool_calls, m.tool_calls);
    check_same(c.messages[0].more, m.more);
    check_same(c.messages[0].turn, m.turn);
    assert_int_equal(c.messages[0].tokens_used, 17);
    AWAIT(chat, chat_find(store, &chat, &anna, name));
    check_same(chat.chats[0].last_message, m.content);
    assert_int_equal(chat.chats[0].n_messages, 1);
    assert_true(chat.chats[0].last_message_at > 1700000000000000);
    m = said(KEPT_VIEW, "a chart", "t-1/view");
    append(&anna, name.id, &m);
    AWAIT(chat, chat_find(store, &chat, &anna, name));
    check_str(chat.chats[0].last_message, "'; DROP TABLE runnel.message; --\xf0\x9f\x98\x80");
    verb_drop(&chat.verb);
    verb_drop(&c.verb);
    close_store();
}

TEST(a_message_written_twice_is_the_first)
{
    struct new_message  m = said(KEPT_USER, "first", "x");
    struct message_call c = { 0 };
    struct chat_name    name = { 0 };
    int64_t             id;

    open_store(2);
    name = (struct chat_name){ .uid = STR("twice") };
    chat_of(&anna, "twice");
    AWAIT(c, message_append(store, &c, &anna, name, &m));
    id = c.messages[0].id;
    m = said(KEPT_USER, "second", "x");
    AWAIT(c, message_append(store, &c, &anna, name, &m));
    check_end(c, STORE_OK);
    assert_int_equal(c.messages[0].id, id);
    check_str(c.messages[0].content, "first");
    m = said(KEPT_USER, "third", "y");
    AWAIT(c, message_append(store, &c, &anna, name, &m));
    assert_int_equal(c.messages[0].seq, 1);
    verb_drop(&c.verb);
    close_store();
}

/* ---- lists ---- */

static void check_contents(const struct message_call *c, const char *want)
{
    struct buf got = BUF(10000);

    for (size_t i = 0; i < c->n; i++)
        buf_addf(&got, "%.*s ", STR_ARG(c->messages[i].content));
    check_text(buf_str(&got), want);
    buf_release(&got);
}

/* s0 u1 a2 v3 u4 a5 t6 a7 */
static int64_t make_messages(const char *uid)
{
    static const enum kept_role roles[] = { KEPT_SYSTEM, KEPT_USER,     KEPT_ASSISTANT,
                                            KEPT_VIEW,   KEPT_USER,     KEPT_ASSISTANT,
                                            KEPT_TOOL,   KEPT_ASSISTANT };
    int64_t                     chat = chat_of(&anna, uid);

    for (size_t i = 0; i < COUNT(roles); i++) {
        char               text[10];
        struct new_message m;

        snprintf(text, sizeof text, "%c%zu", "suatv"[roles[i]], i);
        m = said(roles[i], text, text);
        append(&anna, chat, &m);
    }
    return chat;
}

TEST(pages_begin_with_the_oldest)
{
    static const struct {
        unsigned    roles;
        int64_t     offset, limit, total;
        const char *want;
    } rows[] = {
        { ROLES_ALL, 0, 100, 8, "s0 u1 a2 v3 u4 a5 t6 a7 " },
        { ROLES_ALL, 2, 3, 8, "a2 v3 u4 " },
        { ROLES_SPOKEN, 0, 3, 5, "u1 a2 u4 " },
        { ROLES_SPOKEN, 3, 3, 5, "a5 a7 " },
        { ROLES_SPOKEN, 9, 3, 5, "" },
        { ROLE_BIT(KEPT_VIEW), 0, 3, 1, "v3 " },
        { 0, 0, 3, 0, "" },
        { ROLES_ALL, -7, INT64_MAX, 8, "s0 u1 a2 v3 u4 a5 t6 a7 " },
        { ROLES_ALL, INT64_MAX, -1, 8, "" },
    };
    struct message_call c = { 0 };
    struct chat_name    name = { 0 };

    open_store(2);
    name.id = make_messages("pages");
    for (size_t i = 0; i < COUNT(rows); i++) {
        AWAIT(c,
              message_page(store, &c, &anna, name, rows[i].roles, rows[i].offset, rows[i].limit));
        check_end(c, STORE_OK);
        assert_int_equal(c.total, rows[i].total);
        check_contents(&c, rows[i].want);
    }
    verb_drop(&c.verb);
    close_store();
}

TEST(the_last_ones_are_those_before_a_place)
{
    static const struct {
        unsigned    roles;
        int64_t     before, limit;
        const char *want;
        bool        is_more;
    } rows[] = {
        { ROLES_ALL, MESSAGES_NEWEST, 100, "s0 u1 a2 v3 u4 a5 t6 a7 ", false },
        { ROLES_ALL, MESSAGES_NEWEST, 8, "s0 u1 a2 v3 u4 a5 t6 a7 ", false },
        { ROLES_ALL, MESSAGES_NEWEST, 7, "u1 a2 v3 u4 a5 t6 a7 ", true },
        { ROLES_ALL, 4, 2, "a2 v3 ", true },
        { ROLES_ALL, 2, 2, "s0 u1 ", false },
        { ROLES_SPOKEN, 7, 2, "u4 a5 ", true },
        { ROLES_SPOKEN, 0, 2, "", false },
        { ROLES_SPOKEN, INT64_MIN, 2, "", false },
        { ROLES_SPOKEN, MESSAGES_NEWEST, 0, "", true },
        { ROLES_SPOKEN, MESSAGES_NEWEST, -3, "", true },
    };
    struct message_call c = { 0 };
    struct chat_name    name = { 0 };

    open_store(2);
    name.id = make_messages("last");
    for (size_t i = 0; i < COUNT(rows); i++) {
        AWAIT(c,
              message_last(store, &c, &anna, name, rows[i].roles, rows[i].before, rows[i].limit));
        check_end(c, STORE_OK);
        check_contents(&c, rows[i].want);
        check_that(c.is_more == rows[i].is_more, "row %zu", i);
    }
    verb_drop(&c.verb);
    close_store();
}

TEST(an_empty_chat_has_no_messages_and_a_missing_one_is_not_found)
{
    struct message_call c = { 0 };
    struct chat_name    name = { 0 }, none = { .id = INT64_MAX };

    open_store(2);
    name.id = chat_of(&anna, "empty");
    AWAIT(c, message_page(store, &c, &anna, name, ROLES_ALL, 0, 10));
    check_end(c, STORE_OK);
    AWAIT(c, message_last(store, &c, &anna, name, ROLES_ALL, MESSAGES_NEWEST, 10));
    check_end(c, STORE_OK);
    AWAIT(c, message_page(store, &c, &anna, none, ROLES_ALL, 0, 10));
    check_end(c, STORE_NOT_FOUND);
    AWAIT(c, message_last(store, &c, &anna, none, ROLES_ALL, MESSAGES_NEWEST, 10));
    check_end(c, STORE_NOT_FOUND);
    verb_drop(&c.verb);
    close_store();
}

TEST(members_are_put_beside_each_other)
{
    struct new_message  m = said(KEPT_ASSISTANT, "a", "a");
    struct message_call c = { 0 };
    struct chat_name    name = { 0 };
    int64_t             id;

    open_store(2);
    name.id = chat_of(&anna, "annotated");
    m.more = STR("{\"a\": 1}");
    AWAIT(c, message_append(store, &c, &anna, name, &m));
    id = c.messages[0].id;
    for (int i = 0; i < 2; i++) {
        AWAIT(c, message_annotate(store, &c, &anna, name, id, STR("{\"b\": 2}")));
        check_end(c, STORE_OK);
        check_str(c.messages[0].more, "{\"a\": 1, \"b\": 2}");
    }
    AWAIT(c, message_annotate(store, &c, &anna, name, id, STR("nonsense")));
    check_end(c, STORE_REFUSED);
    AWAIT(c, message_annotate(store, &c, &anna, name, INT64_MAX, STR("{}")));
    check_end(c, STORE_NOT_FOUND);
    name.id = chat_of(&anna, "not annotated");
    AWAIT(c, message_annotate(store, &c, &anna, name, id, STR("{}")));
    check_end(c, STORE_NOT_FOUND);            /* it is in another chat          */
    verb_drop(&c.verb);
    close_store();
}

TEST(words_are_found_in_all_chats_of_a_person)
{
    struct new_message  m = said(KEPT_USER, "The CAFÉ opens at 100%", "1");
    struct message_call c = { 0 };
    struct whose        carl = anna;
    struct chat_name    one, two;

    open_store(2);
    carl.owner = STR("carl");
    one = (struct chat_name){ .id = chat_of(&carl, "breakfast") };
    two = (struct chat_name){ .id = chat_of(&carl, "supper") };
    AWAIT(c, message_append(store, &c, &carl, one, &m));
    m = said(KEPT_ASSISTANT, "that café", "2");
    AWAIT(c, message_append(store, &c, &carl, two, &m));
    m = said(KEPT_VIEW, "a view of the café", "3");
    AWAIT(c, message_append(store, &c, &carl, two, &m));
    AWAIT(c, message_search(store, &c, &carl, STR("Café"), 10));
    check_end(c, STORE_OK);
    assert_int_equal(c.n, 2);
    check_str(c.messages[0].content, "that café"); /* the newest first              */
    check_str(c.messages[0].name, "supper");
    check_str(c.messages[1].name, "breakfast");
    AWAIT(c, message_search(store, &c, &carl, STR("Café"), 1));
    assert_int_equal(c.n, 1);
    AWAIT(c, message_search(store, &c, &carl, STR("100%"), 10));
    assert_int_equal(c.n, 1);
    AWAIT(c, message_search(store, &c, &carl, STR("100_"), 10));
    assert_int_equal(c.n, 0);                 /* no signs of its own            */
    AWAIT(c, message_search(store, &c, &anna, STR("Café"), 10));
    assert_int_equal(c.n, 0);
    verb_drop(&c.verb);
    close_store();
}

TEST(strangers_read_count_and_write_nothing)
{
    struct new_message  m = said(KEPT_USER, "mine", "mine");
    struct message_call c = { 0 };
    int64_t             id, chat;

    open_store(2);
    chat = make_messages("secret");
    AWAIT(c, message_last(store, &c, &anna, (struct chat_name){ .id = chat }, ROLES_ALL,
                          MESSAGES_NEWEST, 1));
    id = c.messages[0].id;
    for (size_t i = 0; i < 2 * COUNT(strangers); i++) {
        const struct whose *w = strangers[i / 2];
        struct chat_name    name = { .id = i % 2 ? chat : 0, .uid = STR("secret") };

        AWAIT(c, message_append(store, &c, w, name, &m));
        check_end(c, STORE_NOT_FOUND);
        AWAIT(c, message_page(store, &c, w, name, ROLES_ALL, 0, 10));
        check_end(c, STORE_NOT_FOUND);
        assert_int_equal(c.n, 0);
        assert_true(c.total <= 0);
        AWAIT(c, message_last(store, &c, w, name, ROLES_ALL, MESSAGES_NEWEST, 10));
        check_end(c, STORE_NOT_FOUND);
        assert_int_equal(c.n, 0);
        AWAIT(c, message_annotate(store, &c, w, name, id, STR("{\"x\": 1}")));
        check_end(c, STORE_NOT_FOUND);
    }
    AWAIT(c, message_page(store, &c, &anna, (struct chat_name){ .id = chat }, ROLES_ALL, 0, 100));
    assert_int_equal(c.total, 8);
    check_str(c.messages[7].more, "{}");
    verb_drop(&c.verb);
    close_store();
}

TEST(what_cannot_be_kept_is_refused_and_takes_no_place)
{
    static const struct str rows[] = { { "a\0b", 3 }, STR_INIT("\xff"), STR_INIT("\xed\xa0\x80") };
    struct message_call     c = { 0 };
    struct chat_name        name = { 0 };
    struct new_message      m;

    open_store(2);
    name.id = chat_of(&anna, "refusing");
    for (size_t i = 0; i < COUNT(rows); i++) {
        m = said(KEPT_USER, "", "r");
        m.content = rows[i];
        AWAIT(c, message_append(store, &c, &anna, name, &m));
        check_end(c, STORE_REFUSED);
    }
    m = said(KEPT_USER, "good", "r");
    m.tool_calls = STR("[");
    AWAIT(c, message_append(store, &c, &anna, name, &m));
    check_end(c, STORE_REFUSED);
    m.tool_calls = STR("");
    AWAIT(c, message_append(store, &c, &anna, name, &m));
    check_end(c, STORE_OK);
    assert_int_equal(c.messages[0].seq, 0);
    verb_drop(&c.verb);
    close_store();
}

/* ---- many at once ---- */

enum { MANY = 200 };

static struct message_call many[MANY];
static size_t              ended;

static void append_again(struct verb *v);

static void append_one(size_t i)
{
    static char        once[MANY][40];
    struct new_message m;

    snprintf(once[i], sizeof once[i], "once-%zu", i / 2);     /* each message twice */
    m = said(KEPT_USER, once[i], once[i]);
    many[i].verb.done = append_again;
    message_append(store, &many[i], &anna, (struct chat_name){ .uid = STR("crowded") }, &m);
}

/* As its owner would: what nobody knows is tried again, and so is what was not done. */
static void append_again(struct verb *v)
{
    struct message_call *c = LIST_OWNER(v, struct message_call, verb);

    if (v->end == STORE_UNKNOWN || v->end == STORE_AWAY || v->end == STORE_BUSY)
        append_one((size_t)(c - many));
    else
        kept_ended = ++ended == MANY;
}

static void check_crowd(void)
{
    struct message_call c = { 0 };

    for (size_t i = 0; i < MANY; i++) {
        check_end(many[i], STORE_OK);
        assert_int_equal(many[i].messages[0].id, many[i ^ 1].messages[0].id);
    }
    AWAIT(c, message_page(store, &c, &anna, (struct chat_name){ .uid = STR("crowded") }, ROLES_ALL,
                          0, 1000));
    assert_int_equal(c.total, MANY / 2);
    for (size_t i = 0; i < c.n; i++) {
        assert_int_equal(c.messages[i].seq, i);
        check_that(i == 0 || c.messages[i].created_at >= c.messages[i - 1].created_at, "%zu", i);
    }
    verb_drop(&c.verb);
    for (size_t i = 0; i < MANY; i++)
        verb_drop(&many[i].verb);
}

static void crowd(void (*meanwhile)(void), unsigned pace)
{
    struct chat_call c = { 0 };

    open_store(8);
    AWAIT(c, chat_delete(store, &c, &anna, (struct chat_name){ .uid = STR("crowded") }));
    verb_drop(&c.verb);
    chat_of(&anna, "crowded");
    kept_ended = false;
    ended = 0;
    meanwhile();
    for (size_t i = 0; i < MANY; i++) {
        append_one(i);
        turn_for(pace);
    }
    turn_until(&kept_ended, 20000);
}

static void nothing(void)
{
}

TEST(writers_at_once_leave_no_gaps_and_no_doubles)
{
    crowd(nothing, 1);
    check_crowd();
    close_store();
}

TEST(connections_may_break_at_any_moment)
{
    crowd(start_killing, 15);
    stop_killing();
    check_crowd();
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_kept_as_it_is_and_its_chat_knows_of_it),
        cmocka_unit_test(a_message_written_twice_is_the_first),
        cmocka_unit_test(pages_begin_with_the_oldest),
        cmocka_unit_test(the_last_ones_are_those_before_a_place),
        cmocka_unit_test(an_empty_chat_has_no_messages_and_a_missing_one_is_not_found),
        cmocka_unit_test(members_are_put_beside_each_other),
        cmocka_unit_test(words_are_found_in_all_chats_of_a_person),
        cmocka_unit_test(strangers_read_count_and_write_nothing),
        cmocka_unit_test(what_cannot_be_kept_is_refused_and_takes_no_place),
        cmocka_unit_test(writers_at_once_leave_no_gaps_and_no_doubles),
        cmocka_unit_test(connections_may_break_at_any_moment),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
