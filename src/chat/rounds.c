#include "chat/rounds.h"

#include "base/json.h"

#define NO_RESULT "{\"type\":\"error\",\"message\":\"The call was interrupted.\"}"

enum { NO_LIMIT_OF_OURS = 1 << 30 };

struct split {
    struct str      content;                  /* what is not told yet           */
    size_t          told;                     /* bytes of it                    */
    struct arena   *arena;
    struct message *messages;
    size_t          n;
};

static void add(struct split *s, enum role role, struct str text, struct buf *raw)
{
    s->messages[s->n++] = (struct message){ .role = role,
                                            .text = arena_str(s->arena, text),
                                            .raw = arena_str(s->arena, buf_str(raw)) };
    buf_release(raw);
}

static bool is_ours(const struct json *call, int64_t *round)
{
    return json_int(json_get(call, "round"), round);
}

/* Half of them, when nobody lived to hear the rest: strict services refuse to read those. */
static struct str arguments_of(const struct json *function)
{
    struct str       all = json_str(json_get(function, "arguments"));
    const char      *why;
    struct json_doc *doc = all.n ? json_read(all, &why) : NULL;
    bool             good = json_type(json_root(doc)) == JSON_OBJECT;

    json_free(doc);
    return good ? all : STR("{}");
}

static void write_call(const struct json *call, struct buf *out)
{
    const struct json *function = json_get(call, "function");

    buf_lit(out, "{\"id\":");
    json_add_str(out, json_str(json_get(call, "id")));
    buf_lit(out, ",\"type\":\"function\",\"function\":{\"name\":");
    json_add_str(out, json_str(json_get(function, "name")));
    buf_lit(out, ",\"arguments\":");
    json_add_str(out, arguments_of(function));
    buf_lit(out, "}}");
}

/* Up to the calls; where they stand may be wrong only if somebody wrote into the database. */
static struct str words_before(struct split *s, const struct json *call)
{
    int64_t    at = 0;
    struct str words;

    json_int(json_get(call, "at"), &at);
    if (at < (int64_t)s->told || at > (int64_t)s->content.n)
        at = (int64_t)s->told;
    words = (struct str){ s->content.p + s->told, (size_t)at - s->told };
    s->told = (size_t)at;
    return words;
}

static void add_calls(struct split *s, struct json_walk from, int64_t round)
{
    struct buf         raw = BUF(NO_LIMIT_OF_OURS);
    const struct json *call = json_walk_next(&from);
    struct str         words = words_before(s, call);
    int64_t            its = round;

    buf_lit(&raw, "{\"role\":\"assistant\",\"content\":");
    if (words.n)
        json_add_str(&raw, words);
    else
        buf_lit(&raw, "null");
    buf_lit(&raw, ",\"tool_calls\":[");
    for (const char *comma = ""; call; call = json_walk_next(&from)) {
        if (!is_ours(call, &its) || its != round)
            continue;
        buf_add(&raw, str_of(comma));
        write_call(call, &raw);
        comma = ",";
    }
    buf_lit(&raw, "]}");
    add(s, ROLE_ASSISTANT, words, &raw);
}

static void add_result(struct split *s, const struct json *call)
{
    const struct json *result = json_get(call, "result");
    struct str         text = result ? json_str(result) : STR(NO_RESULT);
    struct buf         raw = BUF(NO_LIMIT_OF_OURS);

    buf_lit(&raw, "{\"role\":\"tool\",\"tool_call_id\":");
    json_add_str(&raw, json_str(json_get(call, "id")));
    buf_lit(&raw, ",\"content\":");
    json_add_str(&raw, text);
    buf_lit(&raw, "}");
    add(s, ROLE_TOOL, text, &raw);
}

static void add_results(struct split *s, struct json_walk from, int64_t round)
{
    const struct json *call;
    int64_t            its = round;

    while ((call = json_walk_next(&from)))
        if (is_ours(call, &its) && its == round)
            add_result(s, call);
}

/* Each round stands together in the list, and later ones behind it. */
static void add_rounds(struct split *s, const struct json *calls)
{
    struct json_walk   here = json_walk(calls), from = here;
    const struct json *call;
    int64_t            last = -1, round = 0;

    while ((call = json_walk_next(&here))) {
        if (is_ours(call, &round) && round > last) {
            add_calls(s, from, round);
            add_results(s, from, round);
            last = round;
        }
        from = here;
    }
}

size_t rounds_split(struct str content, struct str calls, struct arena *a, struct message **out)
{
    const char      *why;
    struct json_doc *doc = calls.n ? json_read(calls, &why) : NULL;
    size_t           n_calls = json_count(json_root(doc));
    struct split     s = { .content = content, .arena = a };
    struct str       rest;

    s.messages = arena_new(a, (2 * n_calls + 1) * sizeof *s.messages);
    add_rounds(&s, json_root(doc));
    json_free(doc);
    rest = str_from(content, s.told);
    if (rest.n)
        s.messages[s.n++] = (struct message){ .role = ROLE_ASSISTANT, .text = arena_str(a, rest) };
    *out = s.messages;
    return s.n;
}
