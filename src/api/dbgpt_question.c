#include "api/dbgpt_question.h"

#include "api/dbgpt_lax.h"
#include "base/settings.h"

#include <stdio.h>

enum { TEMPERATURE_TENTHS = 6, MAX_TOKENS = 1024, OPTIONS_MAX = 8 << 20 };

struct str dbgpt_system(int language)
{
    return language == DBGPT_ZH ? STR("你是一个有用的 AI 助手。")
                                : STR("You are a helpful AI assistant.");
}

/* ---- messages ------------------------------------------------------------------------------ */

static void add_message(struct question *q, enum role role, struct str text)
{
    q->messages[q->n_messages++] = (struct message){ .role = role, .text = text };
}

/* A text, or the texts of the parts. */
static struct str content_of(const struct json *content, struct arena *a)
{
    struct buf         text = BUF(SIZE_MAX / 2);
    struct json_walk   w = json_walk(content);
    const struct json *part;
    struct str         s;

    if (json_type(content) != JSON_ARRAY)
        return arena_str(a, json_str(content));
    while ((part = json_walk_next(&w)))
        buf_add(&text, json_str(json_get(part, "text")));
    s = arena_str(a, buf_str(&text));
    buf_release(&text);
    return s;
}

static bool is_content(const struct json *v)
{
    return json_type(v) == JSON_STRING || json_type(v) == JSON_ARRAY;
}

/* Parts that are no text go on to the model as they came. */
static void keep_parts(struct question *q, const struct json *v, struct message *m)
{
    struct buf text = BUF(SIZE_MAX / 2);

    if (json_type(json_get(v, "content")) != JSON_ARRAY)
        return;
    json_add_value(&text, v);
    m->raw = arena_str(&q->arena, buf_str(&text));
    buf_release(&text);
}

static bool read_message(struct question *q, const struct json *v)
{
    const struct json *role = json_get(v, "role"), *content = json_get(v, "content");
    enum role          r = ROLE_USER;

    if (json_type(v) != JSON_OBJECT || !is_content(content) ||
        (role && !role_read(json_str(role), &r)))
        return false;
    add_message(q, r, content_of(content, &q->arena));
    keep_parts(q, v, &q->messages[q->n_messages - 1]);
    return true;
}

static void tell_bad_item(const struct lax *l, size_t at, const struct json *v)
{
    char where[60];

    if (json_type(v) == JSON_OBJECT) {
        snprintf(where, sizeof where, "messages.%zu", at);
        lax_mistake(l, str_of(where), "Input should be a message with a role and a content");
        return;
    }
    lax_mistake(l, STR("messages.str"), "Input should be a valid string");
    snprintf(where, sizeof where, "messages.list[str].%zu", at);
    lax_mistake(l, str_of(where), "Input should be a valid string");
}

/* Texts are the lines of one; messages are a conversation that the client keeps itself. */
static void read_list(const struct lax *l, struct question *q, const struct json *list)
{
    struct buf         lines = BUF(SIZE_MAX / 2);
    struct json_walk   w = json_walk(list);
    const struct json *v;
    size_t             n_texts = 0;

    for (size_t i = 0; (v = json_walk_next(&w)); i++) {
        if (json_type(v) == JSON_STRING && n_texts == i) {
            buf_add(&lines, n_texts++ ? STR("\n") : STR(""));
            buf_add(&lines, json_str(v));
        } else if (n_texts || !read_message(q, v)) {
            tell_bad_item(l, i, v);
            break;
        }
    }
    if (n_texts)
        add_message(q, ROLE_USER, arena_str(&q->arena, buf_str(&lines)));
    buf_release(&lines);
}

static void read_messages(const struct lax *l, struct question *q, struct str system)
{
    const struct json *v = json_get(l->body, "messages");

    q->messages = arena_new(&q->arena, (json_count(v) + 2) * sizeof *q->messages);
    add_message(q, ROLE_SYSTEM, system);
    if (!v) {
        lax_mistake(l, STR("messages"), "Field required");
    } else if (json_type(v) == JSON_STRING) {
        add_message(q, ROLE_USER, arena_str(&q->arena, json_str(v)));
    } else if (json_type(v) != JSON_ARRAY) {
        lax_mistake(l, STR("messages.str"), "Input should be a valid string");
        lax_mistake(l, STR("messages.list[str]"), "Input should be a valid list");
    } else if (json_count(v) == 0) {
        lax_mistake(l, STR("messages"), "List should have at least 1 item after validation, not 0");
    } else {
        read_list(l, q, v);
    }
}

/* Its own words for the model stand for ours. */
static void settle_messages(struct question *q, struct dbgpt_wish *wish)
{
    bool has_system = false;

    for (size_t i = 1; i < q->n_messages; i++)
        has_system = has_system || q->messages[i].role == ROLE_SYSTEM ||
                     q->messages[i].role == ROLE_DEVELOPER;
    if (has_system) {
        q->messages++;
        q->n_messages--;
    }
    wish->brings_history = has_system || q->n_messages > 2;
    wish->content = question_last_user_text(q);
    if (!wish->content.p && q->n_messages)
        wish->content = q->messages[q->n_messages - 1].text;
}

/* ---- options --------------------------------------------------------------------------------- */

/* Unset ones come with these values from its newer client, and not every service knows them. */
static bool is_neutral(const struct lax *l, const char *name, double value)
{
    double d;

    return json_number(json_get(l->body, name), &d) && d == value;
}

static void copy_member(const struct lax *l, const char *name, struct buf *out)
{
    const struct json *v = json_get(l->body, name);

    if (!v)
        return;
    buf_addf(out, ",\"%s\":", name);
    json_add_value(out, v);
}

static void read_max_tokens(const struct lax *l, struct question *q, struct buf *out)
{
    int64_t n = MAX_TOKENS;

    lax_int(l, "max_new_tokens", &n);
    lax_int(l, "max_tokens", &n);
    if (n < 1) {
        lax_mistake(l, STR("max_tokens"), "Input should be greater than or equal to 1");
        return;
    }
    q->max_tokens = (uint64_t)n;
    buf_addf(out, ",\"max_tokens\":%lld", (long long)n);
}

static void read_stop(const struct lax *l, struct buf *out)
{
    enum json_type t = json_type(json_get(l->body, "stop"));

    if (t == JSON_STRING || t == JSON_ARRAY)
        copy_member(l, "stop", out);
    else if (t != JSON_NONE)
        lax_mistake(l, STR("stop"), "Input should be a valid string");
}

static void read_options(const struct lax *l, struct question *q)
{
    struct buf out = BUF(OPTIONS_MAX);
    struct str user = { NULL, 0 };
    int64_t    n = 1;

    if (json_get(l->body, "temperature"))
        lax_number(l, "temperature", &out);
    else
        buf_addf(&out, ",\"temperature\":0.%d", TEMPERATURE_TENTHS);
    read_max_tokens(l, q, &out);
    lax_number(l, "top_p", &out);
    if (!is_neutral(l, "top_k", -1))
        lax_number(l, "top_k", &out);
    lax_int(l, "n", &n);
    read_stop(l, &out);
    lax_str(l, "user", &q->arena, &user);
    if (user.n)
        copy_member(l, "user", &out);
    if (!is_neutral(l, "repetition_penalty", 1))
        lax_number(l, "repetition_penalty", &out);
    lax_number(l, "frequency_penalty", &out);
    lax_number(l, "presence_penalty", &out);
    lax_number(l, "seed", &out);
    q->options = arena_str(&q->arena, buf_str(&out));
    buf_release(&out);
}

/* ---- all of it -------------------------------------------------------------------------------- */

static void read_model(const struct lax *l, struct question *q)
{
    if (!json_get(l->body, "model"))
        lax_mistake(l, STR("model"), "Field required");
    else
        lax_str(l, "model", &q->arena, &q->model);
}

/* In the order in which its own server tells what is wrong. */
static void read_body(const struct lax *l, struct question *q, struct str system,
                      struct dbgpt_wish *w)
{
    bool       is_vis = true;
    struct str span = { NULL, 0 };

    if (json_type(l->body) != JSON_OBJECT) {
        lax_mistake(l, STR(""),
                    "Input should be a valid dictionary or object to extract fields from");
        return;
    }
    read_model(l, q);
    read_messages(l, q, system);
    lax_bool(l, "stream", &w->stream);
    read_options(l, q);
    lax_str(l, "conv_uid", &q->arena, &w->conv_uid);
    lax_str(l, "span_id", &q->arena, &span);
    lax_str(l, "chat_mode", &q->arena, &w->chat_mode);
    lax_str(l, "chat_param", &q->arena, &w->chat_param);
    lax_str(l, "user_name", &q->arena, &w->user_name);
    lax_str(l, "sys_code", &q->arena, &w->sys_code);
    lax_bool(l, "incremental", &w->incremental);
    lax_bool(l, "enable_vis", &is_vis);
    w->has_param = json_get(l->body, "chat_param") != NULL;
}

struct question *dbgpt_read_question(const struct json *body, struct str system,
                                     struct dbgpt_wish *wish, struct buf *mistakes)
{
    struct question *q = question_new();
    struct lax       l = { body, mistakes };

    read_body(&l, q, arena_str(&q->arena, system), wish);
    if (mistakes->n) {
        question_free(q);
        return NULL;
    }
    settle_messages(q, wish);
    return q;
}

static void read_page(const struct lax *l, struct question *q, struct str system,
                      struct dbgpt_wish *w)
{
    struct buf options = BUF(OPTIONS_MAX);
    struct str said = { NULL, 0 };

    lax_str(l, "conv_uid", &q->arena, &w->conv_uid);
    lax_str(l, "user_input", &q->arena, &said);
    lax_str(l, "user_name", &q->arena, &w->user_name);
    lax_str(l, "chat_mode", &q->arena, &w->chat_mode);
    if (json_get(l->body, "temperature"))
        lax_number(l, "temperature", &options);
    else
        buf_lit(&options, ",\"temperature\":0.5");
    buf_addf(&options, ",\"max_tokens\":%d", MAX_TOKENS);
    lax_str(l, "select_param", &q->arena, &w->chat_param);
    lax_str(l, "model_name", &q->arena, &q->model);
    lax_bool(l, "incremental", &w->incremental);
    lax_str(l, "sys_code", &q->arena, &w->sys_code);
    w->has_param = json_get(l->body, "select_param") != NULL;
    q->options = arena_str(&q->arena, buf_str(&options));
    q->max_tokens = MAX_TOKENS;
    q->messages = arena_new(&q->arena, 2 * sizeof *q->messages);
    add_message(q, ROLE_SYSTEM, system);
    add_message(q, ROLE_USER, said);
    buf_release(&options);
}

struct question *dbgpt_read_page(const struct json *body, struct str system,
                                 struct dbgpt_wish *wish, struct buf *mistakes)
{
    struct question *q = question_new();
    struct lax       l = { body, mistakes };

    read_page(&l, q, arena_str(&q->arena, system), wish);
    wish->stream = wish->is_page = true;
    if (!mistakes->n) {
        settle_messages(q, wish);
        return q;
    }
    question_free(q);
    return NULL;
}

/* ---- modes ------------------------------------------------------------------------------------- */

bool dbgpt_is_normal(struct str mode)
{
    return mode.n == 0 || str_eq(mode, STR("chat_normal"));
}

static bool is_mode(struct str mode)
{
    static const struct str modes[] = { STR_INIT("chat_app"), STR_INIT("chat_flow"),
                                        STR_INIT("chat_knowledge"), STR_INIT("chat_data") };

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (str_eq(mode, modes[i]))
            return true;
    return dbgpt_is_normal(mode);
}

static bool tell(struct dbgpt_problem *p, const char *message, const char *code)
{
    *p = (struct dbgpt_problem){ message, code };
    return true;
}

bool dbgpt_find_problem(const struct dbgpt_wish *w, struct dbgpt_problem *p)
{
    if (!dbgpt_is_normal(w->chat_mode) && !w->has_param)
        return tell(p, "chart param is None", "invalid_chat_param");
    if (str_eq(w->chat_mode, STR("chat_app")) && !w->stream)
        return tell(p, "chat app now not support no stream", "invalid_request_error");
    if (!is_mode(w->chat_mode))
        return tell(p,
                    "chat mode now only support chat_normal, chat_app, chat_flow, chat_knowledge, "
                    "chat_data",
                    "invalid_chat_mode");
    return false;
}

/* ---- history ------------------------------------------------------------------------------------ */

/* A round without an answer is as if it had not been. */
static bool is_round(const struct kept_message *m, size_t left)
{
    return left >= 2 && m[0].role == KEPT_USER && m[1].role == KEPT_ASSISTANT && m[1].content.n;
}

void dbgpt_compose(struct question *q, void *ctx, const struct kept_message *messages, size_t n)
{
    struct message system = q->messages[0], asked = q->messages[q->n_messages - 1];
    size_t         before = n ? n - 1 : 0;

    (void)ctx;
    q->messages = arena_new(&q->arena, (n + 2) * sizeof *q->messages);
    q->n_messages = 0;
    q->messages[q->n_messages++] = system;
    for (size_t i = 0; i + 1 < before; i++) {
        if (!is_round(messages + i, before - i))
            continue;
        add_message(q, ROLE_USER, arena_str(&q->arena, messages[i].content));
        add_message(q, ROLE_ASSISTANT, arena_str(&q->arena, messages[i + 1].content));
        i++;
    }
    q->messages[q->n_messages++] = asked;
}
