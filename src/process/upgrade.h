/* upgrade.h - starts the program anew, as it is on the disk now, and hands it the ports.
 *
 * The new one gets the listening sockets and a pipe. When it serves it says so through the
 * pipe, and this one has only to end what it has begun. If it dies before that, or says
 * nothing for a minute, this one goes on as if nothing had been.
 */
#ifndef PROCESS_UPGRADE_H
#define PROCESS_UPGRADE_H

#include "net/ports.h"

enum upgrade {
    UPGRADE_NONE,
    UPGRADE_STARTS,
    UPGRADE_LINGERS,                          /* it failed, and has not ended yet */
    UPGRADE_SERVES,
    UPGRADE_FAILED,
};

/* First of all: how this program was started, and by whom. The words stay the caller's. */
void upgrade_remember(char **argv);

/* ---- for the old one ---- */
void         upgrade_start(const struct ports *p);
enum upgrade upgrade_look(void);              /* the two at the end are told once */
bool         upgrade_is_under_way(void);
void         upgrade_give_up(void);           /* this one ends, so the new one does */

/* ---- for the new one ---- */
void upgrade_tell_ready(void);
void upgrade_leave(void);                     /* in a child, which has nothing to tell */

#endif
