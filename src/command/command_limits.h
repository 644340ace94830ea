/* command_limits.h - the options that say how much somebody may use. */
#ifndef COMMAND_COMMAND_LIMITS_H
#define COMMAND_COMMAND_LIMITS_H

#include "command/command_parts.h"
#include "store/operator.h"

#define COMMAND_LIMITS                                                                             \
    { "--requests-per-minute", "N", "questions begun within a minute" },                           \
        { "--tokens-per-minute", "N", "tokens reserved or used within a minute" },                 \
        { "--streams", "N", "answers running at once" },                                           \
        { "--tokens-per-day", "N", "tokens reserved or used within a day of UTC" },                \
        { "--money-per-day", "AMOUNT", "in the currency of the prices: 2.50" }

/* NULL where none is given. What is no number ends the program, but for "none" where a limit may
 * be lifted. */
void command_read_limits(const struct command_call *c, bool may_lift,
                         const char *limits[OPERATOR_LIMITS]);

#endif
