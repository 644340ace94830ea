/* xcx_prompt.h - what an application is asked on behalf of the mini-program: one text that
 * holds the page, the conversation so far and the question. No I/O.
 */
#ifndef API_XCX_PROMPT_H
#define API_XCX_PROMPT_H

#include "chat/question.h"
#include "store/messages.h"

enum { XCX_REMEMBERS = 20 };                  /* messages, the question among them */

struct xcx_page {
    struct str name, text;                    /* text: empty if there is nothing to say of it */
};

/* As a turn composes it (turn/turn.h); `page` is a struct xcx_page. */
void xcx_compose(struct question *q, void *page, const struct kept_message *messages, size_t n);

#endif
