/* openai_dialect.h - writes OpenAI's Chat Completions, streamed and whole. */
#ifndef API_OPENAI_DIALECT_H
#define API_OPENAI_DIALECT_H

#include "api/dialect.h"

/* All chunks of an answer begin alike, so that is written once. */
struct openai_state {
    struct usage usage;                       /* held back until the finish     */
    bool         include_usage;
    size_t       head_at, n_head;             /* of `text`: how a chunk begins  */
    size_t       suffix_at;                   /* where that says that it is one */
    char         text[];                      /* room for the turn's part, then the model's */
};

struct openai_state *openai_state_new(struct str model, bool include_usage);

extern const struct dialect openai_dialect;

/* Hands on a document that the provider wrote (embeddings). It has no state. */
extern const struct dialect openai_passing_dialect;

/* OpenAI's error envelope; `param` and `code` may be NULL. */
void openai_write_error(struct buf *out, int status, const char *message, const char *param,
                        const char *code);

#endif
