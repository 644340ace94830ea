#include "provider/source.h"

#include "base/json.h"

enum { ARGUMENTS_MAX_BYTES = 16 << 20 };

struct json_doc *source_read(struct teller *t, struct str text)
{
    const char      *why;
    struct json_doc *doc = json_read_patiently(text, &why);

    if (!doc)
        teller_fail(t, FAULT_GARBAGE, str_of(why));
    return doc;
}

struct json_doc *source_read_rest(struct teller *t, struct str text, bool has_finish)
{
    const char      *why;
    struct json_doc *doc = json_read_patiently(text, &why);

    if (!doc && !has_finish)
        teller_fail(t, FAULT_CUT, STR("the stream ended within an event"));
    return doc;
}

/* ---- errors ------------------------------------------------------------------------- */

enum fault source_fault_of_status(int status)
{
    switch (status) {
    case 401:
    case 402:
    case 403: return FAULT_SERVICE_DENIED;
    case 429: return FAULT_SERVICE_BUSY;
    case 400:
    case 413:
    case 422: return FAULT_NOT_ACCEPTED;
    default:  return FAULT_SERVICE_FAILED;
    }
}

/* Codes have endings: Throttling.RateQuota, InvalidParameter.DataInspection. */
static const struct {
    struct str beginning;
    enum fault fault;
} error_words[] = {
    { STR_INIT("rate_limit_exceeded"), FAULT_SERVICE_BUSY },
    { STR_INIT("rate_limit_error"), FAULT_SERVICE_BUSY },
    { STR_INIT("Throttling"), FAULT_SERVICE_BUSY },
    { STR_INIT("insufficient_quota"), FAULT_SERVICE_DENIED },
    { STR_INIT("billing_"), FAULT_SERVICE_DENIED },
    { STR_INIT("Arrearage"), FAULT_SERVICE_DENIED },
    { STR_INIT("invalid_api_key"), FAULT_SERVICE_DENIED },
    { STR_INIT("InvalidApiKey"), FAULT_SERVICE_DENIED },
    { STR_INIT("authentication_error"), FAULT_SERVICE_DENIED },
    { STR_INIT("permission_error"), FAULT_SERVICE_DENIED },
    { STR_INIT("AccessDenied"), FAULT_SERVICE_DENIED },
    { STR_INIT("Model.AccessDenied"), FAULT_SERVICE_DENIED },
    { STR_INIT("content_filter"), FAULT_FILTERED },
    { STR_INIT("content_policy_violation"), FAULT_FILTERED },
    { STR_INIT("data_inspection_failed"), FAULT_FILTERED },
    { STR_INIT("DataInspectionFailed"), FAULT_FILTERED },
    { STR_INIT("context_length_exceeded"), FAULT_NOT_ACCEPTED },
    { STR_INIT("exceed_context_size_error"), FAULT_NOT_ACCEPTED },
    { STR_INIT("request_too_large"), FAULT_NOT_ACCEPTED },
    { STR_INIT("InvalidParameter"), FAULT_NOT_ACCEPTED },
};

/* The word of the wrong kind of status too: OpenAI says it of unknown keys and models. */
static const struct str vague = STR_INIT("invalid_request_error");

static bool is_known(struct str word, enum fault *fault)
{
    for (size_t i = 0; i < sizeof error_words / sizeof *error_words; i++)
        if (str_starts(word, error_words[i].beginning)) {
            *fault = error_words[i].fault;
            return true;
        }
    return false;
}

/* OpenRouter names what it found in the question. */
static bool is_moderated(const struct json *error)
{
    return json_get(json_get(error, "metadata"), "reasons");
}

static bool is_status(uint64_t number)
{
    return number >= 400 && number < 600;
}

enum fault source_fault_of_error(const struct json *error, int status)
{
    struct str code = json_str(json_get(error, "code")), type = json_str(json_get(error, "type"));
    uint64_t   number = source_number(json_get(error, "code"));
    enum fault fault;

    if (is_known(code, &fault) || is_known(type, &fault))
        return fault;
    if (is_moderated(error))
        return FAULT_FILTERED;
    if (spark_knows(number, &fault))
        return fault;
    if (is_status((uint64_t)status) || is_status(number))
        return source_fault_of_status(is_status((uint64_t)status) ? status : (int)number);
    return str_eq(code, vague) || str_eq(type, vague) ? FAULT_NOT_ACCEPTED : FAULT_SERVICE_FAILED;
}

/* The members stand in an object of their own, or by themselves; some put that into an array. */
enum fault source_fault_of_refusal(int status, const struct json *body)
{
    struct json_walk   only = json_walk(body);
    const struct json *root = only.left ? json_walk_next(&only) : body;
    const struct json *error = json_get(root, "error");

    return source_fault_of_error(json_type(error) == JSON_OBJECT ? error : root, status);
}

/* Spark says its code with every chunk, and 0 is good news. */
bool source_has_failed(const struct json *v)
{
    const struct json *error = json_get(v, "error"), *code = json_get(v, "code");
    int64_t            number = 0;

    if (json_type(error) == JSON_OBJECT || json_type(error) == JSON_STRING)
        return true;
    if (json_int(code, &number) || json_get(v, "choices") || json_get(v, "data"))
        return number != 0;
    return str_eq(json_str(json_get(v, "object")), STR("error")) ||
           (json_str(code).n && !str_eq(json_str(code), STR("0")));
}

static struct str first_text(const struct json *a, const struct json *b)
{
    return json_type(a) == JSON_STRING ? json_str(a) : json_str(b);
}

/* error.message, error, error.error.message, message, msg, detail, detail[0].msg */
struct str source_error_words(const struct json *body)
{
    const struct json *error = json_get(body, "error"), *detail = json_get(body, "detail");
    struct json_walk   details = json_walk(detail);
    struct str         words = first_text(json_get(error, "message"), error);

    if (!words.n)
        words = json_str(json_get(json_get(error, "error"), "message"));
    if (!words.n)
        words = first_text(json_get(body, "message"), json_get(body, "msg"));
    if (!words.n)
        words = first_text(detail, json_get(json_walk_next(&details), "msg"));
    return words;
}

/* ---- the small words of an answer --------------------------------------------------- */

enum finish source_finish(struct str word, bool has_calls)
{
    static const struct {
        struct str  word;
        enum finish finish;
    } words[] = {
        { STR_INIT("length"), FINISH_LENGTH },
        { STR_INIT("max_tokens"), FINISH_LENGTH },
        { STR_INIT("model_context_window_exceeded"), FINISH_LENGTH },
        { STR_INIT("tool_calls"), FINISH_TOOL_CALLS },
        { STR_INIT("tool_call"), FINISH_TOOL_CALLS },
        { STR_INIT("function_call"), FINISH_TOOL_CALLS },
        { STR_INIT("tool_use"), FINISH_TOOL_CALLS },
        { STR_INIT("content_filter"), FINISH_CONTENT_FILTER },
        { STR_INIT("refusal"), FINISH_CONTENT_FILTER },
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(word, words[i].word))
            return words[i].finish;
    return has_calls ? FINISH_TOOL_CALLS : FINISH_STOP;
}

uint64_t source_number(const struct json *v)
{
    int64_t  number;
    uint64_t digits;

    if (json_int(v, &number))
        return number > 0 ? (uint64_t)number : 0;
    return str_to_u64(json_str(v), &digits) && digits <= INT32_MAX ? digits : 0;
}

void source_usage(struct teller *t, uint64_t prompt, uint64_t completion)
{
    if (prompt || completion)
        teller_usage(t, &(struct usage){ prompt, completion });
}

void source_call(struct teller *t, uint64_t *n_calls, const struct tool_piece *call,
                 const struct json *arguments)
{
    struct tool_piece piece = *call;
    struct buf        text = BUF(ARGUMENTS_MAX_BYTES), id = BUF(32);

    if (!call->name.n)
        return;
    if (json_type(arguments) == JSON_OBJECT)
        json_add_value(&text, arguments);
    else
        buf_add(&text, json_str(arguments));
    if (!text.n)
        buf_lit(&text, "{}");
    buf_lit(&id, "call_");
    buf_add_u64(&id, *n_calls);
    piece.id = call->id.n ? call->id : buf_str(&id);
    piece.index = (*n_calls)++;
    teller_tool(t, &piece, buf_str(&text));
    buf_release(&text);
    buf_release(&id);
}

struct json_walk source_items(const struct json *v)
{
    return json_type(v) == JSON_OBJECT ? (struct json_walk){ v, 1 } : json_walk(v);
}
