/* stream_secure.h - what stream.c asks of its TLS half; nobody else includes it. */
#ifndef NET_STREAM_SECURE_H
#define NET_STREAM_SECURE_H

#include "net/stream.h"

void        secure_take(struct stream *s, struct str bytes);      /* from the wire    */
void        secure_eof(struct stream *s);
bool        secure_seal(struct stream *s);    /* moves `out` into secure_wire()       */
struct buf *secure_wire(struct stream *s);    /* what has to go out                   */
void        secure_say_goodbye(struct stream *s);
void        secure_free(struct stream *s);

/* stream.c's, for the other half. */
void stream_break(struct stream *s);          /* BROKEN, from the top of the stack    */
void stream_watch(struct stream *s, bool on); /* libuv's reading                      */

#endif
