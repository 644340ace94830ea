/* stream.h - one connection that carries bytes.
 *
 * Reading: bytes arrive in the loop's shared buffer and are gone when the callback
 * returns. Writing: append to stream_out(), then stream_flush() tries to write at
 * once; what the kernel does not take is kept and follows when it can. Output memory
 * is borrowed while there is something to write, so an idle stream holds none.
 *
 * stream_secure() puts TLS around it: SECURED comes when the handshake is over, and from
 * then on all of the above holds for the bytes inside. There EOF is the peer's goodbye;
 * a connection that ends without one is BROKEN, for its last bytes may be missing.
 *
 * News comes to one callback, always from the loop and never from inside a call into
 * this module: a write that fails inside stream_flush() is told later, as BROKEN.
 * After EOF or BROKEN the owner calls stream_close(); CLOSED is the last news, and
 * only then may the memory go. stream_close() may be called from inside the callback.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/buf.h"
#include "base/note.h"

#include <uv.h>

enum stream_news {
    STREAM_DATA,                              /* `bytes` came                   */
    STREAM_EOF,                               /* the peer will send no more     */
    STREAM_SECURED,                           /* the handshake is over          */
    STREAM_MOVED,                             /* the kernel took queued bytes   */
    STREAM_BROKEN,                            /* the connection is lost         */
    STREAM_CLOSED
};

struct tls;

/* What every read and write looks at stands together, ahead of libuv's own. */
struct stream {
    void (*on)(struct stream *s, enum stream_news news, struct str bytes);
    struct secure *secure;                    /* NULL: plain                    */
    struct flight *flight;                    /* given to libuv                 */
    struct buf     out;                       /* not yet tried                  */
    uint64_t       handed;                    /* bytes given to the kernel by whole writes */
    bool           open, watched, reading, shut_wanted, closing;
    uv_tcp_t       tcp;
    struct note    broken;
    void          *user;                      /* the owner's                    */
};

/* Takes the socket `fd`. */
int stream_open(struct stream *s, int fd,
                void (*on)(struct stream *s, enum stream_news news, struct str bytes));

/* Takes the session; it reads on by itself until the handshake is over. */
void stream_secure(struct stream *s, struct tls *tls);

/* Why it is BROKEN, if that is TLS's doing; else empty. */
const char *stream_why(const struct stream *s);

void stream_read(struct stream *s, bool on);

struct buf *stream_out(struct stream *s);
void        stream_flush(struct stream *s);
size_t      stream_queued(const struct stream *s);   /* bytes the kernel has not taken */
uint64_t    stream_progress(const struct stream *s); /* grows as output moves   */

void stream_shut(struct stream *s);           /* no more output; after it has left: FIN */
void stream_close(struct stream *s);
void stream_reset(struct stream *s);          /* close without the courtesies: RST */

void streams_release(void);                   /* the spare buffer, at the very end */

#endif
