/* golden_sink_test.c - what a client reads, byte for byte.
 *
 * sink/<dialect>/<case>.events tells an answer, a line an event:
 *
 *   # about it            model "name"          ask usage          ask whole
 *   start                 delta "text"          think "text"       usage 3 2
 *   tool 0 ["id","name","arguments"]            tool 0 ["more arguments"]
 *   cite ["id","title","url","text"]
 *   finish stop           error timeout         silence (the heartbeat's comment)
 *
 * and <case>.out holds the bytes that must come out. Texts are JSON strings. The id and
 * the time are fixed. The bytes were written from the protocol, not taken from a run:
 * when one differs, ask first which of the two is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/openai_dialect.h"
#include "base/json.h"
#include "base/mem.h"
#include "turn/sink.h"
#include "wire/sse.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CASES_MAX = 200,
    CALLS_MAX = 8,
    CITATIONS_MAX = 8,
    FILE_MAX_BYTES = 1 << 20,
    OUT_MAX_BYTES = 1 << 20
};

static const char folder[] = "test/golden/sink/openai";

struct call {
    struct buf id, name, arguments;
};

struct telling {
    struct openai_state *state;
    struct buf           text, reasoning;     /* of an answer that is no stream */
    struct call          calls[CALLS_MAX];
    size_t               n_calls;
    struct json_doc     *cited[CITATIONS_MAX];
    size_t               n_cited;
    struct usage         usage;
    bool                 whole, usage_asked;
    bool                 begun;               /* the head of a stream is out    */
    struct grammar       grammar;
    struct str           model;
    struct json_doc     *model_doc;
    struct buf           out;
};

/* ---- reading ----------------------------------------------------------------------- */

static struct buf read_file(const char *name, const char *suffix)
{
    char       path[512];
    char       piece[4096];
    struct buf all = BUF(FILE_MAX_BYTES);
    FILE      *f;
    size_t     n;

    snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix);
    f = fopen(path, "re");
    if (!f)
        fail_msg("%s is not there; run this from the top of the tree", path);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(&all, (struct str){ piece, n });
    fclose(f);
    assert_false(all.over);
    return all;
}

/* The document must be freed after the text has been used. */
static struct json_doc *read_text(struct str quoted, struct str *text)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(quoted, &why);

    if (!doc || json_type(json_root(doc)) != JSON_STRING)
        fail_msg("%.*s is not a JSON string", STR_ARG(quoted));
    *text = json_str(json_root(doc));
    return doc;
}

static enum fault fault_named(struct str name)
{
    static const enum fault faults[] = {
#define X(id, name, http, elsewhere, again, breaks, end, text) FAULT_##id,
        FAULTS(X)
#undef X
    };

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (str_eq(name, str_of(fault_name(faults[i]))))
            return faults[i];
    fail_msg("there is no fault named %.*s", STR_ARG(name));
    return FAULT_NONE;
}

static uint64_t number(struct str *rest)
{
    struct str piece;
    uint64_t   v = 0;

    assert_true(str_next(rest, ' ', &piece));
    assert_true(str_to_u64(piece, &v));
    return v;
}

/* ---- telling ----------------------------------------------------------------------- */

static void begin(struct telling *t)
{
    if (t->state)
        return;
    t->state = openai_state_new(t->model, t->usage_asked);
    openai_dialect.begin(t->state,
                         &(struct turn_facts){ .id = STR("golden"), .at = 1700000000000000 }, 0);
}

static void collect_tool(struct telling *t, const struct event *ev)
{
    struct call *c = &t->calls[ev->tool.index];

    assert_true(ev->tool.index < CALLS_MAX && ev->tool.index <= t->n_calls);
    if (ev->tool.index == t->n_calls) {
        *c = (struct call){ BUF(OUT_MAX_BYTES), BUF(OUT_MAX_BYTES), BUF(OUT_MAX_BYTES) };
        t->n_calls++;
    }
    buf_add(&c->id, ev->tool.id);
    buf_add(&c->name, ev->tool.name);
    buf_add(&c->arguments, ev->text);
}

static struct citation citation_of(const struct json_doc *doc)
{
    struct json_walk w = json_walk(json_root(doc));
    struct citation  c = { .id = json_str(json_walk_next(&w)) };

    c.title = json_str(json_walk_next(&w));
    c.url = json_str(json_walk_next(&w));
    c.text = json_str(json_walk_next(&w));
    return c;
}

static void tell_answer(struct telling *t, enum finish finish)
{
    struct whole_tool_call calls[CALLS_MAX];
    struct citation        citations[CITATIONS_MAX];
    struct whole_answer    a = { .text = buf_str(&t->text),
                                 .reasoning = buf_str(&t->reasoning),
                                 .tool_calls = calls,
                                 .n_tool_calls = t->n_calls,
                                 .citations = citations,
                                 .n_citations = t->n_cited,
                                 .usage = t->usage,
                                 .finish = finish };

    for (size_t i = 0; i < t->n_calls; i++)
        calls[i] = (struct whole_tool_call){ buf_str(&t->calls[i].id), buf_str(&t->calls[i].name),
                                             buf_str(&t->calls[i].arguments) };
    for (size_t i = 0; i < t->n_cited; i++)
        citations[i] = citation_of(t->cited[i]);
    openai_dialect.write_whole(t->state, &a, &t->out);
}

static void tell_whole(struct telling *t, const struct event *ev)
{
    switch (ev->type) {
    case EVENT_START: return;
    case EVENT_DELTA: buf_add(&t->text, ev->text); return;
    case EVENT_REASONING: buf_add(&t->reasoning, ev->text); return;
    case EVENT_TOOL_CALL: collect_tool(t, ev); return;
    case EVENT_TOOL_RESULT:
    case EVENT_ROUND: return;
    case EVENT_CITATION: return;              /* tell_citation keeps it         */
    case EVENT_USAGE: t->usage = ev->usage; return;
    case EVENT_FINISH: tell_answer(t, ev->finish); return;
    case EVENT_ERROR: openai_dialect.write_fault(ev->fault, &t->out); return;
    }
}

static void tell(struct telling *t, struct event ev)
{
    begin(t);
    if (!grammar_allows(&t->grammar, ev.type))
        fail_msg("no answer has a %s there", event_name(ev.type));
    if (t->whole)
        tell_whole(t, &ev);
    else if (ev.type == EVENT_ERROR && !t->begun)
        openai_dialect.write_fault(ev.fault, &t->out);
    else
        openai_dialect.write_event(t->state, &ev, &t->out);
    t->begun = true;
}

static void tell_text(struct telling *t, enum event_type type, struct str quoted)
{
    struct event     ev = { .type = type };
    struct json_doc *doc = read_text(quoted, &ev.text);

    tell(t, ev);
    json_free(doc);
}

/* An index and an array: all three texts of a call's first piece, or more arguments. */
static void tell_tool(struct telling *t, struct str rest)
{
    struct event     ev = { .type = EVENT_TOOL_CALL };
    const char      *why = NULL;
    struct json_doc *doc;
    struct json_walk w;

    ev.tool.index = number(&rest);
    doc = json_read(rest, &why);
    if (!doc || json_type(json_root(doc)) != JSON_ARRAY)
        fail_msg("%.*s is not a JSON array", STR_ARG(rest));
    w = json_walk(json_root(doc));
    if (json_count(json_root(doc)) == 3) {
        ev.tool.id = json_str(json_walk_next(&w));
        ev.tool.name = json_str(json_walk_next(&w));
    }
    ev.text = json_str(json_walk_next(&w));
    tell(t, ev);
    json_free(doc);
}

static void tell_citation(struct telling *t, struct str rest)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(rest, &why);

    if (json_count(json_root(doc)) != 4)
        fail_msg("%.*s is not an array of four texts", STR_ARG(rest));
    assert_true(t->n_cited < CITATIONS_MAX);
    t->cited[t->n_cited++] = doc;
    tell(t, (struct event){ .type = EVENT_CITATION, .citation = citation_of(doc) });
}

static void tell_usage(struct telling *t, struct str rest)
{
    struct event ev = { .type = EVENT_USAGE };

    ev.usage.prompt = number(&rest);
    ev.usage.completion = number(&rest);
    tell(t, ev);
}

static void tell_finish(struct telling *t, struct str how)
{
    static const char *const names[] = {
        [FINISH_STOP] = "stop",
        [FINISH_LENGTH] = "length",
        [FINISH_TOOL_CALLS] = "tool_calls",
        [FINISH_CONTENT_FILTER] = "content_filter",
    };
    size_t i = 0;

    while (i < sizeof names / sizeof *names && !str_eq(how, str_of(names[i])))
        i++;
    if (i == sizeof names / sizeof *names)
        fail_msg("nothing finishes with %.*s", STR_ARG(how));
    tell(t, (struct event){ .type = EVENT_FINISH, .finish = (enum finish)i });
}

static void tell_ask(struct telling *t, struct str what)
{
    assert_null(t->state);
    if (str_eq(what, STR("usage")))
        t->usage_asked = true;
    else if (str_eq(what, STR("whole")))
        t->whole = true;
    else
        fail_msg("nobody can ask %.*s", STR_ARG(what));
}

static void tell_line(struct telling *t, struct str line)
{
    struct str rest = line, word;

    if (!str_next(&rest, ' ', &word) || line.p[0] == '#')
        return;
    if (str_eq(word, STR("model")))
        t->model_doc = read_text(rest, &t->model);
    else if (str_eq(word, STR("ask")))
        tell_ask(t, rest);
    else if (str_eq(word, STR("start")))
        tell(t, (struct event){ .type = EVENT_START });
    else if (str_eq(word, STR("delta")))
        tell_text(t, EVENT_DELTA, rest);
    else if (str_eq(word, STR("think")))
        tell_text(t, EVENT_REASONING, rest);
    else if (str_eq(word, STR("tool")))
        tell_tool(t, rest);
    else if (str_eq(word, STR("cite")))
        tell_citation(t, rest);
    else if (str_eq(word, STR("usage")))
        tell_usage(t, rest);
    else if (str_eq(word, STR("finish")))
        tell_finish(t, rest);
    else if (str_eq(word, STR("error")))
        tell(t, (struct event){ .type = EVENT_ERROR, .fault = fault_named(rest) });
    else if (str_eq(word, STR("silence"))) {
        sse_add_comment(&t->out, STR("ping"));
        t->begun = true;
    } else {
        fail_msg("what is \"%.*s\"?", STR_ARG(line));
    }
}

/* ---- comparing --------------------------------------------------------------------- */

static void show(const char *title, struct str s)
{
    struct buf text = BUF(2 * OUT_MAX_BYTES);

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\r')
            buf_lit(&text, "<CR>");
        else
            buf_add_char(&text, s.p[i]);
    }
    print_error("---- %s\n%.*s<end>\n", title, STR_ARG(buf_str(&text)));
    buf_release(&text);
}

static void compare(struct str got, struct str want)
{
    size_t same = 0;

    if (str_eq(got, want))
        return;
    while (same < got.n && same < want.n && got.p[same] == want.p[same])
        same++;
    show("wanted", want);
    show("came", got);
    fail_msg("they differ from byte %zu on", same);
}

static void golden(void **state)
{
    const char    *name = *state;
    size_t         before = mem_live_bytes();
    struct buf     events = read_file(name, ".events"), want = read_file(name, ".out");
    struct telling t = { .model = STR("echo"),
                         .text = BUF(OUT_MAX_BYTES),
                         .reasoning = BUF(OUT_MAX_BYTES),
                         .out = BUF(OUT_MAX_BYTES) };
    struct str     rest = buf_str(&events), line;

    while (str_next(&rest, '\n', &line))
        if (line.n)
            tell_line(&t, line);
    assert_true(t.grammar.ended);
    compare(buf_str(&t.out), buf_str(&want));
    mem_free(t.state);
    for (size_t i = 0; i < t.n_cited; i++)
        json_free(t.cited[i]);
    json_free(t.model_doc);
    buf_release(&t.out);
    buf_release(&t.text);
    buf_release(&t.reasoning);
    for (size_t i = 0; i < t.n_calls; i++) {
        buf_release(&t.calls[i].id);
        buf_release(&t.calls[i].name);
        buf_release(&t.calls[i].arguments);
    }
    buf_release(&events);
    buf_release(&want);
    assert_int_equal(mem_live_bytes(), before);
}

/* ---- the cases --------------------------------------------------------------------- */

static int is_case(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 7 && strcmp(entry->d_name + n - 7, ".events") == 0;
}

int main(void)
{
    static struct CMUnitTest tests[CASES_MAX];
    static char              names[CASES_MAX][64];
    struct dirent          **files = NULL;
    int                      n = scandir(folder, &files, is_case, alphasort);

    if (n <= 0 || n > CASES_MAX) {
        fprintf(stderr, "%s holds no cases (or too many); run this from the top of the tree\n",
                folder);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%.*s", (int)strlen(files[i]->d_name) - 7,
                 files[i]->d_name);
        tests[i] = (struct CMUnitTest){ names[i], golden, NULL, NULL, names[i] };
        free(files[i]);
    }
    free(files);
    /* The macro wants an array of known size. */
    return _cmocka_run_group_tests("golden_sink", tests, (size_t)n, NULL, NULL);
}
