/* asking.h - what the client sends to have a question answered, at one of four doors.
 *
 * OpenAI's, DB-GPT's and the assistant's doors take the model's name; the mini-program's takes
 * the number of a conversation, which every asker has of its own. Askers come from a file, a
 * line each: what they show as their bearer, and at the mini-program's door the conversation.
 * Question i is asked by asker i, and by the first again when there are no more.
 */
#ifndef COMMON_ASKING_H
#define COMMON_ASKING_H

#include "answer.h"

struct asker {
    char *bearer, *chat;
};

struct asking {
    enum answer_form door;
    const char      *host, *model;
    const char      *once;                    /* Idempotency-Key: this and the number, or NULL */
    const char      *fields;                  /* more of the head, whole lines; or NULL */
    struct asker    *askers;
    size_t           n_askers;
};

/* What is wrong with the file, or NULL. */
const char *asking_read_askers(struct asking *a, const char *file);

/* Bytes that a request about so many words has at most. */
size_t asking_room(const struct asking *a, uint32_t words);

/* Into `room`; where in it the request begins, and its length. */
size_t asking_write(const struct asking *a, struct question q, char *room, size_t *from);

#endif
