#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A line is at most this long, so that a pipe takes it whole or not at all. */
enum { LINE_MAX_BYTES = 4000, PIPE_PIECE = 4096, BACKLOG_BYTES = 64 * 1024 };

static enum log_level  lowest = LOG_INFO;
static enum log_format format = LOG_LOGFMT;
static struct buf      backlog = { .limit = BACKLOG_BYTES };
static uint64_t        dropped;
static size_t          speaker;               /* 0: there is but one process    */

void log_setup(enum log_level new_lowest, enum log_format new_format)
{
    lowest = new_lowest;
    format = new_format;
}

/* What stands in the backlog is the other process's to write. */
void log_speak_as(size_t worker)
{
    speaker = worker;
    buf_clear(&backlog);
}

bool log_wants(enum log_level level)
{
    return level >= lowest;
}

/* ---- one line ----------------------------------------------------------- */

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return s.n > 0;
}

/* Controls beyond ASCII, line ends that some viewers know, and marks that turn the order of
 * what follows: they could make a line look like another one. */
static bool is_tricky(struct str c)
{
    static const struct {
        const char first[4], last[4];
    } rows[] = {
        { "\xc2\x80", "\xc2\x9f" },
        { "\xe2\x80\xa8", "\xe2\x80\xae" },
        { "\xe2\x81\xa6", "\xe2\x81\xa9" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (c.n == strlen(rows[i].first) && memcmp(c.p, rows[i].first, c.n) >= 0 &&
            memcmp(c.p, rows[i].last, c.n) <= 0)
            return true;
    return false;
}

/* Other characters than ASCII stay readable: services explain themselves in Chinese, too. */
static void add_quoted(struct buf *line, struct str text)
{
    buf_add_char(line, '"');
    while (text.n) {
        size_t     n = utf8_length(text);
        struct str c = { text.p, n ? n : 1 };

        if (n > 1 && !is_tricky(c))
            buf_add(line, c);
        else
            json_add_ascii_text(line, c);
        text = str_from(text, c.n);
    }
    buf_add_char(line, '"');
}

/* To the microsecond, and by hand: there is a line for every question. */
static void add_ms(struct buf *line, int64_t ns)
{
    uint64_t us = ((ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns) + 500) / 1000;
    char     part[] = { '.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                        (char)('0' + us % 10) };

    if (ns < 0 && us)
        buf_add_char(line, '-');
    buf_add_u64(line, us / 1000);
    buf_add(line, (struct str){ part, sizeof part });
}

static void add_value(struct buf *line, const struct log_field *f)
{
    switch (f->kind) {
    case LOG_IS_INT: buf_add_i64(line, f->number); return;
    case LOG_IS_MS: add_ms(line, f->number); return;
    case LOG_IS_TEXT:
        if (format == LOG_LOGFMT && is_plain(f->text))
            buf_add(line, f->text);
        else
            add_quoted(line, f->text);
        return;
    }
}

static void add_field(struct buf *line, const struct log_field *f)
{
    bool is_first = line->n == 0;

    if (format == LOG_JSON)
        buf_add(line, is_first ? STR("{\"") : STR(",\""));
    else if (!is_first)
        buf_add_char(line, ' ');
    buf_add(line, str_of(f->key));
    buf_add(line, format == LOG_JSON ? STR("\":") : STR("="));
    add_value(line, f);
}

/* A field that would make the line too long is left out whole: what stays can
 * always be parsed. */
static void add_field_if_it_fits(struct buf *line, const struct log_field *f)
{
    size_t before = line->n;

    add_field(line, f);
    if (line->over) {
        line->n = before;
        line->over = false;
    }
}

static void make_line(struct buf *line, enum log_level level, const struct log_field *fields)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    char                     ts[25];

    clock_log_time(ts);
    add_field(line, &(struct log_field)L_TEXT("ts", ts));
    add_field(line, &(struct log_field)L_TEXT("level", names[level]));
    if (speaker)
        add_field(line, &(struct log_field)L_INT("worker", speaker));
    for (const struct log_field *f = fields; f->key; f++)
        add_field_if_it_fits(line, f);
    line->limit += 2;
    if (format == LOG_JSON)
        buf_add_char(line, '}');
    buf_add_char(line, '\n');
}

/* ---- out, without waiting ------------------------------------------------ */

static bool can_write(void)
{
    struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* The longest run of whole lines that a ready pipe is sure to take. */
static size_t next_piece(void)
{
    size_t n = backlog.n;

    if (n <= PIPE_PIECE)
        return n;
    for (n = PIPE_PIECE; n > 0 && backlog.p[n - 1] != '\n'; n--)
        ;
    return n;
}

void log_flush(void)
{
    while (backlog.n && can_write()) {
        ssize_t n = write(STDERR_FILENO, backlog.p, next_piece());

        if (n < 0 && errno != EINTR)          /* nobody reads: EPIPE, ENOSPC    */
            break;
        if (n > 0)
            buf_drop_front(&backlog, (size_t)n);
    }
}

bool log_is_behind(void)
{
    return backlog.n > 0;
}

static void enqueue(struct str line)
{
    if (line.n > backlog.limit - backlog.n)
        log_flush();
    if (line.n > backlog.limit - backlog.n) {
        dropped++;
        return;
    }
    buf_add(&backlog, line);
}

void log_write(enum log_level level, const struct log_field *fields)
{
    static struct buf line;

    if (dropped && backlog.n < backlog.limit / 2) {
        uint64_t n = dropped;

        dropped = 0;
        log_write(LOG_WARN, (struct log_field[]){
                                L_MSG("log lines dropped"), L_INT("dropped", n), { .key = NULL } });
    }
    line.limit = LINE_MAX_BYTES;
    buf_clear(&line);
    make_line(&line, level, fields);
    enqueue(buf_str(&line));
    if (level == LOG_ERROR)
        log_flush();
}

void die(const char *text, ...)
{
    va_list args;

    log_flush();
    va_start(args, text);
    fputs("runnel: ", stderr);
    vfprintf(stderr, text, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}
