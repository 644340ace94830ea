/* dbgpt_chat.h - answers a question of a DB-GPT client, whichever of its doors it came in by. */
#ifndef API_DBGPT_CHAT_H
#define API_DBGPT_CHAT_H

#include "api/dbgpt_question.h"
#include "net/http_server.h"

/* Takes the question. */
void dbgpt_ask(struct http_exchange *x, const struct http_reader *rq, struct question *q,
               const struct dbgpt_wish *wish);

#endif
