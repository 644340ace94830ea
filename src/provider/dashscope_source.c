/* dashscope_source.c - reads Alibaba's DashScope: its applications and its text generation.
 *
 * Every frame is a whole answer in itself, and says again what does not change: the session,
 * the documents, the thoughts, the usage. What text is in it is new, or all there is so far
 * (retelling.h tells which). No marker ends the stream: after a finish reason it just stops,
 * and only then are the documents told, because the last list of them is the right one.
 *
 * A workflow may speak through the messages of its nodes instead. Whichever of the two
 * speaks first is the answer; the other would say the same again.
 *
 * Errors come as frames of a stream that began well, with a status of their own.
 */
#include "provider/source.h"

#include "base/json.h"
#include "base/mem.h"
#include "provider/retelling.h"
#include "provider/tool_calls.h"
#include "wire/sse_reader.h"
#include "base/utf8.h"

#include <string.h>

enum {
    THOUGHTS_MAX = 16,
    SESSION_MAX = 128,
    THOUGHT_MAX_BYTES = 1 << 20,
    NAME_MAX_BYTES = 128,
    WHOLE_MAX_BYTES = 16 << 20
};

struct name {
    char   p[NAME_MAX_BYTES];
    size_t n;
};

/* Some streams repeat the list of thoughts in every frame and let it grow, others put each
 * piece of a thought where the piece before it was. */
struct thought {
    struct name      who;                     /* the action it belongs to       */
    struct retelling text;
};

struct source {
    struct teller    *teller;
    struct sse_reader sse;
    struct retelling  text, reasoning;
    struct buf        joined;                 /* text that came as an array of parts */
    enum { SPEAKER_UNKNOWN, SPEAKER_OUTPUT, SPEAKER_NODE } speaker;
    struct name       node;                   /* of the workflow, that speaks   */
    struct thought    thoughts[THOUGHTS_MAX];
    size_t            n_thoughts;
    struct tool_calls calls;
    struct retelling *arguments;              /* one for each call              */
    size_t            n_arguments;
    struct buf        with_references;        /* the last frame that lists documents */
    char              session[SESSION_MAX];
    enum finish       finish;
    bool              has_finish, ending;
};

static void on_record(void *ctx, const struct sse_record *record);

static struct source *dashscope_open(struct teller *t)
{
    struct source *s = mem_new(sizeof *s);

    s->teller = t;
    sse_reader_init(&s->sse, true, SOURCE_EVENT_MAX_BYTES, on_record, s);
    retelling_init(&s->text, SOURCE_EVENT_MAX_BYTES);
    retelling_init(&s->reasoning, SOURCE_EVENT_MAX_BYTES);
    s->joined = BUF(WHOLE_MAX_BYTES);
    s->with_references = BUF(WHOLE_MAX_BYTES);
    return s;
}

static void dashscope_close(struct source *s)
{
    for (size_t i = 0; i < s->n_arguments; i++)
        retelling_release(&s->arguments[i]);
    for (size_t i = 0; i < s->n_thoughts; i++)
        retelling_release(&s->thoughts[i].text);
    mem_free(s->arguments);
    tool_calls_release(&s->calls);
    retelling_release(&s->text);
    retelling_release(&s->reasoning);
    buf_release(&s->joined);
    buf_release(&s->with_references);
    sse_reader_release(&s->sse);
    mem_free(s);
}

/* False if it was that name already. */
static bool set_name(struct name *name, struct str to)
{
    to = utf8_clip(to, NAME_MAX_BYTES);
    if (str_eq((struct str){ name->p, name->n }, to))
        return false;
    if (to.n)
        memcpy(name->p, to.p, to.n);
    name->n = to.n;
    return true;
}

/* ---- errors --------------------------------------------------------------------------- */

static void tell_error(struct source *s, const struct json *body, int status)
{
    struct str words = source_error_words(body);

    if (!words.n)
        words = json_str(json_get(body, "code"));
    teller_fail(s->teller, source_fault_of_refusal(status, body), words);
}

static bool is_error(const struct json *body)
{
    const struct json *error = json_get(body, "error");

    if (json_type(error) == JSON_OBJECT || json_str(error).n)
        return true;
    return !json_get(body, "output") &&
           (json_str(json_get(body, "code")).n || source_error_words(body).n);
}

/* ---- thoughts -------------------------------------------------------------------------- */

static void settle_thoughts(struct source *s)
{
    for (size_t i = 0; i < s->n_thoughts; i++)
        teller_reasoning(s->teller, retelling_settle(&s->thoughts[i].text));
}

static struct thought *open_thought(struct source *s)
{
    struct thought *t = &s->thoughts[s->n_thoughts++];

    retelling_init(&t->text, THOUGHT_MAX_BYTES);
    return t;
}

/* A thought stands on a line of its own. */
static void begin_thought(struct source *s, struct thought *t)
{
    settle_thoughts(s);
    retelling_restart(&t->text);
    if (s->teller->started)
        teller_reasoning(s->teller, STR("\n"));
}

static void read_thought(struct source *s, size_t at, const struct json *v)
{
    struct str      text = json_str(json_get(v, "thought")), fresh;
    struct str      who = json_str(json_get(v, "action_name"));
    bool            is_next = at == s->n_thoughts;
    struct thought *t;

    if (!text.n || at > s->n_thoughts || at >= THOUGHTS_MAX)
        return;
    t = is_next ? open_thought(s) : &s->thoughts[at];
    if (set_name(&t->who, who) || is_next)
        begin_thought(s, t);
    if (!retelling_add(&t->text, text, &fresh)) {
        begin_thought(s, t);
        retelling_add(&t->text, text, &fresh);
    }
    teller_reasoning(s->teller, fresh);
}

static void read_thoughts(struct source *s, const struct json *thoughts)
{
    struct json_walk   w = source_items(thoughts);
    const struct json *v;

    for (size_t at = 0; (v = json_walk_next(&w)); at++)
        read_thought(s, at, v);
}

/* ---- text ------------------------------------------------------------------------------- */

static void tell_retold(struct source *s, struct retelling *r, struct str text,
                        void (*tell)(struct teller *t, struct str text))
{
    struct str fresh;

    if (retelling_add(r, text, &fresh))
        tell(s->teller, fresh);
    else
        teller_fail(s->teller, FAULT_GARBAGE,
                    STR("the service changed what it had said, or it is too long"));
}

static void read_text(struct source *s, struct str text)
{
    if (text.n) {
        teller_reasoning(s->teller, retelling_settle(&s->reasoning));
        settle_thoughts(s);
    }
    tell_retold(s, &s->text, text, teller_text);
}

/* Text, or an array of parts. */
static struct str text_of(struct source *s, const struct json *content)
{
    struct json_walk   w = json_walk(content);
    const struct json *part;

    if (json_type(content) != JSON_ARRAY)
        return json_str(content);
    buf_clear(&s->joined);
    while ((part = json_walk_next(&w)))
        buf_add(&s->joined, json_str(json_get(part, "text")));
    return buf_str(&s->joined);
}

static void read_node(struct source *s, const struct json *v)
{
    struct str text = text_of(s, json_get(json_get(v, "message"), "content"));

    if (text.n && set_name(&s->node, json_str(json_get(v, "node_id")))) {
        teller_text(s->teller, retelling_settle(&s->text));
        retelling_restart(&s->text);
    }
    if (text.n)
        s->speaker = SPEAKER_NODE;
    read_text(s, text);
}

static void read_output_text(struct source *s, const struct json *output)
{
    struct str text = text_of(s, json_get(output, "text"));

    if (s->speaker == SPEAKER_UNKNOWN && text.n)
        s->speaker = SPEAKER_OUTPUT;
    if (s->speaker == SPEAKER_OUTPUT)
        read_text(s, text);
    else
        read_node(s, json_get(output, "workflow_message"));
}

/* ---- tool calls --------------------------------------------------------------------------- */

static struct retelling *arguments_of(struct source *s, size_t call)
{
    while (s->n_arguments <= call) {
        s->arguments = mem_resize(s->arguments, (s->n_arguments + 1) * sizeof *s->arguments);
        retelling_init(&s->arguments[s->n_arguments++], SOURCE_EVENT_MAX_BYTES);
    }
    return &s->arguments[call];
}

/* What names a call is told even if it is empty: the calls are numbered by it. */
static void read_call(struct source *s, const struct json *v, struct tool_place place)
{
    struct buf        room = BUF(SOURCE_EVENT_MAX_BYTES);
    struct tool_piece piece;
    struct str        fresh;

    if (!tool_calls_read(&s->calls, v, place, &piece))
        return;
    if (!retelling_add(arguments_of(s, piece.index), tool_calls_arguments(v, &room), &fresh))
        teller_fail(s->teller, FAULT_GARBAGE, STR("the service changed a tool call"));
    else if (fresh.n || piece.name.n)
        tool_calls_tell(&s->calls, s->teller, &piece, fresh);
    buf_release(&room);
}

static void read_calls(struct source *s, const struct json *calls)
{
    struct json_walk   w = source_items(calls);
    struct tool_place  place = { .alone = w.left == 1 };
    const struct json *v;

    for (; (v = json_walk_next(&w)); place.at++)
        read_call(s, v, place);
}

static void settle_calls(struct source *s)
{
    for (size_t i = 0; i < s->n_arguments; i++) {
        struct str rest = retelling_settle(&s->arguments[i]);

        if (rest.n)
            tool_calls_tell(&s->calls, s->teller, &(struct tool_piece){ .index = i }, rest);
    }
}

/* ---- frames ------------------------------------------------------------------------------- */

/* Of an application by its models, which may be several; of a model plain. */
static void read_usage(struct source *s, const struct json *usage)
{
    const struct json *models = json_get(usage, "models"), *v;
    struct json_walk   w = models ? source_items(models) : source_items(usage);
    uint64_t           prompt = 0, completion = 0;

    while ((v = json_walk_next(&w))) {
        prompt += source_number(json_get(v, "input_tokens"));
        completion += source_number(json_get(v, "output_tokens"));
    }
    source_usage(s->teller, prompt, completion);
}

/* While the answer goes on the reason is the word "null". */
static void read_finish(struct source *s, struct str reason)
{
    if (!reason.n || str_eq(reason, STR("null")))
        return;
    teller_reasoning(s->teller, retelling_settle(&s->reasoning));
    settle_thoughts(s);
    teller_text(s->teller, retelling_settle(&s->text));
    settle_calls(s);
    s->finish = source_finish(reason, s->calls.n_told > 0);
    s->has_finish = true;
    s->teller->progress = ANSWER_WHOLE;
}

/* The first one counts; one that is too long is none. */
static void keep_session(struct source *s, struct str id)
{
    if (!id.n || id.n > SESSION_MAX || s->teller->session.n)
        return;
    memcpy(s->session, id.p, id.n);
    teller_session(s->teller, (struct str){ s->session, id.n });
}

static void read_output(struct source *s, const struct json *output)
{
    struct json_walk   choices = source_items(json_get(output, "choices"));
    const struct json *choice = json_walk_next(&choices), *message = json_get(choice, "message");

    keep_session(s, json_str(json_get(output, "session_id")));
    read_thoughts(s, json_get(output, "thoughts"));
    if (choice) {
        tell_retold(s, &s->reasoning, json_str(json_get(message, "reasoning_content")),
                    teller_reasoning);
        read_text(s, text_of(s, json_get(message, "content")));
        read_calls(s, json_get(message, "tool_calls"));
    } else {
        read_output_text(s, output);
    }
    read_finish(s, json_str(json_get(choice ? choice : output, "finish_reason")));
}

static void read_frame(struct source *s, struct str frame, const struct sse_record *record)
{
    struct json_doc   *doc = s->ending ? source_read_rest(s->teller, frame, s->has_finish)
                                       : source_read(s->teller, frame);
    const struct json *root = json_root(doc), *output = json_get(root, "output");

    if (record->status >= 400 || str_eq(record->name, STR("error")) || is_error(root))
        tell_error(s, root, record->status);
    else
        read_output(s, output);
    read_usage(s, json_get(root, "usage"));
    if (json_count(json_get(output, "doc_references"))) {
        buf_clear(&s->with_references);
        buf_add(&s->with_references, frame);
    }
    json_free(doc);
}

static void on_record(void *ctx, const struct sse_record *record)
{
    struct source *s = ctx;

    if (s->teller->ended || record->data.n == 0 || str_eq(record->name, STR("done")) ||
        str_eq(str_trim(record->data), STR("[DONE]")))
        return;
    read_frame(s, record->data, record);
}

static void dashscope_feed(struct source *s, struct str bytes)
{
    if (sse_reader_feed(&s->sse, bytes) != 0)
        teller_fail(s->teller, FAULT_GARBAGE, STR("an event is too large"));
}

static void dashscope_whole(struct source *s, struct str body)
{
    read_frame(s, body, &(struct sse_record){ .status = 0 });
}

/* ---- the end ------------------------------------------------------------------------------- */

static struct str either(const struct json *v, const char *name, const char *other)
{
    const struct json *first = json_get(v, name);

    return json_str(json_str(first).n ? first : json_get(v, other));
}

static void tell_references(struct source *s)
{
    const char      *why;
    struct json_doc *doc = json_read_patiently(buf_str(&s->with_references), &why);
    struct json_walk w = json_walk(json_get(json_get(json_root(doc), "output"), "doc_references"));
    const struct json *v;

    while ((v = json_walk_next(&w)))
        teller_citation(s->teller, &(struct citation){ .id = either(v, "index_id", "doc_id"),
                                                       .title = either(v, "title", "doc_name"),
                                                       .url = json_str(json_get(v, "doc_url")),
                                                       .text = json_str(json_get(v, "text")) });
    json_free(doc);
}

static void dashscope_end(struct source *s, bool cut)
{
    s->ending = true;
    if (!cut)
        sse_reader_end(&s->sse);              /* half an event is no event       */
    if (!s->has_finish) {
        teller_fail(s->teller, FAULT_CUT, STR("the stream ended without a finish reason"));
        return;
    }
    if (s->finish != FINISH_LENGTH)
        tool_calls_fill(&s->calls, s->teller);
    tell_references(s);
    teller_finish(s->teller, s->finish);
}

const struct source_ops dashscope_source = {
    .open = dashscope_open,
    .feed = dashscope_feed,
    .whole = dashscope_whole,
    .end = dashscope_end,
    .close = dashscope_close,
};
