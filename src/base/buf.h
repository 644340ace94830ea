/* buf.h - bytes that grow up to a limit fixed at birth.
 *
 * Appending past the limit appends nothing and sets `over`, which stays set, so
 * that a writer may append a dozen pieces and look once at the end. An empty
 * buf holds no memory. The bytes are not terminated.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

struct buf {
    char  *p;
    size_t n, cap;
    size_t limit;
    bool   over;                              /* something did not fit          */
};

#define BUF(max_bytes) ((struct buf){ .limit = (max_bytes) })

void       buf_release(struct buf *b); /* back to empty, without memory  */
void       buf_clear(struct buf *b);   /* back to empty, memory kept     */
struct str buf_str(const struct buf *b);

/* Room for n more bytes at p + n; false (and `over`) beyond the limit. */
bool buf_reserve(struct buf *b, size_t n);

void buf_add(struct buf *b, struct str s);
void buf_add_char(struct buf *b, char c);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_i64(struct buf *b, int64_t v);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_drop_front(struct buf *b, size_t n); /* moves the rest to the front    */

#define buf_lit(b, literal) buf_add((b), STR(literal))

#endif
