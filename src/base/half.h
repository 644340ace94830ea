/* half.h - half an emoji, on its way to its other half.
 *
 * A provider that cuts its text between UTF-16 units sends an emoji as two escapes in two
 * events, and neither of them is a character. The reader of JSON lets each travel as a
 * private character (U+10F000 and the half's own 11 bits), so that all text stays valid
 * UTF-8; whoever tells the answer joins the two again.
 */
#ifndef BASE_HALF_H
#define BASE_HALF_H

#include "base/buf.h"

#include <stdint.h>

enum { HALF_BYTES = 4 };
#define HALF_LOST STR("\xef\xbf\xbd")                     /* what one that stays alone becomes */

void       half_write(char *to, unsigned unit);  /* 0xD800 to 0xDFFF; HALF_BYTES       */
bool       half_is_in(struct str text);
struct str half_cut_off(struct str text);     /* without halves at the end              */

/* Adds the text to `out` with its halves joined. A first half at the end waits in `held`
 * (0: none) for the next text. */
void half_join(uint16_t *held, struct str text, struct buf *out);

/* The same for a text that nothing follows. It is itself when no half is in it, and else
 * what was added to `out`. */
struct str half_mend(struct str text, struct buf *out);

#endif
