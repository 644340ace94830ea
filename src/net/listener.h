/* listener.h - takes connections off one port.
 *
 * Own accept instead of libuv's: when the process runs out of descriptors the port
 * rests for a moment instead of spinning, and the log says so once a second.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/address.h"
#include "base/deadline.h"

#include <uv.h>

struct listener {
    uv_poll_t       poll;
    int             fd;
    bool            open;
    struct deadline rest;
    uint64_t        complained;
    void (*on)(struct listener *l, int fd, const union address *peer);
};

/* Of a socket that listens (net/ports.h), which is the listener's from now on. Returns 0, or
 * a negative UV code. */
int  listener_open(struct listener *l, int fd,
                   void (*on)(struct listener *l, int fd, const union address *peer));
void listener_close(struct listener *l);      /* takes those who wait already   */

#endif
