/* answer_text.c - the words of an answer, compared with what must come. */
#include "answer_parts.h"

#include <string.h>

size_t answer_length(struct question q)
{
    return question_length(q) + (q.stamped ? (size_t)q.words * STAMP_LETTERS : 0);
}

enum { DUE_MAX = 1 + WORD_LETTERS + STAMP_LETTERS };

/* What is due for word i: its letters, with the space that parts it from the one before,
 * and room for a stamp, which may say what it likes. */
static uint32_t due_text(const struct answer *a, char due[DUE_MAX], uint32_t *fixed)
{
    uint32_t n = 0;
    if (a->next > 0)
        due[n++] = ' ';
    question_word(a->question, a->next, due + n);
    *fixed = n + WORD_LETTERS;
    return a->question.stamped ? *fixed + STAMP_LETTERS : *fixed;
}

/* The text is not what was due. If it is another word whole, the rest can still be read. */
static void resume_elsewhere(struct answer *a, struct tally *t, const char *text, size_t n)
{
    uint32_t place = UINT32_MAX;

    a->wrong_text = true;
    if (n > 0 && *text == ' ')
        text++, n--;
    if (n == WORD_LETTERS + (a->question.stamped ? (size_t)STAMP_LETTERS : 0))
        place = question_place(a->question, text);
    if (place >= a->question.words) {
        t->foreign++;
    } else if (place < a->next) {
        t->late++;
    } else {
        t->lost += place - a->next;
        t->words++;
        a->next = place + 1;
    }
    a->within = 0;
}

/* How much of the text is as it should be; it ends with the word that is due at the latest. */
static size_t agree(struct answer *a, const char *text, size_t n, uint32_t *length)
{
    char     due[DUE_MAX];
    uint32_t fixed, at = a->within;
    size_t   used = 0;

    for (*length = due_text(a, due, &fixed); used < n && at < *length; used++, at++) {
        if (at >= fixed)
            a->stamp[at - fixed] = text[used];
        else if (text[used] != due[at])
            break;
    }
    return used;
}

/* False: no stamp, or one from the future. */
static bool note_delay(const struct answer *a, const struct tally *t)
{
    int64_t age = stamp_age(a->stamp, t->now);

    if (age < 0)
        return false;
    if (t->delay != NULL)
        histogram_add(t->delay, (uint64_t)age * 1000, 1);
    return true;
}

static void word_whole(struct answer *a, struct tally *t)
{
    a->within = 0;
    a->next++;
    t->words++;
    if (a->question.stamped && !note_delay(a, t))
        a->wrong_text = true;
}

static void compare(struct answer *a, struct tally *t, const char *text, size_t n)
{
    for (size_t used = 0; used < n;) {
        if (a->next == a->question.words) {
            a->wrong_text = true;
            t->foreign++;
            return;
        }
        uint32_t length;
        size_t   same = agree(a, text + used, n - used, &length);
        if (same < n - used && a->within + same < length) {
            resume_elsewhere(a, t, text + used, n - used);
            return;
        }
        used += same;
        a->within += (uint32_t)same;
        if (a->within == length)
            word_whole(a, t);
    }
}

static void take_text(struct answer *a, struct tally *t, const char *text, size_t n)
{
    if (a->heard && a->heard_n + n <= answer_length(a->question)) {
        memcpy(a->heard + a->heard_n, text, n);
        a->heard_n += n;
    }
    compare(a, t, text, n);
}

bool answer_slice_is(struct slice s, const char *text)
{
    return s.here && s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

enum fault answer_take_content(struct answer *a, struct tally *t, struct slice content)
{
    char plain[4096];

    if (!content.here || content.n == 0)
        return FAULT_NONE;
    if (!a->role || a->finished)
        return FAULT_ORDER;
    a->fresh_contents++;
    t->contents++;
    if (!content.escaped) {
        take_text(a, t, content.p, content.n);
        return FAULT_NONE;
    }
    long n = json_unescape(content, plain, sizeof plain);
    if (n < 0)
        return FAULT_TEXT;
    take_text(a, t, plain, (size_t)n);
    return FAULT_NONE;
}
