/* dial.h - from a name and a port to a connected socket.
 *
 * The addresses are tried in turn: the next one starts when the one before has failed or
 * has not answered for a quarter of a second (RFC 8305's idea), and the first that holds
 * wins. The whole has one deadline.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "base/deadline.h"
#include "net/resolve.h"

struct dial {
    struct lookup    lookup;
    struct addresses addresses;
    size_t           next;                    /* the address to try next        */
    struct list      attempts;
    struct deadline  head_start, patience;
    int              rc;                      /* the last failure               */
    uint64_t         named_at;                /* clock_exact(); 0: there are no addresses */
    bool             running;
    bool             only_public;
    void (*done)(struct dial *d, int fd, int rc);
};

/* done() comes once, from the top of the stack: a socket that is the caller's from then
 * on, or -1 and a negative UV code (UV_ETIMEDOUT when time ran out). */
void dial_start(struct dial *d, struct str host, uint16_t port, uint64_t timeout_ns,
                void (*done)(struct dial *d, int fd, int rc));

/* The same, but of the name's addresses only those that are everybody's are tried, and the
 * name is not asked for again between the look and the step: UV_EACCES when there are none. */
void dial_start_public(struct dial *d, struct str host, uint16_t port, uint64_t timeout_ns,
                       void (*done)(struct dial *d, int fd, int rc));
void dial_cancel(struct dial *d);

#endif
