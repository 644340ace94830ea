/* fuzz_question.c - any bytes as the body of POST /v1/chat/completions: either a question
 * that holds what it promises, or a refusal that can be written as an answer. */
#include "api/openai_dialect.h"
#include "api/openai_question.h"
#include "base/mem.h"
#include "provider/echo_tokens.h"
#include "base/utf8.h"

#include "script.h"

#include <string.h>
#include <yyjson.h>

static void must_be_object(const char *before, struct str text, const char *behind)
{
    struct buf  out = BUF(1 << 24);
    yyjson_doc *doc;

    buf_add(&out, str_of(before));
    buf_add(&out, text);
    buf_add(&out, str_of(behind));
    doc = yyjson_read(out.p, out.n, 0);
    MUST_SAY(doc && yyjson_is_obj(yyjson_doc_get_root(doc)), "%.*s", STR_ARG(buf_str(&out)));
    yyjson_doc_free(doc);
    buf_release(&out);
}

static void check_role(enum role role)
{
    enum role back;

    MUST(role_read(str_of(role_name(role)), &back) && back == role);
}

static void check_question(const struct question *q, const struct json *body)
{
    MUST(q->model.n > 0 && utf8_is_valid(q->model));
    MUST(str_eq(q->model, json_str(json_get(body, "model"))));
    MUST(q->n_messages > 0 && q->n_messages == json_count(json_get(body, "messages")));
    for (size_t i = 0; i < q->n_messages; i++) {
        struct str text = q->messages[i].text;

        check_role(q->messages[i].role);
        if (q->messages[i].raw.n)
            must_be_object("", q->messages[i].raw, "");
        MUST(utf8_is_valid(text));
        while (text.n) {                      /* the echo's tokens are whole characters */
            size_t n = echo_token_length(text);

            MUST(n > 0 && n <= text.n && n <= 32);
            MUST(utf8_is_valid((struct str){ text.p, n }));
            text = str_from(text, n);
        }
    }
    question_last_user_text(q);
    must_be_object("{\"\":0", q->options, "}");
}

static void check_problem(const struct openai_problem *p)
{
    struct buf  out = BUF(8192);
    yyjson_doc *doc;
    yyjson_val *error;

    MUST(p->message[0] && memchr(p->message, 0, sizeof p->message));
    MUST(memchr(p->param, 0, sizeof p->param));
    openai_write_error(&out, 400, p->message, *p->param ? p->param : NULL, NULL);
    doc = yyjson_read(out.p, out.n, 0);
    MUST_SAY(doc && !out.over, "%.*s", STR_ARG(buf_str(&out)));
    error = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
    MUST(yyjson_equals_str(yyjson_obj_get(error, "message"), p->message));
    yyjson_doc_free(doc);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                before = mem_live_bytes();
    const char           *why = NULL;
    struct openai_wish    wish;
    struct openai_problem problem;
    struct json_doc      *doc = json_read((struct str){ (const char *)data, size }, &why);
    struct question      *q;

    if (!doc)
        return 0;
    /* Whatever stood in this memory before must not show through. */
    memset(&wish, 0, sizeof wish);
    memset(&problem, 0x5a, sizeof problem);
    q = openai_read_question(json_root(doc), &wish, &problem);
    if (q) {
        MUST(wish.stream == json_is_true(json_get(json_root(doc), "stream")));
        check_question(q, json_root(doc));
        question_free(q);
    } else {
        check_problem(&problem);
    }
    json_free(doc);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
