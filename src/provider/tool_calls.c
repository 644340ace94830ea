#include "provider/tool_calls.h"

#include "base/json.h"
#include "base/mem.h"
#include "provider/source.h"
#include "base/utf8.h"

#include <string.h>

void tool_calls_release(struct tool_calls *c)
{
    for (size_t i = 0; i < c->n; i++)
        buf_release(&c->all[i].held);
    mem_free(c->all);
    *c = (struct tool_calls){ .n = 0 };
}

static struct tool_call *open_call(struct tool_calls *c, int64_t index)
{
    if (c->n == TOOL_CALLS_MAX)
        return NULL;
    c->all = mem_resize(c->all, (c->n + 1) * sizeof *c->all);
    c->all[c->n] = (struct tool_call){ .index = index, .held = BUF(SOURCE_EVENT_MAX_BYTES) };
    return &c->all[c->n++];
}

static struct str str_of_text(const struct tool_text *t)
{
    return (struct str){ t->p, t->n };
}

static struct str set_text(struct tool_text *t, struct str to)
{
    to = utf8_clip(to, TOOL_ID_MAX);
    if (to.n)
        memcpy(t->p, to.p, to.n);
    t->n = to.n;
    return str_of_text(t);
}

static bool is_text(const struct tool_text *t, struct str s)
{
    return str_eq(str_of_text(t), utf8_clip(s, TOOL_ID_MAX));
}

/* What a piece says of itself. */
struct label {
    struct str id, name;
    int64_t    index;
    bool       numbered;
};

/* Without a number and an id, pieces that come together are numbered by their places. */
static struct label read_label(const struct json *v, struct tool_place place)
{
    struct label l = { .id = json_str(json_get(v, "id")),
                       .name = json_str(json_get(json_get(v, "function"), "name")),
                       .index = (int64_t)place.at };

    l.numbered = json_int(json_get(v, "index"), &l.index) || (!l.id.n && !place.alone);
    return l;
}

/* The newest call with that number and id, or with that number; without a number the one with
 * that id, or the newest. */
static struct tool_call *find_call(struct tool_calls *c, const struct label *l)
{
    struct tool_call *newest = NULL;

    for (size_t i = c->n; i-- > 0;) {
        struct tool_call *call = &c->all[i];

        if (l->numbered && call->index != l->index)
            continue;
        if (l->id.n && is_text(&call->id, l->id))
            return call;
        if (!newest && (l->numbered || !l->id.n))
            newest = call;
    }
    return newest;
}

/* An id that comes late belongs to the call that has none; so does a name. */
static bool is_another(const struct tool_call *call, const struct label *l)
{
    bool other_id = l->id.n && call->id.n && !is_text(&call->id, l->id);
    bool other_name = l->name.n && call->name.n && !is_text(&call->name, l->name);

    return call->id.n && !call->has_own_id ? other_id : other_name;
}

static void give_id(struct tool_call *call, uint64_t number, struct tool_piece *piece)
{
    struct buf id = BUF(TOOL_ID_MAX);

    buf_lit(&id, "call_");
    buf_add_u64(&id, number);
    piece->id = set_text(&call->id, buf_str(&id));
    call->has_own_id = true;
    buf_release(&id);
}

static const struct json *arguments_in(const struct json *v)
{
    return json_get(json_get(v, "function"), "arguments");
}

static bool has_arguments(const struct json *v)
{
    return json_type(arguments_in(v)) == JSON_OBJECT || json_str(arguments_in(v)).n;
}

bool tool_calls_read(struct tool_calls *c, const struct json *v, struct tool_place place,
                     struct tool_piece *piece)
{
    struct label      l = read_label(v, place);
    struct tool_call *call = find_call(c, &l);

    if (!call || is_another(call, &l))
        call = open_call(c, l.numbered ? l.index : (int64_t)c->n);
    if (!call)
        return false;
    *piece = (struct tool_piece){ .index = (uint64_t)(call - c->all) };
    if (l.id.n && !call->id.n)
        piece->id = set_text(&call->id, l.id);
    if (l.name.n && !call->name.n) {
        set_text(&call->name, l.name);
        piece->name = l.name;
    }
    if (piece->name.n && !call->id.n)
        give_id(call, piece->index, piece);
    call->has_arguments = call->has_arguments || has_arguments(v);
    return true;
}

static void hold(struct tool_call *call, struct teller *t, struct str arguments)
{
    buf_add(&call->held, arguments);
    if (call->held.over)
        teller_fail(t, FAULT_GARBAGE, STR("a tool call has no name"));
}

void tool_calls_tell(struct tool_calls *c, struct teller *t, const struct tool_piece *piece,
                     struct str arguments)
{
    struct tool_call *call = &c->all[piece->index];
    struct tool_piece told = { .index = call->number };

    if (!call->is_told)
        hold(call, t, arguments);
    if (!call->name.n)
        return;
    if (!call->is_told) {
        told.index = call->number = c->n_told++;
        told.id = str_of_text(&call->id);
        told.name = piece->name;
        arguments = buf_str(&call->held);
    }
    call->is_told = true;
    teller_tool(t, &told, arguments);
    buf_release(&call->held);
}

void tool_calls_fill(struct tool_calls *c, struct teller *t)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->all[i].has_arguments && c->all[i].name.n) {
            c->all[i].has_arguments = true;
            tool_calls_tell(c, t, &(struct tool_piece){ .index = i }, STR("{}"));
        }
}

struct str tool_calls_arguments(const struct json *v, struct buf *room)
{
    const struct json *arguments = arguments_in(v);

    if (json_type(arguments) != JSON_OBJECT)
        return json_str(arguments);
    buf_clear(room);
    json_add_value(room, arguments);
    return buf_str(room);
}
