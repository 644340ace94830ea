/* assistant_ask.h - a question to the assistant, whichever way it came.
 *
 *     whose session ---> which model (turn/routing.h) ---> its turn
 *
 * Without a database every question stands for itself.
 */
#ifndef API_ASSISTANT_ASK_H
#define API_ASSISTANT_ASK_H

#include "api/assistant_dialect.h"
#include "api/assistant_question.h"
#include "api/visit.h"
#include "turn/routing.h"
#include "turn/turn.h"

struct asking {
    struct visit                *visit;
    struct question             *question; /* everything below lives as long */
    struct assistant_wish        wish;
    struct assistant_choice      choice;
    struct routed                routed;
    struct str                   prompt; /* of a plugin, before all else   */
    struct turn_keeping          keeping;
    const struct assistant_door *door;
    void                        *who;         /* the door's own                 */
    bool                         streams, takes_events;   /* the same          */
};

struct assistant_door {
    struct sink *(*make_sink)(struct asking *a);
    void (*refuse)(struct visit *v, int status, const char *why);     /* and ends the visit */
    void (*begun)(struct asking *a, struct turn *t);      /* NULL; the visit ends then */
};

/* From now on the visit has the question; a session without a name gets one. */
struct asking *assistant_asking_new(struct visit *v, struct question *q,
                                    const struct assistant_wish *wish,
                                    const struct assistant_door *door);
void           assistant_ask(struct asking *a);

#endif
