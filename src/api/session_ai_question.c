#include "api/session_ai_question.h"

enum { NAME_MAX_BYTES = 200, TEXT_LIMIT = 256 << 20, MESSAGES_MOST = 10000 };

struct parts {
    struct buf text, content;                 /* content: what a model reads, with its images */
    size_t     n_images;
};

/* ---- one message ------------------------------------------------------------------------------- */

static void add_content(struct parts *p, const char *type, struct str value)
{
    bool is_image = *type == 'i';

    buf_add_char(&p->content, p->content.n ? ',' : '[');
    buf_addf(&p->content, "{\"type\":\"%s\",\"%s\":%s", type, type, is_image ? "{\"url\":" : "");
    json_add_str(&p->content, value);
    buf_add(&p->content, is_image ? STR("}}") : STR("}"));
}

static void add_text(struct parts *p, struct str text)
{
    if (!text.n)
        return;
    buf_add(&p->text, text);
    add_content(p, "text", text);
}

static void add_part(struct parts *p, const struct json *part)
{
    struct str type = json_str(json_get(part, "type"));

    if (str_eq(type, STR("text"))) {
        add_text(p, json_str(json_get(part, "text")));
    } else if (str_eq(type, STR("file")) &&
               str_starts(json_str(json_get(part, "mediaType")), STR("image/")) &&
               json_str(json_get(part, "url")).n) {
        add_content(p, "image_url", json_str(json_get(part, "url")));
        p->n_images++;
    }
}

/* Older clients say `content` instead of parts. */
static void read_parts(struct parts *p, const struct json *message)
{
    struct json_walk   walk = json_walk(json_get(message, "parts"));
    const struct json *part;

    while ((part = json_walk_next(&walk)))
        add_part(p, part);
    if (!p->content.n)
        add_text(p, json_str(json_get(message, "content")));
}

static struct str raw_of(const struct parts *p, enum role role, struct arena *a)
{
    struct buf raw = BUF(TEXT_LIMIT);
    struct str s;

    buf_addf(&raw, "{\"role\":\"%s\",\"content\":", role_name(role));
    buf_add(&raw, buf_str(&p->content));
    buf_lit(&raw, "]}");
    s = arena_str(a, buf_str(&raw));
    buf_release(&raw);
    return s;
}

static bool is_known(enum role role)
{
    return role == ROLE_SYSTEM || role == ROLE_USER || role == ROLE_ASSISTANT;
}

/* One of nothing but what is skipped is not told to the model. */
static void read_message(struct question *q, const struct json *message)
{
    struct parts p = { BUF(TEXT_LIMIT), BUF(TEXT_LIMIT), 0 };
    enum role    role;

    read_parts(&p, message);
    if (role_read(json_str(json_get(message, "role")), &role) && is_known(role) && p.content.n)
        q->messages[q->n_messages++] =
            (struct message){ .role = role,
                              .text = arena_str(&q->arena, buf_str(&p.text)),
                              .raw = p.n_images ? raw_of(&p, role, &q->arena) : STR("") };
    buf_release(&p.text);
    buf_release(&p.content);
}

/* ---- all of it ------------------------------------------------------------------------------------ */

static const struct json *last_of(const struct json *messages)
{
    struct json_walk   walk = json_walk(messages);
    const struct json *one, *last = NULL;

    while ((one = json_walk_next(&walk)))
        last = one;
    return last;
}

static void begin(struct question *q, struct str prompt, size_t n)
{
    q->messages = arena_new(&q->arena, (n + 1) * sizeof *q->messages);
    q->n_messages = 0;
    if (prompt.n)
        q->messages[q->n_messages++] =
            (struct message){ .role = ROLE_SYSTEM, .text = arena_str(&q->arena, prompt) };
}

static bool read_messages(struct question *q, const struct json *body, struct str prompt,
                          struct session_ai_wish *wish, const char **why)
{
    const struct json *all = json_get(body, "messages"), *one = json_get(body, "message");
    const struct json *last = one ? one : last_of(all);
    struct json_walk   walk = json_walk(all);

    wish->is_alone = one || json_count(all) == 1;
    *why = "messages must be a list of messages with a role and parts, or message one of them";
    if (json_type(last) != JSON_OBJECT || json_count(all) > MESSAGES_MOST)
        return false;
    begin(q, prompt, one ? 1 : json_count(all));
    if (one)
        read_message(q, one);
    while (!one && (last = json_walk_next(&walk)))
        read_message(q, last);
    last = one ? one : last_of(all);
    wish->question = arena_str(&q->arena, json_str(json_get(last, "id")));
    *why = "the last message must be the user's, with a text or an image";
    return q->n_messages && q->messages[q->n_messages - 1].role == ROLE_USER &&
           str_eq(json_str(json_get(last, "role")), STR("user"));
}

static bool read_name(const struct json *body, const char *name, struct question *q,
                      struct str *out)
{
    const struct json *value = json_get(body, name);

    *out = arena_str(&q->arena, json_str(value));
    return !value || (json_type(value) == JSON_STRING && out->n <= NAME_MAX_BYTES);
}

bool session_ai_read(const struct json *body, struct str prompt, struct question *q,
                     struct session_ai_wish *wish, const char **why)
{
    struct str trigger = json_str(json_get(body, "trigger"));

    *wish = (struct session_ai_wish){ .regenerates = str_eq(trigger, STR("regenerate-message")) };
    *why = "id, messageId and model must be texts of up to 200 bytes";
    return read_name(body, "id", q, &wish->chat) && read_name(body, "messageId", q, &wish->at) &&
           read_name(body, "model", q, &wish->model) && read_messages(q, body, prompt, wish, why);
}
