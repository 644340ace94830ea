/* answer_openai.c - the events of a chat completion: chunks with text, a finish, [DONE]. */
#include "answer_parts.h"

#include <string.h>

static enum fault take_chunk(struct answer *a, struct tally *t, const char *text, size_t n)
{
    struct chunk_json chunk;

    if (json_read_chunk(text, n, &chunk) < 0)
        return FAULT_JSON;
    if (chunk.has_error)
        return FAULT_REFUSED;
    if (!chunk.has_choices || chunk.choices > 1)
        return FAULT_SHAPE;
    if (chunk.role.here) {
        if (!answer_slice_is(chunk.role, "assistant"))
            return FAULT_SHAPE;
        a->role = true;
    }
    a->usage = a->usage || chunk.has_usage;
    enum fault fault = answer_take_content(a, t, chunk.content);
    if (fault == FAULT_NONE && chunk.finish_reason.here) {
        if (a->finished)
            return FAULT_ORDER;
        a->finished = true;
        if (!answer_slice_is(chunk.finish_reason, "stop"))
            return FAULT_FINISH;
    }
    return fault;
}

enum fault answer_take_openai(struct answer *a, struct tally *t, const char *event, size_t n)
{
    if (n < 6 || memcmp(event, "data: ", 6) != 0 || memchr(event, '\n', n) != NULL)
        return FAULT_EVENT;
    if (n == 12 && memcmp(event + 6, "[DONE]", 6) == 0) {
        a->done = true;
        return a->finished ? FAULT_NONE : FAULT_FINISH;
    }
    return take_chunk(a, t, event + 6, n - 6);
}
