/* turn.h - one question, one answer. The story is in turn.c. */
#ifndef TURN_TURN_H
#define TURN_TURN_H

#include "base/settings.h"
#include "chat/question.h"
#include "store/askers.h"
#include "store/crowd.h"
#include "store/messages.h"
#include "turn/offer.h"
#include "turn/sink.h"

struct turn;

/* What is kept of a turn. All texts are copied. */
struct turn_keeping {
    struct whose        whose;
    struct str          key;           /* the client's, of this question; or empty */
    struct str          question_hash; /* 32 bytes, if there is a key    */
    bool                keeps_chat;
    struct chat_name    chat;                /* must be there                  */
    struct crowd_limits crowd;                /* on the owner's others; all 0: none */
    struct str          content, name, more; /* of the question, as the chat keeps it */
    bool                is_of_tool;          /* it is what a tool found, not a person's */
    bool                takes_operations;    /* who made it asks again when one has ended, and
                                                 remembers what tools found     */
    bool                is_assistants;       /* it said the question, as clients may let it */
    struct str          title;               /* if the chat has none yet       */
    struct str          answer_more;         /* JSON that the answer is kept with */
    bool                counts_characters;   /* as what the answer has used; else tokens */
    struct str          apology;             /* is added to an answer that failed */

    /* With so many messages of the chat, of which the question is the last, the question is
     * made anew before it is asked; 0: it stays as it is. */
    size_t remembers;
    void (*compose)(struct question *q, void *ctx, const struct kept_message *messages, size_t n);
    void *ctx;                                /* lives as long as the question  */
    bool  goes_on; /* with what the provider calls the chat */

    /* What is kept behind the answer, as what people are shown of it; NULL: nothing. */
    void (*write_view)(struct str answer, enum fault fault, struct buf *out);
};

/* What a turn begins with. The turn owns the question, keeps the catalog that is on
 * offer now, and closes the sink at its end. */
struct turn_order {
    struct question           *question;
    const struct model        *model;         /* on offer now                   */
    struct sink               *sink;
    const struct asker        *asker;         /* copied, but for his texts      */
    const char                *route;         /* for the log; a constant        */
    struct str                 request_id, client;    /* for the log; copied    */
    const struct turn_keeping *keeping;       /* NULL: nothing is kept          */
    enum leaving               on_leave;
};

/* NULL: the question is being answered already, and the sink hears that. */
struct turn *turn_start(const struct turn_order *order);

/* Somebody wants it to end: the first reason stands. */
void turn_interrupt(struct turn *t, enum fault why);
void turns_interrupt_all(enum fault why);
void turns_hurry(uint64_t until);             /* what is kept of them is not tried again then */

size_t turns_alive(void);

#endif
