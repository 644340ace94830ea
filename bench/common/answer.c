#define _GNU_SOURCE /* memmem */
#include "answer_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD_MAX = 8 * 1024, CARRY_MAX = 64 * 1024 };

const char *const fault_names[FAULT_KINDS] = {
#define X(name, text) [FAULT_##name] = text,
    FAULTS(X)
#undef X
};

/* ---- events ------------------------------------------------------------------------ */

/* The first bytes of what could not be accepted, printable. */
static void keep_evidence(struct answer *a, const char *p, size_t n)
{
    for (size_t i = 0; i < EVIDENCE; i++)
        a->evidence[i] = i == EVIDENCE - 1 || i >= n ? '\0' : p[i];
    for (size_t i = 0; i < EVIDENCE && a->evidence[i] != '\0'; i++)
        if (a->evidence[i] < ' ' || a->evidence[i] > '~')
            a->evidence[i] = a->evidence[i] == '\n' ? '|' : '.';
}

/* One event without its blank line. */
static enum fault take_event(struct answer *a, struct tally *t, const char *event, size_t n)
{
    if (memchr(event, '\r', n) != NULL)
        return FAULT_EVENT;
    if (n > 0 && event[0] == ':') {
        t->comments++;
        return memchr(event, '\n', n) == NULL ? FAULT_NONE : FAULT_EVENT;
    }
    if (a->done)
        return FAULT_ORDER;
    t->events++;
    a->fresh_events++;
    switch (a->form) {
    case ANSWER_XCX: return answer_take_xcx(a, t, event, n);
    case ANSWER_DBGPT: return answer_take_dbgpt(a, t, event, n);
    case ANSWER_ASSISTANT: return answer_take_assistant(a, t, event, n);
    case ANSWER_OPENAI: break;
    }
    return answer_take_openai(a, t, event, n);
}

/* Reads the whole events at the front; the number of bytes used. */
static size_t take_events(struct answer *a, struct tally *t, const char *p, size_t n)
{
    size_t used = 0, from = 0;

    while (from < n && a->fault == FAULT_NONE) {
        const char *lf = memchr(p + from, '\n', n - from);
        if (lf == NULL || lf + 1 == p + n)
            break;
        from = (size_t)(lf - p) + 1;
        if (*(lf + 1) != '\n')
            continue;
        a->fault = take_event(a, t, p + used, (size_t)(lf - p) - used);
        if (a->fault != FAULT_NONE)
            keep_evidence(a, p + used, (size_t)(lf - p) - used);
        used = from = from + 1;
    }
    return used;
}

static void carry(struct answer *a, const char *p, size_t n, enum fault if_too_long)
{
    if (a->carried + n > CARRY_MAX) {
        a->fault = if_too_long;
        return;
    }
    if (a->carried + n > a->carry_cap) {
        a->carry_cap = a->carried + n < 1024 ? 1024 : a->carried + n;
        a->carry = realloc(a->carry, a->carry_cap);
        if (a->carry == NULL)
            abort();
    }
    memcpy(a->carry + a->carried, p, n);
    a->carried += n;
}

/* How many bytes of p end the event that is being carried; all when it goes on. */
static size_t rest_of_event(const struct answer *a, const char *p, size_t n)
{
    if (p[0] == '\n' && a->carry[a->carried - 1] == '\n')
        return 1;
    const char *end = memmem(p, n, "\n\n", 2);
    return end == NULL ? n : (size_t)(end - p) + 2;
}

/* Body bytes without the chunked coding. */
static void take_body(struct answer *a, struct tally *t, const char *p, size_t n)
{
    if (a->carried > 0) {
        size_t rest = rest_of_event(a, p, n);
        carry(a, p, rest, FAULT_EVENT);
        if (a->fault != FAULT_NONE || take_events(a, t, a->carry, a->carried) == 0)
            return;
        a->carried = 0;
        p += rest;
        n -= rest;
    }
    size_t used = take_events(a, t, p, n);
    if (used < n && a->fault == FAULT_NONE)
        carry(a, p + used, n - used, FAULT_EVENT);
}

/* ---- the head ---------------------------------------------------------------------- */

static bool header_is(const char *line, size_t n, const char *name, struct slice *value)
{
    size_t length = strlen(name);
    if (n <= length || line[length] != ':' || strncasecmp(line, name, length) != 0)
        return false;
    for (line += length + 1, n -= length + 1; n > 0 && *line == ' '; n--)
        line++;
    *value = (struct slice){ .p = line, .n = n, .here = true };
    return true;
}

static enum fault take_head(struct answer *a, const char *head, size_t n)
{
    struct slice value;
    bool         chunked = false, event_stream = false;

    if (n < 15 || memcmp(head, "HTTP/1.1 ", 9) != 0)
        return FAULT_HEAD;
    a->status = (uint16_t)strtoul(head + 9, NULL, 10);
    if (a->status != 200)
        return FAULT_STATUS;
    const char *line = memchr(head, '\n', n);
    while (line != NULL && ++line < head + n) {
        const char *lf = memchr(line, '\n', (size_t)(head + n - line));
        if (lf == NULL || lf[-1] != '\r')
            return FAULT_HEAD;
        size_t length = (size_t)(lf - 1 - line);
        if (header_is(line, length, "content-type", &value))
            event_stream = value.n >= 17 && memcmp(value.p, "text/event-stream", 17) == 0;
        else if (header_is(line, length, "transfer-encoding", &value) && !chunked)
            chunked = value.n == 7 && memcmp(value.p, "chunked", 7) == 0;
        else if (header_is(line, length, "transfer-encoding", &value) ||
                 header_is(line, length, "content-length", &value))
            return FAULT_HEAD;
        else if (header_is(line, length, "connection", &value))
            a->closes = value.n == 5 && strncasecmp(value.p, "close", 5) == 0;
        line = lf;
    }
    return chunked && event_stream ? FAULT_NONE : FAULT_HEAD;
}

/* Collects the head; the number of bytes used. Many events may stand behind it already. */
static size_t collect_head(struct answer *a, const char *p, size_t n)
{
    size_t before = a->carried, from = before < 3 ? 0 : before - 3;
    size_t room = HEAD_MAX - before, piece = n < room ? n : room;

    carry(a, p, piece, FAULT_HEAD);
    const char *end = memmem(a->carry + from, a->carried - from, "\r\n\r\n", 4);
    if (end == NULL) {
        if (a->carried == HEAD_MAX)
            a->fault = FAULT_HEAD;
        return piece;
    }
    size_t length = (size_t)(end - a->carry) + 4;
    a->fault = take_head(a, a->carry, length - 2);
    if (a->fault != FAULT_NONE)
        keep_evidence(a, a->carry, a->carried);
    a->carried = 0;
    a->stage = STAGE_SIZE;
    a->left = a->size_digits = 0;
    return length - before;
}

/* ---- chunked coding ---------------------------------------------------------------- */

static enum fault take_size(struct answer *a, char c)
{
    unsigned digit;

    if (c >= '0' && c <= '9')
        digit = (unsigned)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        digit = (unsigned)((c | 0x20) - 'a') + 10;
    else if (c == '\r' && a->size_digits > 0) {
        a->stage = STAGE_SIZE_LF;
        return FAULT_NONE;
    } else
        return FAULT_CHUNK;
    a->left = a->left * 16 + digit;
    return ++a->size_digits > 8 ? FAULT_CHUNK : FAULT_NONE;
}

static void take_data(struct answer *a, struct tally *t, const char *p, size_t n)
{
    take_body(a, t, p, n);
    a->left -= n;
    if (a->left > 0)
        return;
    t->chunks++;
    t->torn_chunks += a->carried > 0;
    a->stage = STAGE_DATA_CR;
}

static enum fault judge_end(const struct answer *a)
{
    if (a->carried > 0)
        return FAULT_EVENT;
    if (!a->finished)
        return FAULT_FINISH;
    if (a->question.stamped && a->form == ANSWER_OPENAI && !a->usage)
        return FAULT_USAGE;
    if (!a->done)
        return FAULT_DONE;
    return a->next < a->question.words || a->wrong_text ? FAULT_TEXT : FAULT_NONE;
}

static enum fault take_framing(struct answer *a, char c)
{
    static const struct {
        char              wanted;
        enum answer_stage next;
    } row[] = {
        [STAGE_DATA_CR] = { '\r', STAGE_DATA_LF },
        [STAGE_DATA_LF] = { '\n', STAGE_SIZE },
        [STAGE_LAST_CR] = { '\r', STAGE_LAST_LF },
        [STAGE_LAST_LF] = { '\n', STAGE_END },
    };

    if (a->stage == STAGE_SIZE)
        return take_size(a, c);
    if (a->stage == STAGE_SIZE_LF) {
        a->stage = a->left > 0 ? STAGE_DATA : STAGE_LAST_CR;
        a->size_digits = 0;
        return c == '\n' ? FAULT_NONE : FAULT_CHUNK;
    }
    if (a->stage == STAGE_END || c != row[a->stage].wanted)
        return FAULT_CHUNK;
    a->stage = row[a->stage].next;
    return a->stage == STAGE_END ? judge_end(a) : FAULT_NONE;
}

/* ---- the whole answer -------------------------------------------------------------- */

void answer_start(struct answer *a, struct question q, enum answer_form form, char *heard)
{
    struct answer fresh = { .question = q,
                            .form = form,
                            /* nobody else speaks there */
                            .role = form == ANSWER_XCX || form == ANSWER_ASSISTANT,
                            .heard = heard,
                            .carry = a->carry,
                            .carry_cap = a->carry_cap };
    assert(q.words > 0 && q.words <= WORDS_MAX);
    *a = fresh;
}

void answer_release(struct answer *a)
{
    free(a->carry);
    a->carry = NULL;
    a->carry_cap = a->carried = 0;
}

void answer_feed(struct answer *a, struct tally *t, const char *bytes, size_t length)
{
    a->fresh_events = a->fresh_contents = 0;
    t->bytes += length;
    for (size_t i = 0; i < length && a->fault == FAULT_NONE;) {
        if (a->stage == STAGE_HEAD) {
            i += collect_head(a, bytes + i, length - i);
        } else if (a->stage == STAGE_DATA) {
            size_t n = length - i < a->left ? length - i : (size_t)a->left;
            take_data(a, t, bytes + i, n);
            i += n;
        } else {
            a->fault = take_framing(a, bytes[i++]);
            if (a->fault == FAULT_CHUNK)
                keep_evidence(a, bytes + i - 1, length - i + 1);
        }
    }
    if (a->stage == STAGE_END || a->fault != FAULT_NONE)
        t->lost += a->question.words - a->next;
}

void answer_give_up(struct answer *a, struct tally *t, enum fault why)
{
    if (a->fault != FAULT_NONE || a->stage == STAGE_END)
        return;
    a->fault = why;
    t->lost += a->question.words - a->next;
}
