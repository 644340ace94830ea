/* http_answer.h - what a model is told of an HTTP answer. No I/O. */
#ifndef TOOL_HTTP_ANSWER_H
#define TOOL_HTTP_ANSWER_H

#include "base/buf.h"

/* As the head says it. The texts are the caller's. */
struct http_answer {
    int        status;
    struct str content_type;
    struct str body;                          /* or its beginning               */
};

enum { HTTP_ANSWER_ERROR_MAX = 2 * 1024 };    /* of the body of what is no success */

bool http_answer_is_good(int status);

/* May this be text? What has no type is looked at when it is there. */
bool http_answer_is_text(struct str content_type);

/* Whole UTF-8 without NUL: what is broken becomes U+FFFD. False: it is a failure. */
bool http_answer_write(const struct http_answer *a, struct buf *out);

#endif
