#include "question.h"

#include <string.h>

static uint32_t word_value(struct question q, uint32_t i)
{
    return (uint32_t)(((uint64_t)q.number * 7919 + i) % WORDS_MAX);
}

void question_word(struct question q, uint32_t i, char letters[WORD_LETTERS])
{
    uint32_t v = word_value(q, i);
    for (int k = WORD_LETTERS - 1; k >= 0; k--, v /= 26)
        letters[k] = (char)('a' + v % 26);
}

size_t question_length(struct question q)
{
    return (size_t)q.words * (WORD_LETTERS + 1) - 1;
}

void question_write(struct question q, char *text)
{
    for (uint32_t i = 0; i < q.words; i++) {
        if (i > 0)
            *text++ = ' ';
        question_word(q, i, text);
        text += WORD_LETTERS;
    }
}

uint32_t question_place(struct question q, const char *letters)
{
    uint32_t v = 0;
    for (int k = 0; k < WORD_LETTERS; k++) {
        if (letters[k] < 'a' || letters[k] > 'z')
            return UINT32_MAX;
        v = v * 26 + (uint32_t)(letters[k] - 'a');
    }
    return (v + WORDS_MAX - word_value(q, 0)) % WORDS_MAX;
}

/* ---- stamps ------------------------------------------------------------------------ */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { STAMP_RANGE = 1 << (6 * STAMP_LETTERS) };

void stamp_write(uint64_t ns, char letters[STAMP_LETTERS])
{
    uint64_t us = ns / 1000;

    for (int k = STAMP_LETTERS - 1; k >= 0; k--, us >>= 6)
        letters[k] = digits[us & 63];
}

int64_t stamp_age(const char letters[STAMP_LETTERS], uint64_t ns)
{
    uint64_t sent = 0;

    for (int k = 0; k < STAMP_LETTERS; k++) {
        const char *digit = memchr(digits, letters[k], sizeof digits - 1);
        if (digit == NULL)
            return INT64_MIN;
        sent = (sent << 6) + (uint64_t)(digit - digits);
    }
    int64_t age = (int64_t)((ns / 1000 - sent) % STAMP_RANGE);
    return age < STAMP_RANGE / 2 ? age : age - STAMP_RANGE;
}
