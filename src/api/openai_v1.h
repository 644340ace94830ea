/* openai_v1.h - answers a question in OpenAI's form, whichever door it came in by. */
#ifndef API_OPENAI_V1_H
#define API_OPENAI_V1_H

#include "api/openai_question.h"
#include "net/http_server.h"

/* Takes the question. */
void openai_ask(struct http_exchange *x, const struct http_reader *rq, struct question *q,
                const struct openai_wish *wish);

#endif
