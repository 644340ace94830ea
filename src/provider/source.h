/* source.h - what a provider's dialect must be able to read. No I/O.
 *
 * Bytes of an answer go in, cut anywhere; events come out through the teller. A source
 * says its last word itself when it sees the end; end() tells it that no more bytes come,
 * and it then says what that means: a stream without its end marker was cut off.
 */
#ifndef PROVIDER_SOURCE_H
#define PROVIDER_SOURCE_H

#include "provider/teller.h"

struct json;
struct json_doc;
struct json_walk;
struct source;

struct source_ops {
    struct source *(*open)(struct teller *t);
    void (*feed)(struct source *s, struct str bytes);     /* of a stream          */
    void (*whole)(struct source *s, struct str body);     /* of an answer that is none, or
                                                             one message of a WebSocket */
    void (*end)(struct source *s, bool cut);              /* cut: the connection was lost */
    void (*close)(struct source *s);
};

extern const struct source_ops openai_source;
extern const struct source_ops dashscope_source, spark_source, anthropic_source, ollama_source;

/* An answer that is one JSON document and goes to the client as it is. */
extern const struct source_ops passing_source;

enum { SOURCE_EVENT_MAX_BYTES = 4 << 20 };

/* One document of an answer. NULL when it is none; that has then been told. */
struct json_doc *source_read(struct teller *t, struct str text);

/* The same of what the end of a stream has left over: half a document was cut off, unless
 * the answer had its finish reason before. */
struct json_doc *source_read_rest(struct teller *t, struct str text, bool has_finish);

/* What an HTTP status that is no success means. */
enum fault source_fault_of_status(int status);

/* What an error object means, whatever the dialect: by its code, which is a number here and a
 * word there, or by its type; else by its status (0: it has none). */
enum fault source_fault_of_error(const struct json *error, int status);

/* The same of the body of a refused question. */
enum fault source_fault_of_refusal(int status, const struct json *body);

/* Is this no part of an answer in OpenAI's shape, but an error, whatever the status said? */
bool source_has_failed(const struct json *v);

/* Spark's codes, which its HTTP gateway puts into errors like OpenAI's. */
bool spark_knows(uint64_t code, enum fault *fault);

/* The provider's own words in the body of an error: the message of whatever shape it has,
 * or the beginning of the body. Borrowed from the document or the body. */
struct str source_error_words(const struct json *body);

/* A provider's word for why it stopped; one that nobody knows is a plain end. */
enum finish source_finish(struct str word, bool has_calls);

/* A count: a whole number that may be written as text; 0 if it is none. */
uint64_t source_number(const struct json *v);

void source_usage(struct teller *t, uint64_t prompt, uint64_t completion);    /* 0 and 0: none */

/* A tool call that comes whole. Arguments may be an object or its text; a call without an id
 * gets one. `n_calls` counts them. */
void source_call(struct teller *t, uint64_t *n_calls, const struct tool_piece *call,
                 const struct json *arguments);

/* The items of an array; a single object stands for an array of one. */
struct json_walk source_items(const struct json *v);

#endif
