/* note.h - the ready list: work that waits for the top of the stack.
 *
 * Whoever learns in a callback that something must be decided leaves a note.
 * The loop reads the notes with nothing else on the stack (net/loop.c), so what
 * runs there may close, free and start things without asking who is still
 * looking. A note left twice runs once. A note left while notes are being read
 * waits for the next reading: a step that always has more to do cannot starve
 * the sockets.
 */
#ifndef BASE_NOTE_H
#define BASE_NOTE_H

#include "base/list.h"

struct note {
    struct link link;
    void (*run)(struct note *n);
};

void note_leave(struct note *n);
void note_tear(struct note *n);               /* forget it, if it was left      */
void notes_run(void);                         /* those left before this call    */
bool notes_waiting(void);

#endif
