/* dbgpt_kept.h - what is kept of conversations, as DB-GPT's pages read it. No I/O. */
#ifndef API_DBGPT_KEPT_H
#define API_DBGPT_KEPT_H

#include "base/buf.h"
#include "store/messages.h"

/* Of the conversations that are looked at: empty ones are of any. */
struct dbgpt_wanted {
    struct str uid, mode, user, system;
};

bool dbgpt_is_wanted(const struct kept_chat *c, const struct dbgpt_wanted *w);

void dbgpt_add_time(struct buf *out, int64_t micros);
void dbgpt_add_or_null(struct buf *out, const char *name, struct str value);      /* ,"name":... */

/* ---- what was said in one, in the order of its messages ---- */

struct dbgpt_history {
    struct arena *arena;
    struct str    model;                      /* what all of it is said to come from */
    struct buf    out;                        /* an array                       */
    size_t        n;                          /* that stand in it               */
    int64_t       round;
    bool          lacks_view;                 /* the last one was an answer     */
    struct str    answer;
    int64_t       answer_at;
};

/* dbgpt_history_end() closes the array; whoever began it releases `out`. */
void dbgpt_history_begin(struct dbgpt_history *h, struct arena *a, struct str model, size_t limit);
void dbgpt_history_add(struct dbgpt_history *h, const struct kept_message *m);
void dbgpt_history_end(struct dbgpt_history *h);

#endif
