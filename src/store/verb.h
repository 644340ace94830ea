/* verb.h - one thing that is asked of the store, from the call to its end.
 *
 * Whoever asks embeds a verb in something of his own, zeroed but for done(), and calls a
 * function of chats.h, messages.h, turns.h or running.h with it. done() comes later, once,
 * from the top of the stack, unless verb_drop() comes before. What the verb brought lives
 * until verb_drop() or until it is used again. Parameters are copied at the call.
 *
 * Every verb may be repeated: after a lost connection the pool does it, after STORE_UNKNOWN
 * its owner may. Once done or twice done, the same is kept.
 */
#ifndef STORE_VERB_H
#define STORE_VERB_H

#include "base/arena.h"
#include "pg/pg_work.h"

enum store_end {
    STORE_OK,
    STORE_NOT_FOUND,                          /* it is not there, or is somebody else's */
    STORE_CONFLICT,                           /* it is there already, and is another */
    STORE_BUSY,                               /* not done; soon perhaps: 503    */
    STORE_CROWDED,                            /* not done; others of his own have to end first */
    STORE_AWAY,                               /* not done; there is no database: 503 */
    STORE_UNKNOWN,                            /* nobody knows whether it was done */
    STORE_REFUSED,                            /* it holds what cannot be kept; a bad lookup */
};
const char *store_end_name(enum store_end end);

/* Nothing of anybody else's is ever found. */
struct whose {
    int32_t    tenant;
    struct str dialect, owner;                /* owner: empty for nobody's      */
};

struct store;
struct verb;

struct verb_kind {
    /* May come more than once for a step, as a unit is repeated: it sets, and never adds. */
    void (*rows)(struct verb *v, size_t step, const struct pg_rows *rows);
    void (*judge)(struct verb *v);            /* all was done: `end` may become another */
};

/* A second unit, asked if the first one was done and that was not enough. */
struct verb_second {
    struct verb_kind kind;
    bool (*is_needed)(struct verb *v);
};

struct verb {
    void (*done)(struct verb *v);             /* the caller's                   */
    enum store_end end;
    const char    *why;                       /* a sentence; a constant         */
    struct str     words;                     /* a refused lookup: the database's own, or empty */
    struct arena   arena;                     /* owns what it brought           */

    /* The store's own. */
    const struct verb_kind   *kind;
    struct store             *store;
    struct pg_work           *work;           /* NULL: not under way            */
    const struct verb_second *second;         /* NULL: there is none            */
    struct pg_work           *next;           /* its unit, until it is sent     */
};

/* Nobody wants to hear of it any more, nor to see what it brought. If it is under way it may
 * be done all the same. Needed once for every verb that was used; harmless after that. */
void verb_drop(struct verb *v);

/* For the store's own files: the steps of the unit come between begin and send, and so do those
 * of the second one. */
struct pg_work *verb_begin(struct store *s, struct verb *v, const struct verb_kind *kind);
struct pg_work *verb_next(struct verb *v, const struct verb_second *second);
void            verb_send(struct verb *v);

struct str verb_text(struct verb *v, const struct pg_rows *rows, size_t row, int column);
struct str verb_bytes(struct verb *v, const struct pg_rows *rows, size_t row, int column);  /* of
                                                                      encode(..., 'hex') */

/* Parameters that stand in more than one file. */
void put_text_or_null(struct pg_work *w, struct str text);        /* NULL if it is empty */
void put_count_or_null(struct pg_work *w, int64_t n);             /* NULL if it is below 0 */
void put_json(struct pg_work *w, struct str json);                /* {} if it is empty */
void put_limit(struct pg_work *w, int64_t n, int64_t most);       /* 0 to `most`    */

/* Microseconds since 1970, of a column. */
#define MICROS(column) "(extract(epoch FROM " column ") * 1000000)::bigint"

#endif
