/* dbgpt_question.h - reads the body of POST /api/v2/chat/completions. No I/O. */
#ifndef API_DBGPT_QUESTION_H
#define API_DBGPT_QUESTION_H

#include "base/json.h"
#include "chat/question.h"
#include "store/messages.h"

enum { DBGPT_REMEMBERS = 21 };                /* ten rounds, and the question   */

/* Texts are the question's. */
struct dbgpt_wish {
    bool       stream, incremental;
    bool       brings_history;                /* it is more than one message    */
    bool       has_param;
    bool       is_page;                       /* it takes failures as text      */
    struct str conv_uid, chat_mode, chat_param, user_name, sys_code;
    struct str content;                       /* what the user said last        */
};

/* The wish holds the defaults before. NULL: `mistakes` says why. */
struct question *dbgpt_read_question(const struct json *body, struct str system,
                                     struct dbgpt_wish *wish, struct buf *mistakes);

/* The body of a page: one text, and no messages. */
struct question *dbgpt_read_page(const struct json *body, struct str system,
                                 struct dbgpt_wish *wish, struct buf *mistakes);

/* What is wrong with the mode; false: nothing is. */
struct dbgpt_problem {
    const char *message, *code;
};
bool dbgpt_find_problem(const struct dbgpt_wish *wish, struct dbgpt_problem *problem);

bool       dbgpt_is_normal(struct str mode);
struct str dbgpt_system(int language);

/* Puts what was said before between the words for the model and the question; compose() of
 * turn/turn.h. */
void dbgpt_compose(struct question *q, void *ctx, const struct kept_message *messages, size_t n);

#endif
