/* fuzz_dbgpt.c - any bytes as the body of POST /api/v2/chat/completions and of a page's: either a
 * question that holds what it promises, or a refusal that can be written as an answer. */
#include "api/dbgpt_answer.h"
#include "api/dbgpt_question.h"
#include "base/mem.h"
#include "base/utf8.h"

#include "script.h"

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

static void check_mode(const struct dbgpt_wish *wish)
{
    struct dbgpt_problem p = { NULL, NULL };
    struct buf           body = BUF(1 << 16);

    if (dbgpt_find_problem(wish, &p)) {
        MUST(p.message && p.code);
        dbgpt_write_raised(&body, 400, p.message, p.code);
        must_be_object("", buf_str(&body), "");
    }
    buf_release(&body);
}

static void check_question(struct question *q, const struct dbgpt_wish *wish)
{
    MUST(q->n_messages > 0 && q->max_tokens > 0);
    MUST(utf8_is_valid(q->model) && utf8_is_valid(wish->content));
    must_be_object("{\"\":0", q->options, "}");
    check_mode(wish);
    if (!wish->brings_history)
        dbgpt_compose(q, NULL, NULL, 0);
    for (size_t i = 0; i < q->n_messages; i++) {
        MUST(utf8_is_valid(q->messages[i].text));
        if (q->messages[i].raw.n)
            must_be_object("", q->messages[i].raw, "");
    }
}

static void check_mistakes(const struct buf *mistakes)
{
    struct buf body = BUF(1 << 22);

    MUST(mistakes->n > 0);
    dbgpt_write_failed(&body, "E0001", buf_str(mistakes), "x");
    must_be_object("", buf_str(&body), "");
    buf_release(&body);
}

static void read_both(const struct json *body, bool is_page)
{
    struct dbgpt_wish wish = { .incremental = true };
    struct buf        mistakes = BUF(1 << 16);
    struct question  *q = is_page ? dbgpt_read_page(body, STR("S"), &wish, &mistakes)
                                  : dbgpt_read_question(body, STR("S"), &wish, &mistakes);

    if (q) {
        MUST(mistakes.n == 0 && wish.is_page == is_page);
        check_question(q, &wish);
        question_free(q);
    } else {
        check_mistakes(&mistakes);
    }
    buf_release(&mistakes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           before = mem_live_bytes();
    const char      *why = NULL;
    struct json_doc *doc = json_read((struct str){ (const char *)data, size }, &why);

    if (!doc)
        return 0;
    read_both(json_root(doc), false);
    read_both(json_root(doc), true);
    json_free(doc);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
