/* log.h - one line per fact, as key=value or as one JSON object.
 *
 *     LOG(LOG_INFO, L_MSG("ready"), L_TEXT("address", address), L_INT("pid", pid));
 *
 * Lines go to standard error. Nothing here waits: lines collect in a buffer that
 * the loop empties before it sleeps, and when the reader of a pipe does not keep
 * up, lines are dropped, counted, and the count is logged later. Values are
 * escaped, so no text from outside can begin a line of its own. Callers keep
 * secrets and user text out; there is no field type for them on purpose.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
    const char *key;
    enum { LOG_IS_TEXT, LOG_IS_INT, LOG_IS_MS } kind;
    struct str text;
    int64_t    number; /* LOG_IS_MS: nanoseconds         */
};

#define L_STR(k, s)   { .key = (k), .kind = LOG_IS_TEXT, .text = (s) }
#define L_TEXT(k, t)  L_STR(k, str_of(t))
#define L_INT(k, v)   { .key = (k), .kind = LOG_IS_INT, .number = (int64_t)(v) }
#define L_MS(k, ns)   { .key = (k), .kind = LOG_IS_MS, .number = (int64_t)(ns) }
#define L_MSG(t)      L_TEXT("msg", t)

#define LOG(level, ...)                                                     \
    do {                                                                    \
        if (log_wants(level))                                               \
            log_write(level, (struct log_field[]){ __VA_ARGS__, { .key = NULL } }); \
    } while (0)

void log_setup(enum log_level lowest, enum log_format format);
void log_speak_as(size_t worker);             /* behind a fork: in all lines from now on */
bool log_wants(enum log_level level);
void log_write(enum log_level level, const struct log_field *fields);
void log_flush(void);
bool log_is_behind(void);                     /* there are lines that nobody took yet */

/* For what goes wrong before there is a service: one plain line, exit 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
