/* ports.h - the sockets that listen: one for each process that serves.
 *
 * They are opened here, or come from whoever started this program: its predecessor, which
 * goes on until this one serves, or a service manager that keeps them (LISTEN_FDS), also
 * by way of predecessors. Several stand on one address, and the kernel spreads the connections over them. Each is held by
 * the process that opened it as well as by the one that serves it, so that those who wait
 * there outlive the latter.
 */
#ifndef NET_PORTS_H
#define NET_PORTS_H

#include "base/address.h"

enum { PORTS_MAX = 128 };

#define PORTS_VARIABLE "RUNNEL_LISTEN_FDS"    /* "7,8,9": from a predecessor    */
#define PORTS_KEPT     "kept:"                /* before them: a service manager's at first */

struct ports {
    int           fds[PORTS_MAX];             /* -1: closed                     */
    size_t        n;
    union address at;                         /* the real one, if 0 was asked for */
    bool          are_handed_on;              /* a predecessor goes on meanwhile */
    bool          are_kept;                   /* by a service manager: so its address holds */
};

/* One that nobody else listens on; `bound` tells the real port. A negative error otherwise. */
int port_open(const union address *at, union address *bound);

/* So many sockets; those of a predecessor on the same address first. 0, or a negative error. */
int  ports_open(struct ports *p, const union address *at, size_t n);
int  ports_reopen(struct ports *p, size_t i); /* one that was closed            */
void ports_close(struct ports *p, size_t i);
void ports_close_but(struct ports *p, size_t kept);  /* PORTS_MAX: all          */

#endif
