/* hearing.h - the half of a call that does not care how its bytes travel: a source that is
 * fed, a limit on silence, and the last word.
 *
 * Who carries the bytes (upstream.c, spark.c) owns the hearing, feeds its source, says
 * hearing_flush() after what came together, and gives it drop(), which frees the call.
 */
#ifndef PROVIDER_HEARING_H
#define PROVIDER_HEARING_H

#include "base/deadline.h"
#include "provider/provider.h"
#include "provider/source.h"

struct hearing {
    struct provider         *provider;
    const struct source_ops *kind;
    struct source           *source;
    struct deadline          patience;        /* for the first event, then for the next bytes */
    bool                     waits_for_end; /* of the stream; that of the answer was heard */
    struct outlet            out;             /* the turn's; the teller has ours */
    struct teller            teller;
    void (*drop)(struct hearing *h);
};

void hearing_begin(struct hearing *h, struct provider *p, const struct source_ops *kind,
                   struct str secret, struct outlet out);
void hearing_release(struct hearing *h);      /* in drop()                      */

/* After each of these that ends the answer the call is gone, before the turn that heard its
 * last word can be. */
void hearing_flush(struct hearing *h);
void hearing_over(struct hearing *h);         /* the last word has been said    */
void hearing_fail(struct hearing *h, enum fault fault, struct str words);

void hearing_pause(struct hearing *h);
void hearing_resume(struct hearing *h);

#endif
