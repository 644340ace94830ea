/* notify_socket.h - tells whoever started us how we are: systemd's protocol, without its library.
 *
 * Each word is one datagram to the socket that NOTIFY_SOCKET names; without it nothing is
 * said. A watchdog is told that this process turns twice in the time that WATCHDOG_USEC
 * gives, by a deadline. Nothing waits, and what does not get through is not said again.
 *
 * One process speaks: the one that serves, or leads those who do. When a new program has
 * taken over that is the new one, which says so, and the old one closes.
 */
#ifndef NET_NOTIFY_SOCKET_H
#define NET_NOTIFY_SOCKET_H

#include <stdint.h>

void     notify_socket_open(void);            /* reads the environment          */
void     notify_socket_close(void);
uint64_t notify_watchdog(void);               /* its patience, ns; 0: nobody watches */

void notify_ready(uint64_t drain_ns);         /* also when reloading is over; how long an end takes */
void notify_reloading(void);
void notify_stopping(void);

#endif
