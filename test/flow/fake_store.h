/* fake_store.h - stands in for the verbs of store/turns.h, running.h and messages.h that a turn
 * uses: each is answered at the next reading of the notes, as it is told to, or when
 * fake_answer() says so.
 */
#ifndef FLOW_FAKE_STORE_H
#define FLOW_FAKE_STORE_H

#include "store/running.h"

enum { FAKE_TEXT = 4096 };

struct fake_verbs {
    bool is_slow;                             /* only fake_answer() answers     */

    /* What comes of the next verb of a kind; one more of STORE_OK for ever. */
    enum store_end recall, claim, remember, save, append, extend, add, read;
    int            saves_that_fail;           /* so many times `save`, then OK  */
    enum claim     claims;                    /* of a claim that is OK          */
    bool           stop_asked, is_lost;       /* what a lease brings            */

    int                  recalls, claims_asked, remembers, saves, extends, adds, reads, stops;
    int                  views;
    char                 view[FAKE_TEXT];     /* name and content of the last   */
    char                 saved[FAKE_TEXT]; /* content of the last save       */
    char                 state[20], fault[20];
    int                  pieces;             /* of the last journal_add()      */
    char                 journal[FAKE_TEXT]; /* deltas that it has got         */
    struct turn_call    *reading;            /* what the next turn_read() brings */
    struct kept_turn     turn;               /* ... of the turn, and recall() too */
    struct journal_piece piece;               /* ... and of its journal, if any */
};

extern struct fake_verbs fake;

void fake_begin(void);
void fake_answer(void);
void fake_drop(struct verb *v);
bool fake_is_asked(void);                     /* somebody waits for an answer   */

#endif
