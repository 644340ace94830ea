/* question.h - the words of one stream, which nobody has to store to compare with.
 *
 * The question of stream `number` is `words` words of three letters (with its space
 * about as long as a model's token is on average). Word i is
 * (number * 7919 + i) written in base 26, so no word repeats within a stream,
 * two streams differ at every place, and a word that comes out of order tells
 * which one it is.
 *
 * The words of a stamped question carry the time when they were sent: STAMP_LETTERS
 * behind each word, CLOCK_MONOTONIC in microseconds, modulo 2^30, six bits to a letter.
 * It is good for differences of less than a quarter of an hour on one machine.
 */
#ifndef COMMON_QUESTION_H
#define COMMON_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct question {
    uint32_t number, words;
    bool     stamped;
};

enum { WORD_LETTERS = 3, WORDS_MAX = 26 * 26 * 26, STAMP_LETTERS = 5 };

void   question_word(struct question q, uint32_t i, char letters[WORD_LETTERS]);
size_t question_length(struct question q);
void   question_write(struct question q, char *text); /* question_length bytes */

/* The place of a word in the question; q.words or more when it is not one of its words. */
uint32_t question_place(struct question q, const char *letters);

void stamp_write(uint64_t ns, char letters[STAMP_LETTERS]);

/* Microseconds from the stamp to `ns`; negative when the stamp is from the future, and
 * INT64_MIN when the letters are no stamp. */
int64_t stamp_age(const char letters[STAMP_LETTERS], uint64_t ns);

#endif
