/* pulse.h - whether workers turn, while a supervisor watches over all of us.
 *
 * Its watchdog hears of the leader only. So each worker beats, by a deadline on its loop, in
 * memory that the leader sees, and the leader looks twice in the watchdog's time whether it
 * has. Looks are counted and not time: where everything stood still together, as on a machine
 * that is halted, nobody is blamed for that.
 */
#ifndef PROCESS_PULSE_H
#define PROCESS_PULSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- in the leader ---- */
void     pulse_prepare(uint64_t watchdog_ns); /* before the first worker; 0: nobody watches */
uint64_t pulse_every(void);                   /* ns from look to look; 0: never */
bool     pulse_stands_still(size_t worker);   /* one look                       */

void pulse_begin(size_t worker);              /* in a worker                    */

#endif
