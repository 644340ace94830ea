/* openai_dialect.h - writes OpenAI's Chat Completions, streamed and whole. */
#ifndef API_OPENAI_DIALECT_H
#define API_OPENAI_DIALECT_H

#include "api/dialect.h"

struct openai_state {
    char         id[40];  /* "chatcmpl-" and the turn's; the same in every chunk */
    int64_t      created; /* wall seconds; the same too     */
    bool         include_usage;
    struct usage usage;                       /* held back until the finish     */
    struct str   model; /* stands behind the struct       */
};

struct openai_state *openai_state_new(struct str model, bool include_usage);

extern const struct dialect openai_dialect;

/* Hands on a document that the provider wrote (embeddings). It has no state. */
extern const struct dialect openai_passing_dialect;

/* OpenAI's error envelope; `param` and `code` may be NULL. */
void openai_write_error(struct buf *out, int status, const char *message, const char *param,
                        const char *code);

#endif
