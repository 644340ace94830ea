/* retelling.h - text that comes in pieces, or each time again from its beginning.
 *
 * Some services send what is new, some all that there is so far, and which of the two it
 * is has to be found out by listening. Pieces give themselves away quickly: one that does
 * not begin with the text before it settles the matter. But "ha", "ha" may be a repeated
 * token as well as a text that did not grow. As long as both readings fit, only what both
 * agree on is told; a text that has grown from its beginning three times is a retelling.
 *
 * A retelling cannot take back what was told. One that merely lost its end (a trimmed
 * blank) tells nothing; one that contradicts what was told is an error, because what the
 * client has is then not what the service says.
 */
#ifndef PROVIDER_RETELLING_H
#define PROVIDER_RETELLING_H

#include "base/buf.h"

struct retelling {
    enum { RETELLING_UNSURE, RETELLING_PIECES, RETELLING_WHOLE } kind;
    struct buf whole, pieces;                 /* what there is so far, in both readings */
    size_t     told;                          /* bytes of it                    */
    int        growths;
    bool       was_silent;                    /* the latest text was empty      */
};

void retelling_init(struct retelling *r, size_t max_bytes);
void retelling_release(struct retelling *r);
void retelling_restart(struct retelling *r);  /* another text begins            */

/* What is to be told now, borrowed from `text` or until the next call. False when the
 * text contradicts what was told or is too long. */
bool retelling_add(struct retelling *r, struct str text, struct str *fresh);

/* The text is complete: the rest of what is to be told. Pieces end with an empty one. */
struct str retelling_settle(struct retelling *r);

#endif
