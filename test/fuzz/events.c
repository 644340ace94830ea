#include "events.h"

#include "script.h"

#include <string.h>
#include <yyjson.h>

/* LF, CR and CRLF end a line. False when there is no whole line. */
static bool take_line(struct str *rest, struct str *line)
{
    size_t n = 0;

    while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r')
        n++;
    if (n == rest->n)
        return false;
    *line = (struct str){ rest->p, n };
    if (rest->p[n] == '\r' && n + 1 < rest->n && rest->p[n + 1] == '\n')
        n++;
    *rest = str_from(*rest, n + 1);
    return true;
}

static void take_field(struct events *e, struct str line, bool *any)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct str  name = { line.p, colon ? (size_t)(colon - line.p) : line.n };
    struct str  value = colon ? str_from(line, name.n + 1) : (struct str){ line.p, 0 };

    if (name.n == 0) {
        e->comments++;
        return;
    }
    if (value.n && value.p[0] == ' ')
        value = str_from(value, 1);
    if (!str_eq(name, STR("data"))) {
        e->strange = true;
        return;
    }
    if (*any)
        buf_add_char(&e->text, '\n');
    buf_add(&e->text, value);
    *any = true;
}

void events_read(struct events *e, struct str stream)
{
    bool       any = false;
    struct str line;

    e->text = BUF(SIZE_MAX / 2);
    e->n = e->comments = 0;
    e->strange = false;
    e->torn = stream.n > 0;
    if (str_starts(stream, STR("\xef\xbb\xbf")))
        stream = str_from(stream, 3);
    while (take_line(&stream, &line)) {
        e->torn = line.n > 0;
        if (line.n) {
            take_field(e, line, &any);
            continue;
        }
        if (!any)
            continue;
        MUST(e->n < EVENTS_MAX);
        e->ends[e->n++] = e->text.n;
        any = false;
    }
    e->torn = e->torn || stream.n || any;
}

struct str events_data(const struct events *e, size_t i)
{
    size_t from = i ? e->ends[i - 1] : 0;

    return (struct str){ e->text.p + from, e->ends[i] - from };
}

void events_release(struct events *e)
{
    buf_release(&e->text);
}

static bool is_chunk(yyjson_val *root)
{
    yyjson_val *choices = yyjson_obj_get(root, "choices");

    return yyjson_equals_str(yyjson_obj_get(root, "object"), "chat.completion.chunk") &&
           yyjson_is_arr(choices) && yyjson_is_str(yyjson_obj_get(root, "id")) &&
           yyjson_is_int(yyjson_obj_get(root, "created")) &&
           yyjson_is_str(yyjson_obj_get(root, "model"));
}

static bool is_error(yyjson_val *root)
{
    yyjson_val *error = yyjson_obj_get(root, "error");

    return yyjson_obj_size(root) == 1 && yyjson_obj_size(error) == 4 &&
           yyjson_get_len(yyjson_obj_get(error, "message")) > 0 &&
           yyjson_is_str(yyjson_obj_get(error, "type"));
}

void events_must_be_chat(struct str stream, bool whole)
{
    static struct events e;
    bool                 ended = false;

    events_read(&e, stream);
    MUST(!e.strange);
    MUST(!whole || !e.torn);
    for (size_t i = 0; i < e.n; i++) {
        struct str  data = events_data(&e, i);
        yyjson_doc *doc;

        MUST_SAY(!ended, "an event after the last one");
        if (str_eq(data, STR("[DONE]"))) {
            ended = true;
            continue;
        }
        doc = yyjson_read(data.p, data.n, 0);
        MUST_SAY(doc, "not JSON: %.*s", STR_ARG(data));
        ended = is_error(yyjson_doc_get_root(doc));
        MUST_SAY(ended || is_chunk(yyjson_doc_get_root(doc)), "%.*s", STR_ARG(data));
        yyjson_doc_free(doc);
    }
    MUST_SAY(!whole || ended, "the stream ends without a last word");
    events_release(&e);
}
