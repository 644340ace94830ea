/* tale.h - what a turn says, and who hears it.
 *
 * A tale is told by its teller, a turn or a reading of one, to any number of sinks. One that
 * keeps what was told lets a sink join late, from any event on, and lets a slow one fall
 * behind without holding up anybody; it outlives its teller until the last of them has heard
 * the end. One that does not keep is held up by its slowest sink.
 */
#ifndef TURN_TALE_H
#define TURN_TALE_H

#include "base/buf.h"
#include "turn/sink.h"

/* Both may come from inside tale_join(), tale_flush() and whatever a sink says. */
struct teller_ops {
    void (*pace)(struct tale *t);             /* `full` is 0, or is it no longer */
    void (*deserted)(struct tale *t);         /* the last sink has left         */
    void (*visited)(struct tale *t);          /* NULL; one has come then        */
};

struct tale {
    const struct teller_ops *ops;             /* NULL: it has been told to its end */
    void                    *teller;
    struct list              sinks;
    size_t                   full;            /* sinks that hold it up          */
    bool                     has_begun, keeps;
    const struct turn_facts *facts;           /* the teller's; it keeps: as long as it tells */
    int64_t                  first, next;     /* number of the first event, of the next */
    struct buf               words;           /* it keeps: a piece (chat/event_bytes.h) */
};

/* Of an answer that was made a byte at a time, and of its documents. */
enum { TALE_LIMIT = 128 << 20 };

/* `limit` is of the bytes that it may keep; 0: it keeps nothing. */
struct tale *tale_new(const struct teller_ops *ops, void *teller, size_t limit);
void         tale_take_over(struct tale *t, const struct teller_ops *ops, void *teller);
void         tale_begin(struct tale *t, const struct turn_facts *facts, int64_t first);

void tale_tell(struct tale *t, const struct event *ev);
void tale_flush(struct tale *t);

/* The last word. The tale is gone for its teller. */
void tale_end(struct tale *t, const struct event *last);

void tale_free(struct tale *t);               /* nobody listens                 */

/* From the event of that number on; the tale must keep, or not have said anything. */
void tale_join(struct tale *t, struct sink *k, int64_t from);

#endif
