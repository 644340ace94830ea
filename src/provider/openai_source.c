/* openai_source.c - reads OpenAI's Chat Completions and what its imitators make of them.
 *
 * The finish reason comes before the usage and the [DONE], so the last word waits for the
 * end of the stream; but once the reason has been seen, a stream that merely stops is
 * whole. One without a reason and without [DONE] was cut off.
 *
 * Tool calls are told apart as their senders meant it, not as they numbered it: some send
 * every parallel call with index 0, some without an index, some repeat the name or send an
 * empty id in later pieces. A new id opens a new call; calls are numbered as they begin.
 */
#include "provider/source.h"

#include "base/json.h"
#include "base/mem.h"
#include "wire/sse_reader.h"

#include <string.h>

enum { CALLS_MAX = 128, ID_MAX = 128 };

struct wire_call {
    int64_t index;                            /* as the provider numbers it     */
    char    id[ID_MAX];
    size_t  id_n;
    bool    named;
};

struct source {
    struct teller    *teller;
    struct sse_reader sse;
    struct wire_call *calls;
    size_t            n_calls;
    enum finish       finish;
    bool              has_finish, is_done;
};

static void on_record(void *ctx, const struct sse_record *record);

static struct source *openai_open(struct teller *t)
{
    struct source *s = mem_new(sizeof *s);

    s->teller = t;
    sse_reader_init(&s->sse, false, SOURCE_EVENT_MAX_BYTES, on_record, s);
    return s;
}

static void openai_close(struct source *s)
{
    sse_reader_release(&s->sse);
    mem_free(s->calls);
    mem_free(s);
}

/* ---- errors ----------------------------------------------------------------------- */

/* The code of an error object is a number here and a word there. */
static enum fault fault_of(const struct json *error)
{
    static const struct {
        struct str word;
        enum fault fault;
    } words[] = {
        { STR_INIT("rate_limit_exceeded"), FAULT_SERVICE_BUSY },
        { STR_INIT("insufficient_quota"), FAULT_SERVICE_BUSY },
        { STR_INIT("invalid_api_key"), FAULT_SERVICE_DENIED },
        { STR_INIT("content_filter"), FAULT_FILTERED },
        { STR_INIT("invalid_request_error"), FAULT_NOT_ACCEPTED },
        { STR_INIT("context_length_exceeded"), FAULT_NOT_ACCEPTED },
    };
    struct str code = json_str(json_get(error, "code")), type = json_str(json_get(error, "type"));
    int64_t    number;
    uint64_t   digits;

    if (json_int(json_get(error, "code"), &number))
        return source_fault_of_status((int)number);
    if (str_to_u64(code, &digits) && digits < 1000)
        return source_fault_of_status((int)digits);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(code, words[i].word) || str_eq(type, words[i].word))
            return words[i].fault;
    return FAULT_SERVICE_FAILED;
}

static bool is_error(const struct json *v)
{
    return json_type(v) == JSON_OBJECT || json_type(v) == JSON_STRING;
}

/* ---- tool calls ---------------------------------------------------------------------- */

static struct wire_call *open_call(struct source *s, int64_t index)
{
    if (s->n_calls == CALLS_MAX)
        return NULL;
    s->calls = mem_resize(s->calls, (s->n_calls + 1) * sizeof *s->calls);
    s->calls[s->n_calls] = (struct wire_call){ .index = index };
    return &s->calls[s->n_calls++];
}

static bool has_id(const struct wire_call *c, struct str id)
{
    return str_eq((struct str){ c->id, c->id_n }, id);
}

/* The newest call with that index; without an index the one with that id, or the newest. */
static struct wire_call *find_call(struct source *s, bool numbered, int64_t index, struct str id)
{
    for (size_t i = s->n_calls; i-- > 0;) {
        struct wire_call *c = &s->calls[i];

        if (numbered ? c->index == index : (!id.n || has_id(c, id)))
            return c;
    }
    return NULL;
}

static void read_call(struct source *s, const struct json *v)
{
    const struct json *function = json_get(v, "function");
    struct str         id = json_str(json_get(v, "id"));
    struct tool_piece  piece = { .name = json_str(json_get(function, "name")) };
    int64_t            index = (int64_t)s->n_calls;
    bool               numbered = json_int(json_get(v, "index"), &index);
    struct wire_call  *c = find_call(s, numbered, index, id);

    if (id.n > ID_MAX)
        id.n = ID_MAX;
    if (!c || (id.n && c->id_n && !has_id(c, id)))
        c = open_call(s, index);
    if (!c)
        return;
    if (id.n && !c->id_n) {
        memcpy(c->id, id.p, id.n);
        c->id_n = id.n;
        piece.id = id;
    }
    if (c->named)
        piece.name = (struct str){ NULL, 0 };
    c->named = c->named || piece.name.n;
    piece.index = (uint64_t)(c - s->calls);
    teller_tool(s->teller, &piece, json_str(json_get(function, "arguments")));
}

/* An array; a single object where the provider never heard of arrays. */
static void read_calls(struct source *s, const struct json *calls)
{
    struct json_walk   w = json_walk(calls);
    const struct json *v;

    if (json_type(calls) == JSON_OBJECT)
        read_call(s, calls);
    else
        while ((v = json_walk_next(&w)))
            read_call(s, v);
}

/* ---- chunks ----------------------------------------------------------------------------- */

static void read_content(struct source *s, const struct json *content)
{
    struct json_walk   w = json_walk(content);
    const struct json *part;

    if (json_type(content) == JSON_STRING)
        teller_text(s->teller, json_str(content));
    else if (json_type(content) == JSON_ARRAY)
        while ((part = json_walk_next(&w)))
            teller_text(s->teller, json_str(json_get(part, "text")));
}

static void read_delta(struct source *s, const struct json *delta)
{
    const struct json *reasoning = json_get(delta, "reasoning_content");

    if (!reasoning)
        reasoning = json_get(delta, "reasoning");
    teller_reasoning(s->teller, json_str(reasoning));
    read_content(s, json_get(delta, "content"));
    read_content(s, json_get(delta, "refusal"));
    read_calls(s, json_get(delta, "tool_calls"));
}

static void read_finish(struct source *s, struct str reason)
{
    static const struct {
        struct str  word;
        enum finish finish;
    } words[] = {
        { STR_INIT("length"), FINISH_LENGTH },
        { STR_INIT("tool_calls"), FINISH_TOOL_CALLS },
        { STR_INIT("tool_call"), FINISH_TOOL_CALLS },
        { STR_INIT("function_call"), FINISH_TOOL_CALLS },
        { STR_INIT("content_filter"), FINISH_CONTENT_FILTER },
    };

    s->finish = s->n_calls ? FINISH_TOOL_CALLS : FINISH_STOP;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(reason, words[i].word))
            s->finish = words[i].finish;
    s->has_finish = true;
}

static void read_choice(struct source *s, const struct json *choice)
{
    const struct json *delta = json_get(choice, "delta");
    struct str         reason = json_str(json_get(choice, "finish_reason"));
    const struct json *error = json_get(choice, "error");

    if (is_error(error) || str_eq(reason, STR("error"))) {
        teller_fail(s->teller, fault_of(error), source_error_words(choice));
        return;
    }
    read_delta(s, delta ? delta : json_get(choice, "message"));
    if (reason.n)
        read_finish(s, reason);
}

static void read_usage(struct source *s, const struct json *usage)
{
    int64_t prompt = 0, completion = 0;

    if (json_type(usage) != JSON_OBJECT)
        return;
    json_int(json_get(usage, "prompt_tokens"), &prompt);
    json_int(json_get(usage, "completion_tokens"), &completion);
    if (prompt >= 0 && completion >= 0 && prompt + completion > 0)
        teller_usage(s->teller, &(struct usage){ (uint64_t)prompt, (uint64_t)completion });
}

static void read_object(struct source *s, const struct json *v)
{
    struct json_walk choices = json_walk(json_get(v, "choices"));

    if (is_error(json_get(v, "error"))) {
        teller_fail(s->teller, fault_of(json_get(v, "error")), source_error_words(v));
        return;
    }
    read_usage(s, json_get(v, "usage"));
    if (choices.left)
        read_choice(s, json_walk_next(&choices));
}

static void on_record(void *ctx, const struct sse_record *record)
{
    struct source   *s = ctx;
    const char      *why;
    struct json_doc *doc;

    if (s->teller->ended || s->is_done || record->data.n == 0)
        return;
    if (str_eq(str_trim(record->data), STR("[DONE]"))) {
        s->is_done = true;
        return;
    }
    doc = json_read_patiently(record->data, &why);
    if (!doc)
        teller_fail(s->teller, FAULT_GARBAGE, str_of(why));
    else if (str_eq(record->name, STR("error")))
        teller_fail(s->teller, fault_of(json_root(doc)), source_error_words(json_root(doc)));
    else
        read_object(s, json_root(doc));
    json_free(doc);
}

static void openai_feed(struct source *s, struct str bytes)
{
    if (sse_reader_feed(&s->sse, bytes) != 0)
        teller_fail(s->teller, FAULT_GARBAGE, STR("an event is too large"));
}

static void openai_whole(struct source *s, struct str body)
{
    const char      *why;
    struct json_doc *doc = json_read_patiently(body, &why);

    if (!doc)
        teller_fail(s->teller, FAULT_GARBAGE, str_of(why));
    else
        read_object(s, json_root(doc));
    json_free(doc);
}

/* Providers that send no reason at all end with [DONE] or not at all. */
static void openai_end(struct source *s, bool cut)
{
    if (!cut)
        sse_reader_end(&s->sse);              /* half an event is no event       */
    if (s->is_done && !s->has_finish)
        read_finish(s, STR("stop"));
    if (s->has_finish)
        teller_finish(s->teller, s->finish);
    else
        teller_fail(s->teller, FAULT_CUT, STR("the stream ended without its end marker"));
}

const struct source_ops openai_source = {
    .open = openai_open,
    .feed = openai_feed,
    .whole = openai_whole,
    .end = openai_end,
    .close = openai_close,
};
