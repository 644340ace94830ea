/* calculator.h - works out what is written as people write it: 2 * (3 + sqrt(16)) ^ 2. */
#ifndef TOOL_CALCULATOR_H
#define TOOL_CALCULATOR_H

#include "base/str.h"

#include <stdbool.h>

/* False: `why` is a sentence about what is wrong, a constant. */
bool calculate(struct str text, double *result, const char **why);

#endif
