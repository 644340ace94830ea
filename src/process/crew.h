/* crew.h - several processes that serve, and one that leads them.
 *
 * The leader has no loop and no library at work: it holds the ports, forks the workers, and
 * sleeps until a signal comes. It starts again who dies: after 100 ms, then after twice as
 * long each time, at most after 10 s; who has lived for a minute begins anew. It passes on
 * what it is told: HUP (when the new settings are good), TERM and INT; USR2 starts a new
 * program on the same ports (process/upgrade.h).
 *
 * A worker takes orders from its leader only. When TERM reaches it by another way, as where
 * a service manager signals every process, it does what the leader has ordered; when the
 * leader is gone it drains.
 */
#ifndef PROCESS_CREW_H
#define PROCESS_CREW_H

#include "net/ports.h"

enum { CREW_MAX = PORTS_MAX };

struct crew_plan {
    size_t        size;
    struct ports *ports;                      /* as many                        */
    int (*work)(int port, bool is_late);      /* in a worker; late: others serve already */
    bool (*reload)(void);                     /* in the leader: are they good?  */
    void (*ready)(void);                      /* in the leader: all serve       */
};

/* "4", or "auto": as many as there are processors for us. */
size_t crew_size(struct str workers);

/* Leads until the last worker has ended; 0, or 1 when it could not begin. */
int crew_lead(const struct crew_plan *plan);

/* Runs that in a process of its own, so that nothing of it is left in this one. */
bool crew_apart(bool (*work)(void));

/* ---- in a worker ---- */
enum crew_order { CREW_SERVE, CREW_DRAIN, CREW_END };

bool            crew_is_led(void);            /* false as well when the leader has gone */
enum crew_order crew_order(void);
void            crew_take_signals(void);      /* once they can be heard         */
void            crew_tell_ready(void);

#endif
