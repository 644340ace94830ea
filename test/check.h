/* check.h - cmocka, and what the unit tests share.
 *
 * check_str() and its kin print both texts, escaped, when they differ; check_that() prints
 * the row of a table that failed. A cutter feeds bytes in pieces: in one, in two at every
 * place, one by one. Each piece is a heap block of its own size, so that ASan sees a
 * reader that looks past its end.
 */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST(name)   static void name(void **state __attribute__((unused)))
#define COUNT(array) (sizeof(array) / sizeof *(array))

#define check_that(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error(__VA_ARGS__);                                                              \
            print_error("\n");                                                                     \
            fail_msg("not so: %s", #condition);                                                    \
        }                                                                                          \
    } while (0)

#define check_same(got, want)       check_same_at((got), (want), #got, __FILE__, __LINE__)
#define check_str(got, literal)     check_same((got), STR(literal))
#define check_buf(b, literal)       check_same(buf_str(b), STR(literal))
#define check_text(got, terminated) check_same((got), str_of(terminated))

/* Shown, so that it can stand in a message: escaped and terminated; free with mem_free(). */
static inline char *check_shown(struct str s)
{
    struct buf text = BUF(SIZE_MAX / 2);
    char      *shown;

    json_add_ascii(&text, s);
    shown = mem_copy(text.p, text.n);
    buf_release(&text);
    return shown;
}

static inline void check_same_at(struct str got, struct str want, const char *what,
                                 const char *file, int line)
{
    if (str_eq(got, want))
        return;
    /* Not print_error(): it cuts what is long. */
    fprintf(stderr, "%s:\n  got  %s\n  want %s\n", what, check_shown(got), check_shown(want));
    _fail(file, line);
}

static inline bool check_has(struct str text, struct str part)
{
    return part.n == 0 || (text.n && memmem(text.p, text.n, part.p, part.n));
}

/* The same numbers in every run. */
static inline uint64_t check_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Group setup and teardown for settings: a directory of its own, where the settings file
 * is conf.yaml, and an environment without RUNNEL_*. */
extern char **environ;

static inline int check_scratch_begin(void **state)
{
    char dir[] = "/tmp/runnel-test-XXXXXX", name[200];

    for (char **e = environ; *e;) {
        size_t n = strcspn(*e, "=");

        e++;
        if (n >= sizeof name || strncmp(e[-1], "RUNNEL_", 7) != 0)
            continue;
        memcpy(name, e[-1], n);
        name[n] = '\0';
        unsetenv(name);
        e = environ;
    }
    *state = mkdtemp(dir) ? mem_copy(dir, strlen(dir)) : NULL;
    return *state ? chdir(*state) : -1;
}

static inline int check_scratch_end(void **state)
{
    unlink("conf.yaml");
    rmdir(*state);
    mem_free(*state);
    return 0;
}

static inline void check_write_conf(struct str text)
{
    FILE *f = fopen("conf.yaml", "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
}

/* how = 0: one piece; 0 < how < n: two, cut before byte `how`; how = n: one by one. */
struct cutter {
    struct str whole;
    size_t     how, at;
    char      *piece;
};

static inline bool cutter_next(struct cutter *c, struct str *piece)
{
    size_t n = c->whole.n - c->at;

    mem_free(c->piece);
    c->piece = NULL;
    if (n == 0)
        return false;
    if (c->how == c->whole.n)
        n = 1;
    else if (c->at < c->how)
        n = c->how - c->at;
    c->piece = mem_resize(NULL, n);
    memcpy(c->piece, c->whole.p + c->at, n);
    c->at += n;
    *piece = (struct str){ c->piece, n };
    return true;
}

#endif
