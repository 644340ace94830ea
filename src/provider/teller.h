/* teller.h - says events in an order that the grammar allows.
 *
 * Every source tells its answer through one of these, so that none of them has to think
 * of START, of usage that comes after the end, of an emoji cut in two, of a character that
 * cannot be kept, or of a second last word. What comes after the last word is not said. Some facts have to be known before they can be told with
 * the right event: the session goes with START, the advice with ERROR.
 */
#ifndef PROVIDER_TELLER_H
#define PROVIDER_TELLER_H

#include "chat/event.h"

enum { TELLER_SECRETS = 3 };

struct teller {
    struct outlet out;
    bool          started, has_usage, ended;

    /* The source says: may it end here, has it ended. */
    enum { ANSWER_OPEN, ANSWER_WHOLE, ANSWER_DONE } progress;
    uint16_t        half;                     /* waits for the other; 0: none   */
    enum event_type half_type;                /* of the text that it is of      */
    uint64_t        half_tool;
    struct usage    usage;
    struct str      secrets[TELLER_SECRETS]; /* never to be repeated in words  */
    struct advice   advice;
    void (*judge)(struct teller *t, enum fault fault);     /* before ERROR; may advise; or NULL */
    struct str session;                                /* the source's, until START      */
};

/* Before the first text; the source keeps it until its end. */
void teller_session(struct teller *t, struct str id);

void teller_text(struct teller *t, struct str text);              /* empty: nothing */
void teller_reasoning(struct teller *t, struct str text);
void teller_tool(struct teller *t, const struct tool_piece *piece, struct str arguments);
void teller_citation(struct teller *t, const struct citation *citation);
void teller_usage(struct teller *t, const struct usage *usage);   /* the last one counts */
void teller_finish(struct teller *t, enum finish how);

/* The words are for the log: at most WORDS_MAX bytes of them, without the secrets. */
enum { TELLER_WORDS_MAX = 300 };
void teller_advise(struct teller *t, struct advice advice);       /* before teller_fail */
void teller_fail(struct teller *t, enum fault fault, struct str words);

#endif
