/* resolve.h - names to addresses, without waiting.
 *
 * The C library's look-up blocks, so it runs in libuv's threads, at most LOOKUPS_AT_ONCE
 * at a time: a resolver that hangs takes those and nothing else. Whoever asks for a name
 * that is being looked up already waits for the same answer. Answers are kept for a
 * minute, failures for a few seconds. Numeric addresses are answered at once.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "base/address.h"
#include "base/list.h"
#include "base/note.h"

enum { RESOLVE_ADDRESSES_MAX = 8 };

struct addresses {
    union address items[RESOLVE_ADDRESSES_MAX];    /* families by turns, port filled in */
    size_t        n;
};

struct lookup {
    struct link      link;
    struct note      note;
    struct name     *name;
    uint16_t         port;
    int              rc;                      /* 0, or a UV code                */
    struct addresses found;
    void (*done)(struct lookup *l);
};

/* done() comes once, from the top of the stack, never from inside this call. */
void resolve_start(struct lookup *l, struct str host, uint16_t port,
                   void (*done)(struct lookup *l));
void resolve_cancel(struct lookup *l);        /* done() does not come any more  */

void resolve_forget(struct str host);         /* where it led did not answer    */
void resolve_forget_all(void);                /* the cache, at the very end     */

#endif
