/* reading.h - tells again what another turn has told, or is telling in another process: from
 * the journal as long as there is one, else from the answer that was kept.
 */
#ifndef TURN_READING_H
#define TURN_READING_H

#include "store/turns.h"
#include "turn/tale.h"

/* From its first event on, if anybody listens. Nothing was told of the tale so far. */
void reading_take_over(struct tale *tale, const struct whose *w, struct str turn);

/* To one sink, from the event of that number on; one that is told here is joined. */
void reading_start(struct sink *k, const struct whose *w, struct str turn, int64_t from);

size_t readings_alive(void);

#endif
