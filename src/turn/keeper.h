/* keeper.h - what this process does for all turns of which something is kept: it renews their
 * leases and writes their journal, all together in one statement each, hears who wants one to
 * stop, and closes what dead processes left.
 *
 * It also knows them by name, for whoever comes back to one that is told here.
 */
#ifndef TURN_KEEPER_H
#define TURN_KEEPER_H

#include "base/settings.h"
#include "store/running.h"
#include "turn/tale.h"

struct kept {
    struct link  link, by_id, by_key; /* all that hold a lease; names   */
    struct whose whose;
    struct str   id, key, question_hash;
    int64_t      chat;
    struct tale *tale;
    struct turn *turn;
    size_t       kept, sent;       /* bytes of the tale in the journal; on their way */
    int64_t      kept_to, sent_to; /* the numbers of the events behind them */
    bool         is_due, on_its_way; /* the part behind that         */
    bool         lease_asked, is_held;
    bool         is_ending; /* the save brings what the journal has not got */
};

/* Settings are from now on these; a store stays the one it was at first. */
void keeper_use(struct store *s, const struct turn_settings *settings);
void keeper_release(void);                    /* at the very end, before the store's */

struct store *keeper_store(void);             /* NULL: nothing can be kept      */
struct str    keeper_holder(void);

void keeper_enter(struct kept *k);            /* it can be found                */
void keeper_hold(struct kept *k);             /* it was claimed: it has a lease */
void keeper_look(const struct kept *k);       /* something was told             */
void keeper_leave(struct kept *k);            /* in any state                   */

struct kept *keeper_find(const struct whose *w, struct str id);
struct kept *keeper_find_key(const struct whose *w, struct str key);
struct kept *keeper_find_chat(const struct whose *w, int64_t chat);   /* the newest */

/* Who waits for news of a turn that is told elsewhere. */
struct waiter {
    struct link link;
    struct str  id;
    void (*news)(struct waiter *w);
};
void keeper_wait(struct waiter *w);
void keeper_wait_no_more(struct waiter *w);
bool keeper_hears(void);                      /* else news are to be looked for */

#endif
