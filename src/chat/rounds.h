/* rounds.h - an answer in which tools were used, as a model wants to see it again: its words and
 * calls, what they came to, its next words, and so on.
 *
 * `calls` is what gathering_write_calls() wrote. Only those that are ours are told; one whose
 * end nobody lived to see has come to nothing, which is said, for no model takes a call
 * without a result.
 */
#ifndef CHAT_ROUNDS_H
#define CHAT_ROUNDS_H

#include "chat/question.h"

/* Returns how many; they live in the arena. An answer of nothing is no message. */
size_t rounds_split(struct str content, struct str calls, struct arena *a, struct message **out);

#endif
