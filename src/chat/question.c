#include "chat/question.h"

struct question *question_new(void)
{
    struct arena     arena = { NULL };
    struct question *q = arena_new(&arena, sizeof *q);

    q->arena = arena;
    return q;
}

void question_free(struct question *q)
{
    struct arena arena = q->arena;

    arena_release(&arena);
}

static const char *const roles[] = {
    [ROLE_SYSTEM] = "system",       [ROLE_DEVELOPER] = "developer", [ROLE_USER] = "user",
    [ROLE_ASSISTANT] = "assistant", [ROLE_TOOL] = "tool",           [ROLE_FUNCTION] = "function",
};

const char *role_name(enum role role)
{
    return roles[role];
}

bool role_read(struct str name, enum role *role)
{
    for (enum role r = ROLE_SYSTEM; r <= ROLE_FUNCTION; r++)
        if (str_eq(name, str_of(roles[r]))) {
            *role = r;
            return true;
        }
    return false;
}

struct str question_last_user_text(const struct question *q)
{
    for (size_t i = q->n_messages; i-- > 0;)
        if (q->messages[i].role == ROLE_USER)
            return q->messages[i].text;
    return (struct str){ NULL, 0 };
}
