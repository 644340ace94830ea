#include "provider/source.h"

#include "base/json.h"

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
