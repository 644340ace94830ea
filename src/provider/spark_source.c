/* spark_source.c - reads iFLYTEK Spark, which speaks over WebSocket: each message is one
 * JSON document and comes as a whole.
 *
 * The header is looked at first: a message with a code has no payload. Text comes in pieces,
 * spread over an array; status 2 marks the last message, which also brings the counts and,
 * whole, the wish to call a function. Such a call has no id of its own, so it gets one.
 */
#include "provider/source.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { LAST = 2, DAILY_LIMIT = 11201 };

struct source {
    struct teller *teller;
    uint64_t       n_calls;
};

static struct source *spark_open(struct teller *t)
{
    struct source *s = mem_new(sizeof *s);

    s->teller = t;
    return s;
}

static void spark_close(struct source *s)
{
    mem_free(s);
}

/* ---- errors ------------------------------------------------------------------------- */

bool spark_knows(uint64_t code, enum fault *fault)
{
    static const struct {
        uint64_t   code;
        enum fault fault;
    } codes[] = {
        { 10003, FAULT_NOT_ACCEPTED },        /* the message's format           */
        { 10004, FAULT_NOT_ACCEPTED },        /* its schema                     */
        { 10005, FAULT_NOT_ACCEPTED },        /* a parameter's value            */
        { 10006, FAULT_SERVICE_BUSY },        /* this user is connected already */
        { 10007, FAULT_SERVICE_BUSY },        /* this user's last answer still runs */
        { 10013, FAULT_FILTERED },            /* the question                   */
        { 10014, FAULT_FILTERED },            /* the rest of the answer         */
        { 10015, FAULT_SERVICE_DENIED },      /* the application is blocked     */
        { 10016, FAULT_SERVICE_DENIED },      /* no licence                     */
        { 10019, FAULT_FILTERED },            /* tends to be unlawful           */
        { 10021, FAULT_FILTERED },            /* the question, by the audit     */
        { 10163, FAULT_NOT_ACCEPTED },        /* the engine's parameters        */
        { 10404, FAULT_NOT_ACCEPTED },        /* domain and path do not match   */
        { 10907, FAULT_NOT_ACCEPTED },        /* too many tokens                */
        { 11200, FAULT_SERVICE_DENIED },      /* no right, or the volume is used up */
        { DAILY_LIMIT, FAULT_SERVICE_BUSY },
        { 11202, FAULT_SERVICE_BUSY },        /* too many in this second        */
        { 11203, FAULT_SERVICE_BUSY },        /* too many at once               */
    };

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code == codes[i].code) {
            *fault = codes[i].fault;
            return true;
        }
    return false;
}

/* The code may be a number or its text; one that is neither is no good news. */
static bool has_failed(const struct json *code)
{
    int64_t number;

    if (json_int(code, &number))
        return number != 0;
    return code && !str_eq(json_str(code), STR("0"));
}

static void tell_error(struct source *s, const struct json *header)
{
    uint64_t   code = source_number(json_get(header, "code"));
    enum fault fault = FAULT_SERVICE_FAILED;
    struct buf words = BUF(TELLER_WORDS_MAX);
    struct str sid = json_str(json_get(header, "sid"));
    struct str message = json_str(json_get(header, "message"));
    size_t     room = TELLER_WORDS_MAX - 100; /* so that the sid still fits     */

    buf_addf(&words, "%llu ", (unsigned long long)code);
    buf_add(&words, utf8_clip(message, room));
    if (sid.n)
        buf_addf(&words, " (sid %.*s)", STR_ARG(sid));
    if (code == DAILY_LIMIT)
        teller_advise(s->teller, (struct advice){ .not_again = true });
    spark_knows(code, &fault);
    teller_fail(s->teller, fault, str_trim(buf_str(&words)));
    buf_release(&words);
}

/* ---- messages ------------------------------------------------------------------------ */

static void read_call(struct source *s, const struct json *v)
{
    struct tool_piece call = { .name = json_str(json_get(v, "name")) };

    source_call(s->teller, &s->n_calls, &call, json_get(v, "arguments"));
}

static void read_texts(struct source *s, const struct json *texts)
{
    struct json_walk   w = source_items(texts);
    const struct json *v;

    while ((v = json_walk_next(&w))) {
        teller_reasoning(s->teller, json_str(json_get(v, "reasoning_content")));
        teller_text(s->teller, json_str(json_get(v, "content")));
        read_call(s, json_get(v, "function_call"));
    }
}

static void read_message(struct source *s, const struct json *v)
{
    const struct json *header = json_get(v, "header"), *payload = json_get(v, "payload");
    const struct json *choices = json_get(payload, "choices");
    const struct json *usage = json_get(json_get(payload, "usage"), "text");

    if (has_failed(json_get(header, "code"))) {
        tell_error(s, header);
        return;
    }
    read_texts(s, json_get(choices, "text"));
    source_usage(s->teller, source_number(json_get(usage, "prompt_tokens")),
                 source_number(json_get(usage, "completion_tokens")));
    if (source_number(json_get(choices, "status")) == LAST ||
        source_number(json_get(header, "status")) == LAST)
        teller_finish(s->teller, source_finish(STR("stop"), s->n_calls > 0));
}

static void spark_feed(struct source *s, struct str bytes)
{
    (void)bytes;
    teller_fail(s->teller, FAULT_GARBAGE, STR("a stream came instead of messages"));
}

static void spark_whole(struct source *s, struct str message)
{
    struct json_doc *doc;

    if (s->teller->ended)
        return;
    doc = source_read(s->teller, message);
    read_message(s, json_root(doc));
    json_free(doc);
}

static void spark_end(struct source *s, bool cut)
{
    (void)cut;                                /* the last message has its mark, or is missing */
    teller_fail(s->teller, FAULT_CUT, STR("the connection ended before the last message"));
}

const struct source_ops spark_source = {
    .open = spark_open,
    .feed = spark_feed,
    .whole = spark_whole,
    .end = spark_end,
    .close = spark_close,
};
