/* conf.h - reads settings by a table.
 *
 * A conf_field says all there is to know about one setting: its name, kind,
 * default, range, where it goes and a sentence for people. From that one row come
 * the YAML reader, the environment (RUNNEL_HTTP_IDLE_TIMEOUT for http.idle_timeout,
 * it wins over the file), the command line (--set, it wins over both), the help and
 * the table in the README. The rows themselves are in base/settings.c.
 *
 * Every mistake is kept with its place, so that a person can mend them all at once.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include "base/arena.h"
#include "base/buf.h"

enum { CONF_WHY_MAX = 300 };

enum conf_kind {
    CONF_TEXT,                                /* struct str, terminated         */
    CONF_COUNT,                               /* uint64_t                       */
    CONF_BYTES,                               /* uint64_t: 4096, 64KiB, 8MiB    */
    CONF_TIME,                                /* uint64_t ns: 10s, 500ms, 5m    */
    CONF_CHOICE,                              /* int, the place in `choices`    */
    CONF_TEXTS,                               /* struct conf_texts              */
    CONF_SECTION,                             /* a struct in place              */
    CONF_RECORDS                              /* struct conf_records            */
};

struct conf_texts {
    struct str *items;
    size_t      n;
};

struct conf_records {
    void  *items;
    size_t n;
};

struct conf_field {
    const char               *name;
    enum conf_kind            kind;
    size_t                    offset;
    const char               *fallback; /* as in the file; NULL: must be given */
    uint64_t                  min, max; /* COUNT, BYTES, TIME; RECORDS: min many */
    const char *const        *choices;  /* CHOICE, ends with NULL         */
    const struct conf_record *record;         /* SECTION, RECORDS               */
    bool (*is_good)(struct str value);        /* TEXT, each of TEXTS            */
    bool (*judge)(struct str value, char why[CONF_WHY_MAX]);            /* the same, in words */
    bool is_secret;                           /* TEXT, TEXTS: never shown, right or wrong */
    const char *(*objection)(const struct conf_texts *all); /* TEXTS as a whole; NULL: none */
    const char *expects;                                    /* for people: "an address, ..."  */
    const char *help;
};

struct conf_record {
    const struct conf_field *fields;          /* ends with a row without a name */
    size_t                   size;
    size_t                   line_offset;     /* RECORDS: an int, where it stands */
};

struct conf_load {
    struct arena *arena;                      /* everything read lives here     */
    const char   *file;                       /* NULL: none                     */
    struct buf   *mistakes;                   /* one line each                  */
};

/* Fills `out` (a zeroed record): defaults, file, environment, then `overrides`
 * ("name=value", ends with NULL). Mistakes are told, not returned. */
void conf_read(const struct conf_load *load, const struct conf_record *root, void *out,
               const char *const *overrides);

/* A value that no file and no variable holds. */
struct conf_given {
    const char       *name;                   /* the row's                      */
    const char       *called;                 /* by whoever reads of a mistake in it */
    struct str        text;                   /* terminated                     */
    struct conf_texts texts;                  /* TEXTS: in its place            */
};

/* Fills `out` (a zeroed record): defaults, then these. `load->file` is what mistakes begin with. */
void conf_read_given(const struct conf_load *load, const struct conf_record *r, void *out,
                     const struct conf_given *given, size_t n);

/* A mistake at a line of the file (0: no line). */
void conf_mistake(const struct conf_load *load, int line, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void conf_write_help(const struct conf_record *root, struct buf *out);      /* plain text */
void conf_write_markdown(const struct conf_record *root, struct buf *out);  /* README's   */

#endif
