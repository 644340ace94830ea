/* http_fields.h - header fields as llhttp finds them: names and values in pieces.
 *
 * One buffer holds all text, the fields are places in it. Limits are the owner's: he asks
 * for the sizes after each addition.
 */
#ifndef NET_HTTP_FIELDS_H
#define NET_HTTP_FIELDS_H

#include "base/buf.h"

struct http_field {
    uint32_t name_at, name_n, value_at, value_n;   /* places in `text`          */
};

struct http_fields {
    struct buf         text;
    struct http_field *items;
    size_t             n, room;
};

void http_fields_clear(struct http_fields *f, size_t max_bytes);  /* memory is kept */
void http_fields_release(struct http_fields *f);

/* A name's first piece begins a field; false: `text` is full. */
bool http_fields_add_name(struct http_fields *f, struct str piece);
bool http_fields_add_value(struct http_fields *f, struct str piece);
void http_fields_end_value(struct http_fields *f);                /* it may have been empty */

/* Names are matched in any case; values come trimmed; absent is a NULL pointer. */
struct str http_fields_nth(const struct http_fields *f, struct str name, size_t n);
size_t     http_fields_count(const struct http_fields *f, struct str name);

#endif
