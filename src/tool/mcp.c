/* mcp.c - listing -> listed -> (listing, when the list is old, or in a while if it failed)*
 *
 * and beside it the runs of its tools. Each tool holds the server, so that the one who gave it
 * away need not know who runs it.
 */
#include "tool/mcp.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tool/mcp_line.h"
#include "tool/mcp_list.h"
#include "wire/sha256.h"

#include <stdio.h>
#include <string.h>

enum {
    LIST_S = 30,
    LIST_MAX_BYTES = 4 << 20,
    PAUSE_MIN_MS = 1000,
    PAUSE_MAX_MS = 60 * 1000,
    MEMBERS_MAX_BYTES = 40 << 20,
    FIELDS_MAX_BYTES = 32 * 1024,
    WORDS_MAX_BYTES = 2000,
    ESCAPE_MAX = 6,                           /* what JSON makes of a byte      */
    BESIDE_MAX_BYTES = 8 << 20,               /* pictures beside a tool's words */
};

struct mcp_server {
    unsigned          refs;                   /* its owner's, and one of each of its tools */
    struct mcp_place  place;
    struct arena      texts;
    struct str        name, wanted;           /* `wanted`: the digest of its settings */
    struct conf_texts only;
    uint64_t          timeout;                /* ns                             */
    size_t            output_limit;
    bool              runs_alone;
    struct mcp_line   line;
    struct tool     **tools;
    size_t            n_tools;
    struct mcp_list   list;                   /* that is being read             */
    struct mcp_ask    listing;
    struct buf        members;                /* of that question               */
    bool              is_listing, has_list;
    uint64_t          listed_at, pause;       /* 0: the last time it did not fail */
    struct deadline   next;
};

/* ---- runs ---------------------------------------------------------------------------------- */

/* What a tool keeps. */
struct origin {
    struct mcp_server *server;
    struct str         own_name;
};

struct tool_run {
    struct mcp_ask  ask;
    struct tool    *tool;
    struct tool_ear ear;
    struct buf      members, fields;
};

static void run_free(struct tool_run *r)
{
    mcp_ask_drop(&r->ask);
    buf_release(&r->members);
    buf_release(&r->fields);
    mem_free(r);
}

static void add_refusal(int status, struct str server, struct buf *out)
{
    if (status == 401 || status == 403)
        buf_addf(out,
                 "the server of this tool does not let us in (%d); its operator has to look at "
                 "the headers of the setting tools: %.*s",
                 status, STR_ARG(server));
    else if (status / 100 == 3)
        buf_addf(out,
                 "the server of this tool is elsewhere (%d); its operator has to look at the url "
                 "of the setting tools: %.*s",
                 status, STR_ARG(server));
    else
        buf_addf(out, "the server of this tool refused the call (%d)", status);
}

/* Why there is no result, without the names of hosts. */
static void add_failure(const struct mcp_answer *a, struct str server, struct buf *out)
{
    switch (a->end) {
    case MCP_ANSWERED:
        buf_addf(out, "the server of this tool says: %.*s (%lld)",
                 STR_ARG(utf8_clip(a->message.words, WORDS_MAX_BYTES)), (long long)a->message.code);
        break;
    case MCP_REFUSED:
    case MCP_TAKEN: add_refusal(a->status, server, out); break;
    case MCP_AWAY: buf_lit(out, "the server of this tool cannot be reached"); break;
    case MCP_LOST:
        buf_lit(out, "the answer of this tool did not come; it may have been carried out or not");
        break;
    case MCP_ODD: buf_addf(out, "the server of this tool cannot be understood: %s", a->why); break;
    }
}

static bool is_result(const struct mcp_answer *a)
{
    return a->end == MCP_ANSWERED && a->message.kind == MCP_RESULT;
}

/* True: it failed. */
static bool add_outcome(const struct mcp_answer *a, const struct mcp_server *s, struct buf *out)
{
    if (!is_result(a)) {
        add_failure(a, s->name, out);
        return true;
    }
    if (str_eq(json_str(json_get(a->message.result, "resultType")), STR("input_required"))) {
        buf_lit(out, "this tool wants to be told more by a person, which cannot be done here");
        return true;
    }
    mcp_add_output(a->message.result, out);
    return json_is_true(json_get(a->message.result, "isError"));
}

static void run_done(struct mcp_ask *ask, const struct mcp_answer *a)
{
    struct tool_run   *r = LIST_OWNER(ask, struct tool_run, ask);
    struct origin     *o = r->tool->own;
    struct tool_ear    ear = r->ear;
    const struct tool *t = r->tool;
    struct buf         all = BUF(2 * r->ask.limit);
    bool               failed = add_outcome(a, o->server, &all);

    if (!is_result(a))
        LOG(LOG_WARN, L_MSG("an MCP server did not answer a call"), L_STR("tool", t->name),
            L_INT("status", a->status), L_INT("code", a->message.code), L_TEXT("why", a->why));
    if (a->message.is_cut && all.n <= t->output_limit)
        buf_lit(&all, "\n[cut: the rest is too long]");
    run_free(r);
    ear.told(ear.ctx, buf_str(&all), failed);
    buf_release(&all);
}

static void write_call(struct tool_run *r, struct str name, const struct tool_order *o)
{
    buf_lit(&r->members, "\"name\":");
    json_add_str(&r->members, name);
    buf_lit(&r->members, ",\"arguments\":");
    buf_add(&r->members, o->arguments.n ? o->arguments : STR("{}"));
    buf_lit(&r->fields, "mcp-name: ");
    mcp_add_field_value(name, &r->fields);
    buf_lit(&r->fields, "\r\n");
    mcp_add_param_fields(r->tool->parameters, o->arguments, &r->fields);
}

static struct tool_run *start(struct tool *t, const struct tool_order *o, struct tool_ear ear)
{
    struct origin   *origin = t->own;
    struct tool_run *r = mem_new(sizeof *r);

    r->tool = t;
    r->ear = ear;
    r->members = BUF(MEMBERS_MAX_BYTES);
    r->fields = BUF(FIELDS_MAX_BYTES);
    write_call(r, origin->own_name, o);
    r->ask.method = "tools/call";
    r->ask.members = buf_str(&r->members);
    r->ask.fields = buf_str(&r->fields);
    r->ask.limit = ESCAPE_MAX * t->output_limit + BESIDE_MAX_BYTES;
    r->ask.done = run_done;
    mcp_ask_start(&r->ask, &origin->server->line);
    return r;
}

static void server_drop(struct mcp_server *s);

static void release(struct tool *t)
{
    struct origin *o = t->own;

    server_drop(o->server);
    mem_free((char *)o->own_name.p);
    mem_free(o);
}

static const struct tool_ops ops = { .start = start, .cancel = run_free, .release = release };

/* ---- the list ------------------------------------------------------------------------------- */

static struct tool *make_tool(struct mcp_server *s, const struct mcp_listed *from)
{
    struct origin *o = mem_new(sizeof *o);

    o->server = s;
    o->own_name = (struct str){ mem_copy(from->own_name.p, from->own_name.n), from->own_name.n };
    s->refs++;
    return tool_new(&(struct tool){ .ops = &ops,
                                    .name = from->name,
                                    .description = from->description,
                                    .parameters = from->parameters,
                                    .timeout = s->timeout,
                                    .output_limit = s->output_limit,
                                    .runs_alone = s->runs_alone,
                                    .own = o });
}

static void drop_tools(struct mcp_server *s)
{
    struct tool **tools = s->tools;
    size_t        n = s->n_tools;

    s->tools = NULL;
    s->n_tools = 0;
    for (size_t i = 0; i < n; i++)
        tool_drop(tools[i]);
    mem_free(tools);
}

static void take_list(struct mcp_server *s)
{
    size_t before = s->n_tools;

    mcp_list_name(&s->list, s->name);
    drop_tools(s);
    s->tools = mem_new((s->list.n + 1) * sizeof *s->tools);
    for (; s->n_tools < s->list.n; s->n_tools++)
        s->tools[s->n_tools] = make_tool(s, &s->list.tools[s->n_tools]);
    if (!s->has_list || s->pause || s->n_tools != before)
        LOG(LOG_INFO, L_MSG("an MCP server has told its tools"), L_STR("tool", s->name),
            L_INT("tools", s->n_tools), L_INT("left_out", s->list.left_out));
    s->has_list = true;
    s->pause = 0;
    s->listed_at = clock_now();
    deadline_arm(&s->next, clock_now() + s->list.max_age);
    mcp_list_release(&s->list);
}

static void list_failed(struct mcp_server *s, const struct mcp_answer *a)
{
    char       words[WORDS_MAX_BYTES];
    struct buf why = BUF(2 * WORDS_MAX_BYTES);

    s->pause = s->pause ? 2 * s->pause : PAUSE_MIN_MS * CLOCK_MS;
    if (s->pause > PAUSE_MAX_MS * CLOCK_MS)
        s->pause = PAUSE_MAX_MS * CLOCK_MS;
    add_failure(a, s->name, &why);
    snprintf(words, sizeof words, "%.*s", STR_ARG(buf_str(&why)));
    LOG(LOG_WARN, L_MSG("an MCP server does not tell its tools"), L_STR("tool", s->name),
        L_TEXT("what", words), L_TEXT("why", a->why), L_INT("status", a->status),
        L_MS("again_in", s->pause));
    buf_release(&why);
    mcp_list_release(&s->list);
    deadline_arm(&s->next, clock_now() + s->pause);
}

static void listed(struct mcp_ask *ask, const struct mcp_answer *a);

static void ask_page(struct mcp_server *s)
{
    buf_release(&s->members);
    s->members = BUF(8 * MCP_CURSOR_MAX_BYTES);
    if (s->list.cursor.n) {
        buf_lit(&s->members, "\"cursor\":");
        json_add_str(&s->members, s->list.cursor);
    }
    s->is_listing = true;
    s->list.quiet = s->has_list;
    s->listing.method = "tools/list";
    s->listing.members = buf_str(&s->members);
    s->listing.limit = LIST_MAX_BYTES;
    s->listing.timeout = LIST_S * CLOCK_S;
    s->listing.done = listed;
    mcp_ask_start(&s->listing, &s->line);
}

static void listed(struct mcp_ask *ask, const struct mcp_answer *a)
{
    struct mcp_server *s = LIST_OWNER(ask, struct mcp_server, listing);

    s->is_listing = false;
    if (!is_result(a)) {
        list_failed(s, a);
        return;
    }
    mcp_list_read(&s->list, a->message.result, s->name, &s->only);
    if (s->list.cursor.n)
        ask_page(s);
    else
        take_list(s);
}

static void list_again(struct deadline *d)
{
    struct mcp_server *s = LIST_OWNER(d, struct mcp_server, next);

    if (!s->is_listing)
        ask_page(s);
}

/* It said so itself; a server that says it all the time is not asked all the time. */
static void on_changed(struct mcp_line *l)
{
    struct mcp_server *s = LIST_OWNER(l, struct mcp_server, line);
    uint64_t           soon = s->listed_at + PAUSE_MIN_MS * CLOCK_MS;

    if (deadline_is_armed(&s->next) && !s->pause && s->next.due > soon) {
        deadline_disarm(&s->next);
        deadline_arm(&s->next, soon > clock_now() ? soon : clock_now());
    }
}

/* ---- its life -------------------------------------------------------------------------------- */

bool mcp_find_mistake(const struct tool_settings *s, const char **key, const char **why)
{
    struct mcp_place p;

    if (!mcp_place_init(&p, s, key, why))
        return false;
    mcp_place_release(&p);
    return true;
}

static void copy_only(struct mcp_server *s, const struct conf_texts *from)
{
    s->only.n = from->n;
    s->only.items = arena_new(&s->texts, (from->n + 1) * sizeof *s->only.items);
    for (size_t i = 0; i < from->n; i++)
        s->only.items[i] = arena_str(&s->texts, from->items[i]);
}

static void add_texts(const struct conf_texts *texts, struct buf *out)
{
    buf_addf(out, "%zu\n", texts->n);
    for (size_t i = 0; i < texts->n; i++)
        json_add_str(out, texts->items[i]);
}

static void digest_settings(const struct tool_settings *s, char digest[SHA256_HEX_SIZE])
{
    struct buf all = BUF(SIZE_MAX / 2);

    json_add_str(&all, s->name);
    json_add_str(&all, s->url);
    json_add_str(&all, s->ca_file);
    buf_addf(&all, "%llu %llu %d ", (unsigned long long)s->timeout,
             (unsigned long long)s->max_output_bytes, s->alone);
    add_texts(&s->headers, &all);
    add_texts(&s->only, &all);
    sha256_hex(buf_str(&all), digest);
    buf_release(&all);
}

struct mcp_server *mcp_server_new(const struct tool_settings *from)
{
    struct mcp_server *s = mem_new(sizeof *s);
    char               digest[SHA256_HEX_SIZE];
    const char        *key, *why;

    if (!mcp_place_init(&s->place, from, &key, &why)) {
        LOG(LOG_ERROR, L_MSG("an MCP server cannot be asked"), L_STR("tool", from->name),
            L_TEXT("setting", key), L_TEXT("why", why));
        mem_free(s);
        return NULL;
    }
    s->refs = 1;
    s->name = arena_str(&s->texts, from->name);
    digest_settings(from, digest);
    s->wanted = arena_str(&s->texts, str_of(digest));
    s->timeout = from->timeout;
    s->output_limit = from->max_output_bytes;
    s->runs_alone = from->alone != 0;
    copy_only(s, &from->only);
    s->line.changed = on_changed;
    mcp_line_init(&s->line, &s->place, s->name);
    s->next.run = list_again;
    return s;
}

/* A file of certificates that has changed makes another trust of the same name. */
bool mcp_server_fits(const struct mcp_server *s, const struct tool_settings *settings)
{
    char              digest[SHA256_HEX_SIZE], why[TLS_WHY_MAX];
    struct tls_trust *trust;
    bool              same;

    digest_settings(settings, digest);
    if (!str_eq(s->wanted, str_of(digest)))
        return false;
    trust = s->place.way.is_secure ? tls_trust_hold(settings->ca_file, why) : NULL;
    same = trust == s->place.way.trust;
    tls_trust_drop(trust);
    return same;
}

struct str mcp_server_name(const struct mcp_server *s)
{
    return s->name;
}

void mcp_server_begin(struct mcp_server *s)
{
    deadline_arm(&s->next, clock_now());
}

static void server_drop(struct mcp_server *s)
{
    if (--s->refs)
        return;
    mcp_line_release(&s->line);
    mcp_place_release(&s->place);
    arena_release(&s->texts);
    mem_free(s);
}

void mcp_server_free(struct mcp_server *s)
{
    if (!s)
        return;
    deadline_disarm(&s->next);
    s->line.changed = NULL;
    mcp_ask_drop(&s->listing);
    mcp_list_release(&s->list);
    buf_release(&s->members);
    drop_tools(s);
    server_drop(s);
}

size_t mcp_server_tools(const struct mcp_server *s, struct tool *const **tools)
{
    *tools = s->tools;
    return s->n_tools;
}
