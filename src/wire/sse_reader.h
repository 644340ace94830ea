/* sse_reader.h - reads event streams, however their bytes are cut. No I/O.
 *
 * Tolerant, because providers differ: LF, CR and CRLF end a line; a BOM is skipped;
 * unknown fields are ignored; an event that the end of the stream finds unfinished is
 * handed on all the same. DashScope says each event's HTTP status in a comment
 * (":HTTP_STATUS/400"), which is kept, and some of its events follow each other without
 * an empty line, so its streams are read `per_line`: every data line is an event.
 */
#ifndef WIRE_SSE_READER_H
#define WIRE_SSE_READER_H

#include "base/buf.h"

enum { SSE_NAME_MAX = 32 };

struct sse_record {
    struct str name;                          /* of "event:"; empty: none       */
    struct str data;                          /* borrowed until the call returns */
    int        status;                        /* of ":HTTP_STATUS/"; 0: none    */
};

struct sse_reader {
    bool per_line;
    void (*on_record)(void *ctx, const struct sse_record *record);
    void *ctx;
    /* For whoever reads the other fields (id, retry) too; NULL, unless it is set after init. */
    void (*on_field)(void *ctx, struct str name, struct str value);

    /* Its own. */
    bool       has_data, after_cr, begun;
    int        status;
    size_t     name_n;
    struct str borrowed;                      /* a data line in the piece at hand */
    struct buf line;                          /* a line that has no end yet     */
    struct buf data;                          /* data lines that could not be borrowed */
    char       name[SSE_NAME_MAX];
};

void sse_reader_init(struct sse_reader *r, bool per_line, size_t max_event_bytes,
                     void (*on_record)(void *ctx, const struct sse_record *record), void *ctx);
void sse_reader_release(struct sse_reader *r);

/* 0, or -1 when a line or an event is larger than it may be; then nothing more comes. */
int  sse_reader_feed(struct sse_reader *r, struct str bytes);
void sse_reader_end(struct sse_reader *r);    /* the stream is over             */

/* The beginning of the data of an event that has no end yet, or was too large. */
struct str sse_reader_begun(const struct sse_reader *r);

#endif
