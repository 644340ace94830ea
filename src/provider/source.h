/* source.h - what a provider's dialect must be able to read. No I/O.
 *
 * Bytes of an answer go in, cut anywhere; events come out through the teller. A source
 * says its last word itself when it sees the end; end() tells it that no more bytes come,
 * and it then says what that means: a stream without its end marker was cut off.
 */
#ifndef PROVIDER_SOURCE_H
#define PROVIDER_SOURCE_H

#include "provider/teller.h"

struct source;

struct source_ops {
    struct source *(*open)(struct teller *t);
    void (*feed)(struct source *s, struct str bytes);     /* of a stream          */
    void (*whole)(struct source *s, struct str body);     /* of an answer that is none */
    void (*end)(struct source *s, bool cut);              /* cut: the connection was lost */
    void (*close)(struct source *s);
};

extern const struct source_ops openai_source;
extern const struct source_ops dashscope_source, spark_source, anthropic_source, ollama_source;

enum { SOURCE_EVENT_MAX_BYTES = 4 << 20 };

/* What an HTTP status that is no success means. */
enum fault source_fault_of_status(int status);

/* The provider's own words in the body of an error: the message of whatever shape it has,
 * or the beginning of the body. Borrowed from the document or the body. */
struct json;
struct str source_error_words(const struct json *body);

#endif
