/* pieces.h - the bytes of an answer as OpenAI sends it, in pieces that are one write each.
 *
 * They are made once. Of a word only its letters and the stamp are put in; so a piece is
 * good until the next one of its kind is asked for.
 */
#ifndef RELAY_PIECES_H
#define RELAY_PIECES_H

#include "question.h"

enum { PIECE_MAX = 2048 };

struct piece {
    char   bytes[PIECE_MAX];
    size_t n, word_at;                        /* where the word and its stamp stand */
};

void pieces_make(void);

const struct piece *piece_of_start(void);     /* the head and the role */
const struct piece *piece_of_word(struct question q, uint32_t i, uint64_t ns);
const struct piece *piece_of_end(uint32_t words); /* finish reason, usage, [DONE] */
const struct piece *piece_of_call(uint32_t words);            /* the same, of a tool    */

/* All of an answer that is no stream; NULL: it would be too long. */
const struct piece *piece_of_whole(struct question q, uint64_t ns);

#endif
