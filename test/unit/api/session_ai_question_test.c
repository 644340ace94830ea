/* What the ai SDK's transport posts, read: texts, images, what nobody knows, and what is wrong. */
#include "check.h"

#include "api/session_ai_question.h"

static struct question       *q;
static struct session_ai_wish wish;
static const char            *why;

static bool read_body(const char *body, const char *prompt)
{
    const char      *no_json = NULL;
    struct json_doc *doc = json_read(str_of(body), &no_json);
    bool             good;

    check_that(doc != NULL, "%s: %s", body, no_json);
    if (q)
        question_free(q);
    q = question_new();
    good = session_ai_read(json_root(doc), str_of(prompt), q, &wish, &why);
    json_free(doc);
    return good;
}

static int end(void **unused)
{
    (void)unused;
    question_free(q);
    q = NULL;
    return 0;
}

static void check_message(size_t i, enum role role, const char *text, const char *raw)
{
    assert_true(i < q->n_messages);
    assert_int_equal(q->messages[i].role, role);
    check_same(q->messages[i].text, str_of(text));
    check_same(q->messages[i].raw, str_of(raw));
}

TEST(a_whole_conversation)
{
    assert_true(
        read_body("{\"id\":\"c 1\",\"messages\":[{\"id\":\"u1\",\"role\":\"user\",\"parts\":[{"
                  "\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},"
                  "{\"id\":\"a1\",\"role\":\"assistant\",\"parts\":[{\"type\":\"step-start\"},"
                  "{\"type\":\"reasoning\",\"text\":\"hm\"},{\"type\":\"text\",\"text\":\"c\"}]},"
                  "{\"id\":\"u2\",\"role\":\"user\",\"content\":\"d\"}],\"trigger\":"
                  "\"submit-message\",\"model\":null,\"whatever\":[1]}",
                  "be brief"));
    assert_int_equal(q->n_messages, 4);
    check_message(0, ROLE_SYSTEM, "be brief", "");
    check_message(1, ROLE_USER, "ab", "");
    check_message(2, ROLE_ASSISTANT, "c", "");
    check_message(3, ROLE_USER, "d", "");
    check_str(wish.chat, "c 1");
    check_str(wish.question, "u2");
    assert_false(wish.regenerates || wish.is_alone || wish.at.n || wish.model.n);
}

TEST(one_message_and_its_images)
{
    assert_true(read_body(
        "{\"message\":{\"id\":\"u\",\"role\":\"user\",\"parts\":[{\"type\":\"file\",\"mediaType\":"
        "\"image/png\",\"url\":\"data:x\"},{\"type\":\"file\",\"mediaType\":\"text/x\",\"url\":"
        "\"y\"},{\"type\":\"text\",\"text\":\"w\\\"\"},{\"type\":\"data-z\",\"data\":1},7,null]},"
        "\"trigger\":\"regenerate-message\",\"messageId\":\"m\",\"model\":\"big\"}",
        ""));
    assert_int_equal(q->n_messages, 1);
    check_message(0, ROLE_USER, "w\"",
                  "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                  "\"data:x\"}},{\"type\":\"text\",\"text\":\"w\\\"\"}]}");
    assert_true(wish.regenerates && wish.is_alone);
    check_str(wish.at, "m");
    check_str(wish.model, "big");
    assert_int_equal(wish.chat.n, 0);
}

TEST(messages_of_nothing_and_of_nobody_are_left_out)
{
    assert_true(read_body("{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"},{\"role\":\"user\","
                          "\"parts\":[]},{\"role\":\"clown\",\"content\":\"y\"},3,{\"role\":"
                          "\"user\",\"content\":\"z\"}]}",
                          ""));
    assert_int_equal(q->n_messages, 1);
    check_message(0, ROLE_USER, "z", "");
}

TEST(what_is_no_question)
{
    static const char *const bodies[] = {
        "{}",
        "[]",
        "{\"messages\":[]}",
        "{\"messages\":\"x\"}",
        "{\"messages\":[3]}",
        "{\"message\":\"x\"}",
        "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"parts\":"
        "[{\"type\":\"tool-f\",\"state\":\"output-available\"}]}]}",
        "{\"messages\":[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"\"}]}]}",
        "{\"id\":7,\"message\":{\"role\":\"user\",\"content\":\"x\"}}",
        "{\"messageId\":[],\"message\":{\"role\":\"user\",\"content\":\"x\"}}",
    };

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        why = NULL;
        check_that(!read_body(bodies[i], "prompt") && why, "%s", bodies[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_whole_conversation, end),
        cmocka_unit_test_teardown(one_message_and_its_images, end),
        cmocka_unit_test_teardown(messages_of_nothing_and_of_nobody_are_left_out, end),
        cmocka_unit_test_teardown(what_is_no_question, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
