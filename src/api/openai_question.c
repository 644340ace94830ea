#include "api/openai_question.h"

#include <stdarg.h>
#include <stdio.h>

static bool problem(struct openai_problem *p, const char *param, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Always false, so that a reader can say `return problem(...)`. */
static bool problem(struct openai_problem *p, const char *param, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(p->message, sizeof p->message, format, args);
    va_end(args);
    snprintf(p->param, sizeof p->param, "%s", param);
    return false;
}

/* ---- members that only have to be of the right type -------------------------------- */

static const char *type_name(enum json_type t)
{
    static const char *const names[] = {
        [JSON_NONE] = "absent",     [JSON_BOOL] = "true or false", [JSON_NUMBER] = "a number",
        [JSON_STRING] = "a string", [JSON_ARRAY] = "an array",     [JSON_OBJECT] = "an object",
    };

    return names[t];
}

static const struct {
    const char    *name;
    enum json_type type, or ; /* JSON_NONE: no alternative      */
} members[] = {
    { "model", JSON_STRING, JSON_NONE },
    { "messages", JSON_ARRAY, JSON_NONE },
    { "stream", JSON_BOOL, JSON_NONE },
    { "stream_options", JSON_OBJECT, JSON_NONE },
    { "temperature", JSON_NUMBER, JSON_NONE },
    { "top_p", JSON_NUMBER, JSON_NONE },
    { "n", JSON_NUMBER, JSON_NONE },
    { "stop", JSON_STRING, JSON_ARRAY },
    { "max_tokens", JSON_NUMBER, JSON_NONE },
    { "max_completion_tokens", JSON_NUMBER, JSON_NONE },
    { "presence_penalty", JSON_NUMBER, JSON_NONE },
    { "frequency_penalty", JSON_NUMBER, JSON_NONE },
    { "logit_bias", JSON_OBJECT, JSON_NONE },
    { "logprobs", JSON_BOOL, JSON_NONE },
    { "top_logprobs", JSON_NUMBER, JSON_NONE },
    { "seed", JSON_NUMBER, JSON_NONE },
    { "user", JSON_STRING, JSON_NONE },
    { "response_format", JSON_OBJECT, JSON_NONE },
    { "tools", JSON_ARRAY, JSON_NONE },
    { "tool_choice", JSON_STRING, JSON_OBJECT },
    { "parallel_tool_calls", JSON_BOOL, JSON_NONE },
    { "functions", JSON_ARRAY, JSON_NONE },
    { "function_call", JSON_STRING, JSON_OBJECT },
    { "reasoning_effort", JSON_STRING, JSON_NONE },
    { "metadata", JSON_OBJECT, JSON_NONE },
    { "store", JSON_BOOL, JSON_NONE },
};

static bool check_types(const struct json *body, struct openai_problem *p)
{
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        enum json_type t = json_type(json_get(body, members[i].name));

        if (t == JSON_NONE || t == members[i].type || t == members[i].or)
            continue;
        return problem(p, members[i].name, "'%s' must be %s%s%s", members[i].name,
                       type_name(members[i].type), members[i].or ? " or " : "",
                       members[i].or ? type_name(members[i].or) : "");
    }
    return true;
}

/* ---- messages ------------------------------------------------------------------------ */

/* The text parts, one after the other; parts that are not text have no text. */
static bool read_parts(const struct json *parts, struct buf *text, size_t at,
                       struct openai_problem *p)
{
    struct json_walk   w = json_walk(parts);
    const struct json *part;
    char               param[64];

    for (size_t i = 0; (part = json_walk_next(&w)); i++) {
        snprintf(param, sizeof param, "messages[%zu].content[%zu]", at, i);
        if (json_type(json_get(part, "type")) != JSON_STRING)
            return problem(p, param, "'%s' must be an object with a 'type'", param);
        if (!str_eq(json_str(json_get(part, "type")), STR("text")))
            continue;
        if (json_type(json_get(part, "text")) != JSON_STRING)
            return problem(p, param, "'%s.text' must be a string", param);
        buf_add(text, json_str(json_get(part, "text")));
    }
    return true;
}

static bool read_content(struct question *q, const struct json *content, struct message *m,
                         size_t at, struct openai_problem *p)
{
    struct buf text = BUF(SIZE_MAX / 2);
    char       param[64];
    bool       good;

    snprintf(param, sizeof param, "messages[%zu].content", at);
    switch (json_type(content)) {
    case JSON_STRING: m->text = arena_str(&q->arena, json_str(content)); return true;
    case JSON_ARRAY:
        good = read_parts(content, &text, at, p);
        m->text = arena_str(&q->arena, buf_str(&text));
        buf_release(&text);
        return good;
    case JSON_NONE:
        if (m->role == ROLE_ASSISTANT)        /* it may have called tools instead */
            return true;
        return problem(p, param, "'%s' is missing", param);
    default: return problem(p, param, "'%s' must be a string or an array of parts", param);
    }
}

/* A message that is more than a role and a text is kept as it came. */
static void keep_message(struct question *q, const struct json *v, struct message *m)
{
    struct json_members walk = json_members(v);
    struct str          name;
    const struct json  *value;
    bool                plain = true;
    struct buf          text = BUF(SIZE_MAX / 2);

    while (json_members_next(&walk, &name, &value))
        plain = plain && (str_eq(name, STR("role")) ||
                          (str_eq(name, STR("content")) && json_type(value) == JSON_STRING));
    if (!plain) {
        json_add_value(&text, v);
        m->raw = arena_str(&q->arena, buf_str(&text));
    }
    buf_release(&text);
}

static bool read_message(struct question *q, const struct json *v, size_t at,
                         struct openai_problem *p)
{
    struct message *m = &q->messages[at];
    char            param[64];

    snprintf(param, sizeof param, "messages[%zu]", at);
    if (json_type(v) != JSON_OBJECT)
        return problem(p, param, "'%s' must be an object", param);
    snprintf(param, sizeof param, "messages[%zu].role", at);
    if (!role_read(json_str(json_get(v, "role")), &m->role))
        return problem(p, param,
                       "'%s' must be one of system, developer, user, assistant, tool, function",
                       param);
    keep_message(q, v, m);
    return read_content(q, json_get(v, "content"), m, at, p);
}

static bool read_messages(struct question *q, const struct json *messages, struct openai_problem *p)
{
    struct json_walk   w = json_walk(messages);
    const struct json *v;

    if (json_count(messages) == 0)
        return problem(p, "messages", "'messages' must be an array with at least one message");
    q->n_messages = json_count(messages);
    q->messages = arena_new(&q->arena, q->n_messages * sizeof *q->messages);
    for (size_t i = 0; (v = json_walk_next(&w)); i++)
        if (!read_message(q, v, i, p))
            return false;
    return true;
}

/* ---- the rest -------------------------------------------------------------------------- */

static bool read_limit(struct question *q, const struct json *body, const char *name,
                       struct openai_problem *p)
{
    const struct json *v = json_get(body, name);
    int64_t            n;

    if (!v)
        return true;
    if (!json_int(v, &n) || n < 1)
        return problem(p, name, "'%s' must be a whole number of at least 1", name);
    q->max_tokens = (uint64_t)n;
    return true;
}

static bool read_options(const struct json *body, struct openai_wish *wish,
                         struct openai_problem *p)
{
    const struct json *usage = json_get(json_get(body, "stream_options"), "include_usage");
    const struct json *count = json_get(body, "n");
    int64_t            n = 1;

    if (usage && json_type(usage) != JSON_BOOL)
        return problem(p, "stream_options.include_usage",
                       "'stream_options.include_usage' must be true or false");
    if (count && (!json_int(count, &n) || n != 1))
        return problem(p, "n", "'n' must be 1: this service gives one answer to one question");
    wish->stream = json_is_true(json_get(body, "stream"));
    wish->include_usage = json_is_true(usage);
    wish->store = json_is_true(json_get(body, "store"));
    return true;
}

/* What this service reads itself; all the rest is the provider's business. Metadata is of what
 * is kept, by whoever keeps it. */
static bool is_ours(struct str name, bool store)
{
    static const struct str ours[] = { STR_INIT("model"),  STR_INIT("messages"),
                                       STR_INIT("stream"), STR_INIT("stream_options"),
                                       STR_INIT("n"),      STR_INIT("store") };

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (str_eq(name, ours[i]))
            return true;
    return store && str_eq(name, STR("metadata"));
}

static void keep_options(struct question *q, const struct json *body, bool store)
{
    struct json_members m = json_members(body);
    struct str          name;
    const struct json  *value;
    struct buf          text = BUF(SIZE_MAX / 2);

    while (json_members_next(&m, &name, &value)) {
        if (is_ours(name, store) || json_type(value) == JSON_NONE)
            continue;
        buf_lit(&text, ",");
        json_add_str(&text, name);
        buf_lit(&text, ":");
        json_add_value(&text, value);
    }
    q->options = arena_str(&q->arena, buf_str(&text));
    buf_release(&text);
}

static void keep_metadata(struct question *q, const struct json *metadata, struct openai_wish *wish)
{
    struct buf text = BUF(SIZE_MAX / 2);

    if (metadata)
        json_add_value(&text, metadata);
    wish->metadata = arena_str(&q->arena, buf_str(&text));
    buf_release(&text);
}

static bool read_model(struct question *q, const struct json *body, struct openai_problem *p)
{
    const struct json *model = json_get(body, "model");

    if (model && json_type(model) != JSON_STRING)
        return problem(p, "model", "'model' must be a string");
    q->model = arena_str(&q->arena, json_str(model));
    return q->model.n ? true : problem(p, "model", "you must name a 'model'");
}

static bool read_body(struct question *q, const struct json *body, struct openai_wish *wish,
                      struct openai_problem *p)
{
    if (json_type(body) != JSON_OBJECT)
        return problem(p, "", "the request body must be a JSON object");
    if (!check_types(body, p))
        return false;
    return read_model(q, body, p) && read_messages(q, json_get(body, "messages"), p) &&
           read_limit(q, body, "max_tokens", p) &&
           read_limit(q, body, "max_completion_tokens", p) && read_options(body, wish, p);
}

struct question *openai_read_question(const struct json *body, struct openai_wish *wish,
                                      struct openai_problem *p)
{
    struct question *q = question_new();

    *wish = (struct openai_wish){ 0 };
    if (read_body(q, body, wish, p)) {
        keep_options(q, body, wish->store);
        if (wish->store)
            keep_metadata(q, json_get(body, "metadata"), wish);
        return q;
    }
    question_free(q);
    return NULL;
}

/* ---- embeddings ------------------------------------------------------------------------ */

/* What is in the array (texts, tokens, arrays of tokens) is the model's business. */
static bool check_input(const struct json *input, struct openai_problem *p)
{
    if (json_type(input) == JSON_STRING && json_str(input).n)
        return true;
    if (json_type(input) == JSON_ARRAY && json_count(input))
        return true;
    return problem(p, "input", "'input' must be a string or an array, and not empty");
}

static bool check_embeddings(const struct json *body, struct openai_problem *p)
{
    const struct json *format = json_get(body, "encoding_format");
    const struct json *dimensions = json_get(body, "dimensions");
    int64_t            n;

    if (format && !str_eq(json_str(format), STR("float")) &&
        !str_eq(json_str(format), STR("base64")))
        return problem(p, "encoding_format", "'encoding_format' must be float or base64");
    if (dimensions && (!json_int(dimensions, &n) || n < 1))
        return problem(p, "dimensions", "'dimensions' must be a whole number of at least 1");
    return check_input(json_get(body, "input"), p);
}

static bool read_embeddings(struct question *q, const struct json *body, struct openai_problem *p)
{
    if (json_type(body) != JSON_OBJECT)
        return problem(p, "", "the request body must be a JSON object");
    if (!read_model(q, body, p) || !check_embeddings(body, p))
        return false;
    q->asked = ASKED_EMBEDDINGS;
    keep_options(q, body, false);
    return true;
}

struct question *openai_read_embeddings(const struct json *body, struct openai_problem *p)
{
    struct question *q = question_new();

    if (read_embeddings(q, body, p))
        return q;
    question_free(q);
    return NULL;
}
