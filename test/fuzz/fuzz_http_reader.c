/* fuzz_http_reader.c - requests, whole and in pieces.
 *
 * The input is what one client sends; a mark (script.h) of any letter is where a read
 * ends. The same bytes go in whole, cut at the marks, and one by one, and must give the
 * same requests and the same refusal. Then once more with other limits from each mark l on,
 * as a reload brings them. What is accepted must also pass a second reader,
 * written here from RFC 9112, that knows nothing of the first: two readers that see
 * different things are how requests are smuggled. */
#include "net/http_reader.h"

#include "answers.h"
#include "base/buf.h"
#include "base/mem.h"
#include "script.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20, MEMORY_MAX = 24 * 1024 };

static const struct http_settings limits = {
    .max_header_bytes = 1024,
    .max_headers = 16,
    .max_uri_bytes = 64,
    .max_body_bytes = 1024,
};

static const struct http_settings wider = {
    .max_header_bytes = 4096,
    .max_headers = 20,
    .max_uri_bytes = 128,
    .max_body_bytes = 2048,
};

struct run {
    const struct http_settings *limits;
    struct http_reader         *reader;
    struct buf                  trace;  /* what came out, in words        */
    struct buf                  seen;   /* the bytes of this request so far */
    size_t                      head_n; /* of them, the head's            */
    bool                        over;   /* nothing is read after it       */
    int                         status; /* of the refusal                 */
    size_t                      memory; /* before it began                */
};

/* ---- the second reader --------------------------------------------------------------- */

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static bool take_line(struct str *rest, struct str *line)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

    if (!end)
        return false;
    *line = (struct str){ rest->p, (size_t)(end - rest->p) };
    *rest = str_from(*rest, line->n + 1);
    MUST_SAY(line->n && line->p[line->n - 1] == '\r', "a bare LF came through");
    line->n--;
    for (size_t i = 0; i < line->n; i++)
        MUST_SAY(line->p[i] == '\t' || (unsigned char)line->p[i] >= ' ',
                 "a control byte came through");
    MUST_SAY(!memchr(line->p, 0x7f, line->n), "DEL came through");
    return true;
}

struct framing {
    size_t     hosts, lengths, codings;
    struct str length;
    bool       chunked;
};

static void see_field(struct framing *f, struct str line)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct str  name, value;

    MUST_SAY(colon, "a field without a colon: %.*s", STR_ARG(line));
    name = (struct str){ line.p, (size_t)(colon - line.p) };
    value = str_trim(str_from(line, name.n + 1));
    MUST_SAY(http_is_token(name), "a field's name: %.*s", STR_ARG(line));
    f->hosts += str_eq_nocase(name, STR("host"));
    if (str_eq_nocase(name, STR("content-length"))) {
        f->lengths++;
        f->length = value;
    }
    if (str_eq_nocase(name, STR("transfer-encoding"))) {
        f->codings++;
        f->chunked = str_eq_nocase(value, STR("chunked"));
    }
}

static void see_head(const struct http_reader *r, struct str head)
{
    struct framing f = { 0 };
    struct str     line, rest = head, target = http_reader_target(r);

    while (take_line(&rest, &line) && line.n == 0)
        ;
    MUST(str_starts(line, str_of(http_method_name(r->method))));
    line = str_from(line, strlen(http_method_name(r->method)));
    MUST(line.n == target.n + 10 && line.p[0] == ' ');
    MUST(str_eq((struct str){ line.p + 1, target.n }, target));
    line = str_from(line, target.n + 1);
    MUST(str_eq(line, http_reader_is_1_0(r) ? STR(" HTTP/1.0") : STR(" HTTP/1.1")));
    while (take_line(&rest, &line) && line.n)
        see_field(&f, line);
    MUST(rest.n == 0);
    MUST(http_reader_count(r, STR("host")) == f.hosts);
    MUST(http_reader_count(r, STR("content-length")) == f.lengths);
    MUST(http_reader_count(r, STR("transfer-encoding")) == f.codings);
    MUST(f.hosts == 1 || (f.hosts == 0 && http_reader_is_1_0(r)));
    MUST(f.lengths + f.codings <= 1);
    MUST_SAY(!f.lengths || is_digits(f.length), "%.*s", STR_ARG(f.length));
    MUST(!f.codings || (f.chunked && !http_reader_is_1_0(r)));
    MUST(http_reader_is_chunked(r) == (f.codings == 1));
    MUST(f.lengths || http_reader_content_length(r) == 0);
}

static void see_whole(const struct http_reader *r, struct str raw)
{
    struct str body = http_reader_body(r);
    struct buf decoded = BUF(TEXT_MAX);
    size_t     length = 0;

    if (!http_reader_is_chunked(r)) {
        MUST(str_eq(raw, body) && body.n == http_reader_content_length(r));
        return;
    }
    MUST_SAY(chunked_read(raw, &decoded, &length) == CHUNKED_WHOLE, "%.*s", STR_ARG(raw));
    MUST(length == raw.n);
    MUST(str_eq(buf_str(&decoded), body));
    buf_release(&decoded);
}

/* ---- the first ------------------------------------------------------------------------- */

static void tell(struct run *run, const char *name, struct str value)
{
    buf_addf(&run->trace, "%s=%zu:", name, value.n);
    buf_add(&run->trace, value);
    buf_add_char(&run->trace, '\n');
}

static void tell_head(struct run *run)
{
    static const char *const  names[] = { "host",       "content-length", "transfer-encoding",
                                          "connection", "expect",         "a" };
    const struct http_reader *r = run->reader;

    tell(run, "head", str_of(http_method_name(r->method)));
    tell(run, "target", http_reader_target(r));
    tell(run, "path", r->target.path);
    tell(run, "query", r->target.query);
    tell(run, "authority", r->target.authority);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t k = 0; k < http_reader_count(r, str_of(names[i])); k++)
            tell(run, names[i], http_reader_nth(r, str_of(names[i]), k));
    MUST(http_reader_nth(r, STR("a"), http_reader_count(r, STR("a"))).p == NULL);
    buf_addf(&run->trace, "alive=%d chunked=%d length=%llu body=%d\n", http_reader_keeps_alive(r),
             http_reader_is_chunked(r), (unsigned long long)http_reader_content_length(r),
             http_reader_expects_body(r));
}

static void check_head(const struct run *run)
{
    const struct http_reader *r = run->reader;

    MUST(r->status == 0);
    MUST(http_reader_target(r).n <= run->limits->max_uri_bytes);
    MUST(r->target.path.n && (r->target.path.p[0] == '/' || str_eq(r->target.path, STR("*"))));
    see_head(r, buf_str(&run->seen));
}

static void check_bad(const struct run *run)
{
    static const int statuses[] = { 400, 413, 414, 431, 501, 505 };
    bool             known = false;

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        known = known || run->reader->status == statuses[i];
    MUST_SAY(known && run->reader->why && *run->reader->why, "%d", run->reader->status);
}

static void next_request(struct run *run)
{
    http_reader_give_back(run->reader);
    run->reader = http_reader_take(run->limits);
    run->seen.n = run->head_n = 0;
}

static void got_head(struct run *run)
{
    check_head(run);
    tell_head(run);
    run->head_n = run->seen.n;
    if (http_reader_content_length(run->reader) > run->limits->max_body_bytes) {
        buf_lit(&run->trace, "too big\n");    /* the server's to refuse         */
        run->over = true;
    } else if (!http_reader_expects_body(run->reader)) {
        next_request(run);
    }
}

static void got_whole(struct run *run)
{
    struct str body = http_reader_body(run->reader);

    MUST(body.n <= wider.max_body_bytes);
    see_whole(run->reader, str_from(buf_str(&run->seen), run->head_n));
    tell(run, "body", body);
    next_request(run);
}

static void feed(struct run *run, struct str bytes)
{
    int idle = 0;

    while (bytes.n && !run->over) {
        size_t             eaten = SIZE_MAX;
        enum http_progress progress = http_reader_feed(run->reader, bytes, &eaten);

        MUST(eaten <= bytes.n);
        MUST(mem_live_bytes() <= run->memory + MEMORY_MAX);
        idle = eaten ? 0 : idle + 1;
        MUST_SAY(idle < 3, "it eats nothing and goes on");
        buf_add(&run->seen, (struct str){ bytes.p, eaten });
        bytes = str_from(bytes, eaten);
        if (progress == HTTP_PROGRESS_HEAD)
            got_head(run);
        else if (progress == HTTP_PROGRESS_WHOLE)
            got_whole(run);
        else if (progress == HTTP_PROGRESS_BAD) {
            check_bad(run);
            run->status = run->reader->status;
            run->over = true;
        }
    }
}

static bool is_limit(int status)
{
    return status == 413 || status == 414 || status == 431;
}

/* What is too large and malformed as well may be refused for either. */
static void compare(const struct run *whole, const struct run *other, const char *how)
{
    MUST_SAY(str_eq(buf_str(&whole->trace), buf_str(&other->trace)) && whole->over == other->over &&
                 (whole->status == other->status ||
                  (whole->status && other->status &&
                   (is_limit(whole->status) || is_limit(other->status)))),
             "whole, %d:\n%.*s\n%s, %d:\n%.*s", whole->status, STR_ARG(buf_str(&whole->trace)), how,
             other->status, STR_ARG(buf_str(&other->trace)));
}

/* In memory of its own size, so that the sanitizer sees the first byte too many. */
static void feed_alone(struct run *run, struct str bytes)
{
    char *copy = malloc(bytes.n ? bytes.n : 1);

    if (bytes.n)
        memcpy(copy, bytes.p, bytes.n);
    feed(run, (struct str){ copy, bytes.n });
    free(copy);
}

static void run_begin(struct run *run)
{
    *run = (struct run){ .limits = &limits, .trace = BUF(TEXT_MAX), .seen = BUF(TEXT_MAX) };
    /* The harness's own memory is asked for ahead: what grows after this is the reader's. */
    buf_reserve(&run->trace, 256 * 1024);
    buf_reserve(&run->seen, 64 * 1024);
    http_readers_release();
    run->memory = mem_live_bytes();
    run->reader = http_reader_take(run->limits);
}

static void run_end(struct run *run)
{
    http_reader_give_back(run->reader);
    http_readers_release();
    MUST_SAY(mem_live_bytes() == run->memory, "memory is kept");
    buf_release(&run->seen);
}

/* From now on, but not for the request that is being read: that one keeps its limits. */
static void reload(struct run *run)
{
    run->limits = run->limits == &limits ? &wider : &limits;
}

static void run_with_reloads(struct str script)
{
    struct run run;
    struct str text;
    char       mark;

    run_begin(&run);
    while (script_next(&script, &text, &mark)) {
        feed_alone(&run, text);
        if (mark == 'l')
            reload(&run);
    }
    run_end(&run);
    buf_release(&run.trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str script = { (const char *)data, size }, rest = script, text;
    struct buf all = BUF(TEXT_MAX);
    struct run whole, cut, single;
    char       mark;

    script_text(script, &all);
    run_begin(&whole);
    feed_alone(&whole, buf_str(&all));
    run_end(&whole);
    run_begin(&cut);
    while (script_next(&rest, &text, &mark))
        feed_alone(&cut, text);
    run_end(&cut);
    run_begin(&single);
    for (size_t i = 0; i < all.n; i++)
        feed_alone(&single, (struct str){ all.p + i, 1 });
    run_end(&single);
    compare(&whole, &cut, "cut");
    compare(&whole, &single, "byte by byte");
    run_with_reloads(script);
    buf_release(&whole.trace);
    buf_release(&cut.trace);
    buf_release(&single.trace);
    buf_release(&all);
    return 0;
}
