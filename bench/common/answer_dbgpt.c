/* answer_dbgpt.c - the events of DB-GPT's door: chunks without a finish reason, which all say
 * whose they are, and [DONE]. */
#include "answer_parts.h"

#include <string.h>

enum fault answer_take_dbgpt(struct answer *a, struct tally *t, const char *event, size_t n)
{
    struct chunk_json chunk;

    if (n < 6 || memcmp(event, "data: ", 6) != 0 || memchr(event, '\n', n) != NULL)
        return FAULT_EVENT;
    if (n == 12 && memcmp(event + 6, "[DONE]", 6) == 0) {
        if (!a->role)
            return FAULT_ORDER;
        a->finished = a->done = true;
        return FAULT_NONE;
    }
    if (json_read_chunk(event + 6, n - 6, &chunk) < 0)
        return FAULT_JSON;
    if (chunk.has_error)
        return FAULT_REFUSED;
    if (chunk.choices != 1 || !answer_slice_is(chunk.role, "assistant") || !chunk.content.here ||
        chunk.finish_reason.here)
        return FAULT_SHAPE;
    a->role = true;
    return answer_take_content(a, t, chunk.content);
}
