/* chats_test.c - conversations and the lists of them, in a real PostgreSQL. */
#include "base/clock.h"
#include "database/kept.h"

static const struct whose *const strangers[] = { &bob, &eve, &other };

static void check_not_found(struct chat_call *c)
{
    check_end(*c, STORE_NOT_FOUND);
    assert_int_equal(c->n, 0);
}

/* ---- one chat ---- */

TEST(a_chat_is_made_once_and_found_by_both_names)
{
    struct new_chat  n = { .uid = STR("one"),
                           .mode = STR("chat_normal"),
                           .title = STR("T"),
                           .context_type = STR("task"),
                           .context_id = STR("7"),
                           .more = STR("{\"a\": 1}") };
    struct chat_call c = { 0 };
    int64_t          id;

    open_store(2);
    AWAIT(c, chat_open(store, &c, &anna, &n));
    check_end(c, STORE_OK);
    assert_true(c.is_new);
    id = c.chats[0].id;
    n.title = STR("another");
    AWAIT(c, chat_open(store, &c, &anna, &n));
    assert_false(c.is_new);
    assert_int_equal(c.chats[0].id, id);
    AWAIT(c, chat_find(store, &c, &anna, (struct chat_name){ .uid = STR("one") }));
    check_end(c, STORE_OK);
    assert_int_equal(c.chats[0].id, id);
    AWAIT(c, chat_find(store, &c, &anna, (struct chat_name){ .id = id }));
    check_end(c, STORE_OK);
    check_str(c.chats[0].uid, "one");
    check_str(c.chats[0].owner, "anna");
    check_str(c.chats[0].mode, "chat_normal");
    check_str(c.chats[0].title, "T");
    check_str(c.chats[0].context_type, "task");
    check_str(c.chats[0].context_id, "7");
    check_str(c.chats[0].more, "{\"a\": 1}");
    assert_int_equal(c.chats[0].n_messages, 0);
    assert_int_equal(c.chats[0].last_message_at, 0);
    assert_true(c.chats[0].created_at > 1700000000000000);
    verb_drop(&c.verb);
    close_store();
}

/* The same uid at another site or another door is another chat; another owner's is no chat. */
TEST(a_uid_is_taken_within_a_door_of_a_site)
{
    struct new_chat  n = { .uid = STR("taken") };
    struct chat_call c = { 0 };
    int64_t          id;

    open_store(2);
    id = chat_of(&anna, "taken");
    AWAIT(c, chat_open(store, &c, &bob, &n));
    check_not_found(&c);
    AWAIT(c, chat_open(store, &c, &eve, &n));
    check_end(c, STORE_OK);
    assert_true(c.is_new && c.chats[0].id != id);
    AWAIT(c, chat_open(store, &c, &other, &n));
    check_end(c, STORE_OK);
    assert_true(c.is_new && c.chats[0].id != id);
    verb_drop(&c.verb);
    close_store();
}

TEST(changes_are_kept_and_come_back)
{
    struct chat_call c = { 0 };
    struct chat_name name;
    int64_t          born;

    open_store(2);
    name = (struct chat_name){ .id = chat_of(&anna, "changed") };
    AWAIT(c, chat_rename(store, &c, &anna, name, STR("\xe4\xbd\xa0\xe5\xa5\xbd")));
    check_end(c, STORE_OK);
    check_str(c.chats[0].title, "\xe4\xbd\xa0\xe5\xa5\xbd");
    born = c.chats[0].created_at;
    assert_true(c.chats[0].updated_at > born);
    AWAIT(c, chat_pin(store, &c, &anna, name, true));
    assert_true(c.chats[0].is_pinned);
    AWAIT(c, chat_pin(store, &c, &anna, name, false));
    assert_false(c.chats[0].is_pinned);
    AWAIT(c, chat_keep_session(store, &c, &anna, name, STR("s-1")));
    check_str(c.chats[0].provider_session, "s-1");
    AWAIT(c, chat_find(store, &c, &anna, name));
    check_str(c.chats[0].title, "\xe4\xbd\xa0\xe5\xa5\xbd");
    check_str(c.chats[0].provider_session, "s-1");
    AWAIT(c, chat_delete(store, &c, &anna, name));
    check_end(c, STORE_OK);
    AWAIT(c, chat_find(store, &c, &anna, name));
    check_not_found(&c);
    AWAIT(c, chat_delete(store, &c, &anna, name));
    check_end(c, STORE_NOT_FOUND);
    verb_drop(&c.verb);
    close_store();
}

TEST(nobodys_chat_can_be_given_to_somebody_even_twice)
{
    struct whose     nobody = { 1, STR("xcx"), STR("") };
    struct chat_call c = { 0 };
    struct chat_name name;

    open_store(2);
    name = (struct chat_name){ .id = chat_of(&nobody, "given") };
    for (int i = 0; i < 2; i++) {
        AWAIT(c, chat_assign(store, &c, &nobody, name, STR("anna")));
        check_end(c, STORE_OK);
        check_str(c.chats[0].owner, "anna");
    }
    AWAIT(c, chat_find(store, &c, &nobody, name));
    check_not_found(&c);
    AWAIT(c, chat_assign(store, &c, &nobody, name, STR("bob")));
    check_not_found(&c);
    verb_drop(&c.verb);
    close_store();
}

TEST(strangers_find_change_and_delete_nothing)
{
    struct chat_call c = { 0 };
    int64_t          id;

    open_store(2);
    id = chat_of(&anna, "guarded");
    for (size_t i = 0; i < 2 * COUNT(strangers); i++) {
        const struct whose *w = strangers[i / 2];
        struct chat_name    name = { .id = i % 2 ? id : 0, .uid = STR("guarded") };

        AWAIT(c, chat_find(store, &c, w, name));
        check_not_found(&c);
        AWAIT(c, chat_rename(store, &c, w, name, STR("mine")));
        check_not_found(&c);
        AWAIT(c, chat_pin(store, &c, w, name, true));
        check_not_found(&c);
        AWAIT(c, chat_keep_session(store, &c, w, name, STR("mine")));
        check_not_found(&c);
        AWAIT(c, chat_assign(store, &c, w, name, STR("eve")));
        check_not_found(&c);
        AWAIT(c, chat_delete(store, &c, w, name));
        check_not_found(&c);
    }
    AWAIT(c, chat_find(store, &c, &anna, (struct chat_name){ .id = id }));
    check_end(c, STORE_OK);
    check_str(c.chats[0].title, "");
    check_str(c.chats[0].provider_session, "");
    assert_false(c.chats[0].is_pinned);
    verb_drop(&c.verb);
    close_store();
}

/* Whoever knows a number must not be able to say "mine" by asking with a foreign name. */
TEST(names_that_cannot_be_are_not_found)
{
    static const int64_t ids[] = { INT64_MAX, INT64_MIN, -1, 999999999 };
    struct chat_call     c = { 0 };

    open_store(2);
    for (size_t i = 0; i < COUNT(ids); i++) {
        AWAIT(c, chat_find(store, &c, &anna, (struct chat_name){ .id = ids[i] }));
        check_not_found(&c);
        AWAIT(c, chat_delete(store, &c, &anna, (struct chat_name){ .id = ids[i] }));
        check_not_found(&c);
    }
    AWAIT(c, chat_find(store, &c, &anna, (struct chat_name){ .uid = STR("") }));
    check_not_found(&c);
    verb_drop(&c.verb);
    close_store();
}

/* ---- texts ---- */

TEST(texts_are_kept_as_they_are)
{
    static const struct str rows[] = {
        STR_INIT("'; DROP TABLE runnel.chat; --"),
        STR_INIT("\" OR 1=1 --"),
        STR_INIT("$1 \\ \\x00 \\u0000 %s"),
        STR_INIT("{\"a\":[1,2]}"),
        STR_INIT("NULL"),
        STR_INIT("\xf0\x9f\x98\x80\n\t\x01"),
    };
    struct chat_call c = { 0 };

    open_store(2);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct whose    w = { 1, STR("xcx"), rows[i] };
        struct new_chat n = { .uid = rows[i], .mode = rows[i], .title = rows[i] };

        n.context_type = (struct str){ rows[i].p, 4 };
        n.context_id = rows[i];
        AWAIT(c, chat_open(store, &c, &w, &n));
        check_end(c, STORE_OK);
        AWAIT(c, chat_find(store, &c, &w, (struct chat_name){ .uid = rows[i] }));
        check_end(c, STORE_OK);
        check_same(c.chats[0].owner, rows[i]);
        check_same(c.chats[0].uid, rows[i]);
        check_same(c.chats[0].title, rows[i]);
        check_same(c.chats[0].context_id, rows[i]);
        AWAIT(c, chat_page(store, &c, &w, CHATS_BY_BIRTH, 0, 10));
        assert_int_equal(c.total, 1);
    }
    verb_drop(&c.verb);
    close_store();
}

TEST(what_cannot_be_kept_is_refused)
{
    static const struct str rows[] = { { "a\0b", 3 }, STR_INIT("\xff"), STR_INIT("\xed\xa0\x80") };
    struct chat_call        c = { 0 };
    char                    longest[300];
    struct new_chat         n;

    open_store(2);
    for (size_t i = 0; i < COUNT(rows); i++) {
        n = (struct new_chat){ .uid = STR("refused"), .title = rows[i] };
        AWAIT(c, chat_open(store, &c, &anna, &n));
        check_end(c, STORE_REFUSED);
        AWAIT(c, chat_find(store, &c, &anna, (struct chat_name){ .uid = rows[i] }));
        check_end(c, STORE_REFUSED);
    }
    memset(longest, 'x', sizeof longest);
    n = (struct new_chat){ .uid = { longest, sizeof longest } };
    AWAIT(c, chat_open(store, &c, &anna, &n));
    check_end(c, STORE_REFUSED);
    n = (struct new_chat){ .uid = STR("refused"), .more = STR("{") };
    AWAIT(c, chat_open(store, &c, &anna, &n));
    check_end(c, STORE_REFUSED);
    n = (struct new_chat){ .uid = STR("refused"), .more = STR("{\"a\":\"\\u0000\"}") };
    AWAIT(c, chat_open(store, &c, &anna, &n));
    check_end(c, STORE_REFUSED);
    AWAIT(c, chat_open(store, &c, &(struct whose){ 77, STR("xcx"), STR("") },
                       &(struct new_chat){ .uid = STR("refused") }));
    check_end(c, STORE_NOT_FOUND);            /* there is no such site          */
    AWAIT(c, chat_find(store, &c, &anna, (struct chat_name){ .uid = STR("refused") }));
    check_not_found(&c);
    verb_drop(&c.verb);
    close_store();
}

/* ---- taking up ---- */

static int64_t take_up(const struct whose *w, const char *type, const char *id, int64_t window,
                       bool untouched)
{
    static int        n_uids;
    char              uid[40];
    struct chat_call  c = { 0 };
    struct chat_reuse rule = { window, untouched };
    struct new_chat   n = { .context_type = str_of(type), .context_id = str_of(id) };
    int64_t           chat;

    snprintf(uid, sizeof uid, "up-%d", n_uids++);
    n.uid = str_of(uid);
    AWAIT(c, chat_take_up(store, &c, w, &n, &rule));
    check_end(c, STORE_OK);
    assert_int_equal(c.is_new, str_eq(c.chats[0].uid, n.uid));
    chat = c.chats[0].id;
    verb_drop(&c.verb);
    return chat;
}

enum { DAY = 24 * 60 * 60 };

static void age(int64_t chat, const char *last_message_at, int n_messages)
{
    char line[300];

    cluster_sql(line,
                "UPDATE runnel.chat SET created_at = now() - interval '10 days', "
                "last_message_at = %s, next_seq = %d WHERE id = %lld",
                last_message_at, n_messages, (long long)chat);
}

TEST(chats_are_taken_up_by_the_rule_of_their_context)
{
    static const struct {
        const char *type, *id;
        int64_t     window;
        bool        untouched;
        const char *last_message_at;
        int         n_messages;
        bool        again;
    } rows[] = {
        { "task", "1", -1, false, "now() - interval '99 days'", 2, true },
        { "task", "2", -1, false, "NULL", 0, true },
        { "customer", "1", 3 * DAY, false, "now() - interval '71 hours'", 2, true },
        { "customer", "2", 3 * DAY, false, "now() - interval '73 hours'", 2, false },
        { "customer", "3", 3 * DAY, false, "NULL", 0, false },
        { "general", "", 3 * DAY, true, "now()", 1, false },
        { "odd", "", 3 * DAY, true, "NULL", 0, false },
    };

    open_store(2);
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t first = take_up(&anna, rows[i].type, rows[i].id, rows[i].window, rows[i].untouched);
        int64_t then;

        check_that(take_up(&anna, rows[i].type, rows[i].id, rows[i].window, rows[i].untouched) ==
                       first,
                   "row %zu: one that is new and empty", i);
        age(first, rows[i].last_message_at, rows[i].n_messages);
        then = take_up(&anna, rows[i].type, rows[i].id, rows[i].window, rows[i].untouched);
        check_that((then == first) == rows[i].again, "row %zu", i);
        for (size_t k = 0; k < COUNT(strangers); k++)
            check_that(take_up(strangers[k], rows[i].type, rows[i].id, rows[i].window,
                               rows[i].untouched) != then,
                       "row %zu, stranger %zu", i, k);
    }
    close_store();
}

static size_t ended;

static void count_ended(struct verb *v)
{
    (void)v;
    kept_ended = ++ended == 50;
}

TEST(fifty_who_come_at_once_take_up_one_chat)
{
    static struct chat_call calls[50];
    struct chat_reuse       rule = { 3 * DAY, false };
    char                    uid[40], line[300];

    open_store(8);
    kept_ended = false;
    ended = 0;
    for (size_t i = 0; i < COUNT(calls); i++) {
        struct new_chat n = { .context_type = STR("coach"), .context_id = STR("x") };

        snprintf(uid, sizeof uid, "race-%zu", i);
        n.uid = str_of(uid);
        calls[i].verb.done = count_ended;
        chat_take_up(store, &calls[i], &anna, &n, &rule);
    }
    turn_until(&kept_ended, 10000);
    for (size_t i = 0; i < COUNT(calls); i++) {
        check_end(calls[i], STORE_OK);
        assert_int_equal(calls[i].chats[0].id, calls[0].chats[0].id);
    }
    for (size_t i = 0; i < COUNT(calls); i++)
        verb_drop(&calls[i].verb);
    cluster_sql(line, "SELECT count(*) FROM runnel.chat WHERE context_type = 'coach' AND "
                      "context_id = 'x'");
    assert_string_equal(line, "1");
    close_store();
}

/* ---- lists ---- */

static const struct whose lister = { 1, STR_INIT("lists"), STR_INIT("anna") };

/* 10 chats; the last three have no message yet. Each order is another one. */
static void make_list(void)
{
    char line[300];

    cluster_sql(line, "INSERT INTO runnel.chat (tenant, dialect, owner, uid, last_message_at, "
                      "updated_at, created_at) SELECT t, 'lists', 'anna', 'l' || n, "
                      "CASE WHEN n < 7 THEN '2026-01-01 00:00:00.123457Z'::timestamptz + "
                      "(n / 2) * interval '1 microsecond' END, "
                      "'2026-01-01Z'::timestamptz - n * interval '1 hour', "
                      "'2026-01-01Z'::timestamptz + (n %% 3) * interval '1 hour' "
                      "FROM generate_series(0, 9) n, generate_series(1, 2) t");
}

static int64_t time_of(const struct kept_chat *c, enum chat_order order)
{
    return order == CHATS_BY_MESSAGE  ? c->last_message_at
           : order == CHATS_BY_UPDATE ? c->updated_at
                                      : c->created_at;
}

TEST(lists_are_in_order_by_page_and_by_key)
{
    static const char *const wants[] = {
        [CHATS_BY_MESSAGE] = "l6 l5 l4 l3 l2 l1 l0 l9 l8 l7 ",
        [CHATS_BY_UPDATE] = "l0 l1 l2 l3 l4 l5 l6 l7 l8 l9 ",
        [CHATS_BY_BIRTH] = "l8 l5 l2 l7 l4 l1 l9 l6 l3 l0 ",
    };
    struct chat_call c = { 0 };

    open_store(2);
    make_list();
    for (enum chat_order order = 0; order < COUNT(wants); order++)
        for (int64_t size = 1; size <= 11; size++) {
            struct buf      pages = BUF(1000), keys = BUF(1000);
            struct chat_key key;

            for (int64_t at = 0; at < 10; at += size) {
                AWAIT(c, chat_page(store, &c, &lister, order, at, size));
                check_end(c, STORE_OK);
                assert_int_equal(c.total, 10);
                for (size_t i = 0; i < c.n; i++)
                    buf_addf(&pages, "%.*s ", STR_ARG(c.chats[i].uid));
            }
            check_text(buf_str(&pages), wants[order]);
            AWAIT(c, chat_page(store, &c, &lister, order, 0, size));
            while (c.n) {
                for (size_t i = 0; i < c.n; i++)
                    buf_addf(&keys, "%.*s ", STR_ARG(c.chats[i].uid));
                key = (struct chat_key){ time_of(&c.chats[c.n - 1], order), c.chats[c.n - 1].id };
                AWAIT(c, chat_list_behind(store, &c, &lister, order, key, size));
                check_end(c, STORE_OK);
            }
            check_text(buf_str(&keys), wants[order]);
            buf_release(&pages);
            buf_release(&keys);
        }
    verb_drop(&c.verb);
    close_store();
}

TEST(lists_hold_and_count_ones_own_only)
{
    static const struct whose nobodies[] = { { 1, STR_INIT("lists"), STR_INIT("bob") },
                                             { 1, STR_INIT("xyz"), STR_INIT("anna") },
                                             { 3, STR_INIT("lists"), STR_INIT("anna") } };
    struct chat_call          c = { 0 };

    open_store(2);
    for (enum chat_order order = 0; order <= CHATS_BY_BIRTH; order++)
        for (size_t i = 0; i < COUNT(nobodies); i++) {
            struct chat_key first = { INT64_C(4000000000000000), INT64_MAX };

            AWAIT(c, chat_page(store, &c, &nobodies[i], order, 0, 100));
            check_end(c, STORE_OK);
            assert_int_equal(c.n, 0);
            assert_int_equal(c.total, 0);
            AWAIT(c, chat_list_behind(store, &c, &nobodies[i], order, first, 100));
            assert_int_equal(c.n, 0);
            AWAIT(c, chat_list_behind(store, &c, &lister, order, first, 100));
            assert_int_equal(c.n, 10);
        }
    verb_drop(&c.verb);
    close_store();
}

TEST(strange_limits_are_put_right)
{
    struct chat_call c = { 0 };

    open_store(2);
    AWAIT(c, chat_page(store, &c, &lister, CHATS_BY_BIRTH, -5, INT64_MAX));
    check_end(c, STORE_OK);
    assert_int_equal(c.n, 10);
    AWAIT(c, chat_page(store, &c, &lister, CHATS_BY_BIRTH, INT64_MAX, 5));
    check_end(c, STORE_OK);
    assert_int_equal(c.n, 0);
    AWAIT(c, chat_page(store, &c, &lister, CHATS_BY_BIRTH, 0, -1));
    check_end(c, STORE_OK);
    assert_int_equal(c.n, 0);
    verb_drop(&c.verb);
    close_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_is_made_once_and_found_by_both_names),
        cmocka_unit_test(a_uid_is_taken_within_a_door_of_a_site),
        cmocka_unit_test(changes_are_kept_and_come_back),
        cmocka_unit_test(nobodys_chat_can_be_given_to_somebody_even_twice),
        cmocka_unit_test(strangers_find_change_and_delete_nothing),
        cmocka_unit_test(names_that_cannot_be_are_not_found),
        cmocka_unit_test(texts_are_kept_as_they_are),
        cmocka_unit_test(what_cannot_be_kept_is_refused),
        cmocka_unit_test(chats_are_taken_up_by_the_rule_of_their_context),
        cmocka_unit_test(fifty_who_come_at_once_take_up_one_chat),
        cmocka_unit_test(lists_are_in_order_by_page_and_by_key),
        cmocka_unit_test(lists_hold_and_count_ones_own_only),
        cmocka_unit_test(strange_limits_are_put_right),
    };

    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
