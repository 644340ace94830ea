#include "check.h"

#include "api/dbgpt_question.h"

static struct buf        mistakes = { .limit = 1 << 16 };
static struct dbgpt_wish wish;

/* NULL: refused, and then there are mistakes. */
static struct question *ask(const char *body)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(str_of(body), &why);
    struct question *q;

    check_that(doc, "%s: %s", body, why);
    buf_clear(&mistakes);
    wish = (struct dbgpt_wish){ .stream = true, .incremental = true };
    q = dbgpt_read_question(json_root(doc), STR("S"), &wish, &mistakes);
    json_free(doc); /* a question owns what it holds  */
    return q;
}

static struct question *good(const char *body)
{
    struct question *q = ask(body);

    check_that(q, "%s: %.*s", body, STR_ARG(buf_str(&mistakes)));
    return q;
}

#define BODY(more) "{\"model\":\"m\",\"messages\":\"hi\"," more "}"

TEST(the_least_question)
{
    struct question *q = good("{\"model\":\"m\",\"messages\":\"hi\"}");

    check_str(q->model, "m");
    assert_int_equal(q->n_messages, 2);
    assert_int_equal(q->messages[0].role, ROLE_SYSTEM);
    check_str(q->messages[0].text, "S");
    check_str(q->messages[1].text, "hi");
    check_str(wish.content, "hi");
    check_str(q->options, ",\"temperature\":0.6,\"max_tokens\":1024");
    assert_int_equal(q->max_tokens, 1024);
    assert_true(wish.stream && wish.incremental);
    assert_false(wish.has_param || wish.brings_history || wish.is_page);
    question_free(q);
}

TEST(lax_values)
{
    static const struct {
        const char *body;
        const char *options;
        bool        stream;
    } rows[] = {
        { BODY("\"stream\":\"tRue\""), ",\"temperature\":0.6,\"max_tokens\":1024", true },
        { BODY("\"stream\":\"off\""), ",\"temperature\":0.6,\"max_tokens\":1024", false },
        { BODY("\"stream\":0.0"), ",\"temperature\":0.6,\"max_tokens\":1024", false },
        { BODY("\"stream\":null,\"temperature\":null"), ",\"temperature\":0.6,\"max_tokens\":1024",
          true },
        { BODY("\"temperature\":\" 1e-1 \",\"max_tokens\":2.0"),
          ",\"temperature\":1e-1,\"max_tokens\":2", true },
        { BODY("\"temperature\":true,\"max_new_tokens\":\"+7\""),
          ",\"temperature\":1,\"max_tokens\":7", true },
        { BODY("\"top_k\":-1,\"repetition_penalty\":1.0,\"n\":3,\"foo\":{}"),
          ",\"temperature\":0.6,\"max_tokens\":1024", true },
        { BODY("\"top_k\":5,\"stop\":[\"a\"],\"user\":\"u\""),
          ",\"temperature\":0.6,\"max_tokens\":1024,\"top_k\":5,\"stop\":[\"a\"],\"user\":\"u\"",
          true },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct question *q = good(rows[i].body);
        const char      *why;
        struct buf       text = BUF(4096);
        struct json_doc *doc;

        assert_int_equal(wish.stream, rows[i].stream);
        buf_lit(&text, "{\"\":0");
        buf_add(&text, q->options);
        buf_lit(&text, "}");
        doc = json_read(buf_str(&text), &why);
        check_that(doc, "row %zu: %.*s", i, STR_ARG(q->options));
        if (i != 4)                           /* a number may be written in two ways */
            check_text(q->options, rows[i].options);
        json_free(doc);
        buf_release(&text);
        question_free(q);
    }
}

TEST(what_does_not_fit_is_told_in_its_words)
{
    static const struct {
        const char *body, *mistakes;
    } rows[] = {
        { "3", "body:Input should be a valid dictionary or object to extract fields from;" },
        { "{}", "body.model:Field required;body.messages:Field required;" },
        { BODY("\"stream\":2"),
          "body.stream:Input should be a valid boolean, unable to interpret input;" },
        { BODY("\"stream\":{}"), "body.stream:Input should be a valid boolean;" },
        { BODY("\"max_tokens\":0"), "body.max_tokens:Input should be greater than or equal to 1;" },
        { BODY("\"max_tokens\":1e99"),
          "body.max_tokens:Input should be a valid integer, got a number with a fractional part;" },
        { BODY("\"max_tokens\":\"x\""),
          "body.max_tokens:Input should be a valid integer, unable to parse string as an "
          "integer;" },
        { BODY("\"n\":[]"), "body.n:Input should be a valid integer;" },
        { BODY("\"top_p\":\"NaN\""),
          "body.top_p:Input should be a valid number, unable to parse string as a number;" },
        { BODY("\"stop\":1"), "body.stop:Input should be a valid string;" },
        { BODY("\"conv_uid\":1,\"span_id\":2,\"user_name\":[],\"enable_vis\":\"x\""),
          "body.conv_uid:Input should be a valid string;body.span_id:Input should be a valid "
          "string;body.user_name:Input should be a valid string;body.enable_vis:Input should be a "
          "valid boolean, unable to interpret input;" },
        { "{\"model\":\"m\",\"messages\":[]}",
          "body.messages:List should have at least 1 item after validation, not 0;" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"x\",\"content\":\"\"}]}",
          "body.messages.0:Input should be a message with a role and a content;" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\"},\"x\"]}",
          "body.messages.str:Input should be a valid string;body.messages.list[str].1:Input should "
          "be a valid string;" },
        { "{\"model\":\"m\",\"messages\":[\"x\",{\"role\":\"user\",\"content\":\"\"}]}",
          "body.messages.1:Input should be a message with a role and a content;" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_that(!ask(rows[i].body), "%s was read", rows[i].body);
        check_text(buf_str(&mistakes), rows[i].mistakes);
    }
}

TEST(messages_of_the_client)
{
    struct question *q = good("{\"model\":\"m\",\"messages\":[\"a\",\"二\",\"\"]}");

    check_str(wish.content, "a\n二\n");
    assert_false(wish.brings_history);
    question_free(q);
    q = good("{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"D\"},"
             "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":"
             "\"image_url\"}]}]}");
    assert_int_equal(q->n_messages, 2);
    assert_int_equal(q->messages[0].role, ROLE_DEVELOPER);
    check_str(q->messages[1].text, "x");
    assert_true(q->messages[1].raw.n > 0 && wish.brings_history);
    check_str(wish.content, "x");
    question_free(q);
}

TEST(modes)
{
    static const struct {
        const char *more, *code;              /* NULL: nothing is wrong         */
    } rows[] = {
        { "\"chat_mode\":\"\"", NULL },
        { "\"chat_mode\":null", NULL },
        { "\"chat_mode\":\"chat_normal\",\"stream\":false", NULL },
        { "\"chat_mode\":\"chat_flow\"", "invalid_chat_param" },
        { "\"chat_mode\":\"x\"", "invalid_chat_param" },
        { "\"chat_mode\":\"chat_app\",\"stream\":false", "invalid_chat_param" },
        { "\"chat_mode\":\"chat_app\",\"stream\":false,\"chat_param\":\"\"",
          "invalid_request_error" },
        { "\"chat_mode\":\"chat_app\",\"chat_param\":\"\"", NULL },
        { "\"chat_mode\":\"chat_dashboard\",\"chat_param\":\"\"", "invalid_chat_mode" },
        { "\"chat_mode\":\"CHAT_FLOW\",\"chat_param\":\"\"", "invalid_chat_mode" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct dbgpt_problem p = { NULL, NULL };
        struct buf           body = BUF(1000);
        struct question     *q;

        buf_addf(&body, BODY("%s"), rows[i].more);
        buf_add_char(&body, '\0');
        q = good(body.p);
        assert_int_equal(dbgpt_find_problem(&wish, &p), rows[i].code != NULL);
        check_text(str_of(p.code), rows[i].code);
        question_free(q);
        buf_release(&body);
    }
}

TEST(rounds_without_an_answer_are_not_told_again)
{
    struct kept_message kept[] = {
        { .role = KEPT_ASSISTANT, .content = STR_INIT("half a round") },
        { .role = KEPT_USER, .content = STR_INIT("q1") },
        { .role = KEPT_ASSISTANT, .content = STR_INIT("a1") },
        { .role = KEPT_USER, .content = STR_INIT("lost") },
        { .role = KEPT_ASSISTANT },
        { .role = KEPT_USER, .content = STR_INIT("twice") },
        { .role = KEPT_USER, .content = STR_INIT("q2") },
        { .role = KEPT_ASSISTANT, .content = STR_INIT("a2") },
        { .role = KEPT_USER, .content = STR_INIT("hi") },
    };
    static const char *const want[] = { "S", "q1", "a1", "q2", "a2", "hi" };
    struct question         *q = good("{\"model\":\"m\",\"messages\":\"hi\"}");

    dbgpt_compose(q, NULL, kept, COUNT(kept));
    assert_int_equal(q->n_messages, COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++)
        check_text(q->messages[i].text, want[i]);
    question_free(q);
    q = good("{\"model\":\"m\",\"messages\":\"hi\"}");
    dbgpt_compose(q, NULL, NULL, 0);
    assert_int_equal(q->n_messages, 2);
    question_free(q);
}

TEST(a_page)
{
    const char      *why;
    struct json_doc *doc = json_read(
        STR("{\"user_input\":\"hi\",\"select_param\":\"p\",\"chat_mode\":\"chat_data\"}"), &why);
    struct question *q;

    buf_clear(&mistakes);
    wish = (struct dbgpt_wish){ .stream = false };
    q = dbgpt_read_page(json_root(doc), STR("S"), &wish, &mistakes);
    json_free(doc);
    assert_non_null(q);
    assert_true(wish.is_page && wish.stream && wish.has_param);
    assert_false(wish.incremental || wish.brings_history);
    check_str(wish.content, "hi");
    check_str(q->options, ",\"temperature\":0.5,\"max_tokens\":1024");
    question_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_question),
        cmocka_unit_test(lax_values),
        cmocka_unit_test(what_does_not_fit_is_told_in_its_words),
        cmocka_unit_test(messages_of_the_client),
        cmocka_unit_test(modes),
        cmocka_unit_test(rounds_without_an_answer_are_not_told_again),
        cmocka_unit_test(a_page),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_release(&mistakes);
    return failed;
}
