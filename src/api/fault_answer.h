/* fault_answer.h - a fault before the first word, as a true HTTP status. */
#ifndef API_FAULT_ANSWER_H
#define API_FAULT_ANSWER_H

#include "api/dialect.h"
#include "net/http_server.h"

void fault_answer(struct http_exchange *x, const struct dialect *d, const struct event *error);

#endif
