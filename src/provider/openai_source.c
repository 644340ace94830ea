/* openai_source.c - reads OpenAI's Chat Completions and what its imitators make of them.
 *
 * The finish reason comes before the usage and the [DONE], so the last word waits for the
 * end of the stream; but once the reason has been seen, a stream that merely stops is
 * whole. One without a reason and without [DONE] was cut off.
 */
#include "provider/source.h"

#include "base/json.h"
#include "base/mem.h"
#include "provider/repeat.h"
#include "provider/tool_calls.h"
#include "wire/sse_reader.h"

struct source {
    struct teller    *teller;
    struct sse_reader sse;
    struct tool_calls calls;
    enum finish       finish;
    bool              has_finish, ending;
    struct repeat     repeat;
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
    tool_calls_release(&s->calls);
    mem_free(s);
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

static void read_calls(struct source *s, const struct json *calls)
{
    struct json_walk   w = source_items(calls);
    struct tool_place  place = { .alone = w.left == 1 };
    struct buf         room = BUF(SOURCE_EVENT_MAX_BYTES);
    struct tool_piece  piece;
    const struct json *v;

    for (; (v = json_walk_next(&w)); place.at++)
        if (tool_calls_read(&s->calls, v, place, &piece))
            tool_calls_tell(&s->calls, s->teller, &piece, tool_calls_arguments(v, &room));
    buf_release(&room);
}

/* Some write empty texts where others write nothing. */
static bool says(const struct json *v)
{
    return v && (json_type(v) != JSON_STRING || json_str(v).n > 0);
}

/* These three return the text of an event of which nothing else came. */
static struct str read_delta(struct source *s, const struct json *delta)
{
    enum { REASONING_CONTENT, REASONING, CONTENT, REFUSAL, CALLS, MEMBERS };
    static const struct str names[] = { STR_INIT("reasoning_content"), STR_INIT("reasoning"),
                                        STR_INIT("content"), STR_INIT("refusal"),
                                        STR_INIT("tool_calls") };
    const struct json      *of[MEMBERS];
    bool                    says_more;

    json_get_all(delta, names, of, MEMBERS);
    teller_reasoning(s->teller,
                     json_str(of[of[REASONING_CONTENT] ? REASONING_CONTENT : REASONING]));
    read_content(s, of[CONTENT]);
    read_content(s, of[REFUSAL]);
    if (of[CALLS])
        read_calls(s, of[CALLS]);
    says_more =
        says(of[REASONING_CONTENT]) || says(of[REASONING]) || says(of[REFUSAL]) || of[CALLS];
    return says_more ? STR("") : json_str(of[CONTENT]);
}

static void read_finish(struct source *s, struct str reason)
{
    s->finish = source_finish(reason, s->calls.n_told > 0);
    s->has_finish = true;
    s->teller->progress = ANSWER_WHOLE;
}

static struct str read_choice(struct source *s, const struct json *choice)
{
    enum { DELTA, FINISH_REASON, ERROR, MEMBERS };
    static const struct str names[] = { STR_INIT("delta"), STR_INIT("finish_reason"),
                                        STR_INIT("error") };
    const struct json      *of[MEMBERS];
    struct str              reason, text;

    json_get_all(choice, names, of, MEMBERS);
    reason = json_str(of[FINISH_REASON]);
    if (of[ERROR] || str_eq(reason, STR("error"))) {
        teller_fail(s->teller, source_fault_of_error(of[ERROR], 0), source_error_words(choice));
        return STR("");
    }
    text = read_delta(s, of[DELTA] ? of[DELTA] : json_get(choice, "message"));
    if (!reason.n)
        return text;
    read_finish(s, reason);
    return STR("");
}

static void read_usage(struct source *s, const struct json *usage)
{
    source_usage(s->teller, source_number(json_get(usage, "prompt_tokens")),
                 source_number(json_get(usage, "completion_tokens")));
}

static struct str read_object(struct source *s, const struct json *v)
{
    enum { ERROR, CODE, CHOICES, USAGE, MEMBERS };
    static const struct str names[] = { STR_INIT("error"), STR_INIT("code"), STR_INIT("choices"),
                                        STR_INIT("usage") };
    const struct json      *of[MEMBERS];
    struct json_walk        choices;

    json_get_all(v, names, of, MEMBERS);
    if ((of[ERROR] || of[CODE] || !of[CHOICES]) && source_has_failed(v)) {
        teller_fail(s->teller, source_fault_of_refusal(0, v), source_error_words(v));
        return STR("");
    }
    if (of[USAGE])
        read_usage(s, of[USAGE]);
    choices = json_walk(of[CHOICES]);
    return choices.left ? read_choice(s, json_walk_next(&choices)) : STR("");
}

/* Providers that send no reason at all end with [DONE]. */
static void read_done(struct source *s)
{
    if (!s->has_finish)
        read_finish(s, STR("stop"));
    s->teller->progress = ANSWER_DONE;
}

static void finish(struct source *s)
{
    if (s->finish != FINISH_LENGTH)           /* else they may just not have come */
        tool_calls_fill(&s->calls, s->teller);
    teller_finish(s->teller, s->finish);
}

static void on_record(void *ctx, const struct sse_record *record)
{
    struct source     *s = ctx;
    struct json_doc   *doc;
    const struct json *root;
    struct str         text;

    if (s->teller->ended || s->teller->progress == ANSWER_DONE || record->data.n == 0)
        return;
    if (str_eq(str_trim(record->data), STR("[DONE]"))) {
        read_done(s);
        return;
    }
    if (!record->name.n && repeat_knows(&s->repeat, record->data, &text)) {
        teller_text(s->teller, text);
        return;
    }
    doc = s->ending ? source_read_rest(s->teller, record->data, s->has_finish)
                    : source_read(s->teller, record->data);
    root = json_root(doc);
    if (str_eq(record->name, STR("error")))
        teller_fail(s->teller, source_fault_of_refusal(record->status, root),
                    source_error_words(root));
    else if ((text = read_object(s, root)).n)
        repeat_learn(&s->repeat, record->data, STR("\"content\":"), text);
    json_free(doc);
}

static void openai_feed(struct source *s, struct str bytes)
{
    if (sse_reader_feed(&s->sse, bytes) != 0)
        teller_fail(s->teller, FAULT_GARBAGE, STR("an event is too large"));
}

static void openai_whole(struct source *s, struct str body)
{
    struct json_doc *doc = source_read(s->teller, body);

    read_object(s, json_root(doc));
    json_free(doc);
}

static void openai_end(struct source *s, bool cut)
{
    s->ending = true;
    if (!cut)
        sse_reader_end(&s->sse);              /* half an event is no event       */
    if (s->has_finish)
        finish(s);
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
