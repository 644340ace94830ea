/* loop.h - the one libuv loop of the process, and what runs between its passes.
 *
 * Before the loop sleeps: notes are read, log lines leave, the timer is set for the next
 * deadline, and the clock is forgotten, so that the sockets that wake it are served by a
 * fresh one: the first to ask reads it for the whole pass. After that, notes are read. Due
 * deadlines run from the timer. With notes waiting it does not sleep.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdint.h>
#include <uv.h>

uv_loop_t *loop_get(void);
uint64_t   loop_pass(void);                   /* its number                     */

void loop_open(void);
void loop_run(void);                          /* until loop_stop()              */
void loop_stop(void);
void loop_close(void);                        /* runs what still wants to close */

/* Calls `on` from the top of the stack for every such signal. */
void loop_on_signal(int signal, void (*on)(int signal));

/* One read lands here before it is handed on; nothing keeps a pointer to it. */
enum { LOOP_READ_SIZE = 64 * 1024 };
char *loop_read_buffer(void);

#endif
