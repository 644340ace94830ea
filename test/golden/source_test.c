/* source_test.c - recorded bytes of providers -> events, the same at every cut.
 *
 * test/golden/source/KIND/NAME.in holds the bytes of a stream (NAME.body: of an answer that
 * is none), NAME.events what they say:
 *
 *     start ["session"] | delta "text" | reasoning "text"
 *     tool INDEX "id" "name" "arguments" | citation "id" "title" "url" "text"
 *     usage PROMPT COMPLETION | finish REASON | error FAULT ["words"]
 *
 * Words are compared only where the file gives them. Spark has messages instead of a stream:
 * one in each line. */
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

static const struct kind {
    const char              *name;
    const struct source_ops *source;
    bool                     has_messages;
    int                      files;           /* at least so many               */
} kinds[] = {
    { "openai", &openai_source, false, 30 }, { "dashscope", &dashscope_source, false, 65 },
    { "spark", &spark_source, true, 55 },    { "anthropic", &anthropic_source, false, 40 },
    { "ollama", &ollama_source, false, 25 },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind;               /* under test                     */

static const char *const finish_names[] = {
    [FINISH_STOP] = "stop",
    [FINISH_LENGTH] = "length",
    [FINISH_TOOL_CALLS] = "tool_calls",
    [FINISH_CONTENT_FILTER] = "content_filter",
};

struct tape {
    struct buf     text;
    struct grammar grammar;
    struct advice  advice;                    /* of the last word               */
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
    t->advice = ev->advice;
    buf_add(out, str_of(ev->type == EVENT_TOOL_CALL ? "tool" : event_name(ev->type)));
    if (ev->type == EVENT_TOOL_CALL) {
        buf_addf(out, " %d", (int)ev->tool.index);
        add_words(out, ev->tool.id);
        add_words(out, ev->tool.name);
    }
    if (ev->type == EVENT_CITATION) {
        add_words(out, ev->citation.id);
        add_words(out, ev->citation.title);
        add_words(out, ev->citation.url);
        add_words(out, ev->citation.text);
    }
    if (ev->type == EVENT_USAGE)
        buf_addf(out, " %d %d", (int)ev->usage.prompt, (int)ev->usage.completion);
    if (ev->type == EVENT_FINISH)
        buf_addf(out, " %s", finish_names[ev->finish]);
    if (ev->type == EVENT_ERROR)
        buf_addf(out, " %s", fault_name(ev->fault));
    if (ev->type == EVENT_DELTA || ev->type == EVENT_REASONING || ev->type == EVENT_TOOL_CALL ||
        (ev->type == EVENT_START && ev->text.n) || (ev->type == EVENT_ERROR && t->with_words))
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

    snprintf(path, sizeof path, "test/golden/source/%s/%s%s", kind->name, name, ending);
    f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing", path);
    struct str s = { bytes, fread(bytes, 1, FILE_MAX, f) };
    assert_true(s.n < FILE_MAX);
    fclose(f);
    return s;
}

/* Every piece lies in memory of its own, so that a byte read too late is seen. */
static void hand_copy(struct source *s, struct str piece,
                      void (*hand)(struct source *s, struct str bytes))
{
    char *copy = mem_copy(piece.p, piece.n);

    hand(s, (struct str){ copy, piece.n });
    mem_free(copy);
}

/* One way to hand a file to a source. */
struct way {
    bool   as_body;
    size_t first, piece;                      /* where the bytes are cut        */
};

static void hand_messages(struct source *s, struct str in)
{
    const char *end;

    while (in.n && (end = memchr(in.p, '\n', in.n))) {
        struct str line = { in.p, (size_t)(end - in.p) };

        hand_copy(s, line, kind->source->whole);
        in = str_from(in, line.n + 1);
    }
}

static void hand_pieces(struct source *s, struct str in, const struct way *way)
{
    for (size_t at = 0, n = way->first; at < in.n; at += n, n = way->piece) {
        n = n > in.n - at ? in.n - at : n;
        hand_copy(s, (struct str){ in.p + at, n }, kind->source->feed);
    }
}

static bool says(const char *name, struct str in, struct str wanted, struct way way)
{
    bool           same;
    struct tape    tape = { .text = BUF(1 << 20) };
    struct teller  teller = { .out = { put, flush, &tape } };
    struct source *s = kind->source->open(&teller);
    const char    *error = memmem(wanted.p, wanted.n, "error ", 6);

    tape.with_words = error && memchr(error, '"', wanted.n - (size_t)(error - wanted.p));
    if (way.as_body)
        hand_copy(s, in, kind->source->whole);
    else if (kind->has_messages)
        hand_messages(s, in);
    else
        hand_pieces(s, in, &way);
    kind->source->end(s, false);
    kind->source->close(s);
    same = str_eq(buf_str(&tape.text), wanted);
    if (!same)
        print_error("%s/%s, cut at %zu then every %zu:\n--- came\n%.*s--- wanted\n%.*s", kind->name,
                    name, way.first, way.piece, STR_ARG(buf_str(&tape.text)), STR_ARG(wanted));
    buf_release(&tape.text);
    return same;
}

/* Until the first difference. */
static bool check_file(const char *name, const char *ending)
{
    static char in_bytes[FILE_MAX], event_bytes[FILE_MAX];
    struct str  in = read_file(name, ending, in_bytes);
    struct str  wanted = read_file(name, ".events", event_bytes);

    if (!says(name, in, wanted, (struct way){ strcmp(ending, ".body") == 0, in.n, 1 }))
        return false;
    if (kind->has_messages || strcmp(ending, ".in") != 0)
        return true;
    if (!says(name, in, wanted, (struct way){ false, 1, 1 }) ||
        !says(name, in, wanted, (struct way){ false, 3, 7 }))
        return false;
    for (size_t cut = 1; cut < in.n; cut++)
        if (!says(name, in, wanted, (struct way){ false, cut, in.n }))
            return false;
    return true;
}

static void check_kind(void)
{
    char           path[100];
    DIR           *dir;
    struct dirent *entry;
    int            files = 0, wrong = 0;

    snprintf(path, sizeof path, "test/golden/source/%s", kind->name);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char       *dot = strrchr(entry->d_name, '.');
        const char *ending = dot && strcmp(dot, ".body") == 0 ? ".body" : ".in";

        if (!dot || strcmp(dot, ending) != 0)
            continue;
        *dot = '\0';
        wrong += !check_file(entry->d_name, ending);
        files++;
    }
    closedir(dir);
    if (wrong || files < kind->files)
        fail_msg("%s: %d of %d files are wrong", kind->name, wrong, files);
}

static void recorded_answers_say_what_they_say(void **state)
{
    (void)state;
    for (kind = kinds; kind < kinds + KINDS; kind++)
        check_kind();
}

/* What a source says to `bytes` in pieces, `times` over, when the connection then ends. */
static void check_stream(const struct source_ops *source, struct str bytes, int times, bool cut,
                         const char *wanted)
{
    struct tape    tape = { .text = BUF(1 << 20) };
    struct teller  teller = { .out = { put, flush, &tape } };
    struct source *s = source->open(&teller);

    while (times--)
        source->feed(s, bytes);
    source->end(s, cut);
    source->close(s);
    if (!str_eq(buf_str(&tape.text), str_of(wanted)))
        fail_msg("came\n%.*s", STR_ARG(buf_str(&tape.text)));
    buf_release(&tape.text);
}

static void an_endless_event_is_refused(void **state)
{
    static char a[64 * 1024];

    (void)state;
    memset(a, 'a', sizeof a);
    for (kind = kinds; kind < kinds + KINDS; kind++)
        check_stream(kind->source, (struct str){ a, sizeof a }, 100, false, "error garbage\n");
}

/* Half of what came last is not read when the connection is lost. */
static void a_lost_connection_is_a_cut(void **state)
{
    (void)state;
    check_stream(&openai_source, STR("data: {\"choices\":[{\"finish_reason\":\"stop\"}]}"), 1, true,
                 "error cut\n");
    check_stream(&dashscope_source, STR("data:{\"output\":{\"finish_reason\":\"stop\"}}"), 1, true,
                 "error cut\n");
    check_stream(&anthropic_source, STR("data: {\"type\":\"message_stop\"}"), 1, true,
                 "error cut\n");
    check_stream(&ollama_source, STR("{\"done\":true}"), 1, true, "error cut\n");
    check_stream(&spark_source, STR(""), 0, true, "error cut\n");
}

static void a_whole_answer_that_came_before_the_loss_counts(void **state)
{
    (void)state;
    check_stream(&dashscope_source,
                 STR("data:{\"output\":{\"text\":\"a\",\"finish_reason\":\"stop\"}}\n"), 1, true,
                 "start\ndelta \"a\"\nfinish stop\n");
    check_stream(&anthropic_source, STR("data: {\"type\":\"message_stop\"}\n\n"), 1, true,
                 "start\nfinish stop\n");
    check_stream(&ollama_source, STR("{\"done\":true}\n"), 1, true, "start\nfinish stop\n");
}

/* The daily limit is the one of Spark's faults that another try cannot help. */
static void spark_says_when_it_is_not_to_be_asked_again(void **state)
{
    static const struct {
        struct str message;
        bool       not_again;
    } cases[] = {
        { STR_INIT("{\"header\":{\"code\":11201}}"), true },
        { STR_INIT("{\"header\":{\"code\":\"11201\"}}"), true },
        { STR_INIT("{\"header\":{\"code\":11202}}"), false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tape    tape = { .text = BUF(4096) };
        struct teller  teller = { .out = { put, flush, &tape } };
        struct source *s = spark_source.open(&teller);

        spark_source.whole(s, cases[i].message);
        spark_source.close(s);
        assert_true(str_eq(buf_str(&tape.text), STR("error service_busy\n")));
        assert_int_equal(tape.advice.not_again, cases[i].not_again);
        buf_release(&tape.text);
    }
}

static void a_secret_is_not_repeated(void **state)
{
    struct tape   tape = { .text = BUF(4096), .with_words = true };
    struct teller teller = { .out = { put, flush, &tape },
                             .secrets = { STR("sk-12345"), STR("otherkey") } };

    (void)state;
    teller_fail(&teller, FAULT_SERVICE_DENIED, STR("key sk-12345 is wrong: sk-12345"));
    teller_fail(&teller, FAULT_CUT, STR("twice"));
    assert_true(
        str_eq(buf_str(&tape.text), STR("error service_denied \"key *** is wrong: ***\"\n")));
    buf_release(&tape.text);
}

/* Who cuts words to a length cuts secrets too. */
static void a_piece_of_a_secret_is_not_repeated(void **state)
{
    static const struct {
        struct str  words;
        const char *told;
    } cases[] = {
        { STR_INIT("the otherkey: no"), "error cut \"the ***: no\"\n" },
        { STR_INIT("wrong: sk-12"), "error cut \"wrong: ***\"\n" },
        { STR_INIT("what otherke"), "error cut \"what ***\"\n" },
        { STR_INIT("what othe"), "error cut \"what ***\"\n" },
        { STR_INIT("this is not so"), "error cut \"this is not so\"\n" },
        { STR_INIT("sk-12 is cut"), "error cut \"sk-12 is cut\"\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tape   tape = { .text = BUF(4096), .with_words = true };
        struct teller teller = { .out = { put, flush, &tape },
                                 .secrets = { STR("sk-12345"), STR("otherkey") } };

        teller_fail(&teller, FAULT_CUT, cases[i].words);
        assert_true(str_eq(buf_str(&tape.text), str_of(cases[i].told)));
        buf_release(&tape.text);
    }
}

/* 299 letters and a character of three bytes. */
static void long_words_end_with_a_whole_character(void **state)
{
    char          words[302];
    struct tape   tape = { .text = BUF(4096) };
    struct teller teller = { .out = { put, flush, &tape } };

    (void)state;
    memset(words, 'a', 299);
    memcpy(words + 299, "中", 3);
    tape.with_words = true;
    teller_fail(&teller, FAULT_CUT, (struct str){ words, sizeof words });
    assert_int_equal(tape.text.n, strlen("error cut \"\"\n") + 299);
    buf_release(&tape.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_answers_say_what_they_say),
        cmocka_unit_test(an_endless_event_is_refused),
        cmocka_unit_test(a_lost_connection_is_a_cut),
        cmocka_unit_test(a_whole_answer_that_came_before_the_loss_counts),
        cmocka_unit_test(spark_says_when_it_is_not_to_be_asked_again),
        cmocka_unit_test(a_secret_is_not_repeated),
        cmocka_unit_test(a_piece_of_a_secret_is_not_repeated),
        cmocka_unit_test(long_words_end_with_a_whole_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
