/* echo_tokens.h - cuts text into the echo's tokens. */
#ifndef PROVIDER_ECHO_TOKENS_H
#define PROVIDER_ECHO_TOKENS_H

#include "base/str.h"

size_t   echo_token_length(struct str text);  /* bytes of the first token       */
uint64_t echo_token_count(struct str text);

#endif
