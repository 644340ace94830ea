#include "check.h"

#include "chat/question.h"

TEST(a_question_owns_all_of_its_memory)
{
    size_t           before = mem_live_bytes();
    struct question *q = question_new();

    assert_int_equal(q->n_messages + q->max_tokens + q->model.n, 0);
    for (int i = 0; i < 100; i++)
        q->model = arena_str(&q->arena, STR("a model with quite a long name"));
    check_str(q->model, "a model with quite a long name");
    question_free(q);
    assert_int_equal(mem_live_bytes(), before);
}

TEST(the_last_user_speaks_last)
{
    struct message  messages[] = { { .role = ROLE_USER, .text = STR_INIT("first") },
                                   { .role = ROLE_ASSISTANT, .text = STR_INIT("answer") },
                                   { .role = ROLE_USER, .text = STR_INIT("second") },
                                   { .role = ROLE_TOOL, .text = STR_INIT("tool") },
                                   { .role = ROLE_SYSTEM, .text = STR_INIT("system") } };
    struct question q = { .messages = messages, .n_messages = 5 };

    check_str(question_last_user_text(&q), "second");
    q.n_messages = 2;
    check_str(question_last_user_text(&q), "first");
    messages[0].role = ROLE_SYSTEM;
    assert_int_equal(question_last_user_text(&q).n, 0);
    q.n_messages = 0;
    assert_int_equal(question_last_user_text(&q).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_owns_all_of_its_memory),
        cmocka_unit_test(the_last_user_speaks_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
