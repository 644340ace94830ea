/* answers.h - a strict reader of what an HTTP/1.1 server wrote on one connection. */
#ifndef TEST_FUZZ_ANSWERS_H
#define TEST_FUZZ_ANSWERS_H

#include "base/str.h"

#include <sys/types.h>

struct answers {
    size_t n;                                 /* whole answers, without "100 Continue" */
    bool   closing;                           /* the last one said that it is the last */
    int    statuses[8];                       /* of the first ones              */
};

/* Fails the run if it is anything but a row of lawful answers. `maybe_cut`: the last
 * one may end anywhere. `maybe_head`: some of them may answer HEAD. */
struct answers answers_read(struct str bytes, bool maybe_cut, bool maybe_head);

/* The length of a chunked text's coding at the start of `bytes`, or -1 if it is not
 * whole; what was coded is added to `out`. Anything doubtful fails: strict RFC 9112, 7.1. */
struct buf;
enum chunked { CHUNKED_WHOLE, CHUNKED_TORN, CHUNKED_BAD };
enum chunked chunked_read(struct str bytes, struct buf *out, size_t *length);

#endif
