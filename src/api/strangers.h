/* strangers.h - how often an address has shown what nobody knows.
 *
 * Addresses are counted for a minute from their first failure on, those of IPv6 by their first
 * 64 bits, which one house has to itself. There is room for a few thousand; where it runs out,
 * whoever failed least is forgotten.
 */
#ifndef API_STRANGERS_H
#define API_STRANGERS_H

#include "base/str.h"

#include <stdint.h>

/* It failed once more. 0: no more than `most` times; else the seconds until its minute is over. */
uint64_t strangers_note(struct str address, uint64_t most);

/* From now on all processes that are forked count together. */
void strangers_share(void);

void strangers_forget(void);                  /* all of them                    */

#endif
