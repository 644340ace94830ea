/* json.h - walks one JSON text and picks out what an event of a streamed answer says.
 *
 * The whole text is checked against the grammar (RFC 8259, depth 32); only a few
 * values are kept. Slices point into the text and are still escaped.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>

struct slice {
    const char *p;
    size_t      n;
    bool        here, escaped;                /* a string stood there; it has escapes */
};

struct chunk_json {
    bool         has_choices, has_error, has_usage;
    bool         has_finished, finished;      /* of the assistant's events */
    unsigned     choices;
    struct slice role, content, finish_reason; /* of the first choice */
    struct slice token, message_id;           /* of the mini-program's events; a number */
    struct slice text;                        /* of the assistant's events */
};

/* 0, or -1 when the text is not JSON. */
int json_read_chunk(const char *text, size_t length, struct chunk_json *out);

/* Writes the text of a slice, at most `room` bytes; the length, or -1 (too long, bad \u). */
long json_unescape(struct slice s, char *out, size_t room);

#endif
