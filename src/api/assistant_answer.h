/* assistant_answer.h - refusals and small answers as the assistant's clients read them.
 *
 *     {"detail":"..."}                                  most refusals
 *     {"error":{"code":"INVALID_REQUEST",...},"detail":[...],"timestamp":"..."}
 *                                                       a question that cannot be read
 */
#ifndef API_ASSISTANT_ANSWER_H
#define API_ASSISTANT_ANSWER_H

#include "api/assistant_question.h"
#include "net/http_server.h"
#include "store/messages.h"

/* Whether who asks there reads refusals of this kind. */
bool assistant_is_path(struct str path);

void assistant_write_refusal(struct buf *out, int status, const char *why);
void assistant_refuse(struct http_exchange *x, int status, const char *why);
void assistant_refuse_value(struct http_exchange *x, const struct assistant_problem *p);
void assistant_write_problem(const struct assistant_problem *p, int64_t micros, struct buf *out);

void assistant_add_time(struct buf *out, int64_t micros);         /* quoted */

/* The members that tell how a question or an answer ended. */
void assistant_add_state(struct buf *out, enum kept_state state);

extern const char assistant_not_ready[];

#endif
