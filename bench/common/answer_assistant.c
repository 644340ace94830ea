/* answer_assistant.c - the events of the assistant's door: all of them have a text, and only the
 * last one, whose text is empty, says that it has finished. */
#include "answer_parts.h"

#include <string.h>

enum fault answer_take_assistant(struct answer *a, struct tally *t, const char *event, size_t n)
{
    struct chunk_json chunk;

    if (n < 6 || memcmp(event, "data: ", 6) != 0 || memchr(event, '\n', n) != NULL)
        return FAULT_EVENT;
    if (json_read_chunk(event + 6, n - 6, &chunk) < 0)
        return FAULT_JSON;
    if (chunk.has_error)
        return FAULT_REFUSED;
    if (!chunk.text.here || !chunk.has_finished || chunk.finished != (chunk.text.n == 0))
        return FAULT_SHAPE;
    if (!chunk.finished)
        return answer_take_content(a, t, chunk.text);
    a->finished = a->done = true;
    return FAULT_NONE;
}
