/* source_test.c - recorded bytes of providers -> events, the same at every cut.
 *
 * test/golden/source/KIND/NAME.in holds the bytes, NAME.events what they say:
 *
 *     start | delta "text" | reasoning "text" | tool INDEX "id" "name" "arguments"
 *     usage PROMPT COMPLETION | finish REASON | error FAULT ["words"]
 *
 * Words are compared only where the file gives them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "provider/source.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 1 << 16 };

static const char *folder;                    /* of the kind under test         */

static const char *const finish_names[] = {
    [FINISH_STOP] = "stop",
    [FINISH_LENGTH] = "length",
    [FINISH_TOOL_CALLS] = "tool_calls",
    [FINISH_CONTENT_FILTER] = "content_filter",
};

struct tape {
    struct buf     text;
    struct grammar grammar;
    bool           with_words;
};

static void add_words(struct buf *out, struct str text)
{
    buf_lit(out, " ");
    json_add_str(out, text);
}

static void put(void *ctx, const struct event *ev)
{
    struct tape *t = ctx;
    struct buf  *out = &t->text;

    assert_true(grammar_allows(&t->grammar, ev->type));
    buf_add(out, str_of(ev->type == EVENT_TOOL_CALL ? "tool" : event_name(ev->type)));
    if (ev->type == EVENT_TOOL_CALL) {
        buf_addf(out, " %d", (int)ev->tool.index);
        add_words(out, ev->tool.id);
        add_words(out, ev->tool.name);
    }
    if (ev->type == EVENT_USAGE)
        buf_addf(out, " %d %d", (int)ev->usage.prompt, (int)ev->usage.completion);
    if (ev->type == EVENT_FINISH)
        buf_addf(out, " %s", finish_names[ev->finish]);
    if (ev->type == EVENT_ERROR)
        buf_addf(out, " %s", fault_name(ev->fault));
    if (ev->type == EVENT_DELTA || ev->type == EVENT_REASONING || ev->type == EVENT_TOOL_CALL ||
        (ev->type == EVENT_ERROR && t->with_words))
        add_words(out, ev->text);
    buf_lit(out, "\n");
}

static void flush(void *ctx)
{
    (void)ctx;
}

static struct str read_file(const char *name, const char *ending, char *bytes)
{
    char  path[600];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
    f = fopen(path, "rb");
    assert_non_null(f);
    struct str s = { bytes, fread(bytes, 1, FILE_MAX, f) };
    assert_true(s.n < FILE_MAX);
    fclose(f);
    return s;
}

/* Every piece lies in memory of its own, so that a byte read too late is seen. */
static void feed_copy(struct source *s, struct str piece)
{
    char *copy = mem_copy(piece.p, piece.n);

    openai_source.feed(s, (struct str){ copy, piece.n });
    mem_free(copy);
}

static void expect(const char *name, struct str in, struct str wanted, size_t first, size_t piece)
{
    struct tape    tape = { .text = BUF(1 << 20) };
    struct teller  teller = { .out = { put, flush, &tape } };
    struct source *s = openai_source.open(&teller);
    const char    *error = memmem(wanted.p, wanted.n, "error ", 6);

    tape.with_words = error && memchr(error, '"', wanted.n - (size_t)(error - wanted.p));
    for (size_t at = 0, n = first; at < in.n; at += n, n = piece) {
        n = n > in.n - at ? in.n - at : n;
        feed_copy(s, (struct str){ in.p + at, n });
    }
    openai_source.end(s, false);
    openai_source.close(s);
    if (!str_eq(buf_str(&tape.text), wanted))
        fail_msg("%s, cut at %zu then every %zu:\n--- came\n%.*s--- wanted\n%.*s", name, first,
                 piece, STR_ARG(buf_str(&tape.text)), STR_ARG(wanted));
    buf_release(&tape.text);
}

static void check_file(const char *name)
{
    static char in_bytes[FILE_MAX], event_bytes[FILE_MAX];
    struct str  in = read_file(name, ".in", in_bytes);
    struct str  wanted = read_file(name, ".events", event_bytes);

    expect(name, in, wanted, in.n, 1);
    expect(name, in, wanted, 1, 1);
    expect(name, in, wanted, 3, 7);
    for (size_t cut = 1; cut < in.n; cut++)
        expect(name, in, wanted, cut, in.n);
}

static void recorded_streams_say_what_they_say(void **state)
{
    DIR           *dir;
    struct dirent *entry;
    int            files = 0;

    (void)state;
    folder = "test/golden/source/openai";
    dir = opendir(folder);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);

        if (n < 4 || strcmp(entry->d_name + n - 3, ".in") != 0)
            continue;
        entry->d_name[n - 3] = '\0';
        check_file(entry->d_name);
        files++;
    }
    closedir(dir);
    assert_true(files >= 25);
}

static void an_endless_event_is_refused(void **state)
{
    struct tape    tape = { .text = BUF(1 << 20) };
    struct teller  teller = { .out = { put, flush, &tape } };
    struct source *s = openai_source.open(&teller);
    static char    a[64 * 1024];

    (void)state;
    memset(a, 'a', sizeof a);
    openai_source.feed(s, STR("data: "));
    for (int i = 0; i < 100; i++)
        openai_source.feed(s, (struct str){ a, sizeof a });
    openai_source.end(s, false);
    openai_source.close(s);
    assert_true(str_eq(buf_str(&tape.text), STR("error garbage\n")));
    buf_release(&tape.text);
}

static void a_whole_answer_is_read_too(void **state)
{
    struct tape    tape = { .text = BUF(1 << 20) };
    struct teller  teller = { .out = { put, flush, &tape } };
    struct source *s = openai_source.open(&teller);

    (void)state;
    openai_source.whole(
        s, STR("\n\n{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"all\"},"
               "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,"
               "\"completion_tokens\":1}}"));
    openai_source.end(s, false);
    openai_source.close(s);
    assert_true(str_eq(buf_str(&tape.text), STR("start\ndelta \"all\"\nusage 1 1\nfinish stop\n")));
    buf_release(&tape.text);
}

static void a_secret_is_not_repeated(void **state)
{
    struct tape   tape = { .text = BUF(4096), .with_words = true };
    struct teller teller = { .out = { put, flush, &tape }, .secret = STR("sk-123") };

    (void)state;
    teller_fail(&teller, FAULT_SERVICE_DENIED, STR("key sk-123 is wrong: sk-123"));
    teller_fail(&teller, FAULT_CUT, STR("twice"));
    assert_true(
        str_eq(buf_str(&tape.text), STR("error service_denied \"key *** is wrong: ***\"\n")));
    buf_release(&tape.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_say_what_they_say),
        cmocka_unit_test(an_endless_event_is_refused),
        cmocka_unit_test(a_whole_answer_is_read_too),
        cmocka_unit_test(a_secret_is_not_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
