/* journey.h - when a connection came how far, for whoever wants to know what takes long.
 *
 * A way (reach.h) may name one; whoever goes that way then writes his moments into it. It
 * outlives them all.
 */
#ifndef NET_JOURNEY_H
#define NET_JOURNEY_H

#include "net/http_fields.h"

enum journey_step {
    JOURNEY_NAMED,                            /* the name has addresses         */
    JOURNEY_CONNECTED,
    JOURNEY_TUNNELLED,                        /* the proxy has let us through   */
    JOURNEY_SECURED,                          /* TLS                            */
    JOURNEY_ANSWERED,                         /* the head of an answer is there */
    JOURNEY_STEPS,
};

struct journey {
    uint64_t at[JOURNEY_STEPS];               /* clock_exact(); 0: it did not come to that */
    int      status;                          /* of the answer; 0: none         */
    bool     has_date;
    int64_t  date;                            /* the server's clock then, seconds since 1970 */
};

/* NULL is fine: nobody wants to know. */
void journey_mark(struct journey *j, enum journey_step step);
void journey_mark_head(struct journey *j, int status, const struct http_fields *fields);

#endif
