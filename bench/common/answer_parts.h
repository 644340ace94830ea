/* answer_parts.h - what the parts of the reader (answer.h) share; nobody else includes it. */
#ifndef COMMON_ANSWER_PARTS_H
#define COMMON_ANSWER_PARTS_H

#include "answer.h"
#include "json.h"

/* One event that is no comment, without its blank line. */
enum fault answer_take_openai(struct answer *a, struct tally *t, const char *event, size_t n);
enum fault answer_take_xcx(struct answer *a, struct tally *t, const char *event, size_t n);
enum fault answer_take_dbgpt(struct answer *a, struct tally *t, const char *event, size_t n);
enum fault answer_take_assistant(struct answer *a, struct tally *t, const char *event, size_t n);

/* A piece of the text. */
enum fault answer_take_content(struct answer *a, struct tally *t, struct slice content);

bool answer_slice_is(struct slice s, const char *text);

#endif
