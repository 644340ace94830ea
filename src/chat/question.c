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

struct str question_last_user_text(const struct question *q)
{
    for (size_t i = q->n_messages; i-- > 0;)
        if (q->messages[i].role == ROLE_USER)
            return q->messages[i].text;
    return (struct str){ NULL, 0 };
}
