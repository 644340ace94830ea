#include "provider/messages.h"

#include "base/half.h"

#include <string.h>

enum { CALLS_SEARCHED = 128 };                /* nobody honest calls more at once */

struct message_walk message_walk(const struct question *q)
{
    return (struct message_walk){ .question = q };
}

static bool calls_tools(const struct json *raw)
{
    return json_count(json_get(raw, "tool_calls")) || json_get(raw, "function_call");
}

/* What called tools is kept until the next one does: their results name it by id only. */
static void leave_message(struct message_walk *w)
{
    if (calls_tools(w->raw)) {
        json_free(w->calls);
        w->calls = w->doc;
    } else {
        json_free(w->doc);
    }
    w->doc = NULL;
    w->raw = NULL;
}

bool message_walk_next(struct message_walk *w)
{
    const char *why;

    leave_message(w);
    if (w->next == w->question->n_messages) {
        message_walk_end(w);
        return false;
    }
    w->message = &w->question->messages[w->next++];
    if (w->message->raw.n) {
        w->doc = json_read(w->message->raw, &why);
        w->raw = json_root(w->doc);
    }
    return true;
}

void message_walk_end(struct message_walk *w)
{
    leave_message(w);
    json_free(w->calls);
    w->calls = NULL;
}

/* ---- calls ---------------------------------------------------------------------------- */

struct tool_call_walk tool_call_walk(const struct json *raw)
{
    return (struct tool_call_walk){ json_walk(json_get(raw, "tool_calls")),
                                    json_get(raw, "function_call") };
}

bool tool_call_walk_next(struct tool_call_walk *w, struct tool_call *call)
{
    const struct json *one = json_walk_next(&w->many), *function = json_get(one, "function");

    if (!one) {
        function = w->one;
        w->one = NULL;
    }
    call->name = json_str(json_get(function, "name"));
    call->arguments = json_str(json_get(function, "arguments"));
    call->id = one ? json_str(json_get(one, "id")) : call->name;
    return one || function;
}

void tool_call_add_arguments(const struct tool_call *call, struct buf *out)
{
    const char      *why;
    struct json_doc *doc = json_read_patiently(call->arguments, &why);
    struct buf       object = BUF(SIZE_MAX / 2), mended = BUF(SIZE_MAX / 2);

    if (json_type(json_root(doc)) == JSON_OBJECT)
        json_add_value(&object, json_root(doc));
    else
        buf_lit(&object, "{}");
    buf_add(out, half_mend(buf_str(&object), &mended));
    buf_release(&object);
    buf_release(&mended);
    json_free(doc);
}

struct str message_call_id(const struct message_walk *w)
{
    const char *name = w->message->role == ROLE_FUNCTION ? "name" : "tool_call_id";

    return json_str(json_get(w->raw, name));
}

struct str message_tool_name(const struct message_walk *w)
{
    struct tool_call_walk calls = tool_call_walk(json_root(w->calls));
    struct str            id = message_call_id(w), name = json_str(json_get(w->raw, "name"));
    struct tool_call      call;

    for (size_t i = 0; i < CALLS_SEARCHED && tool_call_walk_next(&calls, &call); i++)
        if (str_eq(call.id, id) && call.name.n)
            return call.name;
    return name.n ? name : id;
}

static void tell_calls(const struct message_walk *w, struct buf *out)
{
    struct tool_call_walk calls = tool_call_walk(w->raw);
    struct tool_call      call;

    while (tool_call_walk_next(&calls, &call)) {
        if (out->n)
            buf_lit(out, "\n");
        buf_lit(out, "[called ");
        buf_add(out, call.name);
        buf_lit(out, " with ");
        buf_add(out, call.arguments);
        buf_lit(out, "]");
    }
}

void message_tell(const struct message_walk *w, struct buf *out)
{
    bool is_result = w->message->role == ROLE_TOOL || w->message->role == ROLE_FUNCTION;

    if (is_result) {
        buf_lit(out, "[");
        buf_add(out, message_tool_name(w));
        buf_lit(out, " returned ");
    }
    buf_add(out, w->message->text);
    if (is_result)
        buf_lit(out, "]");
    tell_calls(w, out);
}

/* ---- parts ---------------------------------------------------------------------------- */

const struct json *message_parts(const struct message_walk *w)
{
    const struct json *content = json_get(w->raw, "content");

    return json_type(content) == JSON_ARRAY ? content : NULL;
}

bool part_is_text(const struct json *part, struct str *text)
{
    struct str type = json_str(json_get(part, "type"));

    *text = json_str(json_get(part, str_eq(type, STR("refusal")) ? "refusal" : "text"));
    return str_eq(type, STR("text")) || str_eq(type, STR("refusal"));
}

/* Some clients leave the object around the address out. */
bool part_is_image(const struct json *part, struct str *url)
{
    const struct json *image = json_get(part, "image_url");

    *url = json_str(json_type(image) == JSON_OBJECT ? json_get(image, "url") : image);
    return str_eq(json_str(json_get(part, "type")), STR("image_url")) && url->n > 0;
}

static bool are_taken(const struct message_walk *w,
                      bool (*takes)(const struct message_walk *w, struct str picture))
{
    struct json_walk   parts = json_walk(message_parts(w));
    const struct json *part;
    struct str         text, picture;

    while ((part = json_walk_next(&parts)))
        if (!part_is_text(part, &text) &&
            !takes(w, part_is_image(part, &picture) ? picture : STR("")))
            return false;
    return true;
}

bool parts_are_taken(const struct question *q,
                     bool (*takes)(const struct message_walk *w, struct str picture))
{
    struct message_walk w = message_walk(q);
    bool                all = true;

    while (all && message_walk_next(&w))
        all = are_taken(&w, takes);
    message_walk_end(&w);
    return all;
}

bool data_url_read(struct str url, struct str *type, struct str *base64)
{
    const struct str scheme = STR("data:"), coding = STR(";base64");
    const char      *comma = url.n ? memchr(url.p, ',', url.n) : NULL;
    struct str       head;

    if (!comma || !str_eq_nocase((struct str){ url.p, url.n < 5 ? url.n : 5 }, scheme))
        return false;
    head = (struct str){ url.p + scheme.n, (size_t)(comma - url.p) - scheme.n };
    *base64 = str_from(url, (size_t)(comma - url.p) + 1);
    *type = (struct str){ NULL, 0 };
    if (head.n < coding.n || !str_eq_nocase(str_from(head, head.n - coding.n), coding))
        return false;
    str_next(&head, ';', type);
    return type->n > 0 && base64->n > 0;
}
