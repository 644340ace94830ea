/* tls.h - TLS 1.2 and 1.3 as a client, over bytes: no sockets here.
 *
 * A trust is whom to believe: the certificates of a file, or the system's. A session is
 * one connection; it is fed what came from the wire and writes what must go there into a
 * buf. What a server gives us so that the next handshake is shorter is kept in a memory,
 * one per origin, because a session is only worth something where it was made.
 *
 * Chain and name are always verified; there is no switch.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/buf.h"
#include "base/gate.h"

struct tls_trust;
struct tls_memory;
struct tls;

enum { TLS_WHY_MAX = 200 };

/* The same file gives the same trust as long as somebody holds it and nobody changes it. An empty name means the
 * system's certificates. NULL when there are none; `why` then says so. It reads a file. */
struct tls_trust *tls_trust_hold(struct str ca_file, char why[TLS_WHY_MAX]);
void              tls_trust_share(struct tls_trust *t);           /* one owner more */
void              tls_trust_drop(struct tls_trust *t);            /* NULL is fine */

struct tls_memory *tls_memory_new(void);
void               tls_memory_share(struct tls_memory *m);        /* one owner more */
void               tls_memory_drop(struct tls_memory *m);         /* NULL is fine */

/* Whose handshake may begin: a server is not met by a thousand at once, and the first ones
 * bring what makes those of the others short. */
struct gate *tls_memory_gate(struct tls_memory *m);
bool         tls_memory_is_lively(const struct tls_memory *m, uint64_t within_ns);

/* The trust and the memory must outlive it. */
struct tls *tls_new(struct tls_trust *trust, struct tls_memory *memory, struct str host);
void        tls_free(struct tls *t);          /* NULL is fine                   */

enum tls_result {
    TLS_DONE,                                 /* the handshake is over; bytes were read */
    TLS_WORKING,                              /* there is more to do at once    */
    TLS_HUNGRY,                               /* it needs more from the wire    */
    TLS_CLOSED,                               /* the peer said goodbye          */
    TLS_BROKEN,                               /* tls_why() tells                */
};

/* One step. Eats from `in`, appends to `out`. A step may take a millisecond. */
enum tls_result tls_handshake(struct tls *t, struct str *in, struct buf *out);
bool            tls_was_resumed(const struct tls *t);

/* DONE: *n bytes are in `plain`. */
enum tls_result tls_read(struct tls *t, struct str *in, struct buf *out, char *plain, size_t room,
                         size_t *n);
bool            tls_write(struct tls *t, struct str plain, struct buf *out);
void            tls_say_goodbye(struct tls *t, struct buf *out);
const char     *tls_why(const struct tls *t);

void tls_release(void);                       /* at the very end                */

#endif
