/* source_fuzz.h - any bytes as a provider's answer.
 *
 * An input is a golden file's text: the bytes of a stream, or messages one in a line. A mark
 * (script.h) cuts it there; 'l' in front of everything loses the connection at the end, 'w'
 * hands the rest over as an answer that is no stream. What is told must be whole: a row of
 * events that the grammar allows, UTF-8, calls in order, one last word, memory given back;
 * and the same at every other cut.
 */
#ifndef TEST_FUZZ_SOURCE_FUZZ_H
#define TEST_FUZZ_SOURCE_FUZZ_H

#include "provider/source.h"

enum source_input { SOURCE_STREAM, SOURCE_MESSAGES };

int source_fuzz(const struct source_ops *ops, enum source_input input, const uint8_t *data,
                size_t size);

#endif
