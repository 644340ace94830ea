/* provider.h - what a provider must be: somebody who answers questions.
 *
 * Contract, for every kind:
 * 1. start() begins one call. Its events come through the outlet, never before
 *    start() has returned, in the order of chat/event.h, and end with exactly one
 *    FINISH or ERROR; the call is gone with that word.
 * 2. The question and the model's name outlive the call.
 * 3. cancel() ends a call that is not gone; nothing comes after it returns. It is
 *    called from the top of the stack, never from inside put() or flush().
 * 4. pause() may be called from inside flush(); the call then says nothing until
 *    resume(), which itself says nothing.
 */
#ifndef PROVIDER_PROVIDER_H
#define PROVIDER_PROVIDER_H

#include "base/settings.h"
#include "chat/event.h"
#include "chat/question.h"
#include "net/reach.h"
#include "wire/http_text.h"

struct call;                                  /* each kind has its own          */
struct provider;
struct standing;

struct provider_ops {
    bool gives_embeddings;
    /* Whether it can be shown all of the question; NULL: whatever it is. */
    bool (*takes)(const struct provider *p, const struct question *q);
    struct call *(*start)(struct provider *p, const struct question *q, struct str model,
                          struct outlet out);
    void (*pause)(struct call *c);
    void (*resume)(struct call *c);
    void (*cancel)(struct call *c);
};

/* One that was refused or used up rests while there are others. */
struct provider_key {
    struct str text;                          /* empty: none                    */
    uint64_t   rest_until;
};

struct provider {
    const struct provider_ops      *ops;
    struct http_url                 base;     /* of its base_url                */
    struct way                      way;      /* its texts are the settings'    */
    const struct provider_settings *settings;
    struct standing                *standing; /* of all its models together     */
    struct provider_key            *keys;
    size_t                          n_keys, next_key;
};

extern const struct provider_ops echo_provider, openai_provider, dashscope_provider,
    anthropic_provider, ollama_provider, spark_provider;

/* The operator's own header fields, for whoever writes a request. */
void provider_write_headers(const struct provider *p, struct buf *out);

#endif
