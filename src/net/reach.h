/* reach.h - from an origin's name to a stream that is ready to be spoken on.
 *
 *     (turn) ---> dial ---> (tunnel through a proxy) ---> (TLS) ---> ready
 *
 * Each rung is a row in reach.c. The stream is the owner's memory; while the ladder is
 * climbed its news go there, afterwards to the owner.
 */
#ifndef NET_REACH_H
#define NET_REACH_H

#include "net/dial.h"
#include "net/http_opening.h"
#include "net/journey.h"
#include "net/stream.h"
#include "net/tls.h"

/* The way to an origin; it must outlive who goes it. A copy owns its texts and shares trust
 * and memory; whoever describes a way may leave the memory to the copy. What goes only to
 * public addresses goes straight: where a proxy takes it nobody could tell. */
struct way {
    struct str         host;
    uint16_t           port;
    bool               is_secure;
    struct tls_trust  *trust;                 /* if it is                       */
    struct tls_memory *memory;
    struct str         proxy_host;            /* empty: straight                */
    uint16_t           proxy_port;
    struct str         proxy_credentials;     /* base64 of user:password; or empty */
    bool               only_public;           /* somebody else chose the host   */
    uint64_t           connect_timeout, tls_timeout;      /* ns                 */
    struct journey    *journey;               /* of who goes it; or NULL        */
};

void way_copy(struct way *to, const struct way *from);
void way_release(struct way *w);              /* of a copy                      */
bool way_eq(const struct way *a, const struct way *b);

enum { REACH_WHY_MAX = 256 };

struct reach {
    enum { REACH_TURN, REACH_DIAL, REACH_TUNNEL, REACH_TLS, REACH_OVER } rung;
    const struct way   *way;
    struct stream      *stream;
    void               *user;                 /* the owner's; set after the start */
    struct place        turn;                 /* among an origin's handshakes   */
    struct dial         dial;
    struct http_opening opening;
    struct deadline     patience;
    char                why[REACH_WHY_MAX];
    void (*on)(struct stream *s, enum stream_news news, struct str bytes);
    void (*done)(struct reach *r, bool good);
};

/* done() comes once, from the top of the stack; if it is not good, `why` tells. Whether
 * there is a stream to close then, or after a cancel, stream->open tells. */
void reach_start(struct reach *r, struct stream *s, const struct way *way,
                 void (*on)(struct stream *s, enum stream_news news, struct str bytes),
                 void (*done)(struct reach *r, bool good));
void reach_cancel(struct reach *r);

#endif
