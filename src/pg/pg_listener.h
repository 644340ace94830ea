/* pg_listener.h - a connection of its own that hears what others NOTIFY.
 *
 * What is said while it is not connected is never heard. So gap() comes whenever it begins
 * to listen, at first and after every loss: whoever waits for news looks for himself then.
 * A connection that says nothing is asked now and then whether it is still there.
 *
 * It wants a session, which a pooler in transaction mode does not give.
 */
#ifndef PG_PG_LISTENER_H
#define PG_PG_LISTENER_H

#include "pg/pg_place.h"

struct pg_listener_ops {
    void (*heard)(void *owner, struct str channel, struct str payload);
    void (*gap)(void *owner);
};

struct pg_listener_settings {
    struct str         conninfo;
    uint64_t           connect_timeout;       /* ns                             */
    uint64_t           pulse;                 /* ns; how often it is asked, and may take */
    const char *const *channels;              /* plain names; 8 at most, then NULL */
};

struct pg_listener;

/* NULL: `why` tells what is wrong with the connection string. Neither heard() nor gap() may
 * close it. */
struct pg_listener *pg_listener_open(const struct pg_listener_settings *s,
                                     const struct pg_listener_ops *ops, void *owner,
                                     char why[PG_WHY_MAX]);
void                pg_listener_close(struct pg_listener *l);

bool pg_listener_is_listening(const struct pg_listener *l);

#endif
