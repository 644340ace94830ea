#include "tool/builtin.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "store/messages.h"
#include "tool/calculator.h"

enum {
    OUTPUT_MAX = 100 << 10,
    FOUND_DEFAULT = 5,
    FOUND_MAX = 20,
    CHARACTERS_SHOWN = 500,
    MINUTES_MAX = 14 * 60
};

struct tool_run {
    struct tool        *tool;
    struct tool_ear     ear;
    struct deadline     soon;                 /* for those that need not wait   */
    struct message_call messages;
    struct buf          output;
    bool                failed;
};

/* ---- a run --------------------------------------------------------------------------------- */

static void run_free(struct tool_run *r)
{
    deadline_disarm(&r->soon);
    verb_drop(&r->messages.verb);
    buf_release(&r->output);
    mem_free(r);
}

static void tell(struct tool_run *r)
{
    struct tool_ear ear = r->ear;
    struct buf      output = r->output;
    bool            failed = r->failed;

    r->output = BUF(0);
    run_free(r);
    ear.told(ear.ctx, buf_str(&output), failed);
    buf_release(&output);
}

static void tell_soon(struct deadline *d)
{
    tell(LIST_OWNER(d, struct tool_run, soon));
}

static void fail(struct tool_run *r, const char *words)
{
    r->failed = true;
    buf_add(&r->output, str_of(words));
}

/* ---- now ------------------------------------------------------------------------------------ */

static bool is_like(struct str s, struct str pattern)
{
    for (size_t i = 0; i < s.n && i < pattern.n; i++)
        if (pattern.p[i] == '0' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != pattern.p[i])
            return false;
    return s.n == pattern.n;
}

static int two_digits(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

/* "+08:00"; nothing for UTC. It is repeated to the model as it is. */
static bool read_offset(struct str s, int *minutes)
{
    *minutes = 0;
    if (s.n == 0)
        return true;
    if (!is_like(s, STR("+00:00")) && !is_like(s, STR("-00:00")))
        return false;
    *minutes = two_digits(s.p + 1) * 60 + two_digits(s.p + 4);
    if (two_digits(s.p + 4) > 59 || *minutes > MINUTES_MAX)
        return false;
    if (s.p[0] == '-')
        *minutes = -*minutes;
    return true;
}

static void tell_time(struct tool_run *r, const struct json *arguments, const struct whose *whose)
{
    struct str offset = json_str(json_get(arguments, "utc_offset"));
    int64_t    ms = clock_wall_ms();
    char       iso[CLOCK_ISO_SIZE];
    int        minutes;

    (void)whose;
    if (!read_offset(offset, &minutes)) {
        fail(r, "utc_offset must be written like +08:00");
        return;
    }
    clock_iso((ms + minutes * 60000LL) * 1000, iso);
    buf_addf(&r->output, "{\"time\":\"%.19s%.*s\",\"unix\":%lld}", iso,
             STR_ARG(offset.n ? offset : STR("Z")), (long long)(ms / 1000));
}

/* ---- calculator ------------------------------------------------------------------------------ */

static void work_out(struct tool_run *r, const struct json *arguments, const struct whose *whose)
{
    const char *why;
    double      v;

    (void)whose;
    if (!calculate(json_str(json_get(arguments, "expression")), &v, &why))
        fail(r, why);
    else
        buf_addf(&r->output, "{\"result\":%.15g}", v);
}

/* ---- search_conversations --------------------------------------------------------------------- */

static void write_found(const struct message_call *c, struct buf *out)
{
    buf_lit(out, "{\"found\":[");
    for (size_t i = 0; i < c->n; i++) {
        const struct kept_message *m = &c->messages[i];
        char                       iso[CLOCK_ISO_SIZE];

        clock_iso(m->created_at, iso);
        buf_addf(out, "%s{\"at\":\"%.19sZ\",\"role\":\"%s\",\"conversation\":", i ? "," : "", iso,
                 kept_role_name(m->role));
        json_add_str(out, m->name);
        buf_lit(out, ",\"text\":");
        json_add_str(out, utf8_first(m->content, CHARACTERS_SHOWN));
        buf_lit(out, "}");
    }
    buf_lit(out, "]}");
}

static void on_found(struct verb *v)
{
    struct tool_run *r = LIST_OWNER(v, struct tool_run, messages.verb);

    if (v->end == STORE_OK)
        write_found(&r->messages, &r->output);
    else
        fail(r, "the conversations cannot be searched at the moment");
    tell(r);
}

static void search(struct tool_run *r, const struct json *arguments, const struct whose *whose)
{
    struct store *store = r->tool->own;
    struct str    query = json_str(json_get(arguments, "query"));
    int64_t       limit = FOUND_DEFAULT;

    json_int(json_get(arguments, "limit"), &limit);
    if (!store || !whose || !whose->owner.n) {
        fail(r, "no conversations are kept for whoever asks");
        return;
    }
    if (query.n == 0) {
        fail(r, "query is missing");
        return;
    }
    deadline_disarm(&r->soon);
    r->messages.verb.done = on_found;
    message_search(store, &r->messages, whose, query, limit < FOUND_MAX ? limit : FOUND_MAX);
}

/* ---- the three ---------------------------------------------------------------------------------- */

static const struct builtin {
    struct str name, description, parameters;
    void (*run)(struct tool_run *r, const struct json *arguments, const struct whose *whose);
} builtins[] = {
    { STR_INIT("now"), STR_INIT("Tells the date and the time."),
      STR_INIT("{\"type\":\"object\",\"properties\":{\"utc_offset\":{\"type\":\"string\","
               "\"description\":\"where: +08:00 for Beijing; without it UTC\"}}}"),
      tell_time },
    { STR_INIT("calculator"),
      STR_INIT("Works out a number: + - * / % ^, brackets, sqrt, abs, round, floor, ceil, exp, ln, "
               "log10, log2, sin, cos, tan, pi, e."),
      STR_INIT("{\"type\":\"object\",\"properties\":{\"expression\":{\"type\":\"string\","
               "\"description\":\"for example 2 * (3 + sqrt(16)) ^ 2\"}},"
               "\"required\":[\"expression\"]}"),
      work_out },
    { STR_INIT("search_conversations"),
      STR_INIT("Looks for words in what this user and you have said to each other before, in all "
               "conversations; the newest first."),
      STR_INIT(
          "{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\","
          "\"description\":\"words that stand there together\"},\"limit\":{\"type\":\"integer\","
          "\"minimum\":1,\"maximum\":20}},\"required\":[\"query\"]}"),
      search },
};

static const struct builtin *find(struct str name)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        if (str_eq(builtins[i].name, name))
            return &builtins[i];
    return NULL;
}

static struct tool_run *start(struct tool *t, const struct tool_order *o, struct tool_ear ear)
{
    struct tool_run *r = mem_new(sizeof *r);
    const char      *why;
    struct json_doc *doc = json_read(o->arguments, &why);

    *r = (struct tool_run){ .tool = t, .ear = ear, .output = BUF(OUTPUT_MAX + 1024) };
    r->soon.run = tell_soon;
    deadline_arm(&r->soon, clock_now());
    find(t->name)->run(r, json_root(doc), o->whose);
    json_free(doc);
    return r;
}

static const struct tool_ops ops = { .start = start, .cancel = run_free };

struct tool *builtin_new(struct str name, struct store *store)
{
    const struct builtin *b = find(name);

    return tool_new(&(struct tool){ .ops = &ops,
                                    .name = b->name,
                                    .description = b->description,
                                    .parameters = b->parameters,
                                    .timeout = 30 * CLOCK_S,
                                    .output_limit = OUTPUT_MAX,
                                    .own = store });
}
