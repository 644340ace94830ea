/* openai_refusal.h - a request that OpenAI's clients must not repeat as it is. */
#ifndef API_OPENAI_REFUSAL_H
#define API_OPENAI_REFUSAL_H

#include "net/http_server.h"

/* `param` and `code` may be NULL, `param` also empty. */
void openai_refuse(struct http_exchange *x, int status, const char *message, const char *param,
                   const char *code);
void openai_refuse_model(struct http_exchange *x, struct str name, const char *param);

#endif
