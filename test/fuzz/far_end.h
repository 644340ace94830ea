/* far_end.h - the other end of every connection that the program opens.
 *
 * Linked in place of net/dial.c: each dial succeeds with one end of a pair of sockets, and
 * the other end of the newest pair is the fuzzer's. Everything happens inside these calls:
 * each lets the loop run until it has nothing more to do.
 */
#ifndef TEST_FUZZ_FAR_END_H
#define TEST_FUZZ_FAR_END_H

#include "base/buf.h"

size_t far_end_dials(void);                   /* since the start                */
void   far_end_say(struct str bytes);
void   far_end_hear(struct buf *out);         /* what has come; the rest of it is dropped */
void   far_end_hang_up(void);                 /* no more bytes from here        */
void   far_end_leave(void);                   /* closes                         */
void   far_end_settle(void);

#endif
