/* clock.h - what time it is.
 *
 * clock_now() is a monotonic reading taken once per loop pass: cheap, and the
 * same for everything that happens in that pass; it is never from before a sleep.
 * clock_exact() asks the kernel.
 * Wall time is for people, tokens and signatures, never for waiting.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_MS 1000000ull                   /* nanoseconds                    */
#define CLOCK_S  1000000000ull

uint64_t clock_now(void);                     /* nanoseconds, cached            */
uint64_t clock_exact(void);                   /* nanoseconds, fresh             */
void     clock_update(void);                  /* called by the loop             */
void     clock_forget(void);                  /* so is this: before it sleeps   */
/* "2026-03-20T10:00:00.123456+00:00", of microseconds since 1970. */
enum { CLOCK_ISO_SIZE = 40 };
void clock_iso(int64_t micros, char out[CLOCK_ISO_SIZE]);

int64_t clock_wall_ms(void); /* since 1970                     */

void clock_http_date(char out[30]);           /* "Sat, 21 Nov 2026 09:20:00 GMT" */
void clock_http_date_of(int64_t seconds, char out[30]);     /* since 1970      */
void clock_log_time(char out[25]);            /* "2026-11-21T09:20:00.123Z"      */

/* Tests only: from now on time stands at `ns` and moves when told to. */
void clock_fake(uint64_t ns);

#endif
