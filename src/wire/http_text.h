/* http_text.h - the small grammars of RFC 9110 and 9112. No I/O. */
#ifndef WIRE_HTTP_TEXT_H
#define WIRE_HTTP_TEXT_H

#include "base/arena.h"
#include "base/buf.h"

bool http_is_tchar(unsigned char c);
bool http_is_token(struct str s);

/* Is `word` one of the comma-separated members of `list` (any case)? */
bool http_list_has(struct str list, struct str word);

/* uri-host [":" port], not empty, no user information. */
bool http_is_host(struct str s);

/* The media type without its parameters, trimmed. */
struct str http_media_type(struct str content_type);

/* A request target in origin, absolute or asterisk form. */
struct http_target {
    struct str path;                          /* begins with "/"; or "*"        */
    struct str query;                         /* without "?"                    */
    struct str authority;                     /* absolute form only             */
};
bool http_read_target(struct str target, struct http_target *out);

/* http://host[:port][/path], also https, ws and wss, without query. The port defaults to
 * the scheme's. */
struct http_url {
    struct str authority, host, path;         /* the path without a "/" at its end */
    uint16_t   port;
    bool       is_secure;                     /* https, wss                     */
};
bool http_read_url(struct str url, struct http_url *out);

/* http or https, with its query, and its path as it is: "/" at the least. */
bool http_read_web_url(struct str url, struct http_url *out, struct str *query);

/* Percent-decodes into the arena. False for bad escapes, NUL and broken UTF-8. */
bool http_decode(struct str s, struct arena *a, struct str *out);

/* The first value of that name in a query, decoded; in a query a "+" is a space. */
enum http_query { HTTP_QUERY_ABSENT, HTTP_QUERY_FOUND, HTTP_QUERY_BROKEN };
enum http_query http_query_get(struct str query, struct str name, struct arena *a,
                               struct str *value);

/* Percent-encodes all but letters, digits and "-._~"; in a query a space becomes "+". */
void http_encode(struct str s, struct buf *out);
void http_encode_query(struct str s, struct buf *out);

/* One response header field value: visible ASCII and spaces only. */
bool http_is_plain_value(struct str s);

/* "Sun, 06 Nov 1994 08:49:37 GMT", the one form of date that is sent today; in seconds
 * since 1970. */
bool http_read_date(struct str s, int64_t *seconds);

const char *http_reason(int status);

#endif
