#include "question.h"

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
