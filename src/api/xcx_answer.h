/* xcx_answer.h - answers as the mini-program reads them.
 *
 *     {"code":0,"data":...}               a good one; the data alone if wrap_responses is false
 *     {"code":403,"message":"..."}        a refusal; the code is the HTTP status
 *
 * dialects.xcx.ascii is kept to in all of them.
 */
#ifndef API_XCX_ANSWER_H
#define API_XCX_ANSWER_H

#include "net/http_server.h"

void xcx_answer(struct http_exchange *x, struct str json);
void xcx_refuse(struct http_exchange *x, int status, const char *message);

/* For a 429 or 503: when asking again makes sense. The other one says: in a second. */
void xcx_refuse_for(struct http_exchange *x, int status, const char *message, unsigned seconds);

void xcx_write_refusal(struct buf *out, int status, const char *message);

/* What stands around the data of a good answer that is written straight into its body. */
void xcx_open(struct buf *out);
void xcx_close(struct buf *out);

/* Microseconds since 1970, quoted. */
void xcx_add_time(struct buf *out, int64_t micros);

/* Valid JSON as it goes out: its text may yet have to become ASCII. At most three times as long. */
void xcx_add_json(struct buf *out, struct str json);
void xcx_add_ascii(struct buf *out, struct str json);      /* whatever the settings say */

#endif
