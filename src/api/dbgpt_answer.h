/* dbgpt_answer.h - how DB-GPT's clients are answered when there is no answer.
 *
 * Its own client and its pages read success, err_code and err_msg; OpenAI's SDKs read error;
 * others read detail.error. So all of them stand in one body.
 */
#ifndef API_DBGPT_ANSWER_H
#define API_DBGPT_ANSWER_H

#include "net/http_server.h"

/* What was raised with a status: err_msg is how Python shows it. */
void dbgpt_write_raised(struct buf *out, int status, const char *message, const char *code);

/* What went wrong by itself: E0001 (the request's form) and E0003 (all else), with 400. */
void dbgpt_write_failed(struct buf *out, const char *err_code, struct str text, const char *code);

/* A refusal that the routes or the guard made. */
void dbgpt_write_refusal(struct buf *out, int status, const char *why);

void dbgpt_raise(struct http_exchange *x, int status, const char *message, const char *code);
void dbgpt_fail(struct http_exchange *x, const char *err_code, struct str text, const char *code);

/* To a page, which reads nothing but a stream: one event with that text. */
void dbgpt_say(struct http_exchange *x, struct str text);

/* {"success":true,...,"data":...} */
void dbgpt_answer(struct http_exchange *x, struct str data);

#endif
