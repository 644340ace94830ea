#include "chat/context.h"

#include "base/utf8.h"

#include <string.h>

enum {
    BYTES_PER_TOKEN = 4,                      /* of ASCII; other scripts take one a character */
    TOKENS_PER_MESSAGE = 4,                   /* who speaks, and where it ends  */
    TOKENS_PER_PICTURE = 1000,                /* whatever its bytes are         */
    NO_LIMIT_OF_OURS = 1 << 30,
};

#define BEFORE_SUMMARY "[Previous conversation summary \u2014 for context only]: "

/* ---- how long it is ----------------------------------------------------------------------- */

struct count {
    uint64_t ascii, others;                   /* bytes; characters              */
};

static bool is_ascii(char c)
{
    return (unsigned char)c < 0x80;
}

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static void count_byte(struct count *n, char c)
{
    n->ascii += is_ascii(c);
    n->others += !is_ascii(c) && begins_character(c);
}

static uint64_t tokens_of(struct count n)
{
    return (n.ascii + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN + n.others;
}

uint64_t context_tokens(struct str text)
{
    struct count n = { 0 };

    for (size_t i = 0; i < text.n; i++)
        count_byte(&n, text.p[i]);
    return tokens_of(n);
}

/* Behind a picture that the JSON brings along, if one begins here; else `at`. */
static size_t skip_picture(struct str json, size_t at)
{
    static const struct str mark = STR_INIT(";base64,");

    if (!str_starts(str_from(json, at), mark))
        return at;
    return at + str_find(str_from(json, at), '"');
}

static uint64_t tokens_of_json(struct str json)
{
    struct count n = { 0 };
    uint64_t     pictures = 0;

    for (size_t i = 0; i < json.n; i++) {
        size_t behind = json.p[i] == ';' ? skip_picture(json, i) : i;

        pictures += behind > i;
        i = behind;
        if (i < json.n)
            count_byte(&n, json.p[i]);
    }
    return tokens_of(n) + pictures * TOKENS_PER_PICTURE;
}

uint64_t context_message_tokens(const struct message *m)
{
    return (m->raw.n ? tokens_of_json(m->raw) : context_tokens(m->text)) + TOKENS_PER_MESSAGE;
}

struct str context_tail(struct str text, uint64_t tokens, size_t characters)
{
    struct count n = { 0 };
    size_t       from = text.n, seen = 0;

    for (size_t i = text.n; i-- > 0;) {
        count_byte(&n, text.p[i]);
        if (!begins_character(text.p[i]))
            continue;
        if (++seen > characters || tokens_of(n) > tokens)
            break;
        from = i;
    }
    return str_from(text, from);
}

/* ---- what stays --------------------------------------------------------------------------- */

static bool is_system(const struct message *m)
{
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

static bool is_result(const struct message *m)
{
    return m->role == ROLE_TOOL || m->role == ROLE_FUNCTION;
}

static bool is_last_users(const struct context *c, size_t at)
{
    if (c->messages[at].role != ROLE_USER)
        return false;
    while (++at < c->n)
        if (c->messages[at].role == ROLE_USER)
            return false;
    return true;
}

static bool stays(const struct context *c, const struct context_cut *cut, size_t at)
{
    if (is_system(&c->messages[at]))
        return !cut->drops_system;
    return at >= cut->from || is_last_users(c, at);
}

/* Where the last so many begin, and the call whose results they would begin with. */
static size_t start_of_last(const struct context *c, size_t n)
{
    size_t at = c->n;

    for (size_t i = c->n; i-- > 0 && n > 0;)
        if (!is_system(&c->messages[i])) {
            at = i;
            n--;
        }
    while (at > 0 && at < c->n && is_result(&c->messages[at]))
        at--;
    return at > c->covered ? at : c->covered;
}

static uint64_t size_of_cut(const struct context *c, const struct context_cut *cut,
                            uint64_t summary)
{
    uint64_t tokens = context_tokens(c->options);
    bool     is_whole = true;

    for (size_t i = 0; i < c->n; i++)
        if (stays(c, cut, i))
            tokens += context_message_tokens(&c->messages[i]);
        else
            is_whole = is_whole && is_system(&c->messages[i]);
    return tokens + (cut->has_summary && !is_whole ? summary : 0);
}

uint64_t context_size(const struct context *c)
{
    return size_of_cut(c, &(struct context_cut){ .from = 0 }, 0);
}

bool context_find_cut(const struct context *c, uint64_t summary, struct context_cut *cut)
{
    static const size_t rungs[] = { 15, 12, 10, 8, 5, 3, 2, 1, 0 };

    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) {
        *cut = (struct context_cut){ .from = start_of_last(c, rungs[i] ? rungs[i] : 1),
                                     .has_summary = rungs[i] > 0 };
        cut->tokens = size_of_cut(c, cut, summary);
        if (cut->tokens <= c->room)
            return true;
    }
    cut->drops_system = true;
    cut->tokens = size_of_cut(c, cut, summary);
    return cut->tokens <= c->room;
}

uint64_t context_summary_tokens(const struct context *c)
{
    if (!c->summary.n)
        return 0;
    return context_tokens(STR(BEFORE_SUMMARY)) + context_tokens(c->summary) + TOKENS_PER_MESSAGE;
}

static struct str with_mark(struct str summary, struct arena *a)
{
    struct buf out = BUF(NO_LIMIT_OF_OURS);
    struct str all;

    buf_lit(&out, BEFORE_SUMMARY);
    buf_add(&out, summary);
    all = arena_str(a, buf_str(&out));
    buf_release(&out);
    return all;
}

struct context_cut context_cut_as_covered(const struct context *c)
{
    struct context_cut cut = { .from = c->covered, .has_summary = c->summary.n > 0 };

    cut.tokens = size_of_cut(c, &cut, context_summary_tokens(c));
    return cut;
}

/* The summary stands where the first that it is of has stood. */
size_t context_apply(const struct context *c, const struct context_cut *cut, struct arena *a,
                     struct message **out)
{
    struct message *all = arena_new(a, (c->n + 1) * sizeof *all);
    bool            is_told = !cut->has_summary || !c->summary.n;
    size_t          n = 0;

    for (size_t i = 0; i < c->n; i++) {
        if (stays(c, cut, i)) {
            all[n++] = c->messages[i];
        } else if (!is_told && !is_system(&c->messages[i])) {
            all[n++] = (struct message){ ROLE_ASSISTANT, with_mark(c->summary, a), STR("") };
            is_told = true;
        }
    }
    *out = all;
    return n;
}

/* ---- what is left out ----------------------------------------------------------------------- */

/* Of calls, what was called is in the JSON alone. */
static struct str words_of(const struct message *m)
{
    return m->role == ROLE_ASSISTANT && m->raw.n ? m->raw : m->text;
}

void context_write_left_out(const struct context *c, const struct context_cut *cut, struct buf *out)
{
    if (c->summary.n) {
        buf_lit(out, "What was before, in short: ");
        buf_add(out, c->summary);
        buf_lit(out, "\n\n");
    }
    for (size_t i = c->covered; i < cut->from; i++) {
        const struct message *m = &c->messages[i];

        if (stays(c, cut, i))
            continue;
        buf_add(out, str_of(role_name(m->role)));
        buf_lit(out, ": ");
        buf_add(out, words_of(m));
        buf_lit(out, "\n\n");
    }
}
