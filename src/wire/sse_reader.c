#include "wire/sse_reader.h"

#include <string.h>

void sse_reader_init(struct sse_reader *r, bool per_line, size_t max_event_bytes,
                     void (*on_record)(void *ctx, const struct sse_record *record), void *ctx)
{
    *r = (struct sse_reader){ .per_line = per_line, .on_record = on_record, .ctx = ctx };
    r->line = BUF(max_event_bytes);
    r->data = BUF(max_event_bytes);
}

void sse_reader_release(struct sse_reader *r)
{
    buf_release(&r->line);
    buf_release(&r->data);
}

static void dispatch(struct sse_reader *r)
{
    struct sse_record record = { .name = { r->name, r->name_n }, .status = r->status };

    if (r->has_data) {
        record.data = r->data.n ? buf_str(&r->data) : r->borrowed;
        r->on_record(r->ctx, &record);
    }
    buf_clear(&r->data);
    r->borrowed = (struct str){ NULL, 0 };
    r->has_data = false;
    r->name_n = 0;
    r->status = 0;
}

/* The borrowed line becomes ours: another line joins it, or its piece is going. */
static void keep_borrowed(struct sse_reader *r)
{
    buf_add(&r->data, r->borrowed);
    r->borrowed = (struct str){ NULL, 0 };
}

static void add_data(struct sse_reader *r, struct str value)
{
    if (r->has_data) {
        keep_borrowed(r);
        buf_add_char(&r->data, '\n');
        buf_add(&r->data, value);
    } else {
        r->borrowed = value;
    }
    r->has_data = true;
    if (r->per_line)
        dispatch(r);
}

static void set_name(struct sse_reader *r, struct str value)
{
    r->name_n = value.n < SSE_NAME_MAX ? value.n : SSE_NAME_MAX;
    if (r->name_n)
        memcpy(r->name, value.p, r->name_n);
}

static void read_comment(struct sse_reader *r, struct str text)
{
    struct str prefix = STR("HTTP_STATUS/");
    uint64_t   status;

    if (str_starts(text, prefix) && str_to_u64(str_trim(str_from(text, prefix.n)), &status) &&
        status < 1000)
        r->status = (int)status;
}

static void read_field(struct sse_reader *r, struct str line)
{
    struct str name, value = line;

    str_next(&value, ':', &name);
    if (value.n && value.p[0] == ' ')
        value = str_from(value, 1);
    if (str_eq(name, STR("data")))
        add_data(r, value);
    else if (str_eq(name, STR("event")))
        set_name(r, value);
    else if (str_eq(name, STR("error"))) {    /* old llama.cpp says it this way */
        set_name(r, name);
        add_data(r, value);
    } else if (r->on_field) {
        r->on_field(r->ctx, name, value);
    }
}

static void read_line(struct sse_reader *r, struct str line)
{
    if (!r->begun && str_starts(line, STR("\xef\xbb\xbf")))
        line = str_from(line, 3);
    r->begun = true;
    if (line.n == 0)
        dispatch(r);
    else if (line.p[0] == ':')
        read_comment(r, str_from(line, 1));
    else
        read_field(r, line);
}

static const char *find_end(struct str s)
{
    const char *lf = memchr(s.p, '\n', s.n);
    const char *cr = memchr(s.p, '\r', lf ? (size_t)(lf - s.p) : s.n);

    return cr ? cr : lf;
}

/* One line off the piece, joined with what was torn before. False: it has no end yet. */
static bool take_line(struct sse_reader *r, struct str *bytes)
{
    const char *end = find_end(*bytes);
    struct str  part = { bytes->p, end ? (size_t)(end - bytes->p) : bytes->n };

    if (!end || r->line.n) {
        buf_add(&r->line, part);
        if (!end)
            return false;
        part = buf_str(&r->line);
    }
    r->after_cr = *end == '\r';
    *bytes = str_from(*bytes, (size_t)(end - bytes->p) + 1);
    read_line(r, part);
    if (r->line.n)                            /* a borrowed value would point into it */
        keep_borrowed(r);
    buf_clear(&r->line);
    return true;
}

int sse_reader_feed(struct sse_reader *r, struct str bytes)
{
    while (bytes.n && !r->line.over && !r->data.over) {
        if (r->after_cr && bytes.p[0] == '\n') {
            bytes = str_from(bytes, 1);
            r->after_cr = false;
            continue;
        }
        r->after_cr = false;
        if (!take_line(r, &bytes))
            break;
    }
    keep_borrowed(r);
    return r->line.over || r->data.over ? -1 : 0;
}

void sse_reader_end(struct sse_reader *r)
{
    if (r->line.n)
        read_line(r, buf_str(&r->line));
    dispatch(r);
}

struct str sse_reader_begun(const struct sse_reader *r)
{
    struct str name = { NULL, 0 }, value = buf_str(&r->line);

    if (r->data.n)
        return buf_str(&r->data);
    str_next(&value, ':', &name);
    return str_eq(name, STR("data")) ? value : STR("");
}
