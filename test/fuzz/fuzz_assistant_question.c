/* fuzz_assistant_question.c - any bytes as the body of POST /api/v1/chat, and as a message to
 * /ws/chat: either a question that holds what it promises, or a refusal that can be written as an
 * answer. */
#include "api/assistant_answer.h"
#include "base/mem.h"
#include "base/utf8.h"

#include "script.h"

#include <string.h>

static void must_be_object(const char *before, struct str text, const char *behind)
{
    struct buf       out = BUF(1 << 24);
    const char      *why;
    struct json_doc *doc;

    buf_add(&out, str_of(before));
    buf_add(&out, text);
    buf_add(&out, str_of(behind));
    doc = json_read(buf_str(&out), &why);
    MUST_SAY(doc && json_type(json_root(doc)) == JSON_OBJECT, "%.*s", STR_ARG(buf_str(&out)));
    json_free(doc);
    buf_release(&out);
}

static void check_question(const struct question *q, const struct assistant_wish *wish)
{
    MUST(q->n_messages == 1 && q->messages[0].role == ROLE_USER && q->max_tokens > 0);
    MUST(q->messages[0].text.n > 0 && utf8_is_valid(q->messages[0].text));
    MUST(!wish->session.n || assistant_is_session(wish->session));
    MUST(utf8_is_valid(wish->session) && utf8_is_valid(wish->model));
    MUST(wish->type <= ASSISTANT_PLUGIN);
    must_be_object("{\"\":0", q->options, "}");
}

static void check_problem(const struct assistant_problem *p)
{
    struct buf out = BUF(8192);

    MUST(p->field && p->field[0] && p->reason && p->reason[0]);
    assistant_write_problem(p, 0, &out);
    MUST(!out.over);
    must_be_object("", buf_str(&out), "");
    buf_release(&out);
}

typedef struct question *reader(const struct json *root, uint64_t max_tokens,
                                struct assistant_wish *wish, struct assistant_problem *problem);

static void check(const struct json *root, reader *read)
{
    struct assistant_wish    wish;
    struct assistant_problem problem = { NULL, NULL };
    struct question         *q;

    memset(&wish, 0x5a, sizeof wish);         /* what was there must not show through */
    q = read(root, 1024, &wish, &problem);
    if (q) {
        check_question(q, &wish);
        question_free(q);
    } else {
        check_problem(&problem);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           before = mem_live_bytes();
    const char      *why = NULL;
    struct json_doc *doc = json_read((struct str){ (const char *)data, size }, &why);

    if (!doc)
        return 0;
    check(json_root(doc), assistant_read_question);
    check(json_root(doc), assistant_read_frame);
    json_free(doc);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
