/* answer_xcx.c - the events of the mini-program's door.
 *
 *     event: message          event: done
 *     data: {"token": "aaa"}  data: {"messageId": 7, "createdAt": "..."}
 *     id: 7.1
 *
 * The id is the answer's and the event's number in it; the numbers rise, for whoever comes back
 * asks for what is behind the last one. What a tool did has numbers, too, and is not told here.
 */
#include "answer_parts.h"

#include <string.h>

enum { LINES = 3, NUMBER_MAX = 18 };

/* The lines of an event; how many, or LINES + 1 when there are more. */
static size_t split(const char *p, size_t n, struct slice lines[LINES])
{
    size_t count = 0;

    for (const char *end = p + n; p <= end; count++) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        if (count == LINES)
            return LINES + 1;
        lines[count] = (struct slice){ .p = p, .n = (size_t)((lf ? lf : end) - p), .here = true };
        p = (lf ? lf : end) + 1;
    }
    return count;
}

static bool take_prefix(struct slice *s, const char *prefix)
{
    size_t n = strlen(prefix);

    if (s->n < n || memcmp(s->p, prefix, n) != 0)
        return false;
    s->p += n;
    s->n -= n;
    return true;
}

/* Digits up to the end or to a dot; false: none, or something else. */
static bool take_number(struct slice *s, uint64_t *value)
{
    size_t n = 0;

    for (*value = 0; n < s->n && n < NUMBER_MAX && s->p[n] >= '0' && s->p[n] <= '9'; n++)
        *value = *value * 10 + (uint64_t)(s->p[n] - '0');
    s->p += n;
    s->n -= n;
    return n > 0;
}

static bool is_later_id(struct answer *a, struct slice id)
{
    uint64_t answer, event;

    if (!take_number(&id, &answer) || !take_prefix(&id, ".") || !take_number(&id, &event) ||
        id.n > 0 || answer == 0)
        return false;
    if (a->id != 0 && (answer != a->id || event <= a->last))
        return false;
    a->id = answer;
    a->last = event;
    return true;
}

static enum fault take_message(struct answer *a, struct tally *t, struct slice data,
                               struct slice id)
{
    struct chunk_json said;

    if (json_read_chunk(data.p, data.n, &said) < 0)
        return FAULT_JSON;
    if (!said.token.here || said.token.n == 0)
        return FAULT_SHAPE;
    return is_later_id(a, id) ? answer_take_content(a, t, said.token) : FAULT_ID;
}

static enum fault take_done(struct answer *a, struct slice data)
{
    struct chunk_json said;
    uint64_t          id;

    if (json_read_chunk(data.p, data.n, &said) < 0)
        return FAULT_JSON;
    if (!said.message_id.here || !take_number(&said.message_id, &id) || said.message_id.n > 0)
        return FAULT_SHAPE;
    a->finished = a->done = true;
    return id == a->id ? FAULT_NONE : FAULT_ID;
}

enum fault answer_take_xcx(struct answer *a, struct tally *t, const char *event, size_t n)
{
    struct slice lines[LINES];
    size_t       count = split(event, n, lines);

    if (count < 2 || count > LINES || !take_prefix(&lines[1], "data: "))
        return FAULT_EVENT;
    if (answer_slice_is(lines[0], "event: message"))
        return count == LINES && take_prefix(&lines[2], "id: ")
                   ? take_message(a, t, lines[1], lines[2])
                   : FAULT_EVENT;
    if (answer_slice_is(lines[0], "event: done"))
        return count == 2 ? take_done(a, lines[1]) : FAULT_EVENT;
    return answer_slice_is(lines[0], "event: error") ? FAULT_REFUSED : FAULT_EVENT;
}
