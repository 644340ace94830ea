/* lead.h - the service with several workers: what the process does that was started.
 *
 * It reads the settings, and has a process of its own judge them, as that takes libraries
 * which must not be at work in who forks workers (process/crew.h).
 */
#ifndef LEAD_H
#define LEAD_H

#include "base/settings.h"
#include "net/ports.h"

struct led {
    struct settings **settings;               /* what workers begin with        */
    struct ports     *ports;
    size_t            workers;
    bool              migrates;               /* before it serves               */
    int (*work)(int port, bool is_late);      /* in a worker                    */
    void (*announce)(void);                   /* all of them serve              */
};

int lead(const struct led *l);                /* the exit code                  */

#endif
