/* ollama_source.c - reads Ollama's own chat: a line of JSON for each piece of the answer.
 *
 * The last line is marked done and brings the counts. An error is a line of its own, under
 * a status of success. Tool calls come whole, with an object for arguments and, from older
 * versions, without an id, so they get one.
 */
#include "provider/source.h"

#include "base/json.h"
#include "base/mem.h"

#include <string.h>

struct source {
    struct teller *teller;
    struct buf     line;                      /* one that has no end yet        */
    uint64_t       n_calls;
};

static struct source *ollama_open(struct teller *t)
{
    struct source *s = mem_new(sizeof *s);

    s->teller = t;
    s->line = BUF(SOURCE_EVENT_MAX_BYTES);
    return s;
}

static void ollama_close(struct source *s)
{
    buf_release(&s->line);
    mem_free(s);
}

static void read_call(struct source *s, const struct json *v)
{
    const struct json *function = json_get(v, "function");
    struct tool_piece  call = { .id = json_str(json_get(v, "id")),
                                .name = json_str(json_get(function, "name")) };

    source_call(s->teller, &s->n_calls, &call, json_get(function, "arguments"));
}

static void read_message(struct source *s, const struct json *message)
{
    struct json_walk   calls = source_items(json_get(message, "tool_calls"));
    const struct json *call;

    teller_reasoning(s->teller, json_str(json_get(message, "thinking")));
    teller_text(s->teller, json_str(json_get(message, "content")));
    while ((call = json_walk_next(&calls)))
        read_call(s, call);
}

static void read_object(struct source *s, const struct json *v)
{
    const struct json *error = json_get(v, "error");

    if (json_type(error) == JSON_OBJECT || json_type(error) == JSON_STRING) {
        teller_fail(s->teller, source_fault_of_error(error, 0), source_error_words(v));
        return;
    }
    read_message(s, json_get(v, "message"));
    if (!json_is_true(json_get(v, "done")))
        return;
    source_usage(s->teller, source_number(json_get(v, "prompt_eval_count")),
                 source_number(json_get(v, "eval_count")));
    teller_finish(s->teller, source_finish(json_str(json_get(v, "done_reason")), s->n_calls > 0));
}

static void read_document(struct source *s, struct json_doc *doc)
{
    read_object(s, json_root(doc));
    json_free(doc);
}

static struct str without_end(struct str line)
{
    return str_trim(line.n && line.p[line.n - 1] == '\r' ? (struct str){ line.p, line.n - 1 }
                                                         : line);
}

static void read_line(struct source *s, struct str line)
{
    if (line.n > SOURCE_EVENT_MAX_BYTES)
        teller_fail(s->teller, FAULT_GARBAGE, STR("a line is too large"));
    else if (without_end(line).n)
        read_document(s, source_read(s->teller, line));
}

/* A line that came whole is read where it lies. */
static void ollama_feed(struct source *s, struct str bytes)
{
    const char *end;

    while (bytes.n && !s->teller->ended && (end = memchr(bytes.p, '\n', bytes.n))) {
        struct str line = { bytes.p, (size_t)(end - bytes.p) };

        bytes = str_from(bytes, line.n + 1);
        if (s->line.n) {
            buf_add(&s->line, line);
            line = buf_str(&s->line);
        }
        if (!s->line.over)
            read_line(s, line);
        buf_clear(&s->line);
    }
    buf_add(&s->line, bytes);
    if (s->line.over)
        teller_fail(s->teller, FAULT_GARBAGE, STR("a line is too large"));
}

static void ollama_whole(struct source *s, struct str body)
{
    read_document(s, source_read(s->teller, body));
}

static void ollama_end(struct source *s, bool cut)
{
    if (!cut && !s->teller->ended && without_end(buf_str(&s->line)).n)
        read_document(s, source_read_rest(s->teller, buf_str(&s->line), false));
    teller_fail(s->teller, FAULT_CUT, STR("the stream ended before it was done"));
}

const struct source_ops ollama_source = {
    .open = ollama_open,
    .feed = ollama_feed,
    .whole = ollama_whole,
    .end = ollama_end,
    .close = ollama_close,
};
