#include "api/assistant_question.h"

#include "base/utf8.h"

enum { MESSAGE_MAX = 10000, SESSION_MAX = 200, MODEL_MAX = 200 };   /* characters */

#define TEMPERATURE_MAX 2.0

const char assistant_missing[] = "不能缺少";
const char assistant_empty[] = "不能为空";

static bool problem(struct assistant_problem *p, const char *field, const char *reason)
{
    *p = (struct assistant_problem){ field, reason };
    return false;
}

static bool is_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && (s.p[i] < '\t' || s.p[i] > '\r'))
            return false;
    return true;
}

bool assistant_is_session(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if ((unsigned char)id.p[i] < ' ' || id.p[i] == 0x7f)
            return false;
    return id.n > 0 && utf8_count(id) <= SESSION_MAX;
}

/* ---- members that only have to be of the right type -------------------------------- */

static const struct {
    const char    *name;
    enum json_type type;
    const char    *reason;
} members[] = {
    { "message", JSON_STRING, "必须是字符串" },
    { "session_id", JSON_STRING, "必须是字符串" },
    { "max_tokens", JSON_NUMBER, "必须是整数" },
    { "temperature", JSON_NUMBER, "必须是数字" },
    { "model_type", JSON_STRING, "必须是字符串" },
    { "preferred_model", JSON_STRING, "必须是字符串" },
    { "stream", JSON_BOOL, "必须是 true 或 false" },
    { "context", JSON_OBJECT, "必须是对象" },
};

static bool check_types(const struct json *body, struct assistant_problem *p)
{
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        enum json_type t = json_type(json_get(body, members[i].name));

        if (t != JSON_NONE && t != members[i].type)
            return problem(p, members[i].name, members[i].reason);
    }
    return true;
}

/* ---- one after the other ------------------------------------------------------------ */

static bool read_message(struct question *q, const struct json *message,
                         struct assistant_problem *p)
{
    struct str text = json_str(message);

    if (!message)
        return problem(p, "message", assistant_missing);
    if (is_blank(text))
        return problem(p, "message", assistant_empty);
    if (utf8_count(text) > MESSAGE_MAX)
        return problem(p, "message", "最多 10000 个字符");
    q->messages = arena_new(&q->arena, sizeof *q->messages);
    q->n_messages = 1;
    q->messages[0] = (struct message){ .role = ROLE_USER, .text = arena_str(&q->arena, text) };
    return true;
}

static bool read_session(struct question *q, const struct json *body, struct assistant_wish *wish,
                         struct assistant_problem *p)
{
    wish->session = arena_str(&q->arena, json_str(json_get(body, "session_id")));
    if (!wish->session.n || assistant_is_session(wish->session))
        return true;
    return problem(p, "session_id", "最多 200 个字符，不能有控制字符");
}

static bool read_type(const struct json *body, struct assistant_wish *wish,
                      struct assistant_problem *p)
{
    static const char *const names[] = { "auto_select", "local_small", "cloud_large", "plugin" };
    const struct json       *type = json_get(body, "model_type");

    wish->type = ASSISTANT_AUTO;
    for (size_t i = 0; type && i < sizeof names / sizeof *names; i++)
        if (str_eq(json_str(type), str_of(names[i]))) {
            wish->type = (enum assistant_type)i;
            return true;
        }
    return !type ||
           problem(p, "model_type", "必须是 local_small、cloud_large、plugin 或 auto_select");
}

/* Some clients call it `model`; what they say elsewhere in words is said here. */
static bool read_preference(struct question *q, const struct json *body,
                            struct assistant_wish *wish, struct assistant_problem *p)
{
    struct str name = json_str(json_get(body, "preferred_model"));

    if (!name.n)
        name = json_str(json_get(body, "model"));
    if (utf8_count(name) > MODEL_MAX)
        return problem(p, "preferred_model", "最多 200 个字符");
    if (wish->type == ASSISTANT_AUTO && str_eq(name, STR("local")))
        wish->type = ASSISTANT_LOCAL;
    else if (wish->type == ASSISTANT_AUTO && str_eq(name, STR("cloud")))
        wish->type = ASSISTANT_CLOUD;
    else if (!str_eq(name, STR("auto")))
        wish->model = arena_str(&q->arena, name);
    return true;
}

/* A temperature of 0 is one, too. */
static bool read_options(struct question *q, const struct json *body, uint64_t max_tokens,
                         struct assistant_problem *p)
{
    const struct json *limit = json_get(body, "max_tokens");
    const struct json *heat = json_get(body, "temperature");
    struct buf         text = BUF(200);
    int64_t            n = (int64_t)max_tokens;
    double             t = 0;

    if (limit && (!json_int(limit, &n) || n < 1))
        return problem(p, "max_tokens", "必须是大于 0 的整数");
    if (heat && (!json_number(heat, &t) || !(t >= 0 && t <= TEMPERATURE_MAX)))
        return problem(p, "temperature", "必须在 0 和 2 之间");
    q->max_tokens = (uint64_t)n;
    buf_addf(&text, ",\"max_tokens\":%lld,\"temperature\":", (long long)n);
    if (heat)
        json_add_value(&text, heat);
    else
        buf_lit(&text, "0.7");
    q->options = arena_str(&q->arena, buf_str(&text));
    buf_release(&text);
    return true;
}

static bool read_body(struct question *q, const struct json *body, const struct json *message,
                      uint64_t max_tokens, struct assistant_wish *wish, struct assistant_problem *p)
{
    if (json_type(body) != JSON_OBJECT)
        return problem(p, "body", "必须是 JSON 对象");
    return check_types(body, p) && read_message(q, message, p) && read_session(q, body, wish, p) &&
           read_type(body, wish, p) && read_preference(q, body, wish, p) &&
           read_options(q, body, max_tokens, p);
}

static struct question *read_question(const struct json *body, const struct json *message,
                                      uint64_t max_tokens, struct assistant_wish *wish,
                                      struct assistant_problem *p)
{
    struct question *q = question_new();

    *wish = (struct assistant_wish){ .type = ASSISTANT_AUTO };
    if (read_body(q, body, message, max_tokens, wish, p))
        return q;
    question_free(q);
    return NULL;
}

struct question *assistant_read_question(const struct json *body, uint64_t max_tokens,
                                         struct assistant_wish *wish, struct assistant_problem *p)
{
    return read_question(body, json_get(body, "message"), max_tokens, wish, p);
}

struct question *assistant_read_frame(const struct json *frame, uint64_t max_tokens,
                                      struct assistant_wish *wish, struct assistant_problem *p)
{
    const struct json *data = json_get(frame, "data"), *body = data ? data : frame;
    const struct json *text = json_get(body, "message");

    if (!text)
        text = json_get(body, "content");
    if (!text)
        text = json_get(frame, "content");
    return read_question(body, text, max_tokens, wish, p);
}
