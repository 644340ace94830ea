/* anthropic_source.c - reads Anthropic's Messages.
 *
 * An answer is a row of blocks, each announced, filled piece by piece and closed; they may
 * be text, thoughts or the use of a tool, and are numbered together, so that a tool's
 * number here is not its block's. The counts come in two halves: the prompt's with the
 * first event, the answer's with the stop reason. message_stop ends it; a stream that has
 * given its stop reason and then merely stops is whole too.
 *
 * Blocks of tools that the service uses itself are its own affair.
 */
#include "provider/source.h"

#include "base/json.h"
#include "base/mem.h"
#include "provider/tool_calls.h"
#include "wire/sse_reader.h"

enum { ARGUMENTS_MAX_BYTES = 16 << 20 };

struct tool {
    uint64_t block;                           /* its number among all blocks    */
    bool     has_input;
};

struct source {
    struct teller    *teller;
    struct sse_reader sse;
    struct tool       tools[TOOL_CALLS_MAX];
    size_t            n_tools;
    uint64_t          fresh, written, cached; /* tokens of the prompt           */
    uint64_t          completion;
    enum finish       finish;
    bool              has_finish, ending;
};

static void on_record(void *ctx, const struct sse_record *record);

static struct source *anthropic_open(struct teller *t)
{
    struct source *s = mem_new(sizeof *s);

    s->teller = t;
    sse_reader_init(&s->sse, false, SOURCE_EVENT_MAX_BYTES, on_record, s);
    return s;
}

static void anthropic_close(struct source *s)
{
    sse_reader_release(&s->sse);
    mem_free(s);
}

/* ---- tools ------------------------------------------------------------------------------ */

static struct tool *find_tool(struct source *s, uint64_t block)
{
    for (size_t i = s->n_tools; i-- > 0;)
        if (s->tools[i].block == block)
            return &s->tools[i];
    return NULL;
}

static void add_input(struct source *s, struct tool *tool, struct str json)
{
    if (!tool || !json.n)
        return;
    tool->has_input = true;
    teller_tool(s->teller, &(struct tool_piece){ .index = (uint64_t)(tool - s->tools) }, json);
}

/* A tool that takes no input is sent none, but its arguments are still an object. */
static void close_tool(struct source *s, struct tool *tool)
{
    if (tool && !tool->has_input)
        add_input(s, tool, STR("{}"));
}

/* Imitators send the whole input with the announcement. */
static bool is_filled(const struct json *input)
{
    struct json_members m = json_members(input);
    struct str          name;
    const struct json  *value;

    return json_members_next(&m, &name, &value);
}

static void open_tool(struct source *s, uint64_t block, const struct json *v)
{
    const struct json *input = json_get(v, "input");
    struct buf         text = BUF(ARGUMENTS_MAX_BYTES);

    if (s->n_tools == TOOL_CALLS_MAX)
        return;
    teller_tool(s->teller,
                &(struct tool_piece){ .index = s->n_tools,
                                      .id = json_str(json_get(v, "id")),
                                      .name = json_str(json_get(v, "name")) },
                STR(""));
    s->tools[s->n_tools++] = (struct tool){ .block = block };
    if (is_filled(input))
        json_add_value(&text, input);
    add_input(s, &s->tools[s->n_tools - 1], buf_str(&text));
    buf_release(&text);
}

/* ---- blocks ------------------------------------------------------------------------------ */

static void open_block(struct source *s, uint64_t block, const struct json *v)
{
    if (str_eq(json_str(json_get(v, "type")), STR("tool_use")))
        open_tool(s, block, v);
    teller_reasoning(s->teller, json_str(json_get(v, "thinking")));
    teller_text(s->teller, json_str(json_get(v, "text")));
}

static void read_delta(struct source *s, uint64_t block, const struct json *delta)
{
    teller_reasoning(s->teller, json_str(json_get(delta, "thinking")));
    teller_text(s->teller, json_str(json_get(delta, "text")));
    add_input(s, find_tool(s, block), json_str(json_get(delta, "partial_json")));
}

/* ---- events ------------------------------------------------------------------------------ */

static void read_count(uint64_t *count, const struct json *v)
{
    uint64_t n = source_number(v);

    *count = n ? n : *count;
}

/* Later figures replace earlier ones; what is not said again, or as 0, stays. */
static void read_usage(struct source *s, const struct json *usage)
{
    read_count(&s->fresh, json_get(usage, "input_tokens"));
    read_count(&s->written, json_get(usage, "cache_creation_input_tokens"));
    read_count(&s->cached, json_get(usage, "cache_read_input_tokens"));
    read_count(&s->completion, json_get(usage, "output_tokens"));
    source_usage(s->teller, s->fresh + s->written + s->cached, s->completion);
}

static void read_finish(struct source *s, struct str reason)
{
    if (!reason.n)
        return;
    s->finish = source_finish(reason, s->n_tools > 0);
    s->has_finish = true;
    s->teller->progress = ANSWER_WHOLE;
}

static void finish(struct source *s)
{
    if (!s->has_finish)
        read_finish(s, STR("end_turn"));
    for (size_t i = 0; i < s->n_tools; i++)
        close_tool(s, &s->tools[i]);
    teller_finish(s->teller, s->finish);
}

static void tell_error(struct source *s, const struct json *v)
{
    teller_fail(s->teller, source_fault_of_error(json_get(v, "error"), 0), source_error_words(v));
}

static void read_event(struct source *s, struct str type, const struct json *v)
{
    const struct json *delta = json_get(v, "delta"), *message = json_get(v, "message");
    uint64_t           block = source_number(json_get(v, "index"));

    if (str_eq(type, STR("error")))
        tell_error(s, v);
    else if (str_eq(type, STR("message_start")))
        read_usage(s, json_get(message, "usage"));
    else if (str_eq(type, STR("content_block_start")))
        open_block(s, block, json_get(v, "content_block"));
    else if (str_eq(type, STR("content_block_delta")))
        read_delta(s, block, delta);
    else if (str_eq(type, STR("content_block_stop")))
        close_tool(s, find_tool(s, block));
    else if (str_eq(type, STR("message_delta"))) {
        read_usage(s, json_get(v, "usage"));
        read_finish(s, json_str(json_get(delta, "stop_reason")));
    } else if (str_eq(type, STR("message_stop"))) {
        finish(s);
    }
}

static void on_record(void *ctx, const struct sse_record *record)
{
    struct source   *s = ctx;
    struct json_doc *doc;
    struct str       type;

    if (s->teller->ended || record->data.n == 0)
        return;
    doc = s->ending ? source_read_rest(s->teller, record->data, s->has_finish)
                    : source_read(s->teller, record->data);
    type = json_str(json_get(json_root(doc), "type"));
    read_event(s, type.n ? type : record->name, json_root(doc));
    json_free(doc);
}

static void anthropic_feed(struct source *s, struct str bytes)
{
    if (sse_reader_feed(&s->sse, bytes) != 0)
        teller_fail(s->teller, FAULT_GARBAGE, STR("an event is too large"));
}

static void read_message(struct source *s, const struct json *v)
{
    struct json_walk   w = source_items(json_get(v, "content"));
    const struct json *block;

    for (uint64_t at = 0; (block = json_walk_next(&w)); at++)
        open_block(s, at, block);
    read_usage(s, json_get(v, "usage"));
    read_finish(s, json_str(json_get(v, "stop_reason")));
}

static void anthropic_whole(struct source *s, struct str body)
{
    struct json_doc   *doc = source_read(s->teller, body);
    const struct json *root = json_root(doc);

    if (json_get(root, "error"))
        tell_error(s, root);
    else
        read_message(s, root);
    json_free(doc);
}

static void anthropic_end(struct source *s, bool cut)
{
    s->ending = true;
    if (!cut)
        sse_reader_end(&s->sse);              /* half an event is no event       */
    if (s->has_finish)
        finish(s);
    else
        teller_fail(s->teller, FAULT_CUT, STR("the stream ended without its end marker"));
}

const struct source_ops anthropic_source = {
    .open = anthropic_open,
    .feed = anthropic_feed,
    .whole = anthropic_whole,
    .end = anthropic_end,
    .close = anthropic_close,
};
