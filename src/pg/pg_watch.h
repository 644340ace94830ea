/* pg_watch.h - libpq's socket, while it is this one: libpq may change it as it connects, even for
 * one of the same number.
 */
#ifndef PG_PG_WATCH_H
#define PG_PG_WATCH_H

#include "base/note.h"

struct pg_watch;

/* What happens there is left as a note. NULL: there is no socket. */
struct pg_watch *pg_watch_new(int fd, struct note *news);
void             pg_watch_for(struct pg_watch *w, int events); /* libuv's; NULL is fine */
void             pg_watch_end(struct pg_watch *w);             /* NULL is fine   */

#endif
