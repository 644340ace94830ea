/* fake_store.h - stands in for the verbs of store/turns.h, running.h and messages.h that a turn
 * uses: each is answered at the next reading of the notes, as it is told to, or when
 * fake_answer() says so. What it is asked must be what `keeping` (flow/world.h) says.
 */
#ifndef FLOW_FAKE_STORE_H
#define FLOW_FAKE_STORE_H

#include "store/running.h"
#include "store/store.h"
#include "turn/keeper.h"

enum { FAKE_TEXT = 4096, FAKE_THERE = 4 };

struct fake_verbs {
    bool        is_slow;                      /* only fake_answer() answers     */
    const char *slow;                         /* NULL; those of these: r recall, c claim, m
                                                 remember, s save, e extend, a add, j clear,
                                                 t read, v view, o operation, f forget  */

    /* What comes of the next verb of a kind; one more of STORE_OK for ever. */
    enum store_end recall, claim, remember, save, append, extend, add, read, operate, forget;
    int            saves_that_fail;           /* so many times `save`, then OK  */
    enum claim     claims;                    /* of a claim that is OK          */
    bool           stop_asked, is_lost;       /* what a lease brings            */
    const char    *stop_id;                   /* NULL: all of them              */
    bool           is_in_progress;            /* the same operation is running already */
    bool           adds_unheard;              /* a piece that fails is there all the same */
    bool           hears;                     /* news are heard                 */
    size_t         n_cleared;

    int          recalls, claims_asked, remembers, saves, extends, adds, reads, sweeps, clears;
    int          views, operations, forgotten;
    char         operation[40]; /* of the last that was begun     */
    char         view[FAKE_TEXT]; /* name and content of the last   */
    char         saved[FAKE_TEXT], reasoned[FAKE_TEXT], calls[FAKE_TEXT]; /* by the last save */
    char         state[20], fault[20], finish[20], session[20], more[20];
    struct usage usage;
    int64_t      tokens_used;
    size_t   spared, extended, pieces, first_pieces; /* of the last turns_extend(), of all adds */
    char     journal[FAKE_TEXT]; /* letters of the first turn's events, as told() has them */
    uint64_t cleared_age, cleared_key_age;

    const struct store_news *news;            /* whom to tell                   */
    struct sweep            *sweep;           /* under way                      */

    /* What turn_read() brings of `turn`, which a recall or a lost claim names, too. */
    struct kept_turn     turn;
    struct journal_piece there[FAKE_THERE];
    size_t               n_there;
    int64_t              at_once;             /* 0: as many pieces as are asked for */
    int64_t              read_from;           /* of the last one                */
};

extern struct fake_verbs fake;

void fake_begin(void);
void fake_answer(void);
void fake_answer_next(void);                  /* one of those that are asked    */
void fake_drop(struct verb *v);
bool fake_is_asked(void);                     /* somebody waits for an answer   */
void fake_swept(enum store_end end, size_t closed);

/* A world of which all is kept. */
void kept_world(const char *script);
void keyed_world(const char *script);         /* and asked with a key, which is new */
void kept_end(void);
void kept_as(const char *state, const char *fault, const char *text);

/* Kept turns that are made by hand, of which nobody is asked. */
enum { FAKE_KEPT = 1201 };
extern struct kept fake_kept[FAKE_KEPT];
void               fake_hold(size_t i);
void               fake_say(size_t i);
void               fake_let_go(size_t i);
void               kept_by_hand_end(void);

#endif
