/* http_reader.h - bytes in, one request out. No I/O.
 *
 * The request line is read here, as a whole and to the letter: llhttp would let more
 * than one space, RTSP and HTTP/0.9 pass, and could not tell a method that nobody knows
 * (501) from bytes that are no request at all (400). Fields and body are llhttp's; what
 * it leaves to its user is done here too: every limit, Host, the target's form, transfer
 * codings. A request gets the same verdict however its bytes are cut.
 *
 * feed() says MORE until something is due: HEAD once the head is whole and lawful (the
 * body has not been looked at; feed on to go on), WHOLE once the request is, BAD when
 * it must be refused, with `status` and `why`. After WHOLE or BAD only give_back() is
 * left. A connection takes a reader for each request and gives it back when nobody looks
 * at the request any more, so that one which waits, or listens to a stream, holds none.
 */
#ifndef NET_HTTP_READER_H
#define NET_HTTP_READER_H

#include "base/buf.h"
#include "base/settings.h"
#include "net/http_fields.h"
#include "wire/http_text.h"

#include <llhttp.h>

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
};

const char *http_method_name(enum http_method m);

enum http_progress {
    HTTP_PROGRESS_MORE,
    HTTP_PROGRESS_HEAD,
    HTTP_PROGRESS_WHOLE,
    HTTP_PROGRESS_BAD
};

struct http_limits {
    uint64_t max_header_bytes, max_headers, max_uri_bytes, max_body_bytes;
};

struct http_reader {
    llhttp_t           parser;
    struct http_limits limits; /* those it began with, whatever is reloaded */
    struct buf         line;   /* of a request line, until it is whole */
    struct buf         target_text;
    struct http_fields fields;
    struct buf         body;
    size_t             head_bytes; /* of the fields, and of empty lines before */
    size_t             body_bytes; /* of the body with its framing, before `piece` */
    const char        *piece;      /* what is being fed              */
    bool               has_line, in_body;
    int                status;
    const char        *why;
    enum http_method   method;
    struct http_target target; /* from HEAD on                   */
};

struct http_reader *http_reader_take(const struct http_settings *limits);
void                http_reader_give_back(struct http_reader *r);         /* NULL is fine */

enum http_progress http_reader_feed(struct http_reader *r, struct str bytes, size_t *eaten);

/* From HEAD on. Header names are matched in any case; absent is a NULL pointer. */
struct str http_reader_header(const struct http_reader *r, struct str name);   /* the first */
struct str http_reader_nth(const struct http_reader *r, struct str name, size_t n);
size_t     http_reader_count(const struct http_reader *r, struct str name);
struct str http_reader_target(const struct http_reader *r);                /* as it came */
bool       http_reader_expects_body(const struct http_reader *r);
bool       http_reader_is_chunked(const struct http_reader *r);
uint64_t   http_reader_content_length(const struct http_reader *r);
bool       http_reader_keeps_alive(const struct http_reader *r);
bool       http_reader_is_1_0(const struct http_reader *r);

/* From WHOLE on. */
struct str http_reader_body(const struct http_reader *r);

void http_readers_release(void);              /* the spare one, at the very end */

#endif
