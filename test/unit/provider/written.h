/* written.h - what a kind makes of a question that came over the OpenAI API. */
#ifndef TEST_UNIT_PROVIDER_WRITTEN_H
#define TEST_UNIT_PROVIDER_WRITTEN_H

#include "check.h"

#include "api/openai_question.h"
#include "provider/upstream.h"

/* Nobody reads answers here. */
const struct source_ops dashscope_source __attribute__((weak));
const struct source_ops anthropic_source __attribute__((weak));
const struct source_ops ollama_source __attribute__((weak));

/* The body of a client's request, without its first "{" and its model. */
static inline struct question *written_question(const char *members)
{
    struct openai_wish    wish;
    struct openai_problem problem;
    struct buf            text = BUF(SIZE_MAX / 2);
    const char           *why = NULL;
    struct json_doc      *doc;
    struct question      *q;

    buf_addf(&text, "{\"model\":\"m\",%s", members);
    doc = json_read(buf_str(&text), &why);
    if (!doc)
        fail_msg("%s: %s", members, why);
    buf_release(&text);
    q = openai_read_question(json_root(doc), &wish, &problem);
    json_free(doc);
    if (!q)
        fail_msg("%s: %s", members, problem.message);
    return q;
}

static inline void written_body(const struct upstream_kind *kind, const struct provider_settings *s,
                                const char *members, struct buf *out)
{
    struct provider  p = { .settings = s };
    struct question *q = written_question(members);

    kind->write_body(&p, q, STR("their-model"), out);
    question_free(q);
}

#define check_body(kind, settings, members, want) \
    check_body_at((kind), (settings), (members), (want), __FILE__, __LINE__)

/* Byte for byte; and it is JSON as strict readers want it. */
static inline void check_body_at(const struct upstream_kind     *kind,
                                 const struct provider_settings *s, const char *members,
                                 const char *want, const char *file, int line)
{
    struct buf       out = BUF(SIZE_MAX / 2);
    const char      *why = NULL;
    struct json_doc *doc;

    written_body(kind, s, members, &out);
    check_same_at(buf_str(&out), str_of(want), members, file, line);
    doc = json_read(buf_str(&out), &why);
    if (!doc) {
        print_error("%s: %s\n", members, why);
        _fail(file, line);
    }
    json_free(doc);
    buf_release(&out);
}

#define check_fields(kind, owner, key, want)                                                    \
    do {                                                                                           \
        struct provider check_p = { .settings = (owner) };                                      \
        struct buf      check_out = BUF(10000);                                                    \
        (kind)->write_fields(&check_p, (key), &check_out);                                         \
        check_text(buf_str(&check_out), (want));                                                   \
        buf_release(&check_out);                                                                   \
    } while (0)

#define check_path(kind, owner, members, want)                                                  \
    do {                                                                                           \
        struct provider  check_p = { .settings = (owner) };                                     \
        struct question *check_q = written_question(members);                                      \
        struct buf       check_out = BUF(10000);                                                   \
        (kind)->write_path(&check_p, check_q, STR("their-model"), &check_out);                     \
        check_text(buf_str(&check_out), (want));                                                   \
        buf_release(&check_out);                                                                   \
        question_free(check_q);                                                                    \
    } while (0)

#define ASK "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"

#endif
